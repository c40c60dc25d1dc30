"""What a log proves, made by walking its statements in order and believing none of them.

The order is that of `security.walk`; here every verdict is made again, on the terms of the caller's policy.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from configs.load import Policy
from security import words
from security.again import again as rejudged
from security.errors import LogBroken
from security.gate import Gate
from security.keys import PublicKey
from security.log import Look
from security.policy import Plan
from security.posture import Posture
from security.verdict import Effect, Observation, Ref, Verdict
from security.waiver import follows as waived
from security.walk import Matrix, Walk

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


class Judged(Walk):
    """The statements of one log, one by one, every verdict made again."""

    def __init__(self, proof: Proof, trust: Trust) -> None:
        super().__init__(proof.plan.matrix, proof.available)
        self.proof, self.trust, self.plan = proof, trust, proof.plan
        self.published = proof.published
        self.looked: dict[tuple[str, str], Look] = {}
        self.stopped = False
        """Whether a verdict for which the caller waits has stopped the run."""
        self.images: dict[str, tuple[str, str]] = {}
        """Stage -> digest of the image that its gates were first told of, empty for none, and by which gate."""
        self.rendered: dict[str, set[str]] = {}
        """Stage -> the places that run it, as they were first told."""

    def asked(self, gates: list[str]) -> list[str]:
        """Those that ask for a state."""
        return [gate for gate in gates if isinstance(self.trust.gates.get(gate), Posture)]

    def last(self, stage: str) -> list[str]:
        """The last one of the matrix that the caller holds."""
        return list(self.trust.matrix.get(stage, {}))[-1:]

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
        """As in a walk; and what measures has told the index of runs before."""
        stage, task = content["stage"], content["task"]
        if self._measures(stage, task) and (stage, task) not in self.looked:
            raise LogBroken(f"{stage}/{task}: measured without an entry in the index of runs")
        super().output(content)

    def heard(self, stage: str, task: str, seen: Observation, told: Verdict, follows: Effect) -> None:
        """A verdict stands, and is told."""
        self.proof.held.append(Held(stage, task, told, follows, seen))

    def judged(self, where: str, content: Mapping[str, Any]) -> tuple[Observation, Verdict, Effect]:
        """What was seen, the verdict that the gate, as the caller has it, makes of it, and what follows; both must be
        those that were recorded."""
        stage, task, name = content["stage"], content["task"], content["gate"]
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
        if seen.facts and follows.action == "proceed":
            self._imaged(where, stage, gate, seen)
        if told := seen.facts.get("attempts"):
            self._counted((stage, task), told)
        return seen, again, follows

    def _imaged(self, where: str, stage: str, gate: Gate[Any], seen: Observation) -> None:
        """What persons approved, what was scanned, and what runs wherever it was rendered to are one image, in whatever
        order they are told. In a cluster other releases may run others beside it."""
        if type(gate).images is Gate.images:
            return
        found = list(gate.images(gate.facts.model_validate(seen.facts)))
        places = {place for place, _ in found if place}
        rendered = self.rendered.setdefault(stage, places) if places else set()
        # A job is begun for a while, and gone a while after its end.
        if not found or (lost := {each for each in rendered - places if not each.startswith("Job/")}):
            raise LogBroken(f"{where}: does not tell of {min(lost) if found else 'anything that runs'}")
        for image in (image for place, image in found if not place or place in rendered):
            sha = image.partition("@sha256:")[2] or image
            known, by = self.images.setdefault(stage, (sha, where))
            if sha != known:
                raise LogBroken(f"{where}: is about {words.image(sha)}; {by} is about {words.image(known)}")
            if gate.kind == "image" and sha not in ("", seen.subject.sha256):
                raise LogBroken(f"{where}: looked at another image than it says")


def _meant(seen: Observation) -> bool:
    """Whether facts about a model and a moment are of the subject that was looked at, and of when it was."""
    apart = seen.taken - float(seen.facts["at"])
    return -NEAR <= apart <= NEAR and str(seen.facts["model"]) == seen.subject.sha256
