"""Reachability: what a pod's policies let it do with another pod, or with addresses outside of the cluster."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from security.network.addresses import WHOLE, Row, Span, block, table
from security.network.model import Cluster, Direction, Endpoint, Listening, Peer, Policy, Ports, Rule
from security.network.ports import LAST, Reach


@dataclass(frozen=True)
class Pod:
    """One end of a connection. `ports` is None of a pod that nobody has seen: a name may be any of its ports.

    `own` is what made it, if anything is known of that: only then it has policies of its own.
    """

    namespace: str
    labels: dict[str, str]
    within: dict[str, str]
    """Labels of its namespace."""
    ports: tuple[Listening, ...] | None = None
    own: Endpoint | None = None


def pods(cluster: Cluster) -> list[Pod]:
    """A pod of each endpoint, in the same order."""
    return [Pod(each.namespace, each.labels, cluster.namespaces[each.namespace], each.ports, each)
            for each in cluster.endpoints]  # fmt: skip


def applying(cluster: Cluster, pod: Pod, direction: Direction) -> list[Policy] | None:
    """The policies that isolate a pod in a direction; None where none does, and everything is allowed."""
    if pod.own is None or pod.own.host:
        return None
    return [each for each in cluster.selecting(pod.own) if each.covers(direction)] or None


def side(cluster: Cluster, pod: Pod, direction: Direction, other: Pod) -> Reach:
    """What one end allows: the ports of the connection's destination that its policies let it use with the other."""
    return sides(cluster, pod, direction, [other])[0]


def sides(cluster: Cluster, pod: Pod, direction: Direction, others: Sequence[Pod]) -> list[Reach]:
    """The same with each of several others, in their order."""
    policies = applying(cluster, pod, direction)
    if policies is None:
        return [Reach.everything()] * len(others)
    rules = [(policy.namespace, rule) for policy in policies for rule in policy.rules(direction)]
    # Of what comes in the ports are the pod's own; of what goes out, the other's, and mostly nobody has seen those.
    known = [numbers(rule, pod.ports if direction == "Ingress" else None) for _, rule in rules]
    made: list[Reach] = []
    for other in others:
        reach = Reach()
        for (home, rule), ports in zip(rules, known, strict=True):
            if not rule.peers or any(matches(peer, home, other) for peer in rule.peers):
                reach |= ports if direction == "Ingress" or other.ports is None else numbers(rule, other.ports)
        # It has the node's address, and a node may always reach what runs on it.
        made.append(Reach.everything() if other.own is not None and other.own.host else reach)
    return made


def between(cluster: Cluster, source: Pod, destination: Pod) -> Reach:
    """The ports by which one pod reaches another: both ends must allow them."""
    return side(cluster, source, "Egress", destination) & side(cluster, destination, "Ingress", source)


def matches(peer: Peer, home: str, other: Pod) -> bool:
    """Whether a peer of a policy in the namespace `home` selects a pod. An address selects none: which pods have which
    is nobody's to say beforehand."""
    if peer.cidr:
        return False
    if peer.namespaces is None:
        if other.namespace != home:
            return False
    elif not peer.namespaces.holds(other.within):
        return False
    return peer.pods is None or peer.pods.holds(other.labels)


def outside(cluster: Cluster, pod: Pod, direction: Direction) -> tuple[Row, ...]:
    """The addresses outside of the cluster that a pod's policies let it speak with, each with its ports."""
    policies = applying(cluster, pod, direction)
    if policies is None:
        return table((span, Reach.everything()) for span in WHOLE)
    ports = pod.ports if direction == "Ingress" else ()  # out there nothing has a port by name
    rows: list[Row] = []
    for policy in policies:
        for rule in policy.rules(direction):
            rows += [(span, numbers(rule, ports)) for span in _spans(rule.peers)]
    return table(rows)


def blocks(cluster: Cluster, pod: Pod, direction: Direction) -> tuple[Span, ...]:
    """The addresses that blocks of a pod's policies name, whatever the ports."""
    rules = [rule for policy in applying(cluster, pod, direction) or () for rule in policy.rules(direction)]
    return tuple(span for rule in rules if rule.peers for span in _spans(rule.peers))


def _spans(peers: tuple[Peer, ...]) -> Iterable[Span]:
    if not peers:
        yield from WHOLE
    for peer in peers:
        if peer.cidr:
            yield from block(peer.cidr, peer.excluded)


def numbers(rule: Rule, listening: tuple[Listening, ...] | None) -> Reach:
    """The ports that a rule names, of a destination that listens there; of one never seen, a name may be any port."""
    if not rule.ports:
        return Reach.everything()
    reach = Reach()
    for each in rule.ports:
        reach |= Reach.of(_ranges(each, listening))
    return reach


def _ranges(each: Ports, listening: tuple[Listening, ...] | None) -> Iterable[tuple[str, int, int]]:
    if each.port is None or (isinstance(each.port, str) and listening is None):
        yield each.protocol, 1, LAST
    elif isinstance(each.port, int):
        yield each.protocol, each.port, each.last or each.port
    else:
        for port in listening or ():
            if (port.name, port.protocol) == (each.port, each.protocol):
                yield port.protocol, port.port, port.port
