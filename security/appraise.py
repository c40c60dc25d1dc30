"""A run held to another policy than its own: everything that would stop it there, each reason by name.

Nothing is looked at again. What gates saw is in the log, signed; it is judged anew under the other policy's terms, as
that policy would have sealed them for the same run. What that policy wants of any run (its target, keys, code,
documents and contracts) is asked of the plan.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.load import CONTRACT, TARGETS, ConfigError, sha256
from configs.load import policy as read_policy
from security.errors import LogBroken, PlanError
from security.gate import judge
from security.keys import ISOLATED
from security.log import read
from security.policy import Plan, terms
from security.proof import Held, Proof
from security.verify import UNSIGNED, Trust, verify
from security.waiver import follows


def own(path: Path, trust: Trust) -> Trust:
    """What a log is verified with to be believed at all: the same keys, and the policy that its run was under."""
    statements, _ = read(path, trust.key)
    try:
        told = Plan.model_validate(statements[0]["predicate"]["plan"])
        judged = read_policy(told.policy)
    except (ValidationError, ConfigError, KeyError, IndexError, TypeError):
        raise LogBroken("the plan cannot be read") from None
    owner = trust.owner if judged.unsigned != UNSIGNED else None
    return replace(trust, policy=judged, policy_sha256=told.policy_sha256, owner=owner)


def elsewhere(path: Path, trust: Trust) -> str:
    """The name of the policy that a run was under, where it is another than that of `trust`; else nothing."""
    told = own(path, trust)
    return told.policy.name if told.policy_sha256 != trust.policy_sha256 else ""


def reasons(path: Path, trust: Trust) -> list[str]:
    """Every reason for which a run that passed would not under the policy of `trust`, what it goes on from included;
    none where all of it would. `LogBroken`, `Refused` where its log does not hold under its own policy."""
    proof = verify(path, own(path, trust))
    found = [*_asked(proof.plan, trust), *_judged(proof, trust)]
    if proof.plan.predecessor:
        found += reasons(path.parent / "predecessor" / "log.jsonl", trust)
    return list(dict.fromkeys(found))


def _asked(plan: Plan, trust: Trust) -> list[str]:
    """What the policy wants of the plan, and is otherwise."""
    policy, found = trust.policy, list[str]()
    name, contract = str(plan.document.get("pipeline_name")), str(plan.document["stages"][0].get("contract", CONTRACT))
    if plan.target != policy.target:
        found.append(f"target: it was for {plan.target}; allowed: {policy.target}")
    furthest = plan.document["stages"][-1]["target_environment"]
    if TARGETS.index(policy.target) > TARGETS.index(furthest):
        found.append(f"document: it goes no further than {furthest}; allowed: one that goes to {policy.target}")
    if policy.unsigned != UNSIGNED and plan.signed == UNSIGNED:
        found.append("policy: its own was not signed by its owner; allowed: a signed one")
    if policy.documents.get(name) != plan.document_sha256:
        found.append(f"document: {name} {plan.document_sha256[:12]} is not pinned; allowed: the one that is")
    if policy.contracts.get(contract) != sha256(plan.contract):
        found.append(f"contract: {contract} {sha256(plan.contract)[:12]} is not pinned; allowed: the one that is")
    if policy.code != "UnsafeAnyCode" and plan.code not in policy.code:
        allowed = ", ".join(each[:12] for each in policy.code) or "none"
        found.append(f"code: it was {plan.code[:12]}; allowed: {allowed}")
    if policy.keys == "isolated" and plan.isolation != ISOLATED:
        found.append(f"keys: key_isolation was {plan.isolation}; allowed: {ISOLATED}")
    return found


def _judged(proof: Proof, trust: Trust) -> list[str]:
    """What gates saw, judged under the terms that the policy would have sealed."""
    sealed: dict[str, Any] = proof.plan.model_dump(mode="json") | {"target": trust.policy.target}
    try:
        there = terms(trust.policy, sealed, proof.plan.matrix, trust.gates)
    except PlanError as why:
        return [f"terms: {why}"]
    return [
        f"{each.stage}/{each.task} [{each.verdict.gate}] {told}"
        for each in proof.held
        if (told := _one(each, there[each.stage][each.task][each.verdict.gate], proof.plan, trust)) is not None
    ]


def _one(held: Held, given: Any, plan: Plan, trust: Trust) -> str | None:
    """Why an observation stops under other terms; None where it does not."""
    gate = trust.gates[held.verdict.gate]
    verdict = judge(gate, held.seen, given.limits, given.accepts, given.enforce)
    if follows(gate, held.seen, verdict, given, trust.policy.waivers, plan.waivers).action == "proceed":
        return None
    sentences = [f"{each.rule} {each.place}: {each.message}" for each in verdict.findings]
    return f"{verdict.outcome}: {'; '.join(sentences) or verdict.reason}"
