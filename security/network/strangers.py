"""Every pod that there could be elsewhere, by one of each kind that the selectors at hand can tell apart.

A selector asks of a label whether it is there and which of some values it has. So two pods that agree on every value
that anybody names, on `another value` and on `no such label`, are selected by the same selectors; one of each such kind
stands for all of them, and a proof over the kinds is one over all pods, not over a sample.
"""

from collections.abc import Iterable, Iterator
from itertools import product

from security.errors import CannotTell
from security.network.model import NAME, Cluster, Selector
from security.network.reach import Pod

MOST = 20_000
OTHER = "some-other"
"""Stands for every value that nobody names; lengthened where somebody does."""
_Named = dict[str, set[str]]


def strangers(cluster: Cluster, pods: Iterable[Selector], namespaces: Iterable[Selector]) -> list[Pod]:
    """One pod of each kind that selectors of pods and of namespaces tell apart, the policies' peers among them.

    Those of the cluster's own namespaces have their labels; others may have any. `CannotTell` for too many kinds.
    """
    about, within = list(pods), list(namespaces)
    for policy in cluster.policies:
        for rule in (*policy.ingress, *policy.egress):
            about += [peer.pods for peer in rule.peers if peer.pods is not None]
            within += [peer.namespaces for peer in rule.peers if peer.namespaces is not None]
    known, named = _named(about), _named(within)
    named.setdefault(NAME, set())
    other = OTHER
    while other in named[NAME] or other in cluster.namespaces:
        other += "-"
    places = list(cluster.namespaces.items())
    names = sorted(named.pop(NAME) - cluster.namespaces.keys()) + [other]
    if _count(known) * (len(places) + len(names) * _count(named)) > MOST:
        raise CannotTell(f"the selectors tell more than {MOST:,} kinds of pods apart", "size")
    for name in names:
        places += [(name, {**labels, NAME: name}) for labels in _kinds(named)]
    return [Pod(name, labels, within) for name, within in places for labels in _kinds(known)]


def _named(selectors: Iterable[Selector]) -> _Named:
    named: _Named = {}
    for each in selectors:
        for key, value in each.labels.items():
            named.setdefault(key, set()).add(value)
        for expression in each.expressions:
            named.setdefault(expression.key, set()).update(expression.values)
    return named


def _values(told: set[str]) -> list[str | None]:
    other = OTHER
    while other in told:
        other += "-"
    return [*sorted(told), other, None]


def _count(named: _Named) -> int:
    count = 1
    for told in named.values():
        count *= len(told) + 2
    return count


def _kinds(named: _Named) -> Iterator[dict[str, str]]:
    keys = sorted(named)
    for values in product(*(_values(named[key]) for key in keys)):
        yield {key: value for key, value in zip(keys, values, strict=True) if value is not None}
