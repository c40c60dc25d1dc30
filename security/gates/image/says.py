"""What a vulnerability may be let go for, and what is wrong with those who say so."""

from collections.abc import Iterator
from datetime import datetime

from security.advisories import mirror
from security.advisories.record import when
from security.gates.image.facts import Facts, Hit, Said, Vex
from security.gates.image.limits import Limits
from security.verdict import Breach

LETS = ("not_affected", "fixed")


def lets(hit: Hit, facts: Facts, limits: Limits, now: datetime) -> bool:
    """Whether somebody whom the policy names says that a vulnerability does no harm here, and nobody whom it names has
    said otherwise since."""
    said = [each for vex in facts.vex if _counts(vex, limits) for each in vex.said if _holds(each, limits, now)]
    mine = [each for each in said if _ids(hit) & {*each.ids}]
    good = [when(each.at) for each in mine if each.status in LETS and _about(hit, each)]
    bad = [when(each.at) for each in mine if each.status not in LETS and _touches(hit, each)]
    return bool(good) and (not bad or max(good) > max(bad))


def spoken(facts: Facts, limits: Limits, now: datetime) -> Iterator[Breach]:
    """Documents that cannot be read, that nobody signed who may, of something else, or whose time has passed."""
    for number, vex in enumerate(facts.vex, 1):
        place = f"VEX {number}"
        if vex.broken:
            yield _breach(place, f"found {vex.broken}; allowed: OpenVEX 0.2.0, signed")
            continue
        if not {*vex.keys} & {*limits.vexers}:
            found = ", ".join(each[:12] for each in vex.keys) or "no key that is known"
            yield _breach(place, f"signed by {found}; allowed: {', '.join(i[:12] for i in limits.vexers) or 'nobody'}")
        if not vex.about:
            yield _breach(place, "is about another image; allowed: this one")
        for each in vex.said:
            if not each.parts:
                yield _breach(f"{place}: {each.ids[0]}", "is about what is not in this image; allowed: what is")
            if not _holds(each, limits, now):
                message = f"is of {each.at}; allowed: at most {limits.vexed:g} days ago, and no later than now"
                yield _breach(f"{place}: {each.ids[0]}", message)


def _counts(vex: Vex, limits: Limits) -> bool:
    return not vex.broken and vex.about and bool({*vex.keys} & {*limits.vexers})


def _holds(said: Said, limits: Limits, now: datetime) -> bool:
    return -1.0 <= mirror.days(said.at, now) <= limits.vexed


def _ids(hit: Hit) -> set[str]:
    return {each.removeprefix("DEBIAN-") for each in hit.ids}


def _about(hit: Hit, said: Said) -> bool:
    """Whether a statement is about each package of a hit: the distribution, or those of its source that are here."""
    return "*" in said.parts or (bool(hit.parts) and {*hit.parts} <= {*said.parts})


def _touches(hit: Hit, said: Said) -> bool:
    """Whether a statement is about any package of a hit."""
    return "*" in said.parts or not hit.parts or bool({*hit.parts} & {*said.parts})


def _breach(place: str, message: str) -> Breach:
    return Breach(rule="IMG-16", place=place, message=message)
