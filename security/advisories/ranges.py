"""Whether a version is affected: the evaluation of the OSV schema, over versions in the order of PEP 440.

A version is affected if it is listed, or if it lies in a range: events in order, `introduced` begins, `fixed` and
`limit` end before, `last_affected` ends after. A local version (`2.0+cpu`) stands for its public one, but what
`2.0+fix` ends is not ended at `2.0`. A range with an event that cannot be ordered says nothing; where no list of
versions stands beside it, or where nothing at all is said of versions, nobody can tell.
"""

from collections.abc import Sequence
from functools import lru_cache

from packaging.version import InvalidVersion, Version

from security.advisories.record import Advisory, Affected, Event, Range

_ORDERED = ("ECOSYSTEM", "SEMVER")
_ORDER = ("fixed", "limit", "introduced", "last_affected")
FIRST = "0"
"""Before every version."""


@lru_cache(maxsize=1 << 16)
def version(told: str) -> Version | None:
    """A public version; none where it is not one of PEP 440."""
    try:
        return Version(Version(told).public)
    except InvalidVersion:
        return None


def affects(advisory: Advisory, name: str, at: Version) -> bool | None:
    """Whether a version of a package is affected; None where the advisory does not let anybody tell."""
    told = [_within(each, at) for each in advisory.affected if each.of(name)]
    return True if any(told) else None if None in told else False


def _within(affected: Affected, at: Version) -> bool | None:
    public = Version(at.public)
    if any(version(each) == public for each in affected.versions):
        return True
    ordered = [each for each in affected.ranges if each.type in _ORDERED]
    answers = [_inside(each, at) for each in ordered]
    if any(answers):
        return True
    if not affected.versions and (not ordered or None in answers):
        return None
    return False


def _inside(each: Range, at: Version) -> bool | None:
    points = _points(each.events)
    if points is None:
        return None
    inside, public = False, Version(at.public)
    for point, kind in points:
        if kind == "introduced":
            inside = inside or point <= public
        elif point < public if kind == "last_affected" else point <= (at if point.local else public):
            inside = False
    return inside


def _points(events: Sequence[Event]) -> list[tuple[Version, str]] | None:
    """The events in order; at one point in that of `_ORDER`. None where one has no place."""
    found: list[tuple[Version, str]] = []
    for event in events:
        for kind, told in event.told():
            if kind == "limit" and told == "*":
                continue
            point = Version("0.dev0") if told == FIRST else version(told)
            if point is None:
                return None
            found.append((Version(told) if kind in ("fixed", "limit") and "+" in told else point, kind))
    if not any(kind == "introduced" for _, kind in found):
        return None
    return sorted(found, key=lambda each: (each[0], _ORDER.index(each[1])))


def fixes(advisory: Advisory, name: str) -> tuple[str, ...]:
    """The versions that fix it, in order: those that the ranges name and that can be ordered."""
    told = {
        event.fixed
        for affected in advisory.affected
        if affected.of(name)
        for each in affected.ranges
        if each.type in _ORDERED
        for event in each.events
        if event.fixed is not None and version(event.fixed)
    }
    return tuple(sorted(told, key=Version))
