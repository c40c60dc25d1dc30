"""The gate over what a run trains on."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from security.gate import Gate, Violation
from security.gates.inputs.decoys import VIOLATIONS
from security.gates.inputs.facts import PLACE, Facts, Item, Limits, found
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

_CONTROLS = ("NIST-800-53:SR-4", "NIST-800-53:SI-7", "OWASP-ML02:2023", "SLSA:provenance")


class ApprovedInputs(Gate[Item]):
    """The dataset's manifest is the producer's, and lists exactly the partitions and versions that the plan names."""

    name: ClassVar[str] = "approved_inputs"
    kind: ClassVar[str] = "manifest"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=_CONTROLS)
        for id, severity, title, remedy in (
            ("INP-SIGNED", "critical", "a manifest that no known producer signed", "ingest again"),
            ("INP-REVOKED", "critical", "an input that was revoked", "ingest what replaces it"),
            ("INP-EXTRA", "high", "a partition that the plan does not name", "find out how it got there"),
            ("INP-MISSING", "high", "a partition that the plan names and is not there", "ingest again"),
            ("INP-VERSION", "high", "another version of a partition than the plan names", "ingest again"),
        )
    }  # fmt: skip
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS

    def look(self, material: Handed[Item]) -> Facts:
        """The signer, and what is listed; a manifest by nobody known lists nothing, for it would be anybody's."""
        return found(material)

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """Breaches. What is not signed is not believed, so it hides what would follow from it."""
        if facts.signer != limits.producer:
            found = facts.signer[:12] or "nobody that is known"
            yield Breach(rule="INP-SIGNED", place=PLACE, message=f"signed by {found}; allowed: {limits.producer[:12]}")
        if not facts.signer:
            return
        known = facts.digests()
        for sha in sorted({*facts.revoked, *(known.keys() & limits.revoked.keys())}):
            reason = limits.revoked.get(sha, "it was on the list that was handed out")
            message = f"{sha[:12]} is revoked: {reason}; allowed: what is not"
            yield Breach(rule="INP-REVOKED", place=known.get(sha, sha), message=message)
        for name in sorted(facts.partitions.keys() | limits.named.keys()):
            part, wanted = facts.partitions.get(name), limits.named.get(name)
            if part is None:
                yield Breach(rule="INP-MISSING", place=name, message=f"no such partition; allowed: {_short(wanted)}")
            elif wanted is None:
                allowed = f"the {len(limits.named):,} that the plan names"
                yield Breach(rule="INP-EXTRA", place=name, message=f"found {_short(part.version)}; allowed: {allowed}")
            elif part.version != wanted:
                message = f"found {_short(part.version)}; allowed: {_short(wanted)}, as the plan names it"
                yield Breach(rule="INP-VERSION", place=name, message=message)

    def brief(self, facts: Facts) -> str:
        """How many partitions and objects."""
        objects = sum(len(part.objects) for part in facts.partitions.values())
        return f"{len(facts.partitions):,} partitions, {objects:,} objects"


def _short(sha: str | None) -> str:
    return f"version {(sha or 'none')[:12]}"
