"""Everything that can be found of coordinated accounts. Each can be a campaign that somebody knows of: persons whom the
policy names may let it go."""

from typing import Literal

from security.verdict import Rule

CONTROLS = ("OWASP-ML02:2023", "OWASP-AISVS:v1.0-C1.3.1", "MITRE ATLAS AML.T0020")


def _rule(rule: str, severity: Literal["medium", "high"], title: str, remedy: str) -> Rule:
    return Rule(id=rule, title=title, severity=severity, remedy=remedy, controls=CONTROLS, waivable=True)


RULES = {
    rule.id: rule
    for rule in (
        _rule(
            "POI-BURST",
            "high",
            "Many accounts that came within a few days took one item at once",
            "Find out who they are: a campaign brings such accounts too. Take out those that are made up.",
        ),
        _rule(
            "POI-BRIEF",
            "high",
            "One item was taken by accounts that were there for it and for hardly longer",
            "Find out who they are, and whether the item draws passers-by. Take out those that are made up.",
        ),
        _rule(
            "POI-COPIES",
            "high",
            "Several accounts have the very same items",
            "Find out whether they are one person's, or a test's, and take all but one out of the source.",
        ),
    )
}
