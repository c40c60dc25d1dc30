"""What is done to a release: to the manifests that a cluster would be told, and to what the candidate runs on."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import tasks.service
from deployments.kubernetes import render as kubernetes
from security.gates.secrets import made
from tasks.home import Home
from tasks.run import Run
from tests.attacks.acts import staged
from tests.attacks.attacker import Act, Ground
from tests.attacks.packages import VULNERABLE, known, then
from tests.attacks.table import AFTER, STAGED, Attack

NETWORK, IMAGE = r"\[network_policy_enforcement\] ", r"\[image_vulnerability_scanning\] "
WORKLOAD = r"\[workload_hardening\] "
NOBODY = {"matchLabels": {"app.kubernetes.io/component": "nobody"}}
STOWAWAY = "Metadata-Version: 2.4\nName: stowaway\nVersion: 1.0\n"
Patch = Callable[[pytest.MonkeyPatch, Ground], None]
Change = Callable[[list[dict[str, Any]]], object]


def rendered(name: str, change: Change) -> Patch:
    """A file of the manifests is rendered otherwise than it is written."""
    real = kubernetes.render

    def told(values: kubernetes.Values) -> list[tuple[str, bytes]]:
        files = dict(real(values))
        objects = list(yaml.safe_load_all(files[name]))
        change(objects)
        return list((files | {name: yaml.safe_dump_all(objects).encode()}).items())

    return lambda patch, at: patch.setattr(kubernetes, "render", told)


def torn(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """A file of the manifests is cut off in the middle of a word."""
    real = kubernetes.render

    def told(values: kubernetes.Values) -> list[tuple[str, bytes]]:
        return [(name, data[:-9] + b"'" if name == "network.yaml" else data) for name, data in real(values)]

    patch.setattr(kubernetes, "render", told)


def laid(name: str, text: str) -> Act:
    """A file is laid among the candidate's packages, once it has started."""

    def act(run: Run, at: Ground) -> None:
        path = run.home.root / "service" / run.plan.run / tasks.service.PACKAGES / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    return act


