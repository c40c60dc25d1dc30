"""Waivers: a finding that a person lets go, for a while, in writing, and never one of a gate that looked at nothing.

A waiver is a DSSE envelope signed by an approver. It binds one finding (by its fingerprint: gate, rule and place; and
by its very words: of one that got worse it says nothing) in one subject (by its digest), with reason, ticket, who asked
for it, and until when. Whose approval counts, and for how long it may last, the policy says; which rules can be waived
at all, the gate's own code, and of those the policy's `waive`. The plan seals the waivers that there are before any
data is read.

The gate looks all the same, and the finding is in the verdict: what changes is what follows from it. `follows` is the
only place that decides so, for the run, for `verify` and for an auditor years later: whether a waiver was valid is a
question about the moment at which the gate looked, which the observation has. That moment is the producer's word, as
all of an observation is; `verify` only asks that it is none from days to come.

The approver's name is the policy's, and the producer's key is never an approver's. Who asked for it is declared by the
approver, and must have another name.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from pydantic import Field, ValidationError, field_validator

from configs.load import Approval
from security.errors import KeyBroken, LogBroken
from security.gate import Gate, judge
from security.keys import PublicKey, Signer, seal, unseal
from security.policy import Terms, effect
from security.verdict import Effect, Finding, Frozen, Observation, Outcome, Subject, Verdict, digest
from security.words import day, letters, words

KIND = "urn:sluice:waiver/v1"
DAY = 86_400.0


class Claim(Frozen):
    """What an approver signs. Times are seconds since the epoch; `key` is the approver's public key in PEM."""

    gate: str
    rule: str
    place: str
    message: str
    fingerprint: str
    reason: str = Field(min_length=10)
    ticket: str = Field(min_length=1)
    requester: str = Field(min_length=1)
    issued: float
    expires: float
    key: str

    @field_validator("reason", "ticket", "requester")
    @classmethod
    def _words(cls, value: str) -> str:
        return words(value)


class Waiver(Frozen):
    """A waiver that is signed by an approver of the policy. `id` is the SHA-256 of its envelope, `subject` that of what
    it is about."""

    id: str
    subject: str
    approver: str
    claim: Claim

    def wrong(self, approval: Approval, at: float) -> str:
        """Why it does not count at a moment; empty where it does."""
        claim, name = self.claim, approval.approvers[self.approver]
        if letters(claim.requester) == letters(name):
            return f"{name} asked for it and approved it; allowed: two persons"
        if not claim.issued < claim.expires <= claim.issued + approval.days * DAY:
            lasts = (claim.expires - claim.issued) / DAY
            return f"it lasts {lasts:,.1f} days; allowed: {approval.days:g}"
        if at < claim.issued:
            return f"it begins on {day(claim.issued)}"
        return f"it ended on {day(claim.expires)}" if at >= claim.expires else ""


def sign(finding: Finding, gate: str, subject: Subject, signer: Signer, **claim: Any) -> bytes:
    """A waiver of a finding, as its approver signs it. `claim` has reason, ticket, requester, issued and expires."""
    told = finding.model_dump(include={"rule", "place", "message", "fingerprint"}) | {"gate": gate}
    made = Claim.model_validate(told | {"key": signer.public.pem.decode()} | claim)
    return seal(KIND, {subject.name: subject.sha256}, made.model_dump(mode="json"), signer)


def read(envelope: bytes, approval: Approval) -> Waiver:
    """The waiver in an envelope. `KeyBroken` where its signer is no approver of the policy, `LogBroken` where it is no
    waiver, or its fingerprint is not that of what it says in words."""
    try:
        told = json.loads(base64.b64decode(json.loads(envelope)["payload"], validate=True))["predicate"]["key"]
        key = PublicKey(str(told).encode(), "the key of a waiver")
    except (ValueError, KeyError, TypeError, RecursionError) as why:
        raise LogBroken(f"not a waiver ({type(why).__name__})") from None
    if key.id not in approval.approvers:
        raise KeyBroken(f"a waiver signed by {key.id[:12]}, who is no approver of the policy")
    statement = unseal(envelope, key)
    try:
        ((subject,), claim) = statement["subject"], Claim.model_validate(statement["predicate"])
        sha, kind = str(subject["digest"]["sha256"]), statement["predicateType"]
    except (ValidationError, ValueError, KeyError, TypeError) as why:
        raise LogBroken(f"not a waiver ({type(why).__name__})") from None
    if kind != KIND or claim.fingerprint != digest([claim.gate, claim.rule, claim.place]):
        raise LogBroken("a waiver of something else than it says")
    return Waiver(id=hashlib.sha256(envelope).hexdigest(), subject=sha, approver=key.id, claim=claim)


def readable(envelopes: Iterable[str], approval: Approval) -> list[Waiver]:
    """Those that are signed by an approver; of the others none counts."""
    found = []
    for envelope in envelopes:
        try:
            found.append(read(envelope.encode(), approval))
        except (KeyBroken, LogBroken):
            continue
    return found


def follows(
    gate: Gate[Any],
    seen: Observation,
    verdict: Verdict,
    terms: Terms,
    approval: Approval | None,
    envelopes: Iterable[str],
) -> Effect:
    """What follows from a verdict. A fail proceeds only where each of its findings is waived, by a rule that can be and
    that the policy lets be, and what is left without them would have let the run go on as well."""
    plain = effect(verdict, terms)
    if approval is None or verdict.outcome is not Outcome.FAIL:
        return plain
    waivers = [each for each in readable(envelopes, approval) if each.subject == seen.subject.sha256]
    held = dict[tuple[str, str], str]()
    for finding in verdict.findings:
        said = (finding.fingerprint, finding.message)
        mine = [each for each in waivers if (each.claim.fingerprint, each.claim.message) == said]
        counts = sorted(each.id for each in mine if not each.wrong(approval, seen.taken))
        if not counts or finding.rule not in terms.waive or not gate.rules[finding.rule].waivable:
            return plain
        held[said] = counts[0]
    without = {fingerprint for fingerprint, _ in held}
    left = judge(gate, seen, terms.limits, terms.accepts, terms.enforce, without=without)
    if effect(left, terms).action != "proceed":
        return plain
    also = "" if left.outcome is Outcome.PASS else left.reason
    return Effect(action="proceed", because="waived", waivers=tuple(sorted({*held.values()})), also=also)
