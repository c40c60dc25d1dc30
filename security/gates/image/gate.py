"""The gate over an image, or over what a local process runs on where there is none."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.image import others, rules
from security.gates.image.decoys import VIOLATIONS
from security.gates.image.doubts import doubts
from security.gates.image.facts import Facts, Item
from security.gates.image.limits import Limits
from security.gates.image.look import looked
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

_WAIVABLE = ("IMG-06", "IMG-14", "IMG-17")
_CONTROLS = {
    "IMG-01": ("CIS-K8S:5.5.1", "NIST-800-190:4.1.5"),
    "IMG-02": ("SLSA:v1", "NIST-800-190:4.1.5"),
    "IMG-03": ("NIST-SSDF:PS.3.2",),
    "IMG-08": ("CIS-DOCKER:4.1", "NIST-800-190:4.1.2"),
    "IMG-09": ("CIS-DOCKER:4.10", "NIST-800-190:4.1.4", "CWE-798"),
    "IMG-10": ("CIS-DOCKER:4.8", "NIST-800-190:4.1.2"),
    "IMG-11": ("CIS-DOCKER:4.2", "NIST-800-190:4.1.5"),
    "IMG-12": ("NIST-800-53:SI-7",),
    "IMG-13": ("NIST-800-53:CM-8", "NIST-SSDF:PW.4"),
    "IMG-14": ("CIS-DOCKER:4.4", "NIST-800-53:SI-2"),
    "IMG-15": ("NIST-800-190:4.1.2",),
    "IMG-17": ("NIST-800-53:RA-5", "NIST-800-53:CA-2"),
    "IMG-16": ("NIST-800-53:RA-5", "NIST-800-53:CM-3"),
}
_SCANNED = ("NIST-800-53:RA-5", "NIST-800-190:4.1.1", "OWASP-A06:2021")


class ImageVulnerabilityScanning(Gate[Item]):
    """What serves runs on a known system without known vulnerabilities, and is what was signed and locked."""

    name: ClassVar[str] = "image_vulnerability_scanning"
    kind: ClassVar[str] = "image"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        id: Rule(
            id=id,
            title=title,
            severity=severity,
            remedy=remedy,
            controls=_CONTROLS.get(id, _SCANNED),
            waivable=id in _WAIVABLE,
        )
        for id, severity, title, remedy in (
            ("IMG-01", "high", "an image that is not named by its digest", "deploy NAME@sha256:DIGEST"),
            ("IMG-02", "critical", "an image that nobody who may has signed", "sign it with a key of the policy"),
            ("IMG-03", "high", "no signed bill of materials of what is in it", "attest one of this image"),
            ("IMG-04", "high", "a system or interpreter without security updates", "move to one that has them"),
            ("IMG-05", "high", "something that no package database tells of", "install it as a package, or not at all"),
            ("IMG-06", "critical", "a package with a known vulnerability", "install a version that fixes it"),
            ("IMG-07", "high", "advisories that are too old", "sluice advisories update"),
            ("IMG-08", "high", "an image that runs as root", "set USER to a number that is not 0"),
            ("IMG-09", "critical", "a secret in a layer, a variable or the history", "revoke it, and build without it"),
            ("IMG-10", "high", "a file that runs as another than who starts it", "remove the bit, or allow the path"),
            ("IMG-11", "high", "a base that nobody approved", "build on an approved base"),
            ("IMG-12", "critical", "layers that are not what they say", "build it again; trust no copy of it"),
            ("IMG-13", "high", "distributions that are not those of the lock", "install from the lock alone"),
            ("IMG-14", "high", "a security update that is not installed", "upgrade, or build on a newer base"),
            ("IMG-15", "medium", "an image that starts a shell, or nothing", "set an entry point in exec form"),
            ("IMG-16", "high", "what tells scanners to look away", "take it away; have a waiver signed"),
            ("IMG-17", "high", "another scanner that says otherwise", "find out who is right; update who is not"),
        )
    }  # fmt: skip
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes: ClassVar[frozenset[str]] = frozenset(
        {"advisories", "beside", "image", "interpreter", "packages", "partial", "unclear", "updates"}
    )

    def look(self, material: Handed[Item]) -> Facts:
        """Layers, inventory, and what is known of each package."""
        return looked(material)

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """Breaches; then what nobody can tell, each by its cause."""
        if facts.built is not None:
            yield from rules.image(facts.built, limits)
        yield from rules.lasting(facts, limits)
        yield from rules.declared(facts, limits)
        yield from rules.known(facts, limits)
        yield from rules.old(facts, limits)
        yield from rules.secret(facts, limits)
        yield from rules.privileged(facts, limits)
        yield from rules.locked(facts)
        yield from rules.pending(facts, limits)
        yield from rules.hushed(facts, limits)
        yield from others.differ(facts, limits)
        if left := [*doubts(facts, limits), *others.doubts(facts, limits)]:
            raise CannotTell("; ".join(said for _, said in left), "+".join(dict.fromkeys(cause for cause, _ in left)))

    def active(self, limits: Limits) -> tuple[str, ...]:
        """All, but updates that are not installed where the policy lets them, and others where it names none."""
        off = {"IMG-14"} if limits.pending != "stop" else set()
        off |= {"IMG-17"} if not limits.beside else set()
        return tuple(rule for rule in self.rules if rule not in off)

    def images(self, facts: Facts) -> Iterable[tuple[str, str]]:
        """What was looked at: none, where it was a process."""
        return (("", facts.built.sha256 if facts.built else ""),)

    def brief(self, facts: Facts) -> str:
        """What was looked at, and what is known of it."""
        what = f"{facts.system.id} {facts.system.version}".strip() if facts.system else "an unknown system"
        kinds = ", ".join(f"{each.implementation} {each.version}" for each in facts.interpreters) or "no interpreter"
        count = len(facts.hits) + facts.more
        told = f"{count:,} known vulnerabilities" if count else "none known to be vulnerable"
        dists = sum(map(len, facts.dists.values()))
        late = f", {facts.outdated:,} updates not installed" if facts.outdated else ""
        return f"{what}, {facts.packages:,} packages, {kinds}, {dists:,} distributions, {told}{late}"
