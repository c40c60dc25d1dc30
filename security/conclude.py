"""The only maker of outcomes.

In order: a finding outranks everything; then whatever kept the gate from telling; then a canary that got through; then
a basis lower than a rule accepts; then coverage; then what the judge said last that it cannot tell; pass is what is
left.
"""

from collections.abc import Mapping
from typing import Any

from security.verdict import Basis, Breach, Finding, Observation, Outcome, Rule, Trouble, Verdict, digest


def finding(gate: str, breach: Breach, rules: Mapping[str, Rule]) -> Finding:
    """The finding for a breach. A rule that the gate does not have is a `KeyError`: nobody can look it up."""
    rule = rules[breach.rule]
    return Finding(
        **breach.model_dump(),
        severity=rule.severity,
        remedy=rule.remedy,
        controls=rule.controls,
        fingerprint=digest([gate, breach.rule, breach.place]),
    )


def conclude(
    seen: Observation,
    limits: Mapping[str, Any],
    *,
    findings: tuple[Finding, ...],
    advice: tuple[Finding, ...] = (),
    trouble: Trouble | None,
    missed: str,
    weak: str,
    brief: str = "",
    left: Trouble | None = None,
) -> Verdict:
    """The only maker of outcomes.

    `missed` names a canary that got through, `weak` a rule that accepts no basis as low as this; empty means none.
    `advice` is passed on: a pass names its rules, and stays one.
    `left` is what the judge could not tell from facts that were all seen.
    """
    cover = seen.coverage
    outcome = Outcome.INCONCLUSIVE
    if findings:
        outcome, cause = Outcome.FAIL, "finding"
        reason = "; ".join(f"{f.rule} {f.place}: {f.message}" for f in findings[:3])
        if len(findings) > 3:
            reason += f"; and {len(findings) - 3} more"
    elif trouble:
        cause, reason = trouble.cause, trouble.message
    elif not seen.canaries or missed:
        cause, reason = "canary", f"the known-bad canary was not caught ({missed or 'none was sent'})"
    elif weak:
        cause, reason = "basis", f"known as {seen.basis}; {weak}"
    elif not cover.whole:
        cause, reason = "coverage", f"looked at {cover.inspected:,} of {cover.expected:,} {cover.unit}"
    elif left:
        cause, reason = left.cause, left.message
    else:
        outcome, cause, reason = Outcome.PASS, "", f"{cover.inspected:,}/{cover.expected:,} {cover.unit}"
        reason += f", {brief}" if brief else ""
        reason += "" if seen.basis is Basis.OBSERVED else f", {seen.basis} only"
        reason += f", advice: {', '.join(sorted({each.rule for each in advice}))}" if advice else ""
    return Verdict(
        gate=seen.gate,
        outcome=outcome,
        cause=cause,
        reason=reason,
        findings=findings,
        advice=advice,
        observation=digest(seen.model_dump(mode="json")),
        rules=digest(dict(limits)),
    )
