"""A verdict as SARIF 2.1.0 (OASIS): what scanners' viewers and code hosts read.

Findings are results. A gate that could not tell is not one without results: its run says that it did not succeed, and
why. Advice is a result to be reviewed, without a level. Outcome and digests stand under `properties`.
"""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from security.gate import Gate
from security.verdict import Finding, Outcome, Rule, Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"low": "note", "medium": "warning", "high": "error", "critical": "error"}
_SCORES = {"low": "3.0", "medium": "5.5", "high": "8.0", "critical": "9.5"}
"""What code hosts sort by; the middle of each level."""
_LINE = re.compile(r"(?:line|row) (\d{1,9})$")


def log(verdict: Verdict, gate: Gate[Any], subject: str, code: int, rests: Sequence[str] = ()) -> dict[str, Any]:
    """The log of one gate over one subject. `code` is what the process ends with; `rests` are rules not asked for."""
    order = sorted(gate.rules)
    results = [_result(each, subject, order) for each in verdict.findings]
    results += [_result(each, subject, order) | {"kind": "review", "level": "none"} for each in verdict.advice]
    told = verdict.outcome is not Outcome.INCONCLUSIVE
    invocation: dict[str, Any] = {"executionSuccessful": told, "exitCode": code}
    if not told:
        notification = {"level": "error", "descriptor": {"id": verdict.cause}, "message": {"text": verdict.reason}}
        invocation["toolExecutionNotifications"] = [notification]
    rules = [_rule(gate.rules[id], enabled=id not in rests) for id in order]
    driver = {"name": f"Sluice {gate.name}", "semanticVersion": version("sluice-ml"), "rules": rules}
    known = {"outcome": verdict.outcome.value, "reason": verdict.reason}
    known |= {"observation": verdict.observation, "rules": verdict.rules}
    run = {"tool": {"driver": driver}, "invocations": [invocation], "results": results, "properties": known}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule, *, enabled: bool) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "help": {"text": rule.remedy},
        "defaultConfiguration": {"level": _LEVELS[rule.severity], "enabled": enabled},
        "properties": {"security-severity": _SCORES[rule.severity], "tags": ["security", *rule.controls]},
    }


def _result(finding: Finding, subject: str, order: Sequence[str]) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": subject}}
    if at := _LINE.search(finding.place):
        physical["region"] = {"startLine": max(int(at[1]), 1)}
    location = {"physicalLocation": physical, "logicalLocations": [{"fullyQualifiedName": finding.place}]}
    return {
        "ruleId": finding.rule,
        "ruleIndex": order.index(finding.rule),
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.place}: {finding.message}"},
        "locations": [location],
        "partialFingerprints": {"sluice/v1": finding.fingerprint},
    }
