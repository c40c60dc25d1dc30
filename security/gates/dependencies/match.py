"""What two engines say of the packages of a lock: pip-audit over a loopback server, and our own matcher.

Both have the same advisories: the mirror's, or those that a live service answered with. Which of them affect a version
is the service's word for pip-audit, and our own for the matcher.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from packaging.version import Version

from security.advisories import ranges, server, severity
from security.advisories.live import Live
from security.advisories.mirror import Mirror
from security.engines.audit import Audited, audit
from security.errors import CannotTell
from security.gates.dependencies.facts import Hit
from security.gates.dependencies.lock import Pin, bare, spelled

FORGET_ME_NOT = (
    ("django", "1.11.0", "PYSEC-2019-16"),
    ("jinja2", "2.11.0", "PYSEC-2021-66"),
    ("pyyaml", "5.3", "PYSEC-2020-96"),
    ("urllib3", "1.24.1", "PYSEC-2019-132"),
)
"""Versions of which everybody who looks knows: package, version, advisory."""
_PLANTED = tuple(bare(name, at) for name, at, _ in FORGET_ME_NOT)


class Matched(NamedTuple):
    """What the matcher found, and what nobody can tell: package and id."""

    hits: tuple[Hit, ...]
    unclear: tuple[tuple[str, str], ...]


class Answered(NamedTuple):
    """What the engine said of each package, what it skipped, why it said nothing (empty where it did), and what of that
    which everybody knows it does not: package and advisory."""

    audited: tuple[Audited, ...]
    skipped: dict[str, str]
    failed: str
    forgotten: tuple[tuple[str, str], ...]


def matched(pins: Iterable[Pin], mirror: Mirror) -> Matched:
    """Our own matcher over the mirror."""
    hits, unclear = list[Hit](), list[tuple[str, str]]()
    for pin in pins:
        every = mirror.of(pin.name)
        for each in every:
            told = ranges.affects(each, pin.name, Version(pin.version))
            if told is None:
                unclear.append((pin.name, each.id))
            if told:
                hits.append(
                    Hit(
                        name=pin.name,
                        version=pin.version,
                        ids=tuple(sorted({each.id, *each.aliases})),
                        level=severity.level(each, every),
                        fixes=ranges.fixes(each, pin.name),
                        engine=False,
                        matcher=True,
                    )
                )
    return Matched(tuple(hits), tuple(sorted(set(unclear))))


def asked(pins: Sequence[Pin], mirror: Mirror | None) -> Answered:
    """The engine over advisories, and over nothing where there are none.

    With each question it is asked about what everybody knows, so that one that finds nothing is not taken at its word.
    """
    if mirror is None:
        return Answered((), {}, "", ())
    with server.serving(mirror) as url:
        return _asked(pins, url)


def _asked(pins: Sequence[Pin], url: str) -> Answered:
    said, skipped = dict[tuple[str, str], Audited](), dict[str, str]()
    try:
        for lock in spelled([*_PLANTED, *pins]):
            report = audit(lock, url)
            said |= {(each.name, str(Version(each.version))): each for each in report.audited}
            skipped |= report.skipped
    except CannotTell as why:
        return Answered((), {}, str(why), ())
    mine = {(pin.name, pin.version) for pin in pins}
    lost = tuple((name, id) for name, at, id in FORGET_ME_NOT if not _knows(said.get((name, at)), id))
    return Answered(tuple(each for key, each in said.items() if key in mine), skipped, "", lost)


def unanswered(pins: Iterable[Pin], mirror: Mirror | None) -> tuple[str, ...]:
    """Packages on which a live service gave no answer; none where it was not asked."""
    if not isinstance(mirror, Live):
        return ()
    return tuple(sorted({f"{pin.name} {pin.version}" for pin in pins if (pin.name, pin.version) not in mirror.answers}))


def _knows(told: Audited | None, id: str) -> bool:
    return told is not None and any(id in one.ids for one in told.known)


def joined(ours: Matched, theirs: Answered, *, apart: bool = False) -> tuple[Hit, ...]:
    """What either found, once: the same where they share an id. What nobody can tell is no hit of the engine's, unless
    a live service told it, which can."""
    found = [(each.name, each.version, frozenset(one.ids), one.fixes) for each in theirs.audited for one in each.known]
    hits = []
    for hit in ours.hits:
        same = [ids for name, at, ids, _ in found if (name, at) == (hit.name, hit.version) and ids & {*hit.ids}]
        hits.append(hit.model_copy(update={"engine": bool(same)}))
    for name, at, ids, fixes in found:
        known = [hit for hit in ours.hits if (hit.name, hit.version) == (name, at) and ids & {*hit.ids}]
        if not known and (apart or not any(of == name and id in ids for of, id in ours.unclear)):
            told = tuple(sorted(ids))
            level: severity.Level = "critical" if any(each.startswith("MAL-") for each in told) else "high"
            hits.append(Hit(name=name, version=at, ids=told, level=level, fixes=fixes, engine=True, matcher=False))
    return tuple(sorted(hits, key=lambda hit: (hit.name, hit.version, hit.ids)))


def forgotten(mirror: Mirror) -> tuple[tuple[str, str], ...]:
    """Of what everybody knows, what these advisories do not: package and advisory."""
    return tuple(
        (name, id)
        for name, at, id in FORGET_ME_NOT
        if not any(
            id in (each.id, *each.aliases) and ranges.affects(each, name, Version(at)) for each in mirror.of(name)
        )
    )
