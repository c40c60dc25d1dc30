"""A cluster as its policies see it: namespaces, what runs in them, and the policies, in one spelling.

Records are canonical: what means the same by its order alone is sorted, so that two listings of the same objects are
the same facts.
"""

from typing import Annotated, Literal

from pydantic import Field

from security.verdict import Frozen

Protocol = Literal["TCP", "UDP", "SCTP"]
Direction = Literal["Ingress", "Egress"]
Port = Annotated[int, Field(ge=1, le=65_535, strict=True)]
NAME = "kubernetes.io/metadata.name"
"""The label that the API server gives every namespace: its name."""


class Expression(Frozen):
    """One condition on a label. `NotIn` holds, too, where there is no such label."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether it does."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels


class Selector(Frozen):
    """Conditions that must all hold; without any, everything is selected."""

    labels: dict[str, str] = {}
    expressions: tuple[Expression, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it selects everything by saying nothing."""
        return not self.labels and not self.expressions

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether it selects what has these labels."""
        plain = all(labels.get(key) == value for key, value in self.labels.items())
        return plain and all(each.holds(labels) for each in self.expressions)


class Peer(Frozen):
    """The other end: pods (`pods` in namespaces that `namespaces` selects; None: the policy's own), or addresses."""

    pods: Selector | None = None
    namespaces: Selector | None = None
    cidr: str = ""
    excluded: tuple[str, ...] = ()


class Ports(Frozen):
    """Ports of a protocol: a number, up to `last`; a name, which each pod has for one of its own; or None, all."""

    protocol: Protocol
    port: Port | str | None
    last: Port | None = None


class Rule(Frozen):
    """What is allowed: with any of the peers, by any of the ports. Without peers with all, without ports by all."""

    peers: tuple[Peer, ...] = ()
    ports: tuple[Ports, ...] = ()


class Policy(Frozen):
    """One policy. `types` is what it says of itself, empty where it says nothing."""

    namespace: str
    name: str
    selector: Selector
    types: tuple[Direction, ...] = ()
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()

    @property
    def place(self) -> str:
        """Namespace and name."""
        return f"{self.namespace}/{self.name}"

    def covers(self, direction: Direction) -> bool:
        """Whether it isolates what it selects: as it says; where it does not, inwards, and outwards if it has rules."""
        return direction in self.types if self.types else direction == "Ingress" or bool(self.egress)

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        """What it allows in a direction that it covers."""
        if not self.covers(direction):
            return ()
        return self.ingress if direction == "Ingress" else self.egress


class Listening(Frozen):
    """A port that a container declares."""

    name: str
    protocol: Protocol
    port: Port
    host: bool = False
    """Whether it is the node's port too."""


class Endpoint(Frozen):
    """What makes pods that are all alike."""

    kind: str
    namespace: str
    name: str
    labels: dict[str, str]
    ports: tuple[Listening, ...] = ()
    host: bool = False
    """On the network of its node, where no policy holds."""

    @property
    def place(self) -> str:
        """Kind, namespace and name."""
        return f"{self.kind}/{self.namespace}/{self.name}"


class Cluster(Frozen):
    """All of it. `namespaces`: their labels, with the name's own."""

    namespaces: dict[str, dict[str, str]]
    endpoints: tuple[Endpoint, ...]
    policies: tuple[Policy, ...]

    def selecting(self, each: Endpoint) -> tuple[Policy, ...]:
        """The policies that select an endpoint's pods."""
        mine = (policy for policy in self.policies if policy.namespace == each.namespace)
        return tuple(policy for policy in mine if policy.selector.holds(each.labels))
