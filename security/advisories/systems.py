"""Advisories of a system's packages: OSV's evaluation over versions in the order of Debian packages.

An advisory names an ecosystem with its release (`Debian:12`) and a source package. What is known of another release,
or under a binary package's name, is of another package.
"""

from collections.abc import Iterator

from security.advisories.mirror import Mirror
from security.advisories.record import Advisory, Affected, Event, Range
from security.inventory import order

_ORDERED = ("ECOSYSTEM", "SEMVER")
_ORDER = ("fixed", "limit", "introduced", "last_affected")
_FIRST = "0"


def of(mirror: Mirror, ecosystem: str, source: str) -> tuple[Advisory, ...]:
    """What is known of a source package, withdrawn advisories left out."""
    return tuple(each for each in mirror.systems.get((ecosystem, source), ()) if each.withdrawn is None)


def affects(advisory: Advisory, ecosystem: str, source: str, at: str) -> bool | None:
    """Whether a version is affected; None where the advisory does not let anybody tell."""
    told = [_within(each, at) for each in _mine(advisory, ecosystem, source)]
    return True if any(told) else None if None in told else False


def fixes(advisory: Advisory, ecosystem: str, source: str) -> tuple[str, ...]:
    """The versions that fix it, in order."""
    every = [each for affected in _mine(advisory, ecosystem, source) for each in affected.ranges]
    told = {event.fixed for each in every if each.type in _ORDERED for event in each.events if event.fixed}
    return tuple(sorted(filter(_key, told), key=order.key))


def _mine(advisory: Advisory, ecosystem: str, source: str) -> Iterator[Affected]:
    for each in advisory.affected:
        if each.package and (each.package.ecosystem, each.package.name) == (ecosystem, source):
            yield each


def _within(affected: Affected, at: str) -> bool | None:
    here = _key(at)
    if here is None:
        return None
    if any(_key(each) == here for each in affected.versions):
        return True
    ordered = [each for each in affected.ranges if each.type in _ORDERED]
    answers = [_inside(each, here) for each in ordered]
    if any(answers):
        return True
    return None if None in answers or (not affected.versions and not ordered) else False


def _inside(each: Range, here: order.Key) -> bool | None:
    points = _points(each.events)
    if points is None:
        return None
    inside = False
    for point, kind in points:
        if kind == "introduced":
            inside = inside or point is None or point <= here
        elif point is not None and (point < here if kind == "last_affected" else point <= here):
            inside = False
    return inside


def _points(events: tuple[Event, ...]) -> list[tuple[order.Key | None, str]] | None:
    """The events in order; None where one has no place. The first of all versions has no key, and comes first."""
    found: list[tuple[order.Key | None, str]] = []
    for event in events:
        for kind, told in event.told():
            if kind == "limit" and told == "*":
                continue
            point = None if (kind, told) == ("introduced", _FIRST) else _key(told)
            if point is None and (kind, told) != ("introduced", _FIRST):
                return None
            found.append((point, kind))
    if not any(kind == "introduced" for _, kind in found):
        return None
    return sorted(found, key=lambda each: (each[0] is not None, each[0] or (), _ORDER.index(each[1])))


def _key(told: str) -> order.Key | None:
    try:
        return order.key(told)
    except ValueError:
        return None
