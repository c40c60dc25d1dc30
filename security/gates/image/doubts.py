"""What nobody can tell of an image, or of what a process runs on, and why."""

from collections.abc import Iterator

from security.advisories import mirror
from security.advisories.record import when
from security.gates.image.facts import Facts
from security.gates.image.limits import Limits
from security.gates.image.rules import moment
from security.inventory.feeds import SUITE


def doubts(facts: Facts, limits: Limits) -> Iterator[tuple[str, str]]:
    """What nobody can tell, as cause and sentence."""
    needed = ["PyPI"] if facts.dists else []
    if facts.system and facts.packages:
        needed.append(facts.system.ecosystem or f"{facts.system.id} {facts.system.version}".strip())
    lacking = [each for each in needed if each not in (facts.data or {})]
    if lacking:
        yield "advisories", f"there are no advisories of {', '.join(lacking)}: what is known of them nobody can tell"
    if facts.unclear.count:
        more = f", and {facts.unclear.count - 1:,} more" if facts.unclear.count > 1 else ""
        yield "unclear", f"{facts.unclear.first[0]} does not say which versions it affects{more}"
    if facts.built is None and not any(each.packages for each in facts.databases):
        yield "packages", "the system has no package database that is known here: what it runs on nobody can tell"
    elif limits.pending == "stop" and (facts.system or limits.others != "refuse"):
        yield from (("updates", each) for each in _stale(facts, limits))
    if alone := [f"{each.implementation} {each.version}" for each in facts.interpreters if not each.owner]:
        yield "interpreter", f"{', '.join(alone)} is of no package: what is known of it nobody can tell"
    if facts.built is None:
        yield "image", "no image was built: only what the local process runs on was looked at"


def _stale(facts: Facts, limits: Limits) -> Iterator[str]:
    suite = f"{facts.system.codename or facts.system.id}{SUITE}" if facts.system else f"an unknown system's {SUITE}"
    if facts.feedless:
        yield facts.feedless
        return
    if not facts.feeds:
        yield f"there is no list of {suite}: whether updates are missing nobody can tell"
    now = moment(facts, limits)
    for each in facts.feeds:
        days = mirror.days(each.date, now)
        late = bool(each.until) and when(each.until) < now
        if not -1.0 <= days <= limits.lists or late:
            until = f", and counts until {each.until}" if each.until else ""
            yield f"the list of {suite} is of {each.date}{until}; allowed: {limits.lists:g} days"
        if not each.whole or not each.count:
            yield f"the list of {suite} is not what its release names"
