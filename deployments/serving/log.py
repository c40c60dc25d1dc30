"""The log of the run that made a release: what it must show before the release is loaded.

A folder has the log as it stood when it was taken (`log.jsonl`), and in `predecessor` that of the run before it, whole.
In order: every line is signed by the producer and names the line before; each log holds its own plan's tasks and gates
(`security.walk`), none of which refused it, under the policy that was given; a run before is closed as passed, and is
the one that the plan after it names, about the same document and data, measured in the same way; among them, the run
that the release's card names, with its plan, published this very model out of its training; and an evaluation took in
this model, and what it made was looked at and published, afterwards.

What this does not show: that each judgement is right, and its terms those of the policy; how often a test slice was
looked at; what the gates of `deploy` say, and whether anybody decided that it may serve. The first two whoever signs
decisions has looked at, and anybody can (`security.verify`); of the decision, the registry or a lease tells.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from deployments.serving.load import Card
from security.errors import KeyBroken, LogBroken, Refused
from security.keys import PublicKey
from security.log import kind_of, read
from security.verdict import Ref, digest
from security.walk import ORDER, Walk, linked

LOG, BEFORE = "log.jsonl", "predecessor"
MOST = 16 << 20
"""Bytes of a log: in memory it is some nine times as large."""
DEEP = 64
"""Runs, each after the one before."""
OTHER = (ValidationError, ValueError, KeyError, TypeError, AttributeError, IndexError, KeyBroken)
"""What comes of a statement of another form."""


@dataclass(frozen=True)
class Told:
    """What the log of one run says: the name of its pipeline, its plan with its digest, its head, what each stage
    published, here or in a run before (`available`) and in this run (`of`), and what those that were published were
    made from (`made`: stage -> digests; nothing where no gate looked at it)."""

    name: str
    plan: dict[str, Any]
    sha256: str
    head: str
    available: dict[str, Ref]
    of: dict[str, Ref]
    made: dict[str, list[str]]


def believed(folder: Path, key: PublicKey, card: Card, digest_: str, policy: str) -> str:
    """The head of the log that shows how this release was made. `digest_`: that of all its files; `policy`: that of the
    policy by which it was judged.

    Raises `LogBroken` for a log that does not hold, `Refused` for one of a run that was refused, or that did not make
    and evaluate this release.
    """
    runs = _runs(folder, key)
    newest = runs[-1]
    if newest.name != card.name:
        raise Refused(f"the log is of {newest.name!r}, the release of {card.name!r}")
    if (under := newest.plan["policy_sha256"]) != policy:
        raise Refused(f"the log is of a run under the policy {under[:12]!a}; allowed: {policy[:12]}")
    trained = [each for each in runs if (each.plan["run"], each.sha256) == (card.run, card.plan)]
    if len(trained) != 1 or "train" not in trained[0].of:
        raise Refused(f"the log has no training by run {card.run} with the plan that the release names")
    if lost := [stage for stage in ORDER[:-1] if stage not in newest.available]:
        raise Refused(f"the log shows nothing that {', '.join(lost)} published")
    models = (trained[0].of["train"].sha256, newest.available["train"].sha256, newest.available["evaluate"].version)
    for stage, found in zip(("train", "train", "evaluate"), models, strict=True):
        if found != digest_:
            raise Refused(f"the log is of a run whose {stage} published {found[:12]}; this release is {digest_[:12]}")
    evaluated = [each for each in runs if "evaluate" in each.of][-1]
    if digest_ not in evaluated.made["evaluate"] or not trained[0].made["train"]:
        raise Refused("the log has an evaluation that did not take in this release, or that no gate looked at")
    return newest.head


def _runs(folder: Path, key: PublicKey) -> list[Told]:
    """What each log says, the oldest first; those that others follow must be whole."""
    folders = [folder]
    while (folders[-1] / BEFORE).is_dir():
        if len(folders) == DEEP:
            raise LogBroken(f"more than {DEEP} runs, each after the one before")
        folders.append(folders[-1] / BEFORE)
    found: list[Told] = []
    for each in reversed(folders):
        try:
            found.append(_told(each / LOG, key, found[-1] if found else None, whole=each != folder))
        except OTHER as why:
            raise LogBroken(f"a statement that cannot be read ({type(why).__name__})") from None
        except OSError as why:
            raise LogBroken(f"the log cannot be read ({type(why).__name__})") from None
    return found


def _told(path: Path, key: PublicKey, before: Told | None, *, whole: bool) -> Told:
    if path.is_file() and path.stat().st_size > MOST:
        raise LogBroken(f"the log has more than {MOST:,} bytes")
    statements, head = read(path, key)
    kinds = [kind_of(each) for each in statements]
    if kinds[:1] != ["plan"] or "plan" in kinds[1:]:
        raise LogBroken("the log does not begin with its one plan")
    plan = statements[0]["predicate"]["plan"]
    if plan["signer"] != key.id:
        raise LogBroken("the plan names another producer than the key given")
    if digest(plan["policy"]) != plan["policy_sha256"]:
        raise LogBroken("the plan has another policy than it names")
    walk = Walk(plan["matrix"], _inherited(plan, before))
    steps = {"output": walk.output, "verdict": walk.verdict, "published": walk.publish}
    outcome: str | None = None
    for number, (kind, each) in enumerate(zip(kinds[1:], statements[1:], strict=True), 1):
        if kind == "looked":
            continue  # of this the index of runs tells, which is not here
        if kind != "closed":
            steps[kind](each["predicate"])
        elif number != len(statements) - 1 or each["predicate"]["count"] != number:
            raise LogBroken("the closing count is not that of the log")
        else:
            outcome = str(each["predicate"]["outcome"])
    if outcome not in (None, "passed"):
        raise Refused(f"run {plan['run']} ended as {outcome!a}")
    if outcome and (short := sorted(set(plan["matrix"]) - set(walk.published))):
        raise LogBroken(f"{', '.join(short)} published nothing")
    if whole and not outcome:
        raise LogBroken(f"the log of run {plan['run']} is not closed: its end may be missing")
    of = {stage: refs[0] for stage, refs in walk.published.items()}
    made = {stage: _made(walk, stage) for stage in of}
    return Told(str(plan["document"]["pipeline_name"]), plan, digest(plan), head, walk.available, of, made)


def _made(walk: Walk, stage: str) -> list[str]:
    """The digests of what was taken in for what a stage published; none where no gate looked at that."""
    (task,) = walk.last(stage)
    ((_, inputs),) = walk.outputs[stage, task]
    return [each.sha256 for each in inputs] if walk.matrix[stage][task]["after"] else []


def _inherited(plan: dict[str, Any], before: Told | None) -> dict[str, Ref]:
    """What the run before makes available to this one: the stages before its own first, which follow each other."""
    order = sorted(ORDER.index(stage) for stage in plan["matrix"])
    if not order or order != list(range(order[0], order[0] + len(order))):
        raise LogBroken("the plan's stages are not in a row")
    if bool(plan["predecessor"]) != (before is not None):
        raise LogBroken("the plan names a run before it whose log is not here, or none, and there is one")
    if before is None:
        return {}
    linked(plan, before.plan, before.head, ORDER[order[0]])
    return {stage: ref for stage, ref in before.available.items() if stage in ORDER[: order[0]]}
