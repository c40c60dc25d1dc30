"""The gate over what is locked and what is installed."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from packaging.version import Version

from security.advisories import mirror
from security.advisories.record import when
from security.advisories.severity import LEVELS
from security.engines import audit
from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.dependencies.decoys import VIOLATIONS
from security.gates.dependencies.facts import ANY, FREE, Dist, Facts, Hit, Item, Limits, Package
from security.gates.dependencies.licence import allowed
from security.gates.dependencies.lock import ELSEWHERE, Line, Odd, Pin, read
from security.gates.dependencies.match import Matched, asked, forgotten, joined, matched
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

_CONTROLS = ("NIST-800-53:RA-5", "NIST-800-53:SR-3", "NIST-SSDF:PW.4", "OWASP-A06:2021")
LOCK = "lock"


class DependencyScanning(Gate[Item]):
    """Every package is pinned by hash, is what is installed, and is known to two engines to have no vulnerability."""

    name: ClassVar[str] = "dependency_scanning"
    kind: ClassVar[str] = "lock"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=_CONTROLS)
        for id, severity, title, remedy in (
            ("DEP-01", "high", "a package that is not pinned to a version and its hashes", "lock it again with hashes"),
            ("DEP-02", "high", "an environment that is not what is locked", "install from the lock, into a new one"),
            ("DEP-03", "high", "a package from elsewhere than the index", "take a release from the index"),
            ("DEP-04", "critical", "a package with a known vulnerability", "lock a version that fixes it"),
            ("DEP-05", "high", "a package that no engine has looked up", "lock it, so that it is looked up"),
            ("DEP-06", "critical", "a name that nobody allowed", "check the name; allow it where the policy says so"),
            ("DEP-07", "high", "advisories that are too old, or forget", "sluice advisories update"),
            ("DEP-09", "high", "engines that do not agree", "find out which is wrong; bring the advisories up to date"),
            ("DEP-10", "medium", "a licence that nobody allowed", "read it; allow it in the policy, or do without"),
        )
    }  # fmt: skip
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes: ClassVar[frozenset[str]] = frozenset({mirror.CAUSE, audit.CAUSE, "unclear"})

    def look(self, material: Handed[Item]) -> Facts:
        """What every line says, and what both engines know of it."""
        told = list(material)
        single = {item.kind: item.value for item in told if item.kind not in ("line", "dist")}
        if len(single) != 4 or len(single) != sum(item.kind in single for item in told):
            raise CannotTell("the advisories, the service, the time and the environment are handed out once each")
        known, service = single["advisories"], single["service"]
        entries = [read(item.value) for item in told if item.kind == "line" and isinstance(item.value, Line)]
        pins = [entry for entry in entries if isinstance(entry, Pin)]
        dists = [item.value for item in told if item.kind == "dist"]
        theirs = asked(pins, known, service)
        ours = matched(pins, known) if known else Matched((), ())
        audited = {(each.name, str(Version(each.version))) for each in theirs.audited}
        return Facts(
            packages=tuple(_package(pin, (pin.name, pin.version) in audited) for pin in pins),
            odd=tuple(entry for entry in entries if isinstance(entry, Odd)),
            installed=tuple(sorted(dists, key=lambda dist: dist.name)) if single["environment"] else None,
            advisories=known.head if known else None,
            now=single["now"],
            service=service,
            engine=f"{audit.NAME} {audit.engine_version()}",
            failed=theirs.failed,
            skipped=theirs.skipped,
            hits=joined(ours, theirs),
            unclear=ours.unclear,
            forgotten=tuple(sorted({*theirs.forgotten, *(forgotten(known) if known else ())})),
        )

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """Breaches; then, that nobody can tell of what there are no advisories, no report, or no versions."""
        yield from _locked(facts, limits)
        if limits.installed:
            yield from _installed(facts, limits)
            yield from _licensed(facts, limits)
        yield from _old(facts, limits)
        yield from _known(facts, limits)
        left = []
        if facts.advisories is None:
            left.append((mirror.CAUSE, "there are no advisories here: of known vulnerabilities nobody can tell"))
        if facts.failed:
            left.append((audit.CAUSE, facts.failed))
        if facts.unclear:
            name, id = facts.unclear[0]
            more = f", and {len(facts.unclear) - 1} more" if len(facts.unclear) > 1 else ""
            left.append(("unclear", f"{id} does not say which versions of {name} it affects{more}"))
        if left:
            raise CannotTell("; ".join(said for _, said in left), "+".join(cause for cause, _ in left))

    def active(self, limits: Limits) -> tuple[str, ...]:
        """All, but what is installed where the policy does not ask, and names where any may be locked."""
        off = {"DEP-02"} if not limits.installed else set()
        off |= {"DEP-06"} if limits.allowed == ANY else set()
        off |= {"DEP-10"} if limits.licences == FREE or not limits.installed else set()
        return tuple(rule for rule in self.rules if rule not in off)

    def brief(self, facts: Facts) -> str:
        """How many vulnerabilities are known, by whom, and as of when."""
        if facts.advisories is None:
            return "no advisories"
        minor = f"{len(facts.hits)} known vulnerabilities" if facts.hits else "none known to be vulnerable"
        held = "" if facts.installed is not None else ", not held against an environment"
        return f"{minor}, advisories of {facts.advisories.newest[:10]}{held}"


def _package(pin: Pin, audited: bool) -> Package:
    told = pin.model_dump(exclude={"hashes"})
    return Package(**told, hashes=len(pin.hashes), audited=audited)


def _locked(facts: Facts, limits: Limits) -> Iterator[Breach]:
    for odd in facts.odd:
        place = f"{LOCK}, line {odd.line}"
        if odd.what in ELSEWHERE:
            yield Breach(rule="DEP-03", place=place, message=f"found {odd.what}: {odd.text}; allowed: name==version")
        else:
            yield Breach(
                rule="DEP-01", place=place, message=f"found {odd.what}: {odd.text}; allowed: name==version, SHA-256"
            )
    taken: dict[str, str] = {}
    for each in facts.packages:
        if each.applies and taken.setdefault(each.name, each.version) != each.version:
            message = f"found {each.version} beside {taken[each.name]}; allowed: one version that applies here"
            yield Breach(rule="DEP-01", place=each.name, message=message)
        if not each.audited and not facts.failed and (facts.service or facts.advisories):
            reason = facts.skipped.get(each.name, "not in its report")
            yield Breach(rule="DEP-05", place=each.name, message=f"{facts.engine}: {reason}; allowed: every package")
        if limits.allowed != ANY and each.name not in limits.allowed:
            message = f"found {each.name}; allowed: the {len(limits.allowed):,} names of the policy"
            yield Breach(rule="DEP-06", place=each.name, message=message)
    for name, reason in sorted(facts.skipped.items()):
        if not any(each.name == name for each in facts.packages):
            yield Breach(rule="DEP-05", place=name, message=f"{facts.engine}: {reason}; allowed: every package")


def _installed(facts: Facts, limits: Limits) -> Iterator[Breach]:
    if facts.installed is None:
        yield Breach(rule="DEP-02", place="environment", message="found none to hold the lock against; allowed: one")
        return
    here = {each.name: each.version for each in facts.packages if each.applies}
    elsewhere = {each.name for each in facts.packages} - here.keys()
    found: dict[str, Dist] = {}
    for dist in facts.installed:
        if dist.name in found:
            message = f"found {found[dist.name].version} and {dist.version}; allowed: one"
            yield Breach(rule="DEP-02", place=dist.name, message=message)
        found[dist.name] = dist
        if dist.name in limits.besides:
            continue
        if dist.direct:
            yield Breach(
                rule="DEP-03", place=dist.name, message="installed from a URL or a folder; allowed: from the index"
            )
        if dist.name not in here:
            why = "under a marker that does not apply here" if dist.name in elsewhere else "nowhere"
            yield Breach(rule="DEP-02", place=dist.name, message=f"installed {dist.version}, locked {why}")
            yield Breach(rule="DEP-05", place=dist.name, message=f"{dist.version} is installed, and was not looked up")
        elif dist.version != here[dist.name]:
            message = f"installed {dist.version}; allowed: {here[dist.name]}, as it is locked"
            yield Breach(rule="DEP-02", place=dist.name, message=message)
    for name in sorted(here.keys() - found.keys()):
        yield Breach(rule="DEP-02", place=name, message=f"locked {here[name]}, and not installed")


def _licensed(facts: Facts, limits: Limits) -> Iterator[Breach]:
    if limits.licences == FREE:
        return
    for dist in facts.installed or ():
        told = dist.licence or limits.licensed.get(dist.name, "")
        if dist.name not in limits.besides and not allowed(told, limits.licences):
            message = f"found {told or 'none that can be told'}; allowed: {', '.join(limits.licences) or 'none'}"
            yield Breach(rule="DEP-10", place=dist.name, message=message)


def _old(facts: Facts, limits: Limits) -> Iterator[Breach]:
    if facts.advisories is None:
        return
    now = when(limits.UnsafeClock or facts.now)
    days = mirror.days(facts.advisories.newest, now)
    if not -1.0 <= days <= limits.days:
        message = f"the newest is of {facts.advisories.newest}, {_age(days)}; allowed: {limits.days:g} days"
        yield Breach(rule="DEP-07", place="advisories", message=message)
    for name, id in facts.forgotten:
        yield Breach(rule="DEP-07", place=id, message=f"{id} of {name} is not known; allowed: what everybody knows")


def _age(days: float) -> str:
    return f"{days:,.0f} days old" if days >= 0 else f"{-days:,.0f} days from now"


def _known(facts: Facts, limits: Limits) -> Iterator[Breach]:
    both = facts.advisories is not None and not facts.failed
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
