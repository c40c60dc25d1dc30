"""The one function that believes or refuses a log, for a stage that wants to publish, and for an auditor years later.

It believes no recorded verdict and takes nothing that it relies on from the evidence. In order:

 (1) every line is an envelope in one spelling, signed by the key that the caller gave;
 (2) each names the digest of the line before, and the last is the head where the caller knows it;
 (3) the first is the plan, the only one; policy, document, code and signer are those that the caller's policy names;
 (4) its tasks and gates are those of the caller's matrix, and its terms are made again from the caller's policy;
 (5) what each task took in was made or published before it, in this log or in a predecessor's that verifies, and is
     about the same document, partition and window;
 (6) every verdict is made again from its observation and is the same; none is there twice for one subject;
 (7) every one holds, not only the last, and every gate of every task has one for each of the task's outputs;
 (8) what was published is what the last task of its stage made, after all of the stage's verdicts, once;
 (9) a model is measured as a plan says that is older than its training: by this one, or by a predecessor's that is
     the same in thresholds, split, code and data; and the index of runs was told before that it is about to be;
(10) a finished run ends with a closing statement that counts the others, says that it passed, and everything that the
     plan has was published.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.load import CONTRACT, SHORT, TARGETS, ConfigError, sha256
from security.errors import KeyBroken, LogBroken, PlanError, Refused
from security.keys import ISOLATED, unseal
from security.log import kind_of, read
from security.policy import Plan, terms
from security.proof import Held, Judged, Proof, Trust
from security.verdict import Outcome
from security.walk import LINKS, ORDER, linked

__all__ = ["ORDER", "SIGNED", "UNSIGNED", "Held", "Proof", "Trust", "inherited", "observed", "pending", "verify"]

UNREADABLE = (KeyError, TypeError, IndexError, ValueError, KeyBroken, ConfigError)
"""What a statement of another form ends in."""
UNSIGNED = "UnsafeUnsignedPolicy"
SIGNED = "urn:sluice:policy/v1"


def _plan(statements: list[dict[str, Any]], trust: Trust) -> Plan:
    kinds = [kind_of(statement) for statement in statements]
    if kinds[:1] != ["plan"] or "plan" in kinds[1:]:
        raise LogBroken("the log does not begin with its one plan")
    try:
        plan = Plan.model_validate(statements[0]["predicate"]["plan"])
    except (ValidationError, KeyError):
        raise LogBroken("the plan cannot be read") from None
    policy = trust.policy
    if plan.policy_sha256 != trust.policy_sha256 or sha256(plan.policy) != trust.policy_sha256:
        raise LogBroken(f"the plan was made under another policy than the {policy.name} given")
    if plan.target != policy.target:
        raise LogBroken(f"the plan is for target {plan.target}, the policy for {policy.target}")
    name = str(plan.document.get("pipeline_name"))
    if sha256(plan.document) != plan.document_sha256 or policy.documents.get(name) != plan.document_sha256:
        raise LogBroken(f"the policy does not pin the document {name} with digest {plan.document_sha256}")
    named = str(plan.document["stages"][0].get("contract", CONTRACT))
    if policy.contracts.get(named) != sha256(plan.contract):
        raise LogBroken(f"the policy does not pin the contract {named} as the plan has it")
    if plan.signer != trust.key.id:
        raise LogBroken("the plan names another producer than the key given")
    if policy.code != "UnsafeAnyCode" and plan.code not in policy.code:
        raise LogBroken(f"the policy does not accept the code with digest {plan.code}")
    if policy.keys == "isolated" and plan.isolation != ISOLATED:
        raise LogBroken(f"the policy wants isolated keys; this run had key_isolation: {plan.isolation}")
    furthest = plan.document["stages"][-1]["target_environment"]
    if TARGETS.index(plan.target) > TARGETS.index(furthest):
        raise LogBroken(f"the plan is for target {plan.target}; its document goes no further than {furthest}")
    if "evaluate" in plan.matrix and not (plan.evaluation.get("split") and plan.evaluation.get("code")):
        raise LogBroken("the plan does not say what the model is measured by")
    if plan.signed == UNSIGNED:
        if policy.unsigned != UNSIGNED or policy.target != "local" or trust.owner:
            raise LogBroken("the policy of this run was not signed by its owner")
    elif trust.owner:
        claim = unseal(plan.signed.encode(), trust.owner)
        wanted = {"name": policy.name, "digest": {"sha256": trust.policy_sha256}}
        if claim["predicateType"] != SIGNED or claim["subject"] != [wanted]:
            raise LogBroken("the owner signed another policy")
    elif policy.unsigned != UNSIGNED:
        raise LogBroken("the policy wants its owner's signature, and no owner's key was given")
    return plan


def _terms(plan: Plan, trust: Trust) -> None:
    for stage, tasks in plan.matrix.items():
        if trust.matrix.get(stage) != tasks:
            raise LogBroken(f"{stage}: the plan's tasks and gates are not those of the matrix given")
    for each in plan.document["stages"]:
        stage = SHORT[each["name"]]
        carried = {gate for sides in plan.matrix.get(stage, {}).values() for gate in sides["before"] + sides["after"]}
        if stage in plan.matrix and (short := sorted(set(each["security_checks"]) - carried)):
            raise LogBroken(f"{stage}: the document asks for {', '.join(short)}, which no task carries")
    every = {g for tasks in trust.matrix.values() for sides in tasks.values() for g in sides["before"] + sides["after"]}
    if lost := sorted(set(trust.policy.gates) - every):
        raise LogBroken(f"the policy asks for {', '.join(lost)}, which no task carries")
    try:
        again = terms(trust.policy, plan.model_dump(mode="json"), plan.matrix, trust.gates)
    except PlanError as why:
        raise LogBroken(str(why)) from None
    if again != plan.terms:
        raise LogBroken("the plan's rules are not those of the policy given")


def verify(
    path: Path,
    trust: Trust,
    *,
    stages: set[str] | None = None,
    head: str | None = None,
    told: list[Held] | None = None,
) -> Proof:
    """What the log proves. Raises `Refused` where a verdict stops the run, `LogBroken` at anything else that fails.

    `stages`: those that must be settled; None means the whole, closed run. `head`: where the caller knows it. `told`
    is filled with the verdicts that stand, also those before a failure.
    """
    try:
        statements, last = read(path, trust.key)
        if head is not None and last != head:
            raise LogBroken("the end of the log is missing")
        walk = _begun(path, statements, last, trust, told)
        proof, outcome = walk.proof, _walked(walk, statements)
        if stages is None and not proof.closed:
            raise LogBroken("the log is not closed: its end may be missing")
        wanted = set(proof.plan.matrix) if stages is None else stages
        if not wanted or not wanted <= set(proof.plan.matrix):
            raise LogBroken(f"the plan has no stage {', '.join(sorted(wanted - set(proof.plan.matrix))) or 'at all'}")
        for stage in sorted(wanted):
            walk.settle(stage)
        if stages is None and (unpublished := sorted(set(proof.plan.matrix) - set(proof.published))):
            raise LogBroken(f"{', '.join(unpublished)} published nothing")
        if stages is None and outcome != "passed":
            raise LogBroken(f"the run closed as {outcome!r}, not as passed")
    except UNREADABLE as why:
        raise LogBroken(f"a statement that cannot be read ({type(why).__name__})") from None
    return proof


def pending(path: Path, trust: Trust, gate: str) -> Proof:
    """What the log of a run proves that waits for what a gate looks for, or that this gate, and no other, refused: it
    has come to the task of that gate, and no further. The proof is not `closed`. Raises as `verify` does."""
    try:
        statements, last = read(path, trust.key)
        walk = _begun(path, statements, last, trust, None)
        proof, outcome = walk.proof, _walked(walk, statements, gate)
        matrix = proof.plan.matrix
        at = [(stage, task) for stage in matrix for task in matrix[stage] if gate in matrix[stage][task]["before"]]
        if len(at) != 1:
            raise LogBroken(f"{gate} is before {len(at)} tasks of the plan; allowed: one")
        ((stage, task),) = at
        if lost := set(ORDER[: ORDER.index(stage)]) - set(proof.available):
            raise LogBroken(f"{stage}: depends on {', '.join(sorted(lost))}, which published nothing")
        if proof.closed and (outcome == "passed" or not walk.stopped):
            raise LogBroken(f"the run closed as {outcome!r}, and not for want of what {gate} looks for")
        tasks = list(trust.matrix[stage])  # in their order, which a plan does not keep
        if late := [each for each in tasks[tasks.index(task) :] if walk.outputs.get((stage, each))]:
            raise LogBroken(f"{stage}/{late[0]}: has worked, and waits for nothing")
        for each in tasks[: tasks.index(task)]:
            walk.settled(stage, each)
    except UNREADABLE as why:
        raise LogBroken(f"a statement that cannot be read ({type(why).__name__})") from None
    proof.closed = False
    return proof


def _begun(path: Path, statements: list[dict[str, Any]], last: str, trust: Trust, told: list[Held] | None) -> Judged:
    """A walk that has gone over the plan, and over the logs before this one."""
    proof = Proof(_plan(statements, trust), last, held=[] if told is None else told)
    _terms(proof.plan, trust)
    proof.available = inherited(path, proof.plan, trust)
    return Judged(proof, trust)


def _walked(walk: Judged, statements: list[dict[str, Any]], until: str = "") -> str:
    """Go over all that follows the plan: what the run closed as, empty where it did not. A stop by the gate `until`
    ends it."""
    steps = {"output": walk.output, "verdict": walk.verdict, "published": walk.publish, "looked": walk.look}
    outcome = ""
    for number, statement in enumerate(statements[1:], 1):
        kind, content = kind_of(statement), statement["predicate"]
        if kind == "closed":
            if number != len(statements) - 1 or content["count"] != number:
                raise LogBroken("the closing count is not that of the log")
            walk.proof.closed, outcome = True, content["outcome"]
        elif walk.stopped:
            raise LogBroken("the run went on after it was stopped")
        else:
            try:
                steps[kind](content)
            except Refused:
                if not until or content["gate"] != until:
                    raise
                walk.stopped = True
    return outcome


def inherited(path: Path, plan: Plan, trust: Trust) -> dict[str, Any]:
    """Stage -> what the predecessor makes available to this run's stages; its log lies beside this one and verifies."""
    first = min((ORDER.index(stage) for stage in plan.matrix if stage in ORDER), default=0)
    if sorted(ORDER.index(stage) for stage in plan.matrix if stage in ORDER) != list(
        range(first, first + len(set(plan.matrix) & set(ORDER)))
    ):
        raise LogBroken("the plan's stages are not in a row")
    given: dict[str, Any] = {}
    if plan.predecessor:
        before = verify(path.parent / "predecessor" / "log.jsonl", trust)
        mine, theirs = ({name: getattr(each, name) for name in LINKS} for each in (plan, before.plan))
        linked(mine, theirs, before.head, ORDER[first])
        given = before.available
    if lost := [stage for stage in ORDER[:first] if stage not in given]:
        raise LogBroken(f"{ORDER[first]}: depends on {', '.join(lost)}, of which there is no log")
    return {stage: ref for stage, ref in given.items() if stage in ORDER[:first]}


def observed(proof: Proof) -> list[str]:
    """Verdicts that did not pass and that the policy let proceed, as sentences."""
    return [f"[{h.verdict.gate}] {h.verdict.reason}" for h in proof.held if h.verdict.outcome is not Outcome.PASS]
