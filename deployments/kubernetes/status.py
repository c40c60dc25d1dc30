"""What a cluster runs of a service, and what of it is otherwise than it was rendered.

A difference is a field with another value, one that is missing, or one that somebody else has set: who manages which
field, the cluster itself says. What its own controllers say of the state of things is none.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.kubernetes import kinds
from deployments.kubernetes.client import MANAGER, Client
from deployments.kubernetes.errors import Unready
from deployments.kubernetes.release import MODEL, NAME, RELEASE, read
from deployments.kubernetes.watch import lacking
from security.manifests import Item
from security.manifests.live import written

CONTROLLERS = frozenset({".metadata.annotations.deployment.kubernetes.io/revision", ".metadata.finalizers"})
"""Fields that a cluster's own controllers set."""
Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Here:
    """A release that is there. `lacks`: what keeps it from being rolled out, empty for nothing; `leased`: whether it is
    told to begin under a lease."""

    release: str
    model: str
    image: str
    replicas: int
    available: int
    created: str
    lacks: str
    leased: bool


@dataclass(frozen=True, slots=True)
class Status:
    """Which release callers are led to, None for none, and those that are there, oldest first."""

    serving: str | None
    releases: tuple[Here, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """A field that is otherwise than it was rendered. `wanted` and `found` are JSON, empty where nothing is."""

    object: str
    path: str
    wanted: str
    found: str


def status(client: Client, namespace: str, name: str) -> Status:
    """What is there; `Missing` where there is no such namespace."""
    client.get("Namespace", namespace)
    public = client.find("Service", name, namespace)
    selector = ((public or {}).get("spec") or {}).get("selector") or {}
    found = [_here(each) for each in client.list("Deployment", namespace, {NAME: name})]
    return Status(selector.get(RELEASE), tuple(sorted(found, key=lambda each: (each.created, each.release))))


def _here(told: Told) -> Here:
    about, spec, state = told["metadata"], told["spec"], told.get("status") or {}
    try:
        lacks = lacking(told)
    except Unready as why:
        lacks = str(why)
    return Here(
        release=str(about.get("labels", {}).get(RELEASE, "")),
        model=str(about.get("annotations", {}).get(MODEL, "")),
        image=str(spec["template"]["spec"]["containers"][0].get("image", "")),
        replicas=int(spec.get("replicas", 1)),
        available=int(state.get("availableReplicas", 0)),
        created=str(about.get("creationTimestamp", "")),
        lacks=lacks,
        leased=takes(told),
    )


def takes(deployment: Told) -> bool:
    """Whether what a Deployment runs begins under a lease, and not without."""
    boxes = deployment["spec"]["template"]["spec"]["containers"]
    return all("--lease" in (each.get("args") or []) for each in boxes)


def diff(client: Client, manifests: Sequence[Item]) -> list[Drift]:
    """Each difference between manifests and cluster. Jobs are none: they are gone a while after they have ended."""
    release = read(manifests)
    made: list[Drift] = []
    for each in release.every:
        if each["kind"] == "Job":
            continue
        live = client.find(*kinds.where(each))
        place = kinds.place(each)
        if live is None:
            made.append(Drift(place, "", _json(place), ""))
            continue
        made += [Drift(place, *told) for told in sorted({*_other(each, written(live)), *_more(each, live)})]
    return made


def _other(wanted: Any, found: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """What is rendered and not so."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, each in wanted.items():
            yield from _other(each, found.get(key), f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, each in enumerate(wanted):
            yield from _other(each, found[number], f"{path}[{number}]")
    elif wanted != found and not (wanted in ({}, [], None) and found is None):
        yield path, _json(wanted), _json(found)


def _more(wanted: Told, live: Told) -> Iterator[tuple[str, str, str]]:
    """What is there, was set by somebody, and is not rendered."""
    for entry in live["metadata"].get("managedFields") or []:
        if entry.get("subresource"):
            continue
        for path, mine, theirs in _fields(entry.get("fieldsV1") or {}, wanted, live, ""):
            if mine is None and theirs is not None and path not in CONTROLLERS:
                who = "" if entry.get("manager") == MANAGER else f" (set by {entry.get('manager')})"
                yield path, "", f"{_json(theirs)}{who}"


def _fields(tree: Told, wanted: Any, live: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Each field that an entry of `managedFields` names: where it is, what is rendered there, what is there."""
    inner = {key: each for key, each in tree.items() if key != "."}
    if not inner:
        yield path, wanted, live
    for key, each in inner.items():
        kind, _, name = key.partition(":")
        mine, theirs = (_inner(kind, name, held) for held in (wanted, live))
        place = f".{name}" if kind == "f" else f"[{_short(name)}]"
        yield from _fields(each, mine, theirs, f"{path}{place}")


def _short(name: str) -> str:
    told = json.loads(name)
    return ",".join(map(str, told.values() if isinstance(told, dict) else [told]))


def _inner(kind: str, name: str, held: Any) -> Any:
    """What a part of a path names: a key, an item by its keys, a value of a set."""
    if kind == "f":
        return held.get(name) if isinstance(held, dict) else None
    listed, told = held if isinstance(held, list) else [], json.loads(name)
    if kind == "k":
        return next((each for each in listed if isinstance(each, dict) and told.items() <= each.items()), None)
    return told if told in listed else None


def _json(told: Any) -> str:
    return "" if told is None else json.dumps(told, sort_keys=True)
