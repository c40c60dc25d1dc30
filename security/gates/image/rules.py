"""What is wrong with an image, or with what a process runs on, rule by rule: from the facts and the limits alone."""

import fnmatch
from collections.abc import Iterable, Iterator
from datetime import datetime

from security.advisories import mirror
from security.advisories.record import when
from security.advisories.severity import LEVELS
from security.gates.image.facts import PYPI, Built, Facts, Hit, Listed
from security.gates.image.limits import Limits
from security.gates.image.says import lets, spoken
from security.gates.image.sweep import allowed
from security.verdict import Breach

ENDED = {
    "debian": {"7": "2018-05-31", "8": "2020-06-30", "9": "2022-06-30", "10": "2024-06-30"},
    "CPython": {"2.7": "2020-01-01", "3.5": "2020-09-30", "3.6": "2021-12-23", "3.7": "2023-06-27"},
}
"""What has no more security updates, whatever a policy names: Debian's own dates with LTS, and those of the PSF."""
SHELLS = frozenset({"sh", "bash", "dash", "ash", "busybox", "env"})
NEEDS = {"debian": "deb", "alpine": "apk"}
"""System -> the package database that it cannot be without."""


def moment(facts: Facts, limits: Limits) -> datetime:
    """Now."""
    return when(limits.UnsafeClock or facts.now)


def image(built: Built, limits: Limits) -> Iterator[Breach]:
    """What an image alone has: its name, signature, bill, user, base, layers and entry point."""
    name, _, at = built.reference.rpartition("@")
    if not name or at != f"sha256:{built.sha256}":
        told = f"found {built.reference or 'no reference'}; allowed: NAME@sha256:{built.sha256[:12]}..., which it is"
        yield _breach("IMG-01", "reference", told)
    if not {*built.signed} & {*limits.signers}:
        told = f"found {_keys(built.signed)}; allowed: one of {_keys(limits.signers)}"
        yield _breach("IMG-02", "signature", told)
    good = [each for each in built.bills if {*each.keys} & {*built.signed}]
    if not good:
        told = f"found {len(built.bills)} by none who signed the image; allowed: one by who did"
        yield _breach("IMG-03", "bill of materials", told)
    for bill in good:
        if not bill.read:
            yield _breach("IMG-03", "bill of materials", "found what is no CycloneDX; allowed: one that can be read")
        yield from listed("IMG-03", "bill of materials", bill.missing, "is here and not in it; allowed: all in it")
        yield from listed("IMG-03", "bill of materials", bill.strange, "is in it and not here; allowed: what is here")
    ids = built.user.split(":")
    if len(ids) != 2 or not all(each.isdecimal() and int(each) for each in ids):
        told = f"found {built.user or 'none, which is root'}; allowed: numbers of a user and a group, none of them 0"
        yield _breach("IMG-08", "user", told)
    if not {*built.chains} & {*limits.bases}:
        first = built.chains[0][:12] if built.chains else "no layer"
        told = f"it begins with {first}; allowed: {', '.join(each[:12] for each in limits.bases) or 'none'}"
        yield _breach("IMG-11", "base", told)
    yield from listed("IMG-12", "layers", built.broken, "")
    program = built.entrypoint[0] if built.entrypoint else ""
    if program.rpartition("/")[2] in SHELLS or not program.startswith("/"):
        told = f"found {program or 'none'}; allowed: the path of a program that is no shell, and its arguments"
        yield _breach("IMG-15", "entrypoint", told)


