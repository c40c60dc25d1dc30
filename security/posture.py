"""Gates over a state that is asked for, not over bytes: what a bucket, an endpoint or a cluster answers at a moment.

The runner asks, and keeps the answers as a snapshot; a gate names its questions and looks at nothing but the answers.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from security.errors import CannotTell
from security.gate import Gate
from security.material import Material
from security.verdict import Snapshot, Subject

Answer = tuple[str, dict[str, Any]]
"""One question and what was answered."""


class Posture(Gate[Answer]):
    """A gate over a state that is asked for, not over bytes. It names its questions; the runner asks them."""

    questions: ClassVar[tuple[str, ...]]
    """Every question whose answer it needs: what coverage is counted against."""


def asked(gate: Posture, snapshot: Snapshot, of: str = "") -> Material[Answer]:
    """The material of a posture gate: the snapshot's answers, against the gate's own list of questions.

    `of` is the digest of the reference that the snapshot was taken of. One older than it may be is `CannotTell`.
    """
    age = time.time() - snapshot.taken
    if not -60.0 <= age <= snapshot.seconds:
        raise CannotTell(f"the answers are {age:,.0f} s old; allowed: {snapshot.seconds:,.0f}", "coverage")
    subject = Subject(kind=snapshot.kind, name=snapshot.uri, sha256=snapshot.sha256, of=of)
    answers = sorted(snapshot.answers.items())
    return Material(subject, lambda: answers, expected=len(gate.questions), unit="questions", sample=len(answers) or 1)


def answered(answers: Iterable[Answer]) -> dict[str, dict[str, Any]]:
    """The answers by their question; one that is there twice is `CannotTell`."""
    found: dict[str, dict[str, Any]] = {}
    for question, answer in answers:
        if question in found:
            raise CannotTell(f"{question} was answered twice")
        found[question] = answer
    return found


def part(gate: Posture, snapshot: Snapshot) -> Snapshot:
    """What a gate asked, of the answers of a visit that it shares with others."""
    return snapshot.model_copy(update={"answers": {k: v for k, v in snapshot.answers.items() if k in gate.questions}})


def reply(sample: Sequence[Answer], question: str) -> dict[str, Any]:
    """One answer; nothing where there is none, so that it is the look which says that it is missing."""
    return dict(sample).get(question, {})


def amended(sample: Sequence[Answer], question: str, **members: Any) -> list[Answer]:
    """The sample with members of one answer replaced: what known-bad material is made of."""
    return [(name, {**answer, **members} if name == question else dict(answer)) for name, answer in sample]
