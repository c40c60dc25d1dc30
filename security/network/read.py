"""From manifests to a cluster: what policies can see of it, and nothing else."""

from collections import Counter
from collections.abc import Iterable

from security.errors import CannotTell
from security.manifests import Namespace, NetworkPolicy, Object, Workload
from security.manifests import policies as written
from security.manifests.part import Selector as Written
from security.network.model import (
    NAME,
    Cluster,
    Endpoint,
    Expression,
    Listening,
    Peer,
    Policy,
    Ports,
    Rule,
    Selector,
)


def cluster(objects: Iterable[Object]) -> Cluster:
    """`CannotTell` for an object that is there twice, a namespace that something runs in and nobody describes, a name
    that two ports of a pod have, and where nothing runs at all."""
    given = list(objects)
    twice = [place for place, count in Counter(each.place for each in given).items() if count > 1]
    if twice:
        raise CannotTell(f"{sorted(twice)[0]} is there twice")
    namespaces = {each.metadata.name: _labels(each) for each in given if isinstance(each, Namespace)}
    endpoints = [_endpoint(each) for each in given if isinstance(each, Workload)]
    if not endpoints:
        raise CannotTell("nothing runs: there is no workload among the manifests", "coverage")
    if lost := sorted({each.namespace for each in endpoints} - namespaces.keys()):
        raise CannotTell(f"the namespace {lost[0]} is not among the manifests: its labels are not known")
    policies = [_policy(each) for each in given if isinstance(each, NetworkPolicy)]
    return Cluster(
        namespaces=dict(sorted(namespaces.items())),
        endpoints=tuple(sorted(endpoints, key=lambda each: each.place)),
        policies=tuple(sorted(policies, key=lambda each: each.place)),
    )


def _labels(each: Namespace) -> dict[str, str]:
    name = each.metadata.name
    if each.metadata.labels.get(NAME, name) != name:
        raise CannotTell(f"{each.place}: {NAME} is another name than its own")
    return dict(sorted({**each.metadata.labels, NAME: name}.items()))


def _endpoint(each: Workload) -> Endpoint:
    ports = [
        Listening(name=port.name or "", protocol=port.protocol, port=port.container_port, host=port.host_port > 0)
        for container in each.pod.containers
        for port in container.ports
    ]
    names = Counter(port.name for port in ports if port.name)
    if twice := [name for name, count in names.items() if count > 1]:
        raise CannotTell(f"{each.place}: two ports are called {twice[0]}")
    return Endpoint(
        kind=each.kind,
        namespace=each.namespace,
        name=each.metadata.name,
        labels=dict(sorted(each.labels.items())),
        ports=tuple(sorted(set(ports), key=lambda port: (port.protocol, port.port, port.name))),
        host=each.pod.host_network,
    )


def _policy(each: NetworkPolicy) -> Policy:
    spec = each.spec
    return Policy(
        namespace=each.namespace,
        name=each.metadata.name,
        selector=selector(spec.pod_selector),
        types=tuple(sorted(set(spec.policy_types or ()))),
        ingress=tuple(_rule(rule) for rule in spec.ingress or ()),
        egress=tuple(_rule(rule) for rule in spec.egress or ()),
    )


def _rule(rule: written.Ingress | written.Egress) -> Rule:
    ports = (Ports(protocol=port.protocol, port=port.port, last=port.end_port) for port in rule.ports or ())
    return Rule(peers=tuple(_peer(peer) for peer in rule.peers or ()), ports=tuple(ports))


def _peer(peer: written.Peer) -> Peer:
    if peer.ip_block is not None:
        return Peer(cidr=peer.ip_block.cidr, excluded=tuple(sorted(peer.ip_block.excluded)))
    return Peer(
        pods=None if peer.pod_selector is None else selector(peer.pod_selector),
        namespaces=None if peer.namespace_selector is None else selector(peer.namespace_selector),
    )


def selector(told: Written) -> Selector:
    """A selector as its author wrote it, in one spelling."""
    expressions = (
        Expression(key=each.key, operator=each.operator, values=tuple(sorted(set(each.values))))
        for each in told.match_expressions
    )
    ordered = sorted(set(expressions), key=lambda each: (each.key, each.operator, each.values))
    return Selector(labels=dict(sorted(told.match_labels.items())), expressions=tuple(ordered))
