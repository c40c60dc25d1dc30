"""The one function that believes or refuses a log, for a stage that wants to publish, and for an auditor years later.

It believes no recorded verdict and takes nothing that it relies on from the evidence. In order:

 (1) every line is an envelope in one spelling, signed by the key that the caller gave;
 (2) each names the digest of the line before, and the last is the head where the caller knows it;
 (3) the first is the plan, the only one; policy, document, code and signer are those that the caller's policy names;
 (4) its tasks and gates are those of the caller's matrix, and its terms are made again from the caller's policy;
 (5) what each task took in is the output of a task before it, or was published by a predecessor that verifies;
 (6) every verdict is made again from its observation and is the same; none is there twice for one subject;
 (7) every one holds, not only the last, and every gate of every task has one for each of the task's outputs;
 (8) what was published is the output of a task of a stage that holds, after all of its verdicts;
 (9) a finished run ends with a closing statement that counts the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.load import SHORT, Policy, sha256
from security.errors import KeyBroken, LogBroken, PlanError, Refused
from security.gate import Gate, Posture, judge
from security.keys import PublicKey, unseal
from security.log import kind_of, read
from security.policy import Matrix, Plan, effect, terms
from security.verdict import Effect, Observation, Outcome, Ref, Verdict

UNSIGNED = "UnsafeUnsignedPolicy"
ORDER = list(SHORT.values())


@dataclass(frozen=True)
class Trust:
    """What a verifier brings along, and never takes from the evidence."""

    key: PublicKey
    policy: Policy
    policy_sha256: str
    matrix: Matrix
    gates: Mapping[str, Gate[Any]]
    owner: PublicKey | None = None
    """With it, the policy must be signed; without, the policy is trusted because the caller brought it."""


@dataclass(frozen=True)
class Held:
    """One verdict that was made again and stands."""

    stage: str
    task: str
    verdict: Verdict
    effect: Effect
    seen: Observation


@dataclass
class Proof:
    """What a log proves."""

    plan: Plan
    head: str
    held: list[Held] = field(default_factory=list)
    published: dict[str, list[Ref]] = field(default_factory=dict)
    """Stage -> what it published."""
    available: dict[str, Ref] = field(default_factory=dict)
    """Kind -> the newest that this log or one of its predecessors published."""
    stages: list[str] = field(default_factory=list)
    """Every stage that this log and its predecessors cover."""
    closed: bool = False


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
    if plan.signer != trust.key.id:
        raise LogBroken("the plan names another producer than the key given")
    if policy.code != "UnsafeAnyCode" and plan.code not in policy.code:
        raise LogBroken(f"the policy does not accept the code with digest {plan.code}")
    if policy.keys == "isolated" and plan.isolation == "none":
        raise LogBroken("the policy wants isolated keys; this run had key_isolation: none")
    if plan.signed == UNSIGNED:
        if policy.unsigned != UNSIGNED or policy.target != "local" or trust.owner:
            raise LogBroken("the policy of this run was not signed by its owner")
    elif trust.owner:
        claim = unseal(plan.signed.encode(), trust.owner)
        if {"name": policy.name, "digest": {"sha256": trust.policy_sha256}} not in claim["subject"]:
            raise LogBroken("the owner signed another policy")
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
    try:
        again = terms(trust.policy, plan.model_dump(mode="json"), plan.matrix, trust.gates)
    except PlanError as why:
        raise LogBroken(str(why)) from None
    if again != plan.terms:
        raise LogBroken("the plan's rules are not those of the policy given")


class _Reader:
    """Walks the statements of a log in order, believing none of them."""

    def __init__(self, proof: Proof, trust: Trust) -> None:
        self.proof, self.trust, self.plan = proof, trust, proof.plan
        self.known = {ref.sha256 for ref in proof.available.values()}
        self.outputs: dict[tuple[str, str], list[tuple[Ref, list[str]]]] = {}
        self.subjects: set[tuple[str, str, str, str]] = set()
        self.published: list[tuple[str, Ref]] = []

    def output(self, content: Mapping[str, Any]) -> None:
        stage, task, ref = content["stage"], content["task"], Ref.model_validate(content["output"])
        if task not in self.plan.matrix.get(stage, {}):
            raise LogBroken(f"{stage}/{task}: the plan has no such task")
        inputs = [Ref.model_validate(each) for each in content["inputs"]]
        asked = [
            gate for gate in self.plan.matrix[stage][task]["before"] if isinstance(self.trust.gates.get(gate), Posture)
        ]
        for each in inputs:
            looked = any((stage, task, gate, each.sha256) in self.subjects for gate in asked)
            if each.sha256 not in self.known and not looked:
                raise LogBroken(f"{stage}/{task}: took in {each.kind} {each.sha256[:12]}, which nothing here made")
        self.known.add(ref.sha256)
        self.outputs.setdefault((stage, task), []).append((ref, [each.sha256 for each in inputs]))

    def verdict(self, content: Mapping[str, Any]) -> None:
        stage, task, name = content["stage"], content["task"], content["gate"]
        where = f"{stage}/{task}: {name}"
        given = self.plan.terms.get(stage, {}).get(task, {}).get(name)
        gate = self.trust.gates.get(name)
        if given is None or gate is None:
            raise LogBroken(f"{where}: not a gate of this plan")
        seen = Observation.model_validate(content["observation"])
        again = judge(gate, seen, given.limits, given.accepts)
        if again.model_dump(mode="json") != content["verdict"]:
            raise LogBroken(f"{where}: the observation gives {again.outcome}, not what was recorded")
        follows = effect(again, given)
        if follows.model_dump(mode="json") != content["effect"]:
            raise LogBroken(f"{where}: {again.outcome} leads to {follows.action}, not to what was recorded")
        subject = seen.subject.of or seen.subject.sha256
        if (stage, task, name, subject) in self.subjects:
            raise LogBroken(f"{where}: a second verdict on one subject")
        self.subjects.add((stage, task, name, subject))
        if follows.action != "proceed":
            raise Refused(f"[{name}] {again.outcome}: {again.reason}")
        self.proof.held.append(Held(stage, task, again, follows, seen))

    def publish(self, content: Mapping[str, Any]) -> None:
        stage, ref = content["stage"], Ref.model_validate(content["output"])
        made = [each.sha256 for (of, _), refs in self.outputs.items() if of == stage for each, _ in refs]
        if ref.sha256 not in made:
            raise LogBroken(f"{stage}: published {ref.sha256[:12]}, which none of its tasks made")
        self.settle(stage)
        self.proof.published.setdefault(stage, []).append(ref)
        self.proof.available[ref.kind] = ref

    def settle(self, stage: str) -> None:
        """Every task of the stage ran, and each of its outputs has all of the task's verdicts."""
        for task, sides in self.plan.matrix[stage].items():
            made = self.outputs.get((stage, task), [])
            first = (sides["before"] + sides["after"])[0]
            if not made:
                raise LogBroken(f"{stage}/{task}: never ran, and {first} never looked")
            for ref, inputs in made:
                for gate in sides["after"]:
                    if (stage, task, gate, ref.sha256) not in self.subjects:
                        raise LogBroken(f"{stage}/{task}: {gate} never ran on {ref.sha256[:12]}")
                for gate in sides["before"]:
                    if not any((stage, task, gate, sha) in self.subjects for sha in inputs):
                        raise LogBroken(f"{stage}/{task}: {gate} never ran on what it took in")


