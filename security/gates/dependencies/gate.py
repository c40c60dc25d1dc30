"""The gate over what is locked and what is installed."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from packaging.version import Version

from security.advisories import live, mirror
from security.advisories.live import Live
from security.engines import audit, index
from security.engines.index import Listing
from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.dependencies import rules
from security.gates.dependencies.bill import seen
from security.gates.dependencies.decoys import VIOLATIONS
from security.gates.dependencies.facts import ANY, FREE, MANY, Dist, Facts, Item, Limits, Package, Part
from security.gates.dependencies.lock import Line, Odd, Pin, bare, lines, pinned, read
from security.gates.dependencies.match import Answered, Matched, asked, forgotten, joined, matched, unanswered
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

_WAIVABLE = ("DEP-04", "DEP-10", "DEP-12")
_CONTROLS = ("NIST-800-53:RA-5", "NIST-800-53:SR-3", "NIST-SSDF:PW.4", "OWASP-A06:2021")


class DependencyScanning(Gate[Item]):
    """Every package is pinned by hash, is what is installed, and is known to two engines to have no vulnerability."""

    name: ClassVar[str] = "dependency_scanning"
    kind: ClassVar[str] = "lock"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=_CONTROLS, waivable=id in _WAIVABLE)
        for id, severity, title, remedy in (
            ("DEP-01", "high", "a package that is not pinned to a version and its hashes", "lock it again with hashes"),
            ("DEP-02", "high", "an environment that is not what is locked", "install from the lock, into a new one"),
            ("DEP-03", "high", "a package from elsewhere than the index", "take a release from the index"),
            ("DEP-04", "critical", "a package with a known vulnerability", "lock a version that fixes it"),
            ("DEP-05", "high", "a package that no engine has looked up", "lock it, so that it is looked up"),
            ("DEP-06", "critical", "a name that nobody allowed", "check the name; allow it where the policy says so"),
            ("DEP-07", "high", "advisories that are too old, or forget", "sluice advisories update"),
            ("DEP-09", "high", "engines that do not agree", "find out which is wrong; bring the advisories up to date"),
            ("DEP-12", "high", "a release that was withdrawn", "lock another release"),
            ("DEP-11", "medium", "no bill of materials of what is here", "write it again, of this environment"),
            ("DEP-10", "medium", "a licence that nobody allowed", "read it; allow it in the policy, or do without"),
        )
    }  # fmt: skip
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes: ClassVar[frozenset[str]] = frozenset({mirror.CAUSE, live.CAUSE, audit.CAUSE, index.CAUSE, "unclear"})

    def look(self, material: Handed[Item]) -> Facts:
        """What every line says, and what both engines know of it."""
        told = list(material)
        single = {item.kind: item.value for item in told if item.kind not in MANY}
        if len(single) != 7 or len(single) != sum(item.kind in single for item in told):
            raise CannotTell("advisories, service, time, environment, index, listings and bill are handed out once")
        beside = [item.value for item in told if item.kind == "also"]
        known, service, listings = single["advisories"], single["service"], single["listings"]
        entries = [read(item.value) for item in told if item.kind == "line" and isinstance(item.value, Line)]
        pins = [entry for entry in entries if isinstance(entry, Pin)]
        dists = [item.value for item in told if item.kind == "dist"]
        every = [*pins, *_besides(pins, dists)]
        lacking = unanswered(every, known)
        part = bool(service or lacking)
        theirs = Answered((), {}, "", ()) if part else asked(every, known)
        ours = matched(every, known) if known else Matched((), ())
        audited = {(each.name, str(Version(each.version))) for each in theirs.audited}
        return Facts(
            packages=tuple(
                _package(pin, (pin.name, pin.version) in audited, listing)
                for pin, listing in zip(pins, _listed(pins, listings), strict=True)
            ),
            odd=tuple(entry for entry in entries if isinstance(entry, Odd)),
            also={name: _pinned(text) for name, text in beside},
            beside={name: hashlib.sha256(text.encode()).hexdigest() for name, text in beside},
            parts={item.value[0]: _part(item.value[1], pins) for item in told if item.kind == "part"},
            index=single["index"],
            unlisted=listings if isinstance(listings, str) else next((x for x in listings if isinstance(x, str)), ""),
            bill=None if single["bill"] is None else seen(single["bill"], _here(pins, dists, single["environment"])),
            installed=tuple(_looked(dists, audited)) if single["environment"] else None,
            advisories=known.head if known else None,
            dated=known.dated if isinstance(known, Live) else "newest",
            now=single["now"],
            service=service,
            unanswered=lacking,
            engine=f"{audit.NAME} {audit.engine_version()}",
            failed=theirs.failed,
            skipped=theirs.skipped,
            hits=joined(ours, theirs, apart=isinstance(known, Live)),
            unclear=ours.unclear,
            forgotten=tuple(sorted({*theirs.forgotten, *(forgotten(known) if known and not part else ())})),
        )

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """Breaches; then, that nobody can tell of what there are no advisories, no report, or no versions."""
        yield from rules.locked(facts, limits)
        if limits.installed:
            yield from rules.installed(facts, limits)
        if limits.index:
            yield from rules.listed(facts)
        yield from rules.old(facts, limits)
        yield from rules.known(facts, limits)
        if limits.installed:
            yield from rules.licensed(facts, limits)
        if limits.bill:
            yield from rules.billed(facts)
        left = list(rules.answered(facts, limits))
        if facts.advisories is None and not left:
            left.append((mirror.CAUSE, "no advisories are here: whether a vulnerability is known nobody can tell"))
        if facts.failed:
            left.append((audit.CAUSE, facts.failed))
        unknown = sum(each.listing is None for each in facts.packages)
        if limits.index and (unknown or facts.unlisted):
            why = facts.unlisted or "it left them out"
            left.append((index.CAUSE, f"of {unknown} names nobody can tell whether the index knows them: {why}"))
        if facts.unclear:
            name, id = facts.unclear[0]
            more = f", and {len(facts.unclear) - 1} more" if len(facts.unclear) > 1 else ""
            left.append(("unclear", f"{id} does not say which versions of {name} it affects{more}"))
        if left:
            raise CannotTell("; ".join(said for _, said in left), "+".join(cause for cause, _ in left))

    def active(self, limits: Limits) -> tuple[str, ...]:
        """All, but what is installed where the policy does not ask, and names where any may be locked."""
        off = {"DEP-02"} if not limits.installed else set()
        off |= {"DEP-06"} if limits.allowed == ANY and not limits.index else set()
        off |= {"DEP-11"} if not limits.bill else set()
        off |= {"DEP-12"} if not limits.index else set()
        off |= {"DEP-10"} if limits.licences == FREE or not limits.installed else set()
        return tuple(rule for rule in self.rules if rule not in off)

    def brief(self, facts: Facts) -> str:
        """How many vulnerabilities are known, by whom, and as of when."""
        if facts.advisories is None:
            return "no advisories"
        minor = f"{len(facts.hits)} known vulnerabilities" if facts.hits else "none known to be vulnerable"
        minor += f" by {facts.advisories.count:,} advisories"
        held = "" if facts.installed is not None else ", not held against an environment"
        if facts.live:
            by = rules.BASES[facts.dated]
            minor += f" that a live service has as of {facts.advisories.checked[:10]} by {by}, the newest"
        return f"{minor} of {facts.advisories.newest[:10]}{held}"


def _besides(pins: Sequence[Pin], dists: Sequence[Dist]) -> list[Pin]:
    """What is installed and not locked, or at another version, as pins: it is looked up all the same."""
    known = {(pin.name, pin.version) for pin in pins}
    return [bare(name, at) for name, at in sorted({(dist.name, dist.version) for dist in dists} - known)]


def _here(pins: Sequence[Pin], dists: Sequence[Dist], environment: bool) -> set[tuple[str, str]]:
    """What a bill has to list: what is installed, or what is locked and applies where no environment was opened."""
    if environment:
        return {(dist.name, dist.version) for dist in dists}
    return {(pin.name, pin.version) for pin in pins if pin.applies}


def _looked(dists: Sequence[Dist], audited: Collection[tuple[str, str]]) -> list[Dist]:
    done = [dist.model_copy(update={"audited": (dist.name, str(Version(dist.version))) in audited}) for dist in dists]
    return sorted(done, key=lambda dist: dist.name)


def _package(pin: Pin, audited: bool, listing: Listing | None) -> Package:
    told = pin.model_dump(exclude={"hashes"})
    return Package(**told, hashes=len(pin.hashes), audited=audited, listing=listing)


def _listed(pins: Sequence[Pin], listings: Sequence[Listing | str] | str) -> Iterator[Listing | None]:
    """The index's word on each pin: no answer is taken for two lines, of which one may have other files."""
    left = [each for each in listings if isinstance(each, Listing)]
    for pin in pins:
        mine = next((each for each in left if (each.name, each.version) == (pin.name, pin.version)), None)
        if mine is not None:
            left.remove(mine)
        yield mine


