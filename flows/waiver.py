"""`sluice waiver`: the findings of a run and whether they can be waived; to approve one; and which waivers there are.

Nothing is decided here: a waiver counts, or does not, where the verdict of a later run is made, and `list` only says
beforehand what that will come to under a policy.
"""

import argparse
import json
import time
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from configs import load
from flows.screen import plain
from security import waiver
from security.errors import KeyBroken, LogBroken, PlanError
from security.keys import UnsafeLocalKeys
from security.log import kind_of, read
from security.registry import GATES
from security.verdict import Finding, Observation, Subject, Verdict
from security.words import day
from tasks import envelopes, signer
from tasks.home import Home

SHOWN = 12
"""Digits of a fingerprint or a digest that are shown, and are enough to name one."""
FINDINGS = ("fingerprint", "gate", "rule", "place", "message", "waivable")
WAIVERS = ("waiver", "rule", "place", "subject", "requester", "approver", "ticket", "expires", "wrong")
Lines = list[dict[str, Any]]


def _told(home: Home, run: str) -> list[tuple[str, Subject, Finding]]:
    """Gate, subject and finding of everything that a run was refused for, from its log."""
    path = home.evidence(run) / "log.jsonl"
    if "/" in run or not path.is_file():
        raise PlanError(f"no run {run!r} in this home")
    statements, _ = read(path, signer.keys(home).public("producer"))
    found = []
    for each in statements:
        if kind_of(each) == "verdict":
            verdict = Verdict.model_validate(each["predicate"]["verdict"])
            seen = Observation.model_validate(each["predicate"]["observation"])
            found += [(verdict.gate, seen.subject, finding) for finding in verdict.findings]
    return found


def findings(home: Home, run: str) -> Lines:
    """What a run was refused for."""
    return [
        {
            "fingerprint": each.fingerprint,
            "gate": gate,
            "rule": each.rule,
            "place": each.place,
            "message": each.message,
            "subject": subject.sha256,
            "waivable": GATES[gate].rules[each.rule].waivable,
        }
        for gate, subject, each in _told(home, run)
    ]


def approve(home: Home, run: str, fingerprint: str, *, days: float, **claim: str) -> dict[str, Any]:
    """Sign a waiver of a finding, with the approver's key of this home. `claim`: reason, ticket and requester."""
    mine = [each for each in _told(home, run) if each[2].fingerprint.startswith(fingerprint)]
    if len(fingerprint) < SHOWN or len({(each[1].sha256, each[2].fingerprint, each[2].message) for each in mine}) != 1:
        raise PlanError(f"run {run}: {len(mine)} findings begin with {fingerprint!r}; allowed: {SHOWN} digits of one")
    gate, subject, finding = mine[0]
    if not GATES[gate].rules[finding.rule].waivable:
        raise PlanError(f"{gate}: {finding.rule} cannot be waived; {finding.remedy}")
    if not 0 < days <= 366:
        raise PlanError(f"--days {days:g}: allowed: more than 0, and 366 at the most")
    now = round(time.time(), 3)
    person = UnsafeLocalKeys(home.root / "keys").signer("approver")
    try:
        envelope = waiver.sign(finding, gate, subject, person, issued=now, expires=now + days * waiver.DAY, **claim)
    except ValidationError as why:
        first = why.errors()[0]
        raise PlanError(f"a waiver: {first['loc'][0]}: {first['msg']}") from None
    return {
        "waiver": envelopes.keep(home, "waivers", envelope),
        "approver": person.public.id,
        "finding": _sentence(finding),
    }


def _sentence(finding: Finding) -> str:
    return f"{finding.rule} {finding.place}: {finding.message}"


def listed(home: Home, policy: str) -> Lines:
    """Every waiver that there is, and why it does not count under a policy now; empty where it does."""
    terms, lines = load.policy(load.text(load.find(policy, "policies")), policy), Lines()
    for text in envelopes.there(home, "waivers"):
        told: dict[str, Any] = {}
        try:
            if terms.waivers is None:
                raise PlanError(f"policy {terms.name} names nobody who may waive anything")
            held = waiver.read(text.encode(), terms.waivers)
            told = {"waiver": held.id, "subject": held.subject, **held.claim.model_dump(exclude={"key"})}
            told["approver"] = terms.waivers.approvers[held.approver]
            told["wrong"] = held.wrong(terms.waivers, time.time()) or _barred(terms, held.claim.gate, held.claim.rule)
        except (KeyBroken, LogBroken, PlanError) as why:
            told |= {"wrong": str(why)}
        lines.append(told)
    return lines


def _barred(terms: load.Policy, gate: str, rule: str) -> str:
    given = terms.gates.get(gate)
    return "" if given and rule in given.waive else f"policy {terms.name} lets no finding of {rule} be waived"


def command(given: argparse.Namespace) -> int:
    """One of the three."""
    home = Home.here()
    if given.what == "findings":
        return show(findings(home, given.run), FINDINGS, as_json=given.json)
    if given.what == "list":
        return show(listed(home, given.policy), WAIVERS, as_json=given.json)
    claim = {"reason": given.reason, "ticket": given.ticket, "requester": given.requester}
    told = approve(home, given.run, given.fingerprint, days=given.days, **claim)
    print(f"waiver {told['waiver'][:SHOWN]} of {plain(told['finding'])}\nsigned by {told['approver']}")
    print(
        "it counts where a policy lists that key under `waivers`, and the rule under `waive`: see `sluice waiver list`"
    )
    return 0


def show(lines: Lines, columns: tuple[str, ...], *, as_json: bool) -> int:
    """Print them."""
    if as_json:
        print(json.dumps(lines, indent=1, sort_keys=True))
        return 0
    table = Table(box=None)
    for column in columns:
        table.add_column(column, overflow="fold")
    for each in lines:
        table.add_row(*(_cell(column, each.get(column, "")) for column in columns))
    Console().print(table if lines else "none")
    return 0


def _cell(column: str, value: Any) -> str:
    if column in ("fingerprint", "subject", "waiver"):
        return str(value)[:SHOWN]
    if column == "expires" and value:
        return day(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(str(value)) or ("counts" if column == "wrong" else "")
