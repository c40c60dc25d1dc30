"""Our own manifests as they are rendered, what is declared of them, and ways to change one thing in them."""

import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import yaml

from deployments.kubernetes.render import Values, release, render
from security.manifests import Item

COMPONENT = "app.kubernetes.io/component"
KEY = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"
VALUES: dict[str, Any] = {
    "pipeline": "sample",
    "namespace": "sluice",
    "image": f"registry.example/sluice/serving@sha256:{'ab' * 32}",
    "model": "cd" * 32,
    "path": "/api/v1/recommendations",
    "replicas": 2,
    "issuer": "https://issuer.example",
    "audience": "sluice",
    "tenant": "shop",
    "target": "kubernetes_test",
    "key": KEY,
    "policy": "f" * 64,
    "verifier": KEY.replace("M", "L"),
    "jwks": '{"keys": []}',
}
RELEASE = release(Values.model_validate(VALUES))
OWN = f"sample-{RELEASE}"
"""What is called so is of this release alone."""
SERVING = {"labels": {COMPONENT: "serving"}, "ports": ["TCP/8080"]}
COMPONENTS: dict[str, Any] = {
    "serving": {
        "callers": [
            {"namespace": "gateway", "labels": {COMPONENT: "gateway"}, "ports": ["TCP/8080"]},
            {"labels": {COMPONENT: "probe"}, "ports": ["TCP/8080"]},
        ]
    },
    "probe": {"peers": [SERVING]},
    "stranger": {"peers": [SERVING]},
}
Objects = dict[str, dict[str, Any]]
"""`Kind/name` -> object."""


@cache
def _rendered() -> tuple[Item, ...]:
    return tuple(render(Values.model_validate(VALUES)))


def rendered(**changed: Any) -> list[Item]:
    """The files."""
    return render(Values.model_validate(VALUES | changed)) if changed else list(_rendered())


def objects(items: list[Item]) -> Objects:
    """What the files say, by kind and name."""
    told = [each for _, data in items for each in yaml.safe_load_all(data)]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in told}


@cache
def _objects() -> Objects:
    return objects(rendered())


def changed(*changes: Callable[[Objects], object]) -> list[Item]:
    """Our manifests with something changed in them, one file for each object."""
    told = copy.deepcopy(_objects())
    for change in changes:
        change(told)
    return [(f"{number}.yaml", json.dumps(each).encode()) for number, each in enumerate(told.values())]