def lasting(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """A system or an interpreter that nobody knows, or that gets no more security updates."""
    now = moment(facts, limits)
    if facts.system is None:
        if limits.others == "refuse":
            yield _breach("IMG-04", "system", "found no os-release that can be read; allowed: one")
    else:
        at = facts.system.version
        ends = {**limits.systems.get(facts.system.id, {}), **ENDED.get(facts.system.id, {})}
        end = ends.get(at) or ends.get(at.partition(".")[0], "")
        yield from _ended("system", f"{facts.system.id} {at}".strip(), end, now, limits)
    if not facts.interpreters and limits.others == "refuse":
        yield _breach("IMG-04", "interpreter", "found none; allowed: one that is known")
    for each in facts.interpreters:
        short = ".".join(each.version.split(".")[:2])
        known = limits.interpreters if each.implementation == "CPython" else {}
        end = {**known, **ENDED.get(each.implementation, {})}.get(short, "")
        yield from _ended("interpreter", f"{each.implementation} {each.version}", end, now, limits)


def _ended(place: str, what: str, end: str, now: datetime, limits: Limits) -> Iterator[Breach]:
    if not end:
        if limits.others == "refuse":
            message = f"found {what}; allowed: what the policy knows the end of"
            yield _breach("IMG-04", place, message)
    elif when(f"{end}T23:59:59Z") < now:
        message = f"{what} has no security updates since {end}; allowed: what has them"
        yield _breach("IMG-04", place, message)


def declared(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """A package database that is not there, or does not tell of everything that is."""
    kinds = {each.kind for each in facts.databases}
    needed = NEEDS.get(facts.system.id, "") if facts.system else ""
    whole = facts.built is not None
    if (needed and needed not in kinds) or (whole and not kinds):
        yield _breach("IMG-05", "packages", f"found no database of {needed or 'packages'}; allowed: one")
    for each in facts.databases:
        if not whole and each.kind != needed and not (each.packages or each.lists):
            continue  # the tool of another distribution is there, and has installed nothing: what has, is not known
        if each.packages < limits.floor:
            message = f"found {each.packages:,} packages; allowed: {limits.floor:,} or more"
            yield _breach("IMG-05", each.kind, message)
        if each.lists is not None and each.lists != each.packages:
            message = f"found {each.packages:,} packages and {each.lists:,} lists of files; allowed: one of each"
            yield _breach("IMG-05", each.kind, message)
    yield from listed("IMG-05", "packages", facts.odd, "")
    yield from listed("IMG-05", "distributions", facts.loose, "is in no record; allowed: what a package lists")
    stray = [each for each in facts.stray.first if not any(fnmatch.fnmatchcase(each, made) for made in limits.made)]
    more = facts.stray.count - len(facts.stray.first)
    left = Listed(first=tuple(stray), count=len(stray) + more)
    yield from listed("IMG-05", "files", left, "is of no package; allowed: what one has")


def known(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Vulnerabilities that are known, from a level on."""
    now = moment(facts, limits)
    for hit in facts.hits:
        if lets(hit, facts, limits, now):
            continue
        let = limits.unfixed == "let" and hit.ecosystem != PYPI and not hit.fixes
        if LEVELS.index(hit.level) >= LEVELS.index(limits.worst) and not let:
            yield _breach("IMG-06", f"{hit.package} {hit.version}: {hit.ids[0]}", _known(hit, limits))
    if facts.more:
        message = f"found {facts.more:,} vulnerabilities beyond those that are told; allowed: none"
        yield _breach("IMG-06", "packages", message)


def _known(hit: Hit, limits: Limits) -> str:
    fixed = f"fixed in {', '.join(hit.fixes)}" if hit.fixes else "not fixed in any version"
    return f"{hit.level} ({', '.join(hit.ids)}), {fixed}; allowed: nothing that is {limits.worst} or worse"


def old(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Advisories that are too old, or from days to come."""
    now = moment(facts, limits)
    for ecosystem, each in sorted((facts.data or {}).items()):
        days = mirror.days(each.newest, now)
        if not -1.0 <= days <= limits.days:
            message = f"the newest is of {each.newest}, {days:,.0f} days old; allowed: {limits.days:g} days"
            yield _breach("IMG-07", ecosystem, message)


def secret(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """What opens a door and lies in a layer, a variable or the history; and files that nobody looked into."""
    left = [each for each in facts.secrets.first if not allowed(each, limits.secrets)]
    more = facts.secrets.count - len(facts.secrets.first)
    for each in left:
        rule, _, place = each.partition(": ")
        yield _breach("IMG-09", place, f"found what looks like a secret ({rule}); allowed: none")
    if more:
        yield _breach("IMG-09", "files", f"found {more:,} secrets beyond those that are told; allowed: none")
    for kind, count in facts.opaque.items():
        if kind not in limits.opaque:
            yield _breach("IMG-09", kind, f"found {count:,} files that nobody can look into; allowed: none of the kind")


def privileged(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Files of an image that run as another than who starts them."""
    if facts.built is not None:
        left = tuple(each for each in facts.setuid.first if each not in limits.setuid)
        count = len(left) + facts.setuid.count - len(facts.setuid.first)
        why = f"runs as its owner or group; allowed: {', '.join(limits.setuid) or 'none'}"
        yield from listed("IMG-10", "files", Listed(first=left, count=count), why)


def locked(facts: Facts) -> Iterator[Breach]:
    """Distributions that are not those of the lock, either way."""
    if facts.locked is None:
        yield _breach("IMG-13", "lock", "found none to hold the distributions against; allowed: one")
        return
    if not facts.dists:
        yield _breach("IMG-13", "distributions", "found none; allowed: those of the lock")
    for name, versions in facts.dists.items():
        if versions != (facts.locked.get(name),):
            message = f"found {', '.join(versions)}; allowed: {facts.locked.get(name) or 'none'}, as it is locked"
            yield _breach("IMG-13", name, message)
    for name in sorted(facts.locked.keys() - facts.dists.keys()):
        yield _breach("IMG-13", name, f"found none; allowed: {facts.locked[name]}, as it is locked")


def pending(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Security updates of the distribution that are not installed."""
    if limits.pending == "stop":
        for each in facts.pending:
            message = f"found {each.version}; allowed: {each.newer}, which is a security update"
            yield _breach("IMG-14", each.package, message)
        if more := facts.outdated - len(facts.pending):
            message = f"found {more:,} updates beyond those that are told; allowed: none"
            yield _breach("IMG-14", "packages", message)


def hushed(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """What tells scanners to look away, and is obeyed by none here: who may let something go signs for it. And what
    somebody has signed who may not, of something else, or too long ago."""
    yield from spoken(facts, limits, moment(facts, limits))
    yield from listed("IMG-16", "files", facts.ignores, "tells scanners what not to find; allowed: a signed waiver")


def listed(rule: str, place: str, told: Listed, message: str) -> Iterator[Breach]:
    """A breach for each that is told, and one for the rest. Without a message each is a sentence of its own."""
    for each in told.first:
        yield _breach(rule, each if message else place, message or each)
    if more := told.count - len(told.first):
        yield _breach(rule, place, f"found {more:,} more; allowed: none")


def _keys(ids: Iterable[str]) -> str:
    return ", ".join(each[:12] for each in ids) or "no key"


def _breach(rule: str, place: str, message: str) -> Breach:
    return Breach(rule=rule, place=place, message=message)
