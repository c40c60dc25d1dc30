"""The gate over a model's signature."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from security.gate import Gate, Violation
from security.gates.model.decoys import VIOLATIONS
from security.gates.model.facts import Card, Entry, Facts, Limits, found
from security.gates.model.signature import CARD, SIGNATURE, differences
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

_TAMPERED = ("NIST 800-53 SI-7", "NIST 800-53 CM-14", "NIST SSDF PS.2.1", "OWASP ML06:2023")
_ROLLBACK = ("NIST SSDF PS.3.1", "OWASP ML06:2023")
_TRAIN = "train again, or take the model from the registry again; then sign by the producer's key"


class ModelSignature(Gate[Entry]):
    """The model is signed by the producer, file for file, and is the one that is wanted."""

    name: ClassVar[str] = "model_signature"
    kind: ClassVar[str] = "model"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=controls)
        for id, severity, title, remedy, controls in (
            ("SIG-NONE", "critical", "a model without a signature that can be read", _TRAIN, _TAMPERED),
            ("SIG-KEY", "critical", "a model signed by another key", _TRAIN, _TAMPERED),
            ("SIG-ALTERED", "critical", "a file that differs from what was signed", _TRAIN, _TAMPERED),
            ("SIG-EXTRA", "critical", "a file that was not signed", "remove it, or sign it", _TAMPERED),
            ("SIG-MISSING", "critical", "a signed file that is not there", _TRAIN, _TAMPERED),
            ("SIG-CARD", "high", "a signed model that does not say what it is", f"write {CARD}, then sign", _ROLLBACK),
            ("SIG-EXPIRED", "high", "a model past its expiry", "train again", _ROLLBACK),
            ("SIG-NAME", "high", "another model than the one wanted", "deploy the model that is named", _ROLLBACK),
            ("SIG-VERSION", "high", "a step back to an older model", "deploy a newer version", _ROLLBACK),
        )
    }
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS

    def look(self, material: Handed[Entry]) -> Facts:
        """What was signed, what is there, by whom, and the card."""
        return found(material)

    def judge(self, facts: Facts, limits: Limits) -> Iterable[Breach]:
        """Breaches; what is not signed is not believed, so a broken signature hides what would follow from it."""
        if facts.problem:
            yield Breach(rule="SIG-NONE", place=SIGNATURE, message=f"{facts.problem}; allowed: a model signature v1.0")
            return
        if facts.signed_by != limits.signer:
            found = facts.signed_by[:12] or "another key than the one given"
            message = f"signed by {found}; allowed: {limits.signer[:12]}"
            yield Breach(rule="SIG-KEY", place=SIGNATURE, message=message)
        if not facts.signed_by:
            return
        for rule, name, sentence in differences(facts.files, facts.listed):
            yield Breach(rule=rule, place=name, message=sentence)
        if facts.files.get(CARD) != facts.listed.get(CARD):
            return
        if facts.card is None:
            message = f"found none with {', '.join(Card.model_fields)}; allowed: all of them"
            yield Breach(rule="SIG-CARD", place=CARD, message=message)
            return
        card = facts.card
        if card.expires < facts.at:
            message = f"expired {facts.at - card.expires:,.0f} s before it was looked at; allowed: 0 s"
            yield Breach(rule="SIG-EXPIRED", place=f"{CARD}:expires", message=message)
        if card.name != limits.name:
            yield Breach(rule="SIG-NAME", place=f"{CARD}:name", message=f"found {card.name}; allowed: {limits.name}")
        if card.version < limits.floor:
            message = f"found version {card.version}; allowed: {limits.floor} or newer"
            yield Breach(rule="SIG-VERSION", place=f"{CARD}:version", message=message)

    def brief(self, facts: Facts) -> str:
        """Name, version, signer."""
        return f"{facts.card.name} v{facts.card.version}, signed by {facts.signed_by[:8]}" if facts.card else ""
