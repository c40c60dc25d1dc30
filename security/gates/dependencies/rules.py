"""What is wrong with dependencies, rule by rule: from the facts and the limits alone."""

from collections.abc import Iterator

from packaging.version import Version

from security.advisories import live, mirror
from security.advisories.record import when
from security.advisories.severity import LEVELS
from security.gates.dependencies.facts import ANY, FREE, Dist, Facts, Hit, Limits
from security.gates.dependencies.licence import allowed
from security.gates.dependencies.lock import ELSEWHERE, SHOWN
from security.verdict import Breach

LOCK = "lock"
BASES = {"newest": "the newest of them", "date": "its own date"}
"""Whose word it is how old advisories are."""


def locked(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """What a lock may not say: odd lines, two versions, names that nobody allowed, packages that nobody looked up."""
    for odd in facts.odd:
        place = f"{LOCK}, line {odd.line}"
        if odd.what in ELSEWHERE:
            yield Breach(rule="DEP-03", place=place, message=f"found {odd.what}: {odd.text}; allowed: name==version")
        else:
            yield Breach(
                rule="DEP-01", place=place, message=f"found {odd.what}: {odd.text}; allowed: name==version, SHA-256"
            )
        if odd.what != "option":
            yield Breach(rule="DEP-05", place=place, message=f"{odd.what}: it cannot be looked up; allowed: a pin")
    taken: dict[str, str] = {}
    for each in facts.packages:
        if each.applies and each.name in taken:
            message = f"found {each.version} beside {taken[each.name]}; allowed: one line that applies here"
            yield Breach(rule="DEP-01", place=each.name, message=message)
        if each.applies:
            taken[each.name] = each.version
        if not each.audited and facts.looked:
            reason = facts.skipped.get(each.name, "not in its report")
            yield Breach(rule="DEP-05", place=each.name, message=f"{facts.engine}: {reason}; allowed: every package")
        if limits.allowed != ANY and each.name not in limits.allowed:
            message = f"found {each.name}; allowed: the {len(limits.allowed):,} names of the policy"
            yield Breach(rule="DEP-06", place=each.name, message=message)
    if not taken:
        yield Breach(rule="DEP-01", place=LOCK, message="found no package that applies here; allowed: one or more")
    yield from within(facts, limits)
    for name, reason in sorted(facts.skipped.items()):
        if not any(each.name == name for each in facts.packages):
            yield Breach(rule="DEP-05", place=name, message=f"{facts.engine}: {reason}; allowed: every package")


def within(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Where a lock that is to be a part of this one is none, is another than the plan's, or has what this one has not:
    what is said of this lock would not be said of it."""
    for name in limits.within:
        part, wanted = facts.parts.get(name), (limits.sealed or {}).get(name, "")
        told = part.sha256 if part else ""
        if part is None or (limits.sealed is not None and told != wanted):
            sealed = f"{_sha(wanted)}, as the plan has it" if limits.sealed is not None else "a lock beside this one"
            yield Breach(rule="DEP-01", place=name, message=f"found {_sha(told)}; allowed: {sealed}")
            continue
        if not part.pins:
            message = "found no package that applies here; allowed: one or more"
            yield Breach(rule="DEP-01", place=name, message=message)
        for odd in part.odd:
            yield Breach(rule="DEP-05", place=name, message=f"found {odd}; allowed: lines that pin, each package once")
        for strange in part.strange:
            message = f"{strange}; allowed: what the lock that is looked at has"
            yield Breach(rule="DEP-05", place=name, message=message)


def installed(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Where the environment is not what is locked, either way."""
    if facts.installed is None:
        yield Breach(rule="DEP-02", place="environment", message="found none to hold the lock against; allowed: one")
        return
    for name in limits.also if limits.sealed is not None else ():
        told, wanted = facts.beside.get(name, ""), (limits.sealed or {}).get(name, "")
        if told != wanted:
            message = f"found {_sha(told)}; allowed: {_sha(wanted)}, as the plan has it"
            yield Breach(rule="DEP-02", place=name, message=message)
    here = {each.name: each.version for each in facts.packages if each.applies}
    elsewhere = {each.name for each in facts.packages} - here.keys()
    beside = {pin for name in limits.also for pin in facts.also.get(name, {}).items()}
    found: dict[str, Dist] = {}
    for dist in facts.installed:
        if dist.name in found:
            message = f"found {found[dist.name].version} and {dist.version}; allowed: one"
            yield Breach(rule="DEP-02", place=dist.name, message=message)
        found[dist.name] = dist
        if not dist.audited and facts.looked:
            yield Breach(rule="DEP-05", place=dist.name, message=f"{dist.version} is installed, and was not looked up")
        if dist.name in limits.besides and dist.name not in here:
            continue
        if dist.direct:
            yield Breach(
                rule="DEP-03", place=dist.name, message="installed from a URL or a folder; allowed: from the index"
            )
        if dist.name not in here and (dist.name, dist.version) in beside:
            continue
        if dist.name not in here:
            why = "under a marker that does not apply here" if dist.name in elsewhere else "nowhere"
            yield Breach(rule="DEP-02", place=dist.name, message=f"installed {dist.version}, locked {why}")
        elif Version(dist.version) != Version(here[dist.name]):
            message = f"installed {dist.version}; allowed: {here[dist.name]}, as it is locked"
            yield Breach(rule="DEP-02", place=dist.name, message=message)
    for name in sorted(here.keys() - found.keys()):
        yield Breach(rule="DEP-02", place=name, message=f"locked {here[name]}, and not installed")


def _sha(told: str) -> str:
    return f"SHA-256 {told[:12]}" if told else "no such lock"


def licensed(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Installed packages whose licence is none of those that are allowed."""
    if limits.licences == FREE:
        return
    here = {each.name for each in facts.packages if each.applies}
    for dist in facts.installed or ():
        told = dist.licence or limits.licensed.get(dist.name, "")
        if (dist.name in here or dist.name not in limits.besides) and not allowed(told, limits.licences):
            message = f"found {told or 'none that can be told'}; allowed: {', '.join(limits.licences) or 'none'}"
            yield Breach(rule="DEP-10", place=dist.name, message=message)


def billed(facts: Facts) -> Iterator[Breach]:
    """Where the bill of materials is none, or not of what is here."""
    told, place = facts.bill, "bill of materials"
    if told is None or not told.read:
        found = "none" if told is None else "what is no flat CycloneDX 1.6 over packages, each of them once"
        yield Breach(rule="DEP-11", place=place, message=f"found {found}; allowed: one of what is here")
        return
    for each in told.missing:
        yield Breach(rule="DEP-11", place=place, message=f"{each} is here and not in it; allowed: all that is here")
    for each in told.strange:
        yield Breach(rule="DEP-11", place=place, message=f"{each} is in it and not here; allowed: what is here")


def listed(facts: Facts) -> Iterator[Breach]:
    """What the index does not know, or has withdrawn."""
    for each in facts.packages:
        told = each.listing
        if told is None:
            continue
        if not told.known:
            yield Breach(rule="DEP-06", place=each.name, message="the index does not know it; allowed: what it has")
        elif told.strange:
            message = f"{told.strange} of {each.hashes} hashes are of no file of the index; allowed: none"
            yield Breach(rule="DEP-06", place=each.name, message=message)
        if told.yanked is not None or told.status == "quarantined":
            why = f"withdrawn: {told.yanked[:SHOWN]}" if told.yanked is not None else "not withdrawn"
            why = f"{told.status} and {why}" if told.status == "quarantined" else why
            yield Breach(rule="DEP-12", place=each.name, message=f"{each.version} is {why}; allowed: what is not")


def old(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Advisories that are too old, too few, from days to come, or that forget what everybody knows."""
    if facts.advisories is None:
        return
    now = when(limits.UnsafeClock or facts.now)
    at = facts.advisories.checked if facts.live else facts.advisories.newest
    days = mirror.days(at, now)
    if not -1.0 <= days <= limits.days:
        what = f"the live service's are by {BASES[facts.dated]}" if facts.live else "the newest is"
        message = f"{what} of {at}, {_age(days)}; allowed: {limits.days:g} days"
        yield Breach(rule="DEP-07", place="advisories", message=message)
    if facts.advisories.count < limits.least and not (facts.service or facts.unanswered):
        message = f"there are {facts.advisories.count:,}; allowed: {limits.least:,} or more"
        yield Breach(rule="DEP-07", place="advisories", message=message)
    for name, id in facts.forgotten:
        yield Breach(rule="DEP-07", place=id, message=f"{id} of {name} is not known; allowed: what everybody knows")


def answered(facts: Facts, limits: Limits) -> Iterator[tuple[str, str]]:
    """What nobody can tell since it is another source that was asked than the policy says, or since it gave no answers,
    or not all: cause and sentence."""
    wanted, found = limits.service, "live" if facts.live else "mirror"
    if wanted != found:
        yield live.CAUSE, f"the policy asks for service: {wanted}; these advisories are of service: {found}"
    elif facts.service:
        yield live.CAUSE, facts.service
    elif facts.unanswered:
        more = f" and {len(facts.unanswered) - 1:,} more" if len(facts.unanswered) > 1 else ""
        yield live.CAUSE, f"the live service gave no answer about {facts.unanswered[0]}{more}; allowed: every package"


def _age(days: float) -> str:
    return f"{days:,.0f} days old" if days >= 0 else f"{-days:,.0f} days from now"


def known(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Vulnerabilities: those that both engines know, and those that one of them does not."""
    both = facts.looked
    for hit in facts.hits:
        place = f"{hit.name} {hit.version}: {hit.ids[0]}"
        if both and not (hit.engine and hit.matcher):
            yield Breach(rule="DEP-09", place=place, message=_lone(hit, facts.engine))
        elif LEVELS.index(hit.level) >= LEVELS.index(limits.worst):
            fixed = f"fixed in {', '.join(hit.fixes)}" if hit.fixes else "not fixed in any version"
            message = f"{hit.level} ({', '.join(hit.ids)}), {fixed}; allowed: nothing that is {limits.worst} or worse"
            yield Breach(rule="DEP-04", place=place, message=message)


def _lone(hit: Hit, engine: str) -> str:
    knows, other = (engine, "the advisories here") if hit.engine else ("the advisories here", engine)
    does = "do" if hit.engine else "does"
    return f"known to {knows}, and {other} {does} not know it; allowed: both or neither"
