"""The statements of a log in their order, held to the tasks and gates of its own plan.

A task may take in what an earlier task of its stage made, what an earlier stage published, or a state that a gate of
its own has just looked at; nothing else. Every gate of a task has a verdict on each of the task's outputs, and lets it
go on. A stage publishes once, in its turn, what its last task made. A stage that runs again voids what later stages
published before.

No verdict is made again here: `security.proof` does that on top of it, with the gates and a policy. This much needs
neither, so that who loads a model can hold it to the log of the run that made it.
"""

from collections.abc import Mapping
from typing import Any

from security.errors import LogBroken, Refused
from security.verdict import Coverage, Effect, Observation, Outcome, Ref, Verdict, digest

ORDER = ("ingest", "features", "train", "evaluate", "deploy")
"""The stages, each after the one before."""
Matrix = Mapping[str, Mapping[str, Mapping[str, list[str]]]]
"""Stage -> task -> `before` and `after` -> gates."""
SAME = ("document_sha256", "policy_sha256", "target", "partition", "window")
"""Of a plan, and of that of the run before it."""
LINKS = (*SAME, "run", "predecessor", "evaluation", "inputs")
"""What of a plan says which run it goes on from, and as what."""
BECAUSE = {
    Outcome.PASS: ("enforced",),
    Outcome.INCONCLUSIVE: ("observed",),
    Outcome.FAIL: ("waived",),
}
"""Outcome -> because of what it may go on."""


def linked(plan: Mapping[str, Any], before: Mapping[str, Any], head: str, first: str) -> None:
    """`LogBroken` unless a plan whose first stage is `first` goes on from the run of the plan `before`, whose log ends
    with `head`. Of both plans `LINKS` are needed."""
    if (plan["predecessor"]["head"], plan["predecessor"]["run"]) != (head, before["run"]):
        raise LogBroken("the predecessor's log is not the one that the plan names")
    if [plan[each] for each in SAME] != [before[each] for each in SAME]:
        raise LogBroken("the predecessor is about another document, policy, target, partition or window")
    now, then = ((each["evaluation"], each["inputs"]) for each in (plan, before))
    if first == "evaluate" and now != then:
        raise LogBroken("it is measured in another way, or on other data, than was planned before the training")
    if first == "train" and now[0].get("split") != then[0].get("split"):
        raise LogBroken("the features were split in another way than the plan has it")