def other(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """A file of a package is recorded as another than lies there."""
    real = tasks.service._here  # what is installed is not altered for it

    def here() -> Any:
        found, owners = real()
        dist, where, files = found[VULNERABLE]
        name = next(each for each in files if each.endswith(".py"))
        return found | {VULNERABLE: (dist, where, files | {name: f"sha256={'A' * 43}"})}, owners

    patch.setattr(tasks.service, "_here", here)


def swapped(run: Run, at: Ground) -> None:
    """In the place of a link to a package lies a copy of it, with one line more."""
    link = run.home.root / "service" / run.plan.run / tasks.service.PACKAGES / VULNERABLE
    real = link.resolve()
    link.unlink()
    shutil.copytree(real, link, ignore=shutil.ignore_patterns("__pycache__"))
    with (link / "version.py").open("a") as file:
        file.write("x = 1\n")


def told(**variables: Callable[[], str]) -> Patch:
    """The candidate is begun with more variables."""
    real = tasks.service.env

    def env() -> dict[str, str]:
        return real() | {name: make() for name, make in variables.items()}

    return lambda patch, at: patch.setattr(tasks.service, "env", env)


def published(run: Run, at: Ground) -> None:
    """An advisory about a package of the service comes out after the lock was looked at."""
    known(at, (VULNERABLE, "PYSEC-2026-8"))


def spoiled(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """Advisories about the system's packages lie there, cut off in the middle."""
    path: Path = at.home.folder("advisories", at.prefix) / "debian.jsonl"
    path.write_bytes(b'{"count": 1,')
    patch.setattr(Home, "systems", path)


def _network(says: str, patch: Patch) -> Attack:
    return Attack("deploy", NETWORK + says, parameters=AFTER, patch=patch)


def _workload(says: str, change: Callable[[dict[str, Any]], object]) -> Attack:
    """What runs is rendered otherwise."""
    patch = rendered("deployment.yaml", lambda objects: change(objects[0]["spec"]["template"]["spec"]))
    return Attack("deploy", WORKLOAD + says, parameters=AFTER, patch=patch)


def _policy(objects: list[dict[str, Any]], end: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each["spec"] for each in objects if each["metadata"]["name"].endswith(end))
    return found


def _nobodys(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """One policy more, for no pod."""
    spec = _policy(objects, "-probes") | {"podSelector": {"matchLabels": {"a": "b"}}}
    return {**objects[0], "metadata": {**objects[0]["metadata"], "name": "nobodys"}, "spec": spec}


RELEASES = {
    "network-policy-that-names-nobody": _network(
        "fail: NP-06 sluice-attacked/attacked-serving, ingress 1: ",
        rendered("network.yaml", lambda objects: _policy(objects, "-serving")["ingress"][0].pop("from")),
    ),
    "network-policy-for-no-pod": _network(
        "fail: .*NP-04 ",
        rendered("network.yaml", lambda objects: objects.append(_nobodys(objects))),
    ),
    "no-default-deny": _network("fail: .*NP-01 ", rendered("network.yaml", lambda objects: objects.pop(0))),
    "pod-on-its-nodes-network": _network(
        "fail: .*NP-14 ",
        rendered("deployment.yaml", lambda objects: objects[0]["spec"]["template"]["spec"].update(hostNetwork=True)),
    ),
    "privileged-container": _workload(
        "fail: PSS-PRIVILEGED ", lambda pod: pod["containers"][0]["securityContext"].update(privileged=True)
    ),
    "image-by-a-name-that-can-move": _workload(
        "fail: K8S-IMG ", lambda pod: pod["containers"][0].update(image="registry.example/serving:latest")
    ),
    "secret-in-a-manifest": _workload(
        "fail: K8S-ENV ", lambda pod: pod["containers"][0].update(env=[{"name": "API_TOKEN", "value": "x" * 20}])
    ),
    "token-of-the-cluster": _workload("fail: K8S-SA ", lambda pod: pod.update(automountServiceAccountToken=True)),
    "namespace-that-admits-anything": Attack(
        "deploy",
        f"{WORKLOAD}fail: K8S-NS ",
        parameters=AFTER,
        patch=rendered("namespace.yaml", lambda objects: objects[0]["metadata"].pop("labels")),
    ),
    "manifest-that-does-not-parse": _network(r"inconclusive: network.yaml, line \d+: is not YAML", torn),
    "manifest-with-a-field-that-nobody-knows": _network(
        "inconclusive: .*network.yaml", rendered("network.yaml", lambda objects: objects[0]["spec"].update(ingres=[]))
    ),
    "caller-that-the-policy-does-not-declare": Attack(
        "deploy",
        f"{NETWORK}fail: .*NP-12 ",
        changes={"network_policy_enforcement": {"components": {"serving": {}, "probe": {}, "stranger": {}}}},
    ),
    "manifest-altered-once-it-was-judged": Attack(
        "deploy", STAGED.format("manifests"), {"deploy gate 10": staged("manifests/network.yaml")}, parameters=AFTER
    ),
    "interpreter-without-security-updates": Attack(
        "deploy",
        rf"{IMAGE}fail: .*IMG-04 interpreter: CPython 3\.11\.\d+ has no security updates since 2020-01-01",
        changes={"image_vulnerability_scanning": {"interpreters": {"3.11": "2020-01-01"}}},
    ),
    "vulnerability-published-while-it-deploys": Attack(
        "deploy",
        rf"{IMAGE}fail: .*IMG-06 {VULNERABLE} ",
        {"deploy gate 9": published},
        parameters=AFTER,
        patch=then,
    ),
    "package-beside-the-services-lock": Attack(
        "deploy",
        f"{IMAGE}fail: .*IMG-13 stowaway: found 1.0; allowed: none, as it is locked",
        {
            "deploy step 1": laid(
                "stowaway-1.0.dist-info/METADATA", "Metadata-Version: 2.4\nName: stowaway\nVersion: 1.0\n"
            )
        },
        parameters=AFTER,
    ),
    "package-altered-before-it-is-served": Attack(
        "deploy",
        r"requirements-serving\.lock, .*with other bytes; allowed: those that its record has",
        parameters=AFTER,
        patch=other,
    ),
    "package-altered-while-it-is-served": Attack(
        "deploy",
        rf"{IMAGE}fail: .*IMG-05 .*{VULNERABLE}/.*: found other bytes than its record has",
        {"deploy step 1": swapped},
        parameters=AFTER,
    ),
    "module-of-no-package": Attack(
        "deploy",
        f"{IMAGE}fail: .*IMG-05 .*stowaway.py",
        {"deploy step 1": laid("stowaway.py", "x = 1\n")},
        parameters=AFTER,
    ),
    "file-that-tells-scanners-to-look-away": Attack(
        "deploy",
        f"{IMAGE}fail: .*IMG-16 .*trivyignore",
        {"deploy step 1": laid(".trivyignore", "CVE-2026-1\n")},
        parameters=AFTER,
    ),
    "secret-among-the-services-variables": Attack(
        "deploy",
        f"{IMAGE}fail: .*IMG-09 ",
        parameters=AFTER,
        patch=told(GITHUB_TOKEN=lambda: made.github(random.Random())),
    ),
    "advisories-of-the-system-that-are-cut-off": Attack(
        "deploy", f"{IMAGE}inconclusive: ", parameters=AFTER, patch=spoiled
    ),
}
