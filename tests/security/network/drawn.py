"""Random clusters: a few namespaces and pods, and policies that use everything a policy may say."""

from random import Random
from typing import Any

Told = dict[str, Any]
KEYS, VALUES = ("app", "tier"), ("a", "b", "c")
PORTS = (
    {"name": "http", "containerPort": 8080},
    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
    {"name": "http", "containerPort": 80},
    {"containerPort": 9000},
    {"name": "sctp", "containerPort": 7, "protocol": "SCTP"},
)
BLOCKS = (("0.0.0.0/0",), ("0.0.0.0/1",), ("10.0.0.0/8", "10.1.0.0/16", "10.128.0.0/9"), ("10.1.2.0/24",),
          ("192.0.2.7/32",), ("128.0.0.0/1", "192.0.2.0/24"))  # fmt: skip


def _labels(draw: Random, some: bool = False) -> dict[str, str]:
    keys = draw.sample(KEYS, draw.randint(1 if some else 0, len(KEYS)))
    return {key: draw.choice(VALUES) for key in keys}


def _selector(draw: Random) -> Told:
    told: Told = {}
    if draw.random() < 0.5:
        told["matchLabels"] = _labels(draw, some=True)
    for _ in range(draw.choice((0, 0, 1, 2))):
        operator = draw.choice(("In", "NotIn", "Exists", "DoesNotExist"))
        each: Told = {"key": draw.choice(KEYS), "operator": operator}
        if operator in ("In", "NotIn"):
            each["values"] = draw.sample(VALUES, draw.randint(1, 2))
        told.setdefault("matchExpressions", []).append(each)
    return told


def _peer(draw: Random) -> Told:
    kind = draw.randrange(4)
    if kind == 0:
        cidr, *excluded = draw.choice(BLOCKS)
        return {"ipBlock": {"cidr": cidr, **({"except": excluded} if excluded else {})}}
    told: Told = {}
    if kind != 1:
        told["podSelector"] = _selector(draw)
    if kind != 2:
        told["namespaceSelector"] = _selector(draw)
    return told


def _port(draw: Random) -> Told:
    told: Told = {}
    protocol = draw.choice(("TCP", "TCP", "UDP", "SCTP", None))
    if protocol:
        told["protocol"] = protocol
    port = draw.choice((80, 8080, 53, 9000, "http", "dns", "sctp", None))
    if port is not None:
        told["port"] = port
        if isinstance(port, int) and draw.random() < 0.3:
            told["endPort"] = port + draw.randrange(100)
    return told


def _rules(draw: Random, side: str) -> list[Told]:
    made: list[Told] = []
    for _ in range(draw.randint(0, 2)):
        rule: Told = {}
        if draw.random() < 0.85:
            rule[side] = [_peer(draw) for _ in range(draw.randint(1, 2))]
        if draw.random() < 0.8:
            rule["ports"] = [_port(draw) for _ in range(draw.randint(1, 2))]
        made.append(rule)
    return made


def policy(draw: Random, number: int, namespaces: list[str]) -> Told:
    """One policy somewhere."""
    spec: Told = {"podSelector": draw.choice(({}, _selector(draw)))}
    types = draw.choice((None, ["Ingress"], ["Egress"], ["Ingress", "Egress"]))
    if types:
        spec["policyTypes"] = types
    if types is None or "Ingress" in types:
        spec["ingress"] = _rules(draw, "from")
    if draw.random() < 0.5 if types is None else "Egress" in types:
        spec["egress"] = _rules(draw, "to")
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"policy-{number}", "namespace": draw.choice(namespaces)},
        "spec": spec,
    }


def pod(draw: Random, name: str, namespace: str) -> Told:
    """One pod, whose ports have names of their own."""
    ports: list[Told] = []
    for each in draw.sample(PORTS, draw.randint(0, 3)):
        if each.get("name") not in {other.get("name") for other in ports} - {None}:
            ports.append(dict(each))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": _labels(draw)},
        "spec": {"containers": [{"name": "main", "image": "x", "ports": ports}]},
    }


def cluster(draw: Random) -> list[Told]:
    """Objects of a cluster."""
    names = [f"ns{n}" for n in range(draw.randint(1, 3))]
    made: list[Told] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": _labels(draw)}} for name in names
    ]
    made += [pod(draw, f"pod{n}", draw.choice(names)) for n in range(draw.randint(2, 5))]
    made += [policy(draw, n, names) for n in range(draw.randint(0, 5))]
    return made
