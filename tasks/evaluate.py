"""The model measured on the held-out slice, beside baselines and a control that must fail.

Full catalogue, seen items removed, lists as long as the longest that the document asks for. The lists of every system
are written out, user by user; the gate makes the metrics again from them and believes no number of this task. The
control is the same model trained on interactions whose items were shuffled: if that reaches the threshold, the
evaluation leaks.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load

from security.errors import CannotTell
from security.verdict import Ref
from tasks import dataset, groups
from tasks.approved import approved
from tasks.recommender.baselines import Neighbours, Popularity, Random
from tasks.recommender.fold import Folded
from tasks.recommender.histories import Histories, Scorer, histories
from tasks.recommender.joint import begun
from tasks.recommender.metrics import Ints, evaluate, top
from tasks.recommender.shape import NAMES
from tasks.run import Run, current
from tasks.stage import guarded
from tasks.store import measure
from tasks.train import learn


def shuffled(given: Histories, seed: int) -> Histories:
    """The same number of pairs for each user, with what they say, and as near as can be for each item, dealt out at
    random."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(given.shape[0], dtype=np.int64), np.diff(given.indptr))
    item = rng.permutation(given.indices.astype(np.int64))
    unique, at = np.unique(user * given.shape[1] + item, return_index=True)
    shape = given.shape[0], given.shape[1]
    return histories(unique // given.shape[1], unique % given.shape[1], shape, given.data[at])


def _control(run: Run, found: dataset.Features) -> Scorer:
    hyper, held = dataset.settings(run), found.histories("validation")
    dealt = shuffled(found.trained(), seed=int(hyper["seed"]))
    rest: Histories = (dealt - dealt.multiply(held)).tocsr()
    start = begun(rest, held, width=int(hyper["width"]), seed=int(hyper["seed"]))
    return Folded(learn(run, found, rest, start, label="control, ").weights)


def _lists(ranked: Ints) -> pa.Array:
    flat = pa.array(ranked.reshape(-1), pa.int32())
    return pa.ListArray.from_arrays(pa.array(np.arange(0, len(flat) + 1, ranked.shape[1]), pa.int32()), flat)


def _rows(given: Histories) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(given.indptr, pa.int32()), pa.array(given.indices, pa.int32()))


@guarded(
    "evaluate",
    before=["model_signature", "code_integrity_check"],
    after=["metric_thresholds", "fairness_metrics", "bias_detection", "backdoor_probe"],
)
def score(model: Ref, data: Ref) -> Ref:
    """The best k items by every system for every user with something held out."""
    run = current()
    found = dataset.read(run.path(data))
    weights = load((run.path(model) / "model.safetensors").read_bytes())
    seen, held = found.histories("train", "validation"), found.histories("test")
    if weights["encoder"].shape[0] != len(found.items):
        raise CannotTell(f"the model knows {weights['encoder'].shape[0]} items, the features {len(found.items)}")
    seed, ks = int(dataset.settings(run)["seed"]), dataset.cut(run)
    if ks[-1] > len(found.items):
        raise CannotTell(f"the document asks for the best {ks[-1]} items, and there are {len(found.items)}")
    left = len(found.items) - np.diff(seen.indptr)[np.diff(held.indptr) > 0]
    if few := int((left < ks[-1]).sum()):
        lack = f"{few:,} of {len(left):,} users with as few as {left.min():,} of {len(found.items):,} items to list"
        raise CannotTell(f"the document asks for the best {ks[-1]} items: found {lack}; allowed: {ks[-1]} or more")
    made = Folded({name: weights[name] for name in NAMES})
    systems: dict[str, Scorer] = {
        "model": made,
        "popularity": Popularity.fit(seen),
        "random": Random(seed),
        "knn": Neighbours.fit(seen),
        "shuffled": _control(run, found),
    }
    columns: dict[str, pa.Array] = {}
    for name, system in systems.items():
        run.listener.step("evaluate", f"{name} over {seen.shape[1]:,} items")
        ranking = evaluate(system, seen, held, k=ks[-1])
        if not columns:
            columns["user"] = pa.array(ranking.users, pa.int32())
            for label, when in found.bounds().items():
                columns[label] = pa.array(when[ranking.users], pa.int64())
            for label, histories_ in (("held", held), ("seen", seen)):
                columns[label] = _rows(histories_[ranking.users])
        columns[f"top_{name}"] = _lists(ranking.lists)
    if run.source.oracle is not None:
        chances = run.source.oracle(found.users, found.items)
        columns["top_ceiling"] = _lists(top(chances[ranking.users], seen[ranking.users], ks[-1]))
    before = approved(run, found)
    if before is not None:
        run.listener.step("evaluate", f"the approved version {before.version} over {seen.shape[1]:,} items")
        columns["top_approved"] = _lists(evaluate(before, seen, held, k=ks[-1]).lists)
        columns["learned"] = _rows(before.learned.multiply(held).tocsr()[ranking.users])
    kinds = dataset.groupings(run)
    who = groups.columns(found, ranking.users, kinds)
    told = {"items": str(len(found.items)), "k": ",".join(map(str, ks)), "approved": before.digest if before else ""}
    told |= groups.told(found, who, kinds, made.weights, seen[ranking.users], dataset.floor(run))
    columns |= who
    table = pa.table(columns).replace_schema_metadata(told)
    folder = run.place("scores")
    folder.mkdir()
    pq.write_table(table, folder / "scores.parquet", compression="zstd")
    sha, size = measure(folder)
    return Ref(
        kind="scores", uri="staging:scores", sha256=sha, size=size, count=data.count, unit="users", version=model.sha256
    )