def verify(path: Path, trust: Trust, *, stages: set[str] | None = None, head: str | None = None) -> Proof:
    """What the log proves. Raises `Refused` where a verdict stops the run, `LogBroken` at anything else that fails.

    `stages`: those that must be settled; None means the whole, closed run. `head`: where the caller knows it.
    """
    try:
        statements, last = read(path, trust.key)
        if head is not None and last != head:
            raise LogBroken("the end of the log is missing")
        proof = Proof(_plan(statements, trust), last)
        _terms(proof.plan, trust)
        before = _predecessor(path, proof.plan, trust)
        done = set(before.stages) if before else set()
        for stage in sorted(set(proof.plan.matrix) & set(ORDER), key=ORDER.index):
            if lost := set(ORDER[: ORDER.index(stage)]) - done:
                raise LogBroken(f"{stage}: depends on {', '.join(sorted(lost))}, of which there is no log")
            done.add(stage)
        proof.stages = sorted(done)
        proof.available = dict(before.available) if before else {}
        reader = _Reader(proof, trust)
        steps = {"output": reader.output, "verdict": reader.verdict, "published": reader.publish}
        for number, statement in enumerate(statements[1:], 1):
            kind = kind_of(statement)
            if kind == "closed":
                count = statement["predicate"]["count"]
                if number != len(statements) - 1 or count != number:
                    raise LogBroken("the closing count is not that of the log")
                proof.closed = True
            else:
                steps[kind](statement["predicate"])
        if stages is None and not proof.closed:
            raise LogBroken("the log is not closed: its end may be missing")
        wanted = set(proof.plan.matrix) if stages is None else stages
        if not wanted or not wanted <= set(proof.plan.matrix):
            raise LogBroken(f"the plan has no stage {', '.join(sorted(wanted - set(proof.plan.matrix))) or 'at all'}")
        for stage in sorted(wanted):
            reader.settle(stage)
    except (KeyError, TypeError, ValidationError, KeyBroken) as why:
        raise LogBroken(f"a statement that cannot be read ({type(why).__name__})") from None
    return proof


def _predecessor(path: Path, plan: Plan, trust: Trust) -> Proof | None:
    """What the predecessor proves; its log lies beside this one and verifies in full."""
    if not plan.predecessor:
        return None
    before = verify(path.parent / "predecessor" / "log.jsonl", trust)
    if before.head != plan.predecessor["head"] or before.plan.run != plan.predecessor["run"]:
        raise LogBroken("the predecessor's log is not the one that the plan names")
    return before


def refused(proof: Proof) -> list[str]:
    """Verdicts that did not pass and that the policy let proceed, as sentences."""
    return [f"[{h.verdict.gate}] {h.verdict.reason}" for h in proof.held if h.verdict.outcome is not Outcome.PASS]
