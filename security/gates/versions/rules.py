"""What the gate over a model's version can find wrong."""

from typing import Literal

from security.verdict import Rule

_BOUND = ("NIST SSDF PS.3.2", "NIST 800-53 SR-4", "SLSA provenance", "OWASP ML06:2023")
_FORWARD = ("NIST SSDF PS.3.1", "NIST 800-53 CM-2", "OWASP ML06:2023")
_CHAIN = ("NIST SSDF PS.3.1", "NIST 800-53 SI-7", "NIST 800-53 AU-10", "OWASP ML06:2023")
_REVOKED = ("NIST SSDF RV.2.2", "NIST 800-53 SR-11", "OWASP ML02:2023", "OWASP ML06:2023")
_TRAIN, _ENTERED = "train again by this plan", "deploy the version as it was entered, or enter a new one"
_TABLE: tuple[tuple[str, Literal["high", "critical"], str, str, tuple[str, ...]], ...] = (
    ("VER-01", "critical", "a model without a card that says what it is bound to", _TRAIN, _BOUND),
    ("VER-02", "critical", "a model of another name than the plan's", "deploy the model that is named", _BOUND),
    ("VER-03", "critical", "a model of another run, code, lock or plan", _TRAIN, _BOUND),
    ("VER-04", "critical", "a model of other data than the features that were taken in", _TRAIN, _BOUND),
    ("VER-05", "high", "a version that does not go forward", "train again, or deploy a newer version", _FORWARD),
    ("VER-06", "critical", "a registry of which nothing can be believed", "find out who changed the chain", _CHAIN),
    ("VER-07", "critical", "a version that was entered and does not stand", "deploy one that stands", _FORWARD),
    ("VER-08", "critical", "a version that was entered with other files", _ENTERED, _CHAIN),
    ("VER-09", "critical", "a model that comes from what was revoked", "train from what replaces it", _REVOKED),
    ("VER-10", "high", "a model past its time, without one, or for too long", "train again", _FORWARD),
    ("VER-11", "high", "a model without a whole declared card", "write the card that is missing", _BOUND),
    ("VER-12", "critical", "a registry read by the keys of another producer", "bring the plan's signer", _CHAIN),
)
RULES = {
    id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=controls)
    for id, severity, title, remedy, controls in _TABLE
}
