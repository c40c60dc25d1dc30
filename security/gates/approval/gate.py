"""The gate over approvals: enough persons said yes, to this and to nothing else."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from security.errors import LogBroken
from security.gate import Gate, Violation
from security.gates.approval.claim import Read, name, read
from security.gates.approval.decoys import VIOLATIONS
from security.gates.approval.facts import NOBODY, Facts, Item, Limits, found
from security.material import Handed
from security.verdict import Breach, Frozen, Rule
from security.words import day, image, letters, within

DAY = 86_400.0
_CONTROLS = ("NIST-800-53:CM-3", "NIST-800-53:AC-5", "NIST-SSDF:PO.2.1")
_ASK = "ask an approver for `sluice approval give`"


class Approval(Gate[Item]):
    """What goes to a target was approved by persons of the policy, none of whom asked for it."""

    name: ClassVar[str] = "approval"
    kind: ClassVar[str] = "approval"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=_CONTROLS)
        for id, severity, title, remedy in (
            ("APR-01", "critical", "too few persons approved it", _ASK),
            ("APR-02", "critical", "no approval, or an altered one", "take it away, and find out who put it there"),
            ("APR-03", "critical", "an approval by nobody whom the policy names", _ASK),
            ("APR-04", "critical", "an approval by a key that was revoked", _ASK),
            ("APR-05", "critical", "an approval of another model", _ASK),
            ("APR-06", "critical", "an approval for another target or pipeline", _ASK),
            ("APR-07", "high", "an approval that does not count at this moment", _ASK),
            ("APR-08", "high", "who asked for it approved it", "ask somebody else"),
            ("APR-09", "critical", "an approval of another image, or of none", _ASK),
        )
    }  # fmt: skip
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS

    def look(self, material: Handed[Item]) -> Facts:
        """Every envelope, as it lies there."""
        return found(material)

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """What was altered is told always; why an approval does not count, where too few do."""
        counts, wrong = set[str](), list[Breach]()
        for envelope in facts.envelopes:
            place = name(envelope.encode())
            try:
                told = read(envelope.encode())
            except LogBroken as why:
                yield Breach(rule="APR-02", place=place, message=f"{why}; allowed: what an approver signed")
                continue
            reasons = [Breach(rule=rule, place=place, message=said) for rule, said in _wrong(told, facts, limits)]
            wrong += reasons
            if not reasons:
                counts.add(letters(limits.approvers[told.signer]))
        if limits.persons == NOBODY or len(counts) >= limits.persons:
            return
        yield from wrong
        others = f", and {facts.others:,} are of other models" if facts.others else ""
        message = f"{len(counts)} approvals of {_of(facts)} count{others}; allowed: {limits.persons} or more"
        yield Breach(rule="APR-01", place=limits.target, message=message)

    def active(self, limits: Limits) -> tuple[str, ...]:
        """All; where nobody is asked, that nothing was altered."""
        return ("APR-02",) if limits.persons == NOBODY else tuple(self.rules)

    def images(self, facts: Facts) -> Iterable[tuple[str, str]]:
        """What persons are asked about."""
        return (("", facts.image),)

    def brief(self, facts: Facts) -> str:
        """How many there are."""
        return f"{len(facts.envelopes):,} approvals of {_of(facts)}, {facts.others:,} of others"


def _of(facts: Facts) -> str:
    """What is asked about."""
    return facts.model[:12] + within(facts.image)


def _wrong(told: Read, facts: Facts, limits: Limits) -> Iterator[tuple[str, str]]:
    """Rule and sentence of each reason why an approval does not count."""
    claim, known = told.claim, limits.approvers.get(told.signer)
    if known is None:
        yield "APR-03", f"signed by {told.signer[:12]}; allowed: {', '.join(limits.approvers.values()) or 'nobody yet'}"
    elif letters(known) != letters(claim.approver):
        yield "APR-03", f"signed as {claim.approver}; allowed: {known}, whose key it is"
    if told.signer in facts.revoked:
        yield "APR-04", f"the key {told.signer[:12]} was revoked; allowed: one that was not"
    if told.model != facts.model:
        yield "APR-05", f"it is of {told.model[:12]}; allowed: {facts.model[:12]}"
    if claim.image != facts.image:
        yield "APR-09", f"it is of {image(claim.image)}; allowed: {image(facts.image)}"
    if (claim.name, claim.target) != (limits.name, limits.target):
        yield "APR-06", f"it is for {claim.name} on {claim.target}; allowed: {limits.name} on {limits.target}"
    lasts = (claim.expires - claim.issued) / DAY
    if not claim.issued <= facts.at < claim.expires:
        when = f"from {day(claim.issued)} to {day(claim.expires)}"
        yield "APR-07", f"it counts {when}; allowed: at the moment of the look, {day(facts.at)}"
    elif lasts > limits.days:
        yield "APR-07", f"it lasts {lasts:,.1f} days; allowed: {limits.days:g}"
    if letters(claim.requester) == letters(claim.approver):
        yield "APR-08", f"{claim.approver} asked for it and approved it; allowed: two persons"
