"""What is known of the packages that are here: each is looked up in the advisories of its ecosystem."""

from collections.abc import Sequence

from packaging.version import Version

from security.advisories import ranges, severity, systems
from security.advisories.mirror import Mirror
from security.advisories.record import Advisory, when
from security.gates.image.facts import PYPI, Hit, Known
from security.inventory import Inventory, System


def known(system: System | None, mirror: Mirror) -> dict[str, Known]:
    """What there is of each ecosystem that is needed; of one without advisories nothing."""
    of = system.ecosystem if system else ""
    pypi = {each.id: each.modified for told in mirror.known.values() for each in told}
    other = {each.id: each.modified for (name, _), told in mirror.systems.items() if name == of for each in told}
    return {
        name: Known(count=len(told), newest=max(told.values(), key=when))
        for name, told in ((of, other), (PYPI, pypi))
        if name and told
    }


def matched(here: Inventory, mirror: Mirror) -> tuple[list[Hit], list[str]]:
    """What is known of each package, and what nobody can tell."""
    hits, unclear = list[Hit](), set[str]()
    for name, at in sorted({(each.name, each.version) for each in here.dists}):
        every = mirror.of(name)
        for each in every:
            told = ranges.affects(each, name, Version(at))
            unclear |= {f"{each.id} of {name}"} if told is None else set()
            if told:
                hits.append(_hit(PYPI, name, at, each, every, ranges.fixes(each, name), (f"pypi {name} {at}",)))
    of = here.system.ecosystem if here.system else ""
    for name, at in sorted({(each.source, each.built) for each in here.packages}) if of else ():
        every = systems.of(mirror, of, name)
        for each in every:
            told = systems.affects(each, of, name, at)
            unclear |= {f"{each.id} of {name}"} if told is None else set()
            if told:
                fixes, parts = systems.fixes(each, of, name), _binaries(here, name, at)
                hits.append(_hit(of, name, at, each, every, fixes, parts))
    order = severity.LEVELS
    return sorted(hits, key=lambda hit: (-order.index(hit.level), hit.ecosystem, hit.package, hit.ids)), sorted(unclear)


def _binaries(here: Inventory, source: str, at: str) -> tuple[str, ...]:
    """The packages of a source that are here."""
    found = {each for each in here.packages if (each.source, each.built) == (source, at)}
    return tuple(sorted(f"{each.kind} {each.name} {each.version}" for each in found))


def _hit(
    ecosystem: str,
    name: str,
    at: str,
    each: Advisory,
    every: Sequence[Advisory],
    fixes: tuple[str, ...],
    parts: tuple[str, ...],
) -> Hit:
    ids = tuple(sorted({each.id, *each.aliases}))
    level = severity.level(each, every)
    return Hit(ecosystem=ecosystem, package=name, version=at, ids=ids, level=level, fixes=fixes, parts=parts)
