"""What a log proves, made by walking its statements in order and believing none of them.

A task may take in what an earlier task of its stage made, what an earlier stage published, or a state that a gate of
its own has just looked at; nothing else. A stage publishes once, in its turn, what its last task made. A stage that
runs again voids what later stages published before.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from configs.load import SHORT, Policy
from security.again import again as rejudged
from security.errors import LogBroken, Refused
from security.gate import Gate
from security.keys import PublicKey
from security.log import Look
from security.policy import Matrix, Plan
from security.posture import Posture
from security.verdict import Coverage, Effect, Observation, Ref, Verdict
from security.waiver import follows as waived

ORDER = list(SHORT.values())
NEAR = 60.0
"""Seconds between the moment that a look says that it judged by, and the one at which it was taken."""


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
    """Stage -> what it published last, here or in a predecessor, and no earlier stage has run again since."""
    looks: list[tuple[Look, int]] = field(default_factory=list)
    """What the index of runs must have: looks at a test slice, and which one at that slice the verdict says it was."""
    closed: bool = False


class Walk:
    """The statements of one log, one by one."""

    def __init__(self, proof: Proof, trust: Trust) -> None:
        self.proof, self.trust, self.plan = proof, trust, proof.plan
        self.outputs: dict[tuple[str, str], list[tuple[Ref, list[Ref]]]] = {}
        self.subjects: dict[tuple[str, str, str, str], Coverage] = {}
        self.looked: dict[tuple[str, str], Look] = {}

    def _taken(self, stage: str, task: str, ref: Ref) -> bool:
        """Whether a task may take this in."""
        if any(ref.sha256 == each.sha256 for each in self.proof.available.values()):
            return True
        mine = [made for (of, _), outputs in self.outputs.items() if of == stage for made, _ in outputs]
        asked = [
            gate for gate in self.plan.matrix[stage][task]["before"] if isinstance(self.trust.gates.get(gate), Posture)
        ]
        return ref in mine or any((stage, task, gate, ref.sha256) in self.subjects for gate in asked)

    def look(self, content: Mapping[str, Any]) -> None:
        """A task is about to measure on a test slice: the index of runs has an entry on it."""
        stage, task = content["stage"], content["task"]
        if not self._measures(stage, task):
            raise LogBroken(f"{stage}/{task}: the plan has no such task, or it measures nothing")
        if (stage, task) in self.looked:
            raise LogBroken(f"{stage}/{task}: looked at a test slice twice")
        about = {"run": self.plan.run, "pipeline": self.plan.document["pipeline_name"]}
        told = {"entry": content["index"], "data": content["data"], "at": content["at"]}
        self.looked[stage, task] = Look(**about, **told, partition=self.plan.partition)

    def _measures(self, stage: str, task: str) -> bool:
        """Whether a gate over scores looks at what a task makes."""
        after = self.plan.matrix.get(stage, {}).get(task, {}).get("after", [])
        return any(gate.kind == "scores" for name in after if (gate := self.trust.gates.get(name)))

    def _counted(self, where: tuple[str, str], told: Mapping[str, Any]) -> None:
        look = self.looked.get(where)
        if look is None or look.data != told["data"]:
            raise LogBroken(f"{'/'.join(where)}: counted the looks at another test slice than it looked at")
        self.proof.looks.append((look, told["count"]))

    def output(self, content: Mapping[str, Any]) -> None:
        """A task has made something from its inputs, after its `before` gates."""
        stage, task, ref = content["stage"], content["task"], Ref.model_validate(content["output"])
        if task not in self.plan.matrix.get(stage, {}):
            raise LogBroken(f"{stage}/{task}: the plan has no such task")
        if stage in self.proof.published:
            raise LogBroken(f"{stage}/{task}: worked after its stage had published")
        if self._measures(stage, task) and (stage, task) not in self.looked:
            raise LogBroken(f"{stage}/{task}: measured without an entry in the index of runs")
        inputs = [Ref.model_validate(each) for each in content["inputs"]]
        for each in inputs:
            if not self._taken(stage, task, each):
                raise LogBroken(f"{stage}/{task}: took in {each.kind} {each.sha256[:12]}, which nothing here made")
        for gate in self.plan.matrix[stage][task]["before"]:
            if not any((stage, task, gate, each.sha256) in self.subjects for each in inputs):
                raise LogBroken(f"{stage}/{task}: {gate} never ran on what it took in")
        self.outputs.setdefault((stage, task), []).append((ref, inputs))

    def verdict(self, content: Mapping[str, Any]) -> None:
        """A gate has looked and judged: the same verdict must come out again, and must let the run go on."""
        stage, task, name = content["stage"], content["task"], content["gate"]
        where = f"{stage}/{task}: {name}"
        given = self.plan.terms.get(stage, {}).get(task, {}).get(name)
        gate = self.trust.gates.get(name)
        if given is None or gate is None:
            raise LogBroken(f"{where}: not a gate of this plan")
        seen, again = rejudged(gate, content["observation"], given)
        if again.model_dump(mode="json") != content["verdict"]:
            raise LogBroken(f"{where}: the observation gives {again.outcome}, not what was recorded")
        follows = waived(gate, seen, again, given, self.trust.policy.waivers, self.plan.waivers)
        if follows != Effect.model_validate(content["effect"]):
            raise LogBroken(f"{where}: {again.outcome} leads to {follows.action}, not to what was recorded")
        if seen.taken < self.plan.started - 1:
            raise LogBroken(f"{where}: was looked at before the run began")
        if seen.taken > time.time() + 60:
            raise LogBroken(f"{where}: was looked at in days to come")
        sealed = {"lock": self.plan.lock, "code": self.plan.source}.get(gate.kind)
        if sealed is not None and seen.facts and seen.subject.sha256 != sealed:
            raise LogBroken(f"{where}: looked at another {gate.kind} than the plan's")
        measured = self.plan.evaluation.get("code", {}).get(name)
        if measured is not None and seen.engine.sha256 != measured:
            raise LogBroken(f"{where}: was measured by other code than the plan has sealed")
        if gate.kind == "approval" and seen.facts and not _meant(seen):
            raise LogBroken(f"{where}: looked at approvals of another model, or at another moment, than it says")
        if told := seen.facts.get("attempts"):
            self._counted((stage, task), told)
        subject = seen.subject.of or seen.subject.sha256
        if (stage, task, name, subject) in self.subjects:
            raise LogBroken(f"{where}: a second verdict on one subject")
        self.subjects[stage, task, name, subject] = seen.coverage
        if follows.action != "proceed":
            raise Refused(f"[{name}] {again.outcome}: {again.reason}")
        self.proof.held.append(Held(stage, task, again, follows, seen))

    def publish(self, content: Mapping[str, Any]) -> None:
        """A stage has published what its last task made: once, settled, and in its turn."""
        stage, ref = content["stage"], Ref.model_validate(content["output"])
        last = list(self.trust.matrix.get(stage, {}))[-1:]
        made = [each for task in last for each, _ in self.outputs.get((stage, task), [])]
        if [ref.model_copy(update={"uri": each.uri}) for each in made] != made or len(made) != 1:
            raise LogBroken(f"{stage}: published {ref.sha256[:12]}, which is not what its last task made")
        if stage in self.proof.published:
            raise LogBroken(f"{stage}: published twice")
        if stage in ORDER and (lost := set(ORDER[: ORDER.index(stage)]) - set(self.proof.available)):
            raise LogBroken(f"{stage}: published before {', '.join(sorted(lost))}")
        self.settle(stage)
        self.proof.published.setdefault(stage, []).append(ref)
        self.proof.available[stage] = ref

    def settle(self, stage: str) -> None:
        """Every task of the stage ran, and each of its outputs has all of the task's verdicts, over all of it."""
        for task, sides in self.plan.matrix[stage].items():
            made = self.outputs.get((stage, task), [])
            first = (sides["before"] + sides["after"])[0]
            if not made:
                raise LogBroken(f"{stage}/{task}: never ran, and {first} never looked")
            for ref, _ in made:
                for gate in sides["after"]:
                    cover = self.subjects.get((stage, task, gate, ref.sha256))
                    if cover is None:
                        raise LogBroken(f"{stage}/{task}: {gate} never ran on {ref.sha256[:12]}")
                    if cover.unit == ref.unit and cover.expected != ref.count:
                        raise LogBroken(
                            f"{stage}/{task}: {gate} expected {cover.expected:,} {cover.unit}, there are {ref.count:,}"
                        )


def _meant(seen: Observation) -> bool:
    """Whether facts about a model and a moment are of the subject that was looked at, and of when it was."""
    apart = seen.taken - float(seen.facts["at"])
    return -NEAR <= apart <= NEAR and str(seen.facts["model"]) == seen.subject.sha256
