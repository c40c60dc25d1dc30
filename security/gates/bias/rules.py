"""Everything that can be wrong with how items are shown."""

from typing import Literal

from security.verdict import Rule

FAIR = ("NIST AI RMF MEASURE 2.11", "NIST AI RMF MAP 2.3", "ISO/IEC 42001:2023 A.5.4", "EU AI Act Art. 10(2)(f)")
VALID = ("NIST AI RMF MEASURE 2.3", "NIST AI RMF MEASURE 2.5")


def _rule(
    rule: str, severity: Literal["medium", "high"], title: str, remedy: str, controls: tuple[str, ...] = FAIR
) -> Rule:
    return Rule(id=rule, title=title, severity=severity, remedy=remedy, controls=controls)


RULES = {
    rule.id: rule
    for rule in (
        _rule(
            "BIAS-LIFT",
            "high",
            "Lists much more popular than what the same users chose themselves",
            "Weigh popular items less in training, or rank lists again with popularity held to the user's own.",
        ),
        _rule(
            "BIAS-TAIL",
            "high",
            "Hardly any exposure for the least popular items",
            "Sample rare items more in training, or keep places of a list for them.",
        ),
        _rule(
            "BIAS-GINI",
            "medium",
            "Nearly all exposure for a few items",
            "Look at which items are always shown; rank lists again so that exposure is spread.",
        ),
        _rule(
            "BIAS-CALIBRATION",
            "medium",
            "Lists of another mix than their users' own tastes",
            "Rank lists again so that each keeps the mix of its user's history.",
        ),
        _rule(
            "BIAS-CATALOGUE",
            "medium",
            "A group of items shown much less than its share of the catalogue",
            "Find out why: too few interactions, new items, a feature that stands for the group. Train again.",
        ),
        _rule(
            "BIAS-RELEVANCE",
            "high",
            "A group of items shown much less than users want it",
            "Train with the group's interactions weighted up, or rank lists again by relevance within groups.",
        ),
        _rule(
            "BIAS-USERS",
            "high",
            "Users that are doubled, or without held-out items",
            "Evaluate every user once.",
            VALID,
        ),
        _rule(
            "BIAS-LIST",
            "high",
            "A list that is not of k items of the catalogue",
            "Rank the whole catalogue, each item once.",
            VALID,
        ),
    )
}
