"""`sluice approval`: to approve that a model may go to a target, and which approvals there are.

Nothing is decided here: an approval counts, or does not, where the gate looks, and `list` only says beforehand what
that will come to under a policy.
"""

import argparse
import time
from typing import Any

from pydantic import ValidationError

from configs import load
from flows.waiver import SHOWN, Lines, show
from security.errors import LogBroken, PlanError
from security.gates import approval
from security.gates.approval.facts import Facts
from security.keys import UnsafeLocalKeys
from security.words import day
from tasks import chains, envelopes, models
from tasks.home import Home

DAY = 86_400.0
COLUMNS = ("approval", "model", "name", "target", "approver", "requester", "until", "wrong")


def give(home: Home, spelled: str, policy: str, *, days: float, **claim: str) -> dict[str, Any]:
    """Sign an approval of a version of the registry with the approver's key of this home. `claim`: target, reason,
    requester and approver."""
    judged = load.policy(load.text(load.find(policy, "policies")), policy)
    keys = UnsafeLocalKeys(home.root / "keys")
    trusted = models.own(keys, judged)
    name, version = models.which(home, spelled, trusted)
    row = chains.standing(home, name, trusted).row(version)
    if row.wrong:
        raise PlanError(f"{name}:{version} {row.wrong}; allowed: a version that stands")
    if claim["target"] not in load.TARGETS:
        raise PlanError(f"--target {claim['target']!r}; allowed: {', '.join(load.TARGETS)}")
    if not 0 < days <= 366:
        raise PlanError(f"--days {days:g}: allowed: more than 0, and 366 at the most")
    now, signer = round(time.time(), 3), keys.signer("approver")
    told = {"name": name, "issued": now, "expires": now + days * DAY, **claim}
    try:
        envelope = approval.sign(row.claim.release, signer, **told)
    except ValidationError as why:
        first = why.errors()[0]
        raise PlanError(f"an approval: {first['loc'][0]}: {first['msg']}") from None
    id, release = envelopes.keep(home, "approvals", envelope), row.claim.release
    return {"approval": id, "approver": signer.public.id, "model": f"{name}:{version}", "release": release}


def listed(home: Home, policy: str) -> Lines:
    """Every approval that there is, and why it does not count under a policy now; empty where it does."""
    terms, lines = load.policy(load.text(load.find(policy, "policies")), policy), Lines()
    given = dict(terms.gates[approval.Approval.name].limits) if approval.Approval.name in terms.gates else {}
    gate = approval.Approval()
    for text in envelopes.there(home, "approvals"):
        try:
            told = approval.read(text.encode())
        except LogBroken as why:
            lines.append({"wrong": str(why)})
            continue
        limits = approval.Limits.model_validate(
            {**given, "persons": 1, "name": told.claim.name, "target": terms.target}
        )
        facts = Facts(model=told.model, at=time.time(), revoked=(), envelopes=(text,), others=0)
        wrong = [each.message for each in gate.judge(facts, limits) if each.rule != "APR-01"]
        claim = told.claim.model_dump(include={"name", "target", "approver", "requester", "reason"})
        until = day(told.claim.expires)
        id = approval.name(text.encode())
        lines.append({"approval": id, "model": told.model[:SHOWN], "until": until, "wrong": "; ".join(wrong), **claim})
    return lines


def command(given: argparse.Namespace) -> int:
    """One of the two."""
    home = Home.here()
    if given.what == "list":
        return show(listed(home, given.policy), COLUMNS, as_json=given.json)
    claim = {each: str(getattr(given, each)) for each in ("target", "reason", "requester", "approver")}
    told = give(home, given.model, given.policy, days=given.days, **claim)
    print(f"approval {told['approval'][:SHOWN]} of {told['model']}, {told['release'][:SHOWN]}, for {given.target}")
    print(f"signed by {told['approver']}; it counts where the policy lists that key: approval.limits.approvers")
    return 0
