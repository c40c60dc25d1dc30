"""What the gate over a registry's permissions can find wrong."""

from typing import Literal

from security.verdict import Rule

_LEAST = ("NIST 800-53 AC-6", "NIST SSDF PS.1.1", "OWASP CICD-SEC-2", "CIS Software Supply Chain 4.2")
_KEPT = ("NIST 800-53 SI-7", "NIST SSDF PS.3.1", "SLSA distributing provenance", "OWASP ML06:2023")
_DUTIES = ("NIST 800-53 AC-5", "NIST 800-53 CM-5", "OWASP CICD-SEC-1", "OWASP ML06:2023")
_TABLE: tuple[tuple[str, Literal["high", "critical"], str, str, tuple[str, ...]], ...] = (
    (
        "RA-PLACE",
        "critical",
        "another registry, model or key than the plan's was looked at",
        "look at the registry that the policy names, over TLS, with the plan's signer",
        _KEPT,
    ),
    (
        "RA-OVERWRITE",
        "critical",
        "the producer may put another model in the place of a version",
        "make the tags of versions immutable, or let the producer only create tags",
        _KEPT,
    ),
    (
        "RA-APPROVED",
        "critical",
        "the producer may approve its own model",
        "let the verifier and approvers alone write the tag `approved`",
        _DUTIES,
    ),
    (
        "RA-PRODUCTION",
        "critical",
        "the producer may say what goes into production",
        "let the verifier alone write the tag `production`",
        _DUTIES,
    ),
    (
        "RA-DELETE",
        "critical",
        "the producer may take away what was entered",
        "give the producer no right to delete tags, manifests or blobs",
        _LEAST,
    ),
    (
        "RA-KEPT",
        "critical",
        "what was refused has changed all the same",
        "find out who else writes there, and whether the registry does what it answers",
        _KEPT,
    ),
)
RULES = {
    id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=controls)
    for id, severity, title, remedy, controls in _TABLE
}