def _pinned(text: str) -> dict[str, str]:
    """Of a lock beside it, name -> version. What is no pin there lets nothing be installed."""
    return {pin.name: pin.version for pin in pinned(text) if pin.applies}


def _part(text: str, pins: Sequence[Pin]) -> Part:
    """What of a lock stands among these pins too: at that version, with no other hashes, and here wherever it does. A
    second line that applies here is odd."""
    entries = [read(line) for line in lines(text)]
    theirs = [entry for entry in entries if isinstance(entry, Pin)]
    ours = {(pin.name, pin.version): pin for pin in sorted(pins, key=lambda pin: pin.applies)}
    odd = [f"line {entry.line}, {entry.what}" for entry in entries if isinstance(entry, Odd)]
    strange, taken = [], set[str]()
    for pin in theirs:
        if why := _strange(pin, ours.get((pin.name, pin.version))):
            strange.append(f"line {pin.line}, {pin.name} {pin.version}: {why}")
        if pin.applies and pin.name in taken:
            odd.append(f"line {pin.line}, {pin.name} once more")
        taken |= {pin.name} if pin.applies else set()
    sha = hashlib.sha256(text.encode()).hexdigest()
    return Part(sha256=sha, pins=sum(pin.applies for pin in theirs), odd=tuple(odd), strange=tuple(strange))


def _strange(pin: Pin, mine: Pin | None) -> str:
    """Why a line does not stand in this lock too, or nothing."""
    if mine is None:
        return "is not in the lock"
    if not {*pin.hashes} <= {*mine.hashes}:
        return "has other hashes in the lock"
    return "does not apply in the lock" if pin.applies and not mine.applies else ""
