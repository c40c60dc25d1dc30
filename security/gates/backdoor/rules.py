"""Everything that can be wrong with how a model behaves."""

from security.verdict import Rule

CONTROLS = ("MITRE ATLAS AML.T0018", "OWASP ML10:2023", "NIST AI RMF MEASURE 2.7")
_AGAIN = "Find who could write weights between training and signing; train again from the approved rows."

RULES = {
    id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=CONTROLS)
    for id, severity, title, remedy in (
        ("BD-EXPOSURE", "high", "An item in more lists than the rows explain", _AGAIN),
        ("BD-JUMP", "high", "An item in more lists than the approved model has it in", _AGAIN),
        ("BD-TRIGGER", "critical", "A session that calls an item which the rows do not connect with it", _AGAIN),
        ("BD-UNIVERSAL", "critical", "An item that answers sessions with which it has nothing to do", _AGAIN),
        ("BD-BURIED", "high", "An item that is wanted and not shown", _AGAIN),
        (
            "BD-FIRST",
            "high",
            "No approved model to compare with",
            "Approve one, or let the policy say `first: establish`.",
        ),
    )
}
