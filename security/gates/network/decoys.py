"""Known-bad manifests: for each rule one more file that breaks it, beside those that are there.

It is about a workload of the sample, chosen at random, and is written as its neighbours might be.
"""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from security.errors import CannotTell
from security.gate import Violation
from security.gates.network.facts import COMPONENT, PROBE
from security.manifests import Item, Workload, documents, parse
from security.network.model import NAME

Told = dict[str, Any]
Adds = Callable[[Workload, random.Random], list[Told]]
SEALED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _word(draw: random.Random) -> str:
    return f"{draw.choice('abcdefghij')}{draw.getrandbits(28):07x}"


def _workloads(sample: Sequence[Item]) -> list[Workload]:
    objects = [parse(where, told) for where, told in documents(each for each in sample if each[0] != PROBE)]
    held = [each for each in objects if isinstance(each, Workload) and each.labels and not each.pod.host_network]
    if not held:
        raise CannotTell("there is no workload that a known-bad manifest could be about", "coverage")
    return [each for each in held if any(container.ports for container in each.pod.containers)] or held


def _adds(make: Adds) -> Violation[Item]:
    """The sample, and a file more somewhere in it."""

    def made(sample: Sequence[Item], draw: random.Random) -> list[Item]:
        given = list(sample)
        told = make(draw.choice(_workloads(given)), draw)
        data = "\n---\n".join(json.dumps(each, indent=2) for each in told).encode()
        given.insert(draw.randrange(len(given) + 1), (f"{_word(draw)}.yaml", data))
        return given

    return made


def _pod(namespace: str, labels: dict[str, str], draw: random.Random, **spec: Any) -> Told:
    container = {"name": "main", "image": f"{_word(draw)}@sha256:{draw.getrandbits(256):064x}"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _word(draw), "namespace": namespace, "labels": labels},
        "spec": {"containers": [{**container, "securityContext": SEALED}], **spec},
    }


def _policy(namespace: str, labels: dict[str, str], draw: random.Random, types: str, **rules: Any) -> Told:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": _word(draw), "namespace": namespace},
        "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": types.split(), **rules},
    }


def _lets(inwards: Callable[[Workload, random.Random], list[Told]], *ports: Told) -> Adds:
    """A policy for a workload with one rule more for those who may come in; by default by a port of its own."""

    def make(each: Workload, draw: random.Random) -> list[Told]:
        rule = {"from": inwards(each, draw), "ports": list(ports) or [_own(each)]}
        return [_policy(each.namespace, each.labels, draw, "Ingress", ingress=[rule])]

    return make


def _out(outwards: Callable[[random.Random], Told], *ports: Told) -> Adds:
    """The same for where it may go."""

    def make(each: Workload, draw: random.Random) -> list[Told]:
        rule = {"to": [outwards(draw)], "ports": list(ports)}
        return [_policy(each.namespace, each.labels, draw, "Egress", egress=[rule])]

    return make


def _own(each: Workload) -> Told:
    ports = [port for container in each.pod.containers for port in container.ports]
    return {"port": ports[0].container_port, "protocol": ports[0].protocol} if ports else {"port": 9}


def _pods(draw: random.Random) -> Told:
    namespace = {"matchLabels": {NAME: _word(draw)}}
    return {"namespaceSelector": namespace, "podSelector": {"matchLabels": {COMPONENT: _word(draw)}}}


def _bare(direction: str) -> Adds:
    """A namespace that denies by default in the other direction alone."""
    other = "Egress" if direction == "Ingress" else "Ingress"

    def make(each: Workload, draw: random.Random) -> list[Told]:
        home, labels = _word(draw), {COMPONENT: _word(draw)}
        return [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}},
            _pod(home, labels, draw),
            _policy(home, {}, draw, other),
            _policy(home, labels, draw, "Ingress Egress"),
        ]

    return make


def _everybody(each: Workload, draw: random.Random) -> list[Told]:
    namespaces: Told = draw.choice(({"namespaceSelector": {}}, {"namespaceSelector": {}, "podSelector": {}}))
    return [draw.choice((namespaces, {"podSelector": {}}))]


def _split(each: Workload, draw: random.Random) -> list[Told]:
    both = [{name: selector} for name, selector in _pods(draw).items()]
    return draw.sample(both, 2)


def _probe(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """What a probe saw in a network that enforces nothing, or lets nothing through."""
    ways = (("denied", "connected"), ("allowed", "timeout"), ("allowed", "refused"))
    expected, outcome = draw.choice(ways)
    told = [{"name": _word(draw), "expected": expected, "outcome": outcome}]
    told += [{"name": _word(draw), "expected": "allowed", "outcome": "connected"}]
    told += [{"name": _word(draw), "expected": "denied", "outcome": "timeout"}]
    return [*(each for each in sample if each[0] != PROBE), (PROBE, json.dumps(told).encode())]


_BOGUS: Told = {"port": "surely-none"}
_HTTPS: Told = {"port": 443}
VIOLATIONS: dict[str, Violation[Item]] = {
    "NP-01": _adds(_bare("Ingress")),
    "NP-02": _adds(_bare("Egress")),
    "NP-03": _adds(lambda each, draw: [_pod(each.namespace, {COMPONENT: _word(draw)}, draw)]),
    "NP-04": _adds(lambda each, draw: [_policy(each.namespace, {COMPONENT: _word(draw)}, draw, "Ingress Egress")]),
    "NP-05": _adds(lambda each, draw: [_policy(_word(draw), each.labels, draw, "Ingress Egress")]),
    "NP-06": _adds(_lets(lambda each, draw: [])),
    "NP-07": _adds(_lets(_everybody)),
    "NP-08": _adds(_out(lambda draw: {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}, _HTTPS)),
    "NP-09": _adds(_out(lambda draw: {"ipBlock": {"cidr": "169.254.169.254/32"}}, {"port": 80})),
    "NP-10": _adds(_out(_pods, {"port": 53, "protocol": "UDP"})),
    "NP-11": _adds(_lets(lambda each, draw: [_pods(draw)], _BOGUS)),
    "NP-12": _adds(_lets(lambda each, draw: [_pods(draw)])),
    "NP-13": _adds(_out(_pods, _HTTPS)),
    "NP-14": _adds(lambda each, draw: [_pod(each.namespace, each.labels, draw, hostNetwork=True)]),
    "NP-15": _adds(_lets(_split)),
    "NP-16": _probe,
}
