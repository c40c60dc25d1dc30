"""A million users with three items each, through features, training and evaluation: what each step takes, as JSON.

`python -m tests.benchmarks.million USERS FOLDER`. Memory is the peak of resident pages while a step works, as the
kernel counts them. Rows go through `prepare` twice: as they are, of which nobody has enough to be tested by, and with
one in fifty users who has. What trains and is measured is then all users, each with the last of three items held out:
that is no split of a run, and takes as much memory as the evaluation of so many users does.
"""

from __future__ import annotations

import gc
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import tasks.features
from configs import load
from security.errors import BadInput
from security.gates.metrics import REQUIRED, MetricThresholds
from security.verdict import Ref
from tasks.dataset import read
from tasks.recommender.autoencoder import train
from tasks.recommender.fold import Folded
from tasks.recommender.histories import Histories, histories
from tasks.recommender.joint import begun
from tasks.recommender.metrics import Ranking, evaluate
from tasks.recommender.shape import Settings
from tasks.recommender.split import temporal
from tests.security.gates.test_metrics import looks, material

ITEMS, EACH, WIDTH, K = 5_000, 3, 400, 10
"""Items are more than those whose Gram matrix is solved whole; the width is the one that documents leave out."""
MORE, SHARE = 12, 50
"""Items of one user in so many, who can be tested."""
START = 1_700_000_000_000_000
Ints = NDArray[np.int64]


def drawn(users: int, each: int, seed: int) -> tuple[Ints, Ints]:
    """Users and items of pairs: of each user so many items, one from each strip of the catalogue, some more popular."""
    place = (np.random.default_rng(seed).random((users, each)) ** 3 * (ITEMS // each)).astype(np.int64)
    item = place * each + np.arange(each)
    return np.repeat(np.arange(users), each), item.ravel()


def write(user: Ints, item: Ints, path: Path) -> None:
    """Rows of these pairs, ids as long as many are."""
    stamps = START + np.arange(len(user)) * 1_000_000
    columns = {
        "user_id": pa.array([f"customer-of-the-northern-shop-{each:012d}" for each in user.tolist()]),
        "item_id": pa.array([f"article-{each:06d}" for each in item.tolist()]),
        "interaction_type": pa.array(["view"]).take(pa.array(np.zeros(len(user), np.int64))),
        "timestamp": pa.array(stamps).cast(pa.timestamp("us", "UTC")),
    }
    path.mkdir(parents=True)
    pq.write_table(pa.table(columns), path / "rows.parquet")


def prepared(rows: Path, folder: Path) -> None:
    """What the task makes of rows, without the gates beside it."""
    hyper = {"learning_rate": 0.001, "batch_size": 128}
    run = SimpleNamespace(
        path=lambda ref: rows,
        place=lambda name: folder / name,
        plan=SimpleNamespace(
            document={"stages": [{}, {}, {"hyperparameters": hyper}, {}]},
            contract=load.text(load.find("events", "contracts")),
        ),
        notes={},
        listener=SimpleNamespace(step=lambda stage, text: None),
    )
    tasks.features.current = lambda: run  # type: ignore[assignment, return-value]
    given = Ref(kind="rows", uri="staging:rows", sha256="0" * 64, size=1, count=1, unit="rows")
    tasks.features.prepare.__wrapped__(given)  # type: ignore[attr-defined]


def refused(rows: Path, folder: Path) -> str:
    """What it says of rows of which nobody can be tested."""
    try:
        prepared(rows, folder)
    except BadInput as why:
        return str(why)
    raise SystemExit("rows of which nobody can be tested were taken")


def measured(ranked: Ranking, seen: Histories, held: Histories) -> pa.RecordBatch:
    """The batch that an evaluation hands to its gate: the model's lists, and for the other systems drawn ones."""
    users = ranked.users
    ends = pa.array(np.arange(0, len(users) * K + 1, K), pa.int32())
    tops = {name: drawn(len(users), K, number)[1] for number, name in enumerate(REQUIRED)}
    tops["model"] = ranked.lists.reshape(-1)
    columns = {f"top_{name}": pa.ListArray.from_arrays(ends, pa.array(top, pa.int32())) for name, top in tops.items()}
    columns["user"] = pa.array(users, pa.int32())
    for name, given in (("held", held[users]), ("seen", seen[users])):
        lists = pa.array(given.indptr, pa.int32()), pa.array(given.indices, pa.int32())
        columns[name] = pa.ListArray.from_arrays(*lists)
    columns |= {name: pa.array(np.full(len(users), at)) for name, at in (("held_from", 2), ("seen_until", 1))}
    told = {"items": str(ITEMS), "k": str(K), "approved": "", "looks": looks().model_dump_json()}
    return pa.record_batch(columns).replace_schema_metadata(told)


def main() -> None:
    """Each step, and what it took."""
    users, folder = int(sys.argv[1]), Path(sys.argv[2])
    status, steps = Path("/proc/self/status"), dict[str, dict[str, float]]()

    def memory(name: str) -> float:
        found = re.search(rf"{name}:\s+(\d+) kB", status.read_text())
        if found is None:
            raise SystemExit(f"the kernel tells no {name}")
        return int(found[1]) * 1024 / 1e6

    def step(name: str, work: Callable[[], Any]) -> Any:
        gc.collect()
        pa.default_memory_pool().release_unused()
        Path("/proc/self/clear_refs").write_text("5")  # from now on the peak is of this step
        before, begun_ = memory("VmRSS"), time.perf_counter()
        made = work()
        steps[name] = {"seconds": time.perf_counter() - begun_, "mb": memory("VmHWM"), "before": before}
        return made

    user, item = drawn(users, EACH, 1)
    write(user, item, folder / "three")
    more = drawn(users // SHARE, MORE, 2)
    write(np.r_[user, more[0] + users], np.r_[item, more[1]], folder / "more")
    del user, item, more
    said = step("refused", lambda: refused(folder / "three", folder / "none"))
    (folder / "made").mkdir()
    step("prepared", lambda: prepared(folder / "more", folder / "made"))
    found = read(folder / "made" / "features")
    few = np.bincount(found.user)[found.user] == EACH
    split = temporal(found.user[few], found.item[few], found.time[few], test=0.34, least=EACH)
    shape = len(found.users), len(found.items)
    seen, held = (histories(found.user[few][part], found.item[few][part], shape) for part in (split.train, split.test))
    start = step("begun", lambda: begun(seen, held, width=WIDTH, seed=1))
    settings = Settings(learning_rate=0.001, batch_size=128, epochs=1, closed=start.closed)
    weights = step("trained", lambda: train(seen, start.weights, settings)).weights
    ranked = step("ranked", lambda: evaluate(Folded(weights), seen, held, k=K))
    batches = pa.Table.from_batches([measured(ranked, seen, held)]).to_batches(max_chunksize=8192)
    step("judged", lambda: MetricThresholds().look(material(*batches).handed()[0]))
    print(json.dumps({"said": said, "users": int(np.diff(held.indptr).sum()), "steps": steps}))


if __name__ == "__main__":
    main()
