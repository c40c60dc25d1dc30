"""How often a test slice was looked at: entered in the index of runs before each look, and told to the gate.

A look is known by its pipeline and by the pairs that are held out: not by plan, policy, seed, code or thresholds, of
which each could be another every time, and not by the digest of the features, where the starting embeddings lie too. It
counts from when the lists are about to be made, so that a run that was killed, or refused, counts as well. A run is
never taken up again under its own name: a retry is another run, and another look.
"""

import hashlib
import json
import time
from typing import Any

import numpy as np

from security.errors import CannotTell, LogBroken, PlanError
from security.gates import metrics
from security.log import Index, kind_of, looks, read
from security.verdict import Ref
from tasks import dataset
from tasks.dataset import PARTS, Features
from tasks.run import Run


def sliced(found: Features) -> str:
    """SHA-256 of the pairs that are held out for the test: of each user, sorted, the id with the items' ids, sorted."""
    test = found.part == PARTS.index("test")
    user, item = found.user[test], found.item[test]
    order = np.lexsort((item, user))  # ids are sorted, so that indices sort as they do
    user, item = user[order], item[order]
    whole = hashlib.sha256()
    for rows in np.split(np.arange(len(user)), np.flatnonzero(np.diff(user)) + 1):
        if len(rows):
            line = [found.users[user[rows[0]]], [found.items[each] for each in item[rows]]]
            whole.update(json.dumps(line).encode() + b"\n")
    return whole.hexdigest()


def enter(run: Run, stage: str, task: str, refs: tuple[Ref, ...]) -> None:
    """Say in the index, and then in the log, that the run is about to look at the test slice of its features."""
    data = [ref for ref in refs if ref.kind == "features"]
    if len(data) != 1:
        raise PlanError(f"{stage}/{task}: measures on {len(data)} test slices; allowed: 1")
    key = run.log.signer.public
    opened = [each["predicate"]["run"] for each in read(run.home.index, key)[0] if kind_of(each) == "opened"]
    if run.plan.run not in opened:  # before it is written to: a new one would be begun where it was taken away
        raise LogBroken("the index of runs knows nothing of this run any more")
    told: dict[str, Any] = {"data": sliced(dataset.read(run.path(data[0]))), "at": round(time.time(), 3)}
    about = {"run": run.plan.run, "pipeline": run.plan.document["pipeline_name"], "partition": run.plan.partition}
    run.looked = Index(run.home.index, run.log.signer).append("looked", **about, **told)
    run.log.append("looked", {"test": told["data"]}, stage=stage, task=task, index=run.looked, **told)


def told(run: Run, found: Features) -> metrics.Looks:
    """The looks of the pipeline at the test slice of these features, or at another of the same partition, up to this
    run's own, which is the last. `CannotTell` where the index does not hold, or does not have that one."""
    try:
        every = looks(run.home.index, run.log.signer.public)
    except (LogBroken, OSError) as why:
        raise CannotTell(f"how often this test slice was looked at: {why}") from None
    own = [number for number, each in enumerate(every) if each.entry == run.looked]
    if not own or (last := every[own[0]]).data != sliced(found):
        raise CannotTell("the index of runs does not have this run's look at its test slice")
    mine = [each for each in every[: own[0] + 1] if each.pipeline == last.pipeline]
    near = [each for each in mine if each.data == last.data or each.partition == last.partition]
    shown = tuple(metrics.Look(run=each.run, at=each.at, data=each.data) for each in near)
    return metrics.Looks(data=last.data, looks=shown)
