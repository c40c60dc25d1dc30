"""What is wrong with an image by what other scanners say of it, where the policy wants them heard."""

from collections.abc import Iterator
from datetime import datetime

from security.advisories import mirror
from security.advisories.severity import LEVELS
from security.gates.image.facts import Apart, Facts, Listed
from security.gates.image.limits import Limits
from security.gates.image.rules import listed, moment
from security.verdict import Breach


def differ(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Another system, packages that only one sees, vulnerabilities that only one finds; and what holds of theirs as it
    does of ours: a system without updates, data that are too old."""
    now = moment(facts, limits)
    for each in facts.beside:
        if each.lacks:
            continue
        if not each.same:
            found = f"it takes the system for {each.system}; allowed: what it is here"
            yield Breach(rule="IMG-17", place=each.name, message=found)
        yield from _parts(each.name, each.missing, "is here and not in its report")
        yield from _parts(each.name, each.strange, "is in its report and not here")
        for one in each.apart:
            if LEVELS.index(one.level) >= LEVELS.index(limits.worst):
                yield Breach(rule="IMG-17", place=f"{each.name}: {one.package}: {one.ids[0]}", message=_said(one))
        if each.more:
            message = f"found {each.more:,} more that only one has found; allowed: none"
            yield Breach(rule="IMG-17", place=each.name, message=message)
        if each.ended:
            message = f"it says that {each.system} has no more security updates; allowed: what has them"
            yield Breach(rule="IMG-04", place=each.name, message=message)
        days = _days(each.data, now)
        if days is not None and not -1.0 <= days <= limits.days:
            message = f"its data are of {each.data}, {days:,.0f} days old; allowed: {limits.days:g} days"
            yield Breach(rule="IMG-07", place=each.name, message=message)


def doubts(facts: Facts, limits: Limits) -> Iterator[tuple[str, str]]:
    """What cannot be told by others, as cause and sentence. Of a process none is asked."""
    if facts.built is None:
        return
    heard = {each.name: each for each in facts.beside}
    for name in sorted({*limits.beside, *heard}):
        if name not in heard:
            yield "beside", f"{name} was not asked: whether it says the same nobody can tell"
        elif heard[name].lacks:
            yield "beside", f"{name}: {heard[name].lacks}"
        else:
            if _days(heard[name].data, moment(facts, limits)) is None:
                yield "beside", f"{name} does not say how old its data are"
            if heard[name].packages is None:
                yield "partial", f"{name} does not say which packages it looked at"


def _parts(name: str, told: Listed, message: str) -> Iterator[Breach]:
    for each in listed("IMG-17", name, told, f"{message}; allowed: the same in both"):
        place = name if each.place == name else f"{name}: {each.place}"
        yield Breach(rule=each.rule, place=place, message=each.message)


def _said(one: Apart) -> str:
    who = ("found by it, and not here", "found here, and not by it")[one.who == "ours"]
    return f"{one.level} ({', '.join(one.ids)}), {who}; allowed: the same in both"


def _days(told: str, now: datetime) -> float | None:
    try:
        return mirror.days(told, now)
    except ValueError:
        return None
