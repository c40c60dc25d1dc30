"""What is wrong with policies by their form: whatever they allow in the end, nobody meant it so."""

from collections.abc import Iterator

from security.network.model import Cluster, Direction, Endpoint, Peer, Policy, Rule
from security.network.ports import Reach
from security.network.reach import Pod, matches, numbers, pods
from security.verdict import Breach

DIRECTIONS: tuple[Direction, ...] = ("Ingress", "Egress")
DENY: dict[Direction, str] = {"Ingress": "NP-01", "Egress": "NP-02"}


def form(cluster: Cluster) -> Iterator[Breach]:
    """Namespaces, what runs, then each policy."""
    for namespace in sorted({each.namespace for each in cluster.endpoints}):
        yield from _denied(cluster, namespace)
    for each in cluster.endpoints:
        if all(policy.selector.empty for policy in cluster.selecting(each)):
            message = "no policy selects it by its labels; allowed: at least one that does"
            yield Breach(rule="NP-03", place=each.place, message=message)
        if each.host or any(port.host for port in each.ports):
            what = "it is on its node's network" if each.host else "a port of it is its node's"
            message = f"{what}, where policies do not hold; allowed: a network of its own"
            yield Breach(rule="NP-14", place=each.place, message=message)
    for policy in cluster.policies:
        yield from _policy(cluster, policy)


def _denied(cluster: Cluster, namespace: str) -> Iterator[Breach]:
    for direction, rule in DENY.items():
        denies = any(
            policy.namespace == namespace
            and policy.selector.empty
            and direction in policy.types
            and not policy.rules(direction)
            for policy in cluster.policies
        )
        if not denies:
            message = f"nothing denies {direction} by default; allowed: a policy over all pods, of that type by name"
            yield Breach(rule=rule, place=namespace, message=message)


def _policy(cluster: Cluster, policy: Policy) -> Iterator[Breach]:
    mine = [each for each in cluster.endpoints if each.namespace == policy.namespace]
    chosen = [each for each in mine if policy.selector.holds(each.labels)]
    if not mine:
        message = f"nothing runs in {policy.namespace}; allowed: a policy beside the pods that it is for"
        yield Breach(rule="NP-05", place=policy.place, message=message)
    elif not chosen:
        message = "it selects no pod; allowed: a selector with the labels of a workload"
        yield Breach(rule="NP-04", place=policy.place, message=message)
    if not policy.types:
        message = "policyTypes is not given, and follows from the rules; allowed: each direction by name"
        yield Breach(rule="NP-02", place=policy.place, message=message)
    for direction in DIRECTIONS:
        for number, rule in enumerate(policy.rules(direction), 1):
            place = f"{policy.place}, {direction.lower()} {number}"
            yield from _rule(cluster, policy, chosen, direction, place, rule)
        if (policy.ingress if direction == "Ingress" else policy.egress) and not policy.covers(direction):
            message = f"it has rules for {direction}, which policyTypes leaves out; allowed: both, or neither"
            yield Breach(rule="NP-02", place=f"{policy.place}, {direction.lower()}", message=message)


def _rule(
    cluster: Cluster, policy: Policy, chosen: list[Endpoint], direction: Direction, place: str, rule: Rule
) -> Iterator[Breach]:
    if not rule.peers:
        message = "it names nobody, and so lets everybody; allowed: peers by name"
        yield Breach(rule="NP-06", place=place, message=message)
    for peer in rule.peers:
        if (peer.namespaces is not None and peer.namespaces.empty) or _everybody(peer):
            message = "a selector of a peer is empty, and so selects everything; allowed: labels"
            yield Breach(rule="NP-07", place=place, message=message)
            break
    alone = [peer for peer in rule.peers if not peer.cidr]
    if any(peer.namespaces is None for peer in alone) and any(peer.pods is None for peer in alone):
        message = "one item selects namespaces and another pods, so that either is enough; allowed: one item with both"
        yield Breach(rule="NP-15", place=place, message=message)
    yield from _ports(cluster, policy, chosen, direction, place, rule)


def _everybody(peer: Peer) -> bool:
    return peer.pods is not None and peer.pods.empty


def _ports(
    cluster: Cluster, policy: Policy, chosen: list[Endpoint], direction: Direction, place: str, rule: Rule
) -> Iterator[Breach]:
    """Every port that a rule names is one that a destination listens on, as far as destinations are known."""
    if not rule.ports or any(each.port is None for each in rule.ports):
        message = "it names no port, and so lets every one; allowed: ports by number or name"
        yield Breach(rule="NP-11", place=place, message=message)
        return
    if direction == "Ingress" and not chosen:
        return  # that it selects nobody was told
    others = pods(cluster)
    targets = [each for each in others if each.own in chosen] if direction == "Ingress" else _met(rule, policy, others)
    known = direction == "Ingress" or (bool(targets) and _within(cluster, rule, policy))
    for each in rule.ports:
        one = Rule(ports=(each,))
        name = each.port if isinstance(each.port, str) else f"{each.port}" + (f"-{each.last}" if each.last else "")
        if isinstance(each.port, str) and not any(numbers(one, pod.ports) for pod in targets):
            message = f"no destination that is known has a port {each.protocol}/{name}; allowed: the name of one"
            yield Breach(rule="NP-11", place=place, message=message)
        elif known and targets and not isinstance(each.port, str):
            heard = Reach.of((p.protocol, p.port, p.port) for pod in targets for p in pod.ports or ())
            if numbers(one, ()) - heard:
                message = f"{each.protocol}/{name} is not listened on; allowed: {heard}, the pods' own ports"
                yield Breach(rule="NP-11", place=place, message=message)


def _met(rule: Rule, policy: Policy, others: list[Pod]) -> list[Pod]:
    return [each for each in others if any(matches(peer, policy.namespace, each) for peer in rule.peers)]


def _within(cluster: Cluster, rule: Rule, policy: Policy) -> bool:
    """Whether all peers are pods of the policy's own namespace: whatever else is there, is among the manifests."""
    return all(not peer.cidr and peer.namespaces is None for peer in rule.peers)