class Walk:
    """The statements of one log, one by one. `LogBroken` for one that may not stand where it does, `Refused` for a
    verdict that stops the run.

    `matrix` is the plan's; `available` has what each stage published last, here or in a predecessor, where no earlier
    stage has run again since: stage -> reference.
    """

    def __init__(self, matrix: Matrix, available: dict[str, Ref]) -> None:
        self.matrix, self.available = matrix, available
        self.published: dict[str, list[Ref]] = {}
        self.outputs: dict[tuple[str, str], list[tuple[Ref, list[Ref]]]] = {}
        self.subjects: dict[tuple[str, str, str, str], Coverage] = {}
        self.newest: dict[str, str] = {}
        """Stage -> the task that made something last."""

    def asked(self, gates: list[str]) -> list[str]:
        """Those gates of a task that can let it take in a state, by having looked at it."""
        return gates

    def last(self, stage: str) -> list[str]:
        """The task that makes what a stage publishes: the only one of the list."""
        return [self.newest[stage]] if stage in self.newest else []

    def _taken(self, stage: str, task: str, ref: Ref) -> bool:
        """Whether a task may take this in."""
        if any(ref.sha256 == each.sha256 for each in self.available.values()):
            return True
        mine = [made for (of, _), outputs in self.outputs.items() if of == stage for made, _ in outputs]
        asked = self.asked(self.matrix[stage][task]["before"])
        return ref in mine or any((stage, task, gate, ref.sha256) in self.subjects for gate in asked)

    def output(self, content: Mapping[str, Any]) -> None:
        """A task has made something from its inputs, after its `before` gates."""
        stage, task, ref = content["stage"], content["task"], Ref.model_validate(content["output"])
        if task not in self.matrix.get(stage, {}):
            raise LogBroken(f"{stage}/{task}: the plan has no such task")
        if stage in self.published:
            raise LogBroken(f"{stage}/{task}: worked after its stage had published")
        inputs = [Ref.model_validate(each) for each in content["inputs"]]
        for each in inputs:
            if not self._taken(stage, task, each):
                raise LogBroken(f"{stage}/{task}: took in {each.kind} {each.sha256[:12]}, which nothing here made")
        for gate in self.matrix[stage][task]["before"]:
            if not any((stage, task, gate, each.sha256) in self.subjects for each in inputs):
                raise LogBroken(f"{stage}/{task}: {gate} never ran on what it took in")
        self.outputs.setdefault((stage, task), []).append((ref, inputs))
        self.newest[stage] = task

    def verdict(self, content: Mapping[str, Any]) -> None:
        """A gate has looked and judged, and lets the run go on."""
        stage, task, name = content["stage"], content["task"], content["gate"]
        where = f"{stage}/{task}: {name}"
        if name not in [gate for side in self.matrix.get(stage, {}).get(task, {}).values() for gate in side]:
            raise LogBroken(f"{where}: not a gate of this plan")
        seen, told, follows = self.judged(where, content)
        subject = seen.subject.of or seen.subject.sha256
        if (stage, task, name, subject) in self.subjects:
            raise LogBroken(f"{where}: a second verdict on one subject")
        self.subjects[stage, task, name, subject] = seen.coverage
        if follows.action != "proceed":
            raise Refused(f"[{name}] {told.outcome}: {told.reason}")
        self.heard(stage, task, seen, told, follows)

    def judged(self, where: str, content: Mapping[str, Any]) -> tuple[Observation, Verdict, Effect]:
        """What was seen, the verdict on it, and what follows from that: here as they were recorded, where they agree
        with each other."""
        seen = Observation.model_validate(content["observation"])
        told, follows = Verdict.model_validate(content["verdict"]), Effect.model_validate(content["effect"])
        name, of = content["gate"], digest(seen.model_dump(mode="json"))
        if (told.gate, seen.gate, told.observation) != (name, name, of):
            raise LogBroken(f"{where}: the verdict is of another observation than the one beside it")
        if told.outcome is Outcome.PASS and not seen.coverage.whole:
            raise LogBroken(f"{where}: passed, and did not look at the whole")
        if follows.action == "proceed" and follows.because not in BECAUSE[told.outcome]:
            raise LogBroken(f"{where}: {told.outcome} goes on because {follows.because}")
        if (follows.because == "waived") != bool(follows.waivers):
            raise LogBroken(f"{where}: waived by nobody, or not for that")
        return seen, told, follows

    def heard(self, stage: str, task: str, seen: Observation, told: Verdict, follows: Effect) -> None:
        """A verdict stands."""

    def publish(self, content: Mapping[str, Any]) -> None:
        """A stage has published what its last task made: once, settled, and in its turn."""
        stage, ref = content["stage"], Ref.model_validate(content["output"])
        made = [each for task in self.last(stage) for each, _ in self.outputs.get((stage, task), [])]
        if [ref.model_copy(update={"uri": each.uri}) for each in made] != made or len(made) != 1:
            raise LogBroken(f"{stage}: published {ref.sha256[:12]}, which is not what its last task made")
        if stage in self.published:
            raise LogBroken(f"{stage}: published twice")
        if stage in ORDER and (lost := set(ORDER[: ORDER.index(stage)]) - set(self.available)):
            raise LogBroken(f"{stage}: published before {', '.join(sorted(lost))}")
        self.settle(stage)
        self.published.setdefault(stage, []).append(ref)
        self.available[stage] = ref

    def settle(self, stage: str) -> None:
        """Every task of the stage ran, and each of its outputs has all of the task's verdicts, over all of it."""
        for task in self.matrix[stage]:
            self.settled(stage, task)

    def settled(self, stage: str, task: str) -> None:
        """The same of one task."""
        sides, made = self.matrix[stage][task], self.outputs.get((stage, task), [])
        if not (gates := sides["before"] + sides["after"]):
            raise LogBroken(f"{stage}/{task} has no gate")
        if not made:
            raise LogBroken(f"{stage}/{task}: never ran, and {gates[0]} never looked")
        for ref, _ in made:
            for gate in sides["after"]:
                cover = self.subjects.get((stage, task, gate, ref.sha256))
                if cover is None:
                    raise LogBroken(f"{stage}/{task}: {gate} never ran on {ref.sha256[:12]}")
                if cover.unit == ref.unit and cover.expected != ref.count:
                    raise LogBroken(
                        f"{stage}/{task}: {gate} expected {cover.expected:,} {cover.unit}, there are {ref.count:,}"
                    )
