"""What later runs are held against: profiles of rows, each a signed file by digest; the index of runs says which.

The first run that passes establishes what is pinned, and only who sets another changes that. Each run that passes is
besides the rolling baseline of later partitions. What a refused run saw becomes neither by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from security.drift.profile import Reference
from security.errors import CannotTell, LogBroken, PlanError
from security.gates import drift
from security.gates.drift import DriftMonitoring, Facts
from security.keys import PublicKey, Signer, once
from security.log import Index, kind_of, read
from security.policy import Plan
from security.proof import Proof
from security.resolve import days
from security.verdict import Outcome
from tasks.home import Home

NAME = DriftMonitoring.name
How = Literal["established", "passed", "set"]


@dataclass(frozen=True)
class Entry:
    """What the index says of one run's profiles: task -> digest.

    `span` is how many partitions they are of, `policy` the digest of the one that the run was held to, `rows` that of
    the rows that it published.
    """

    pipeline: str
    partition: str
    span: int
    run: str
    how: How
    policy: str
    profiles: dict[str, str]
    rows: str
    reason: str = ""


def entries(home: Home, key: PublicKey, pipeline: str = "") -> list[Entry]:
    """What the index says of a pipeline, or of all of them, the oldest first. `LogBroken` where it does not hold."""
    if not home.index.exists():
        return []
    known = [each["predicate"] for each in read(home.index, key)[0] if kind_of(each) == "reference"]
    try:
        found = [Entry(**{name: each[name] for name in Entry.__dataclass_fields__}) for each in known]
    except KeyError as why:
        raise LogBroken(f"the index of runs has an entry on a baseline without {why}") from None
    return [each for each in found if pipeline in ("", each.pipeline)]


def pinned(known: list[Entry], task: str) -> Entry | None:
    """Of a task's the last that was set; where none was, the first that was established."""
    mine = [each for each in known if task in each.profiles]
    chosen = [each for each in mine if each.how == "set"][-1:] or [e for e in mine if e.how == "established"][:1]
    return chosen[0] if chosen else None


def rolling(known: list[Entry], task: str, partition: str) -> Entry | None:
    """Of a task's the last of the newest partition before this one; where there is none, what is pinned."""
    earlier = [each for each in known if task in each.profiles and each.partition < partition]
    return max(reversed(earlier), key=lambda each: each.partition) if earlier else pinned(known, task)


def named(known: list[Entry], partition: str, span: int, *, against: str, only: str = "") -> dict[str, Entry]:
    """Task -> what its rows are held against in a run of the pipeline that these are of; without it if there is none.

    Only profiles of as many partitions count. With `only`, the digest of a policy, what a person set counts, and what
    passed under this policy, and nothing that another let be established.
    """
    known = [each for each in known if each.span == span]
    known = [each for each in known if not only or each.how == "set" or each.policy == only]
    found = {
        task: pinned(known, task) if against == "pinned" else rolling(known, task, partition)
        for task in sorted({task for each in known for task in each.profiles})
    }
    return {task: each for task, each in found.items() if each}


def elsewhere(known: list[Entry], span: int) -> set[str]:
    """Tasks whose rows are held against a baseline in runs over other numbers of partitions, and in these by none: who
    may choose how many partitions a run takes must not choose that nothing is compared."""
    known = [each for each in known if each.how != "passed"]
    here = {task for each in known if each.span == span for task in each.profiles}
    return {task for each in known for task in each.profiles} - here


def opened(home: Home, digest: str, key: PublicKey) -> Reference:
    """The profile with this digest. `CannotTell` by the cause `reference` where it is not there, or is another."""
    try:
        envelope = (home.root / "baselines" / f"{digest}.dsse").read_bytes()
    except OSError:
        raise CannotTell(f"baseline {digest[:12]} is not in this home any more", "reference") from None
    found = drift.opened(envelope, key)
    if found.digest != digest:
        raise CannotTell(f"baseline {found.digest[:12]} lies where {digest[:12]} should", "reference")
    return found


def looks(proof: Proof) -> dict[str, Facts]:
    """Task -> what was seen of its rows, of verdicts that passed."""
    return {
        each.task: Facts.model_validate(each.seen.facts)
        for each in proof.held
        if each.verdict.gate == NAME and each.verdict.outcome is Outcome.PASS
    }


def keep(home: Home, signer: Signer, proof: Proof) -> Entry | None:
    """The profiles of a run that passed: `established` where its plan named none, and else `passed`.

    None where it made no features of the rows, so that a later run may still refuse them; where it looked at no rows,
    or could tell nothing of them; and where it would establish one of fewer partitions than it stands for, as the
    source does not reach back so far.
    """
    plan = proof.plan
    if not proof.closed:
        raise PlanError(f"run {plan.run} has not ended: its rows are no baseline")
    if "features" not in plan.matrix or not (found := looks(proof)):
        return None
    how: How = "passed" if found.keys() <= plan.profiles.keys() else "established"
    reaches = min((days(each, 1)[0] for each in plan.inputs), default="")
    if how == "established" and reaches > watched(plan)["since"]:
        return None
    return enter(home, signer, plan, found, proof.available["ingest"].sha256, how)


def watched(plan: Plan) -> dict[str, Any]:
    """What a plan says of drift: `since` which day, and over how many `partitions`."""
    every = (told[NAME].limits for tasks in plan.terms.values() for told in tasks.values() if NAME in told)
    return next(every)


def enter(
    home: Home, signer: Signer, plan: Plan, found: Mapping[str, Facts], rows: str, how: How, reason: str = ""
) -> Entry:
    """Seal profiles, and say in the index whose they are and what they are for. A file that is not what its name says
    is replaced."""
    for facts in found.values():
        path = home.root / "baselines" / f"{facts.profile.digest}.dsse"
        try:
            opened(home, facts.profile.digest, signer.public)
        except (CannotTell, LogBroken):
            path.unlink(missing_ok=True)
            once(path, partial(drift.sealed, facts.profile, signer))
    told: dict[str, Any] = {
        "pipeline": plan.document["pipeline_name"],
        "partition": plan.partition,
        "span": watched(plan)["partitions"],
        "run": plan.run,
        "how": how,
        "policy": plan.policy_sha256,
        "profiles": {task: facts.profile.digest for task, facts in found.items()},
        "rows": rows,
        "reason": reason,
    }
    Index(home.index, signer).append("reference", **told)
    return Entry(**told)
