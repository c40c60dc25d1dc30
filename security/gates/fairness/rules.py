"""Everything that can be wrong with an evaluation by groups."""

from typing import Literal

from security.verdict import Rule

FAIR = ("NIST AI RMF MEASURE 2.11", "NIST AI RMF MAP 2.3", "ISO/IEC 42001:2023 A.5.4", "EU AI Act Art. 10(2)(f)")
PRIVATE = ("NIST AI RMF MEASURE 2.10", "NIST Privacy Framework CT.DP-P2")
VALID = ("NIST AI RMF MEASURE 2.3", "NIST AI RMF MEASURE 2.5")


def _rule(
    rule: str, severity: Literal["medium", "high"], title: str, remedy: str, controls: tuple[str, ...] = FAIR
) -> Rule:
    return Rule(id=rule, title=title, severity=severity, remedy=remedy, controls=controls)


RULES = {
    rule.id: rule
    for rule in (
        _rule(
            "FAIR-GROUP",
            "high",
            "A group that is served worse than the whole",
            "Find out why: too few of its users in training, other items, shorter histories. Train again.",
        ),
        _rule(
            "FAIR-CROSS",
            "high",
            "An intersection of two groups that is served worse than the whole",
            "Find out why: each of the two groups may be well served where both together are not. Train again.",
        ),
        _rule(
            "FAIR-INPUT",
            "high",
            "A group column among what the model is fed",
            "Take the column out of the features; it is for the evaluation alone.",
        ),
        _rule(
            "FAIR-PROXY",
            "medium",
            "Embeddings that tell the group of their users",
            "Find what in the interactions stands for the group; train with it balanced or taken out.",
        ),
        _rule(
            "FAIR-PRIVACY",
            "high",
            "Figures of groups that are smaller than the policy's k",
            "Look again with the policy's `k`; let nobody read these figures.",
            PRIVATE,
        ),
        _rule(
            "FAIR-USERS",
            "high",
            "Users that are doubled, or without held-out items",
            "Evaluate every user once.",
            VALID,
        ),
        _rule(
            "FAIR-LIST",
            "high",
            "A list that is not of k items of the catalogue",
            "Rank the whole catalogue, each item once.",
            VALID,
        ),
    )
}
