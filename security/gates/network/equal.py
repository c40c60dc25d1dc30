"""What can be reached against what is declared: equal, or a finding, in both directions.

Each side is held against its own declaration, over every workload and every kind of pod that there could be elsewhere;
then, of callers that are among the manifests, both ends together.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from security.gates.network.blocks import wide
from security.gates.network.facts import COMPONENT, Declared, Limits, reach
from security.network.addresses import Row, more, span, table, told
from security.network.model import NAME, Cluster, Endpoint, Selector
from security.network.ports import Reach
from security.network.reach import Pod, between, outside, pods, side, sides
from security.network.strangers import strangers
from security.verdict import Breach

NAMES = Reach.of([("TCP", 53, 53), ("UDP", 53, 53)])
"""By which ports names are asked for."""


class Other(NamedTuple):
    """Another end that is not as declared: by what ports it is reached, and by what it should be."""

    pod: Pod
    seen: Reach
    meant: Reach


def equal(cluster: Cluster, limits: Limits) -> Iterator[Breach]:
    """Each workload that policies hold of, then components that are declared and not there."""
    known = [(each, pod) for each, pod in zip(cluster.endpoints, pods(cluster), strict=True) if not each.host]
    every = [pod for _, pod in known] + strangers(cluster, *_selectors(limits))
    for each, pod in known:
        yield from _callers(cluster, each, pod, limits, every)
        yield from _peers(cluster, each, pod, limits, every)
        yield from _ends(cluster, each, pod, limits, [other for _, other in known])
        yield from wide(cluster, pod, each.place, limits)
    for name in sorted(limits.components.keys() - {each.labels.get(COMPONENT) for each, _ in known}):
        message = f"nothing runs that is {COMPONENT}={name}; allowed: what is declared"
        yield Breach(rule="NP-12", place=name, message=message)


def _selectors(limits: Limits) -> tuple[list[Selector], list[Selector]]:
    """By what limits tell pods and namespaces apart."""
    declared = [other for part in limits.components.values() for other in (*part.callers, *part.peers)]
    about = [Selector(labels=limits.resolver.labels), *(each.selector for each in declared if not each.cidr)]
    names = {limits.resolver.namespace, *(each.namespace for each in declared if each.namespace)}
    return about, [Selector(labels={NAME: name}) for name in sorted(names)]


def _meant(declared: Iterable[Declared], home: str, other: Pod) -> Reach:
    made = Reach()
    for each in declared:
        if not each.cidr and other.namespace == (each.namespace or home) and each.selector.holds(other.labels):
            made |= reach(each.ports)
    return made


def _addresses(declared: Iterable[Declared]) -> tuple[Row, ...]:
    return table((span(each.cidr), reach(each.ports)) for each in declared if each.cidr)


def _callers(cluster: Cluster, mine: Endpoint, pod: Pod, limits: Limits, every: list[Pod]) -> Iterator[Breach]:
    callers, place = limits.of(mine).callers, f"{mine.place}, callers"
    seen = sides(cluster, pod, "Ingress", every)
    pairs = ((each, ports, _meant(callers, pod.namespace, each)) for each, ports in zip(every, seen, strict=True))
    others = [Other(*each) for each in pairs if each[1] != each[2]]
    yield from _compared("NP-12", place, others)
    yield from _ranges("NP-12", place, outside(cluster, pod, "Ingress"), _addresses(callers))


def _peers(cluster: Cluster, each: Endpoint, pod: Pod, limits: Limits, every: list[Pod]) -> Iterator[Breach]:
    mine, answers = limits.of(each), Selector(labels=limits.resolver.labels)
    others: list[Other] = []
    for other, ports in zip(every, sides(cluster, pod, "Egress", every), strict=True):
        meant = _meant(mine.peers, pod.namespace, other)
        if mine.dns and other.namespace == limits.resolver.namespace and answers.holds(other.labels):
            meant |= NAMES
        if ports != meant:
            others.append(Other(other, ports, meant))
    seen, declared = outside(cluster, pod, "Egress"), _addresses(mine.peers)
    for rule, names in (("NP-10", True), ("NP-13", False)):
        kept = [Other(each.pod, _part(each.seen, names), _part(each.meant, names)) for each in others]
        yield from _compared(rule, f"{each.place}, peers", kept)
        ours, theirs = (table((where, _part(ports, names)) for where, ports in rows) for rows in (seen, declared))
        yield from _ranges(rule, f"{each.place}, peers", ours, theirs)


def _part(ports: Reach, names: bool) -> Reach:
    return ports & NAMES if names else ports - NAMES


def _ends(cluster: Cluster, each: Endpoint, pod: Pod, limits: Limits, known: list[Pod]) -> Iterator[Breach]:
    """Callers among the manifests that this end lets in, as declared, and that their own does not let out."""
    for other in known:
        meant = _meant(limits.of(each).callers, pod.namespace, other) & side(cluster, pod, "Ingress", other)
        if lost := meant - between(cluster, other, pod):
            message = f"{_words(other)} is let in by {lost}, and not let out; allowed: both, as it is a caller"
            yield Breach(rule="NP-12", place=f"{each.place}, {_words(other)}", message=message)


def _compared(rule: str, place: str, others: list[Other]) -> Iterator[Breach]:
    extra = [(_words(each.pod), each.seen - each.meant) for each in others]
    lost = [(_words(each.pod), each.meant - each.seen) for each in others]
    for word, found in (("more", extra), ("less", lost)):
        yield from _told(rule, place, word, [(words, ports) for words, ports in found if ports], "kinds of pods")


def _ranges(rule: str, place: str, seen: tuple[Row, ...], meant: tuple[Row, ...]) -> Iterator[Breach]:
    for word, rows in (("more", more(seen, meant)), ("less", more(meant, seen))):
        yield from _told(rule, f"{place} outside", word, [(told(where), ports) for where, ports in rows], "ranges")


def _told(rule: str, place: str, word: str, apart: list[tuple[str, Reach]], unit: str) -> Iterator[Breach]:
    """One finding of all that is apart in one way: the first of it, and how much there is besides."""
    if not apart:
        return
    (words, ports), others = apart[0], len(apart) - 1
    besides = f", and {others:,} other {unit}" if others else ""
    found = "is let through without being declared" if word == "more" else "is declared and not let through"
    message = f"{words} by {ports}{besides}: {found}; allowed: exactly what is declared"
    yield Breach(rule=rule, place=f"{place}, {word}", message=message)


def _words(pod: Pod) -> str:
    if pod.own:
        return pod.own.place
    labels = ", ".join(f"{key}={value}" for key, value in sorted(pod.labels.items()))
    return f"a pod in {pod.namespace} with {labels or 'no label that counts'}"
