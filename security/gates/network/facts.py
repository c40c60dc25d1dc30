"""What is seen of a cluster's network, and what a policy may say of it."""

from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from security.errors import CannotTell
from security.manifests import Item, documents, parse
from security.network.model import Cluster, Endpoint, Selector
from security.network.ports import Reach
from security.network.read import cluster
from security.verdict import Frozen

COMPONENT = "app.kubernetes.io/component"
"""The label by which a policy knows what runs."""
PROBE = "probe.json"
"""The name of the item in which a probe's results are."""
_PORT = r"^(TCP|UDP|SCTP)/[1-9][0-9]{0,4}$"
Text = Annotated[str, Field(min_length=1, max_length=253)]
PortText = Annotated[str, Field(pattern=_PORT)]


def reach(ports: Iterable[str]) -> Reach:
    """Ports as policies of ours spell them: `TCP/8080`."""
    pairs = (each.split("/") for each in ports)
    return Reach.of((protocol, int(number), int(number)) for protocol, number in pairs)


class Declared(Frozen):
    """Another end, and the ports of the connection's destination: pods with all of these labels in a namespace (empty:
    the workload's own), or addresses."""

    namespace: Annotated[str, Field(max_length=63)] = ""
    labels: dict[str, str] = {}
    cidr: str = ""
    ports: Annotated[tuple[PortText, ...], Field(min_length=1)]

    @field_validator("cidr")
    @classmethod
    def _network(cls, told: str) -> str:
        return told and str(ip_network(told))

    @model_validator(mode="after")
    def _one(self) -> "Declared":
        if bool(self.cidr) == bool(self.labels) or (self.cidr and self.namespace):
            raise ValueError("pods by their labels, or addresses: one of the two")
        if any(int(each.split("/")[1]) > 65_535 for each in self.ports):
            raise ValueError("a port is at most 65535")
        return self

    @property
    def selector(self) -> Selector:
        """Its pods."""
        return Selector(labels=self.labels)


class Component(Frozen):
    """All that may speak with a component's pods, and all that they may speak with; `dns`: the resolver as well."""

    callers: tuple[Declared, ...] = ()
    peers: tuple[Declared, ...] = ()
    dns: bool = True


class Resolver(Frozen):
    """The pods that answer for names, on port 53 by both protocols."""

    namespace: Text = "kube-system"
    labels: Annotated[dict[str, str], Field(min_length=1)] = {"k8s-app": "kube-dns"}


class Limits(Frozen):
    """What a policy declares: component (by its label `app.kubernetes.io/component`) -> its callers and peers. What has
    no component there, or another, may speak with nobody.

    `widest`, `widest6`: the longest prefix of whose size the public addresses of all blocks together may be.
    `probe`: whether a probe must have been run; without it, that the network enforces anything is told by nobody.
    `placed`, the plan's to say: whether it is of what lies in a cluster; of what is only rendered no probe can tell.
    """

    components: Annotated[dict[Text, Component], Field(min_length=1)]
    resolver: Resolver = Resolver()
    widest: int = Field(default=24, ge=0, le=32)
    widest6: int = Field(default=64, ge=0, le=128)
    probe: Literal["required", "UnsafeNoProbe"] = "required"
    placed: Annotated[bool, Field(strict=True)] = True

    def of(self, each: Endpoint) -> Component:
        """What is declared for what runs."""
        return self.components.get(each.labels.get(COMPONENT, ""), Component(dns=False))


class Probe(Frozen):
    """One connection that a probe tried in the cluster: what must come of it, and what came."""

    name: Text
    expected: Literal["allowed", "denied"]
    outcome: Literal["connected", "refused", "timeout", "unreachable", "unresolved"]


class Facts(Frozen):
    """How many objects of each kind, what the policies see of them, and what a probe saw."""

    kinds: dict[str, Annotated[int, Field(ge=1, strict=True)]]
    cluster: Cluster
    probes: tuple[Probe, ...]


_PROBES = TypeAdapter(tuple[Probe, ...])


def found(items: Iterable[Item]) -> Facts:
    """The facts; `CannotTell` for what cannot be read, is not known, or is there twice."""
    given = list(items)
    results = [data for name, data in given if name == PROBE]
    if len(results) > 1:
        raise CannotTell(f"{PROBE} is there twice")
    objects = [parse(where, told) for where, told in documents(each for each in given if each[0] != PROBE)]
    return Facts(
        kinds=dict(sorted(Counter(each.kind for each in objects).items())),
        cluster=cluster(objects),
        probes=_probes(results[0]) if results else (),
    )


def _probes(data: bytes) -> tuple[Probe, ...]:
    try:
        told = _PROBES.validate_json(data)
    except ValidationError as why:
        first = why.errors(include_input=False, include_url=False)[0]
        raise CannotTell(f"{PROBE}, {'.'.join(map(str, first['loc'])) or 'value'}: {first['type']}") from None
    if twice := [name for name, count in Counter(each.name for each in told).items() if count > 1]:
        raise CannotTell(f"{PROBE}: {twice[0]} is there twice")
    if not told:
        raise CannotTell(f"{PROBE}: nothing was tried")
    return tuple(sorted(told, key=lambda each: each.name))
