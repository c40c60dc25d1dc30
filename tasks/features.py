"""Rows to what a model learns from: vocabularies, the split in time, what each pair says, starting embeddings.

Pairs are unique (user, item) at the time they first occurred; each user's last fifth is the test slice, a tenth of what
is left before it is for early stopping. What a pair says in training follows from all of its interactions. Both
vocabularies are sorted, so the same rows give the same bytes. Groups that rows say lie apart (`tasks.declared`).
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import save

from security.errors import BadInput
from security.verdict import Ref
from tasks import declared
from tasks.dataset import settings
from tasks.recommender.histories import histories
from tasks.recommender.joint import begun
from tasks.recommender.split import LEAST, TEST, VALIDATION, pairs, temporal
from tasks.recommender.weight import weights
from tasks.run import current
from tasks.stage import guarded
from tasks.store import measure


def _indexed(ids: pa.ChunkedArray) -> tuple[pa.StringArray, NDArray[np.int64]]:
    """The distinct ids of a column, in order of code points, and of each row the index of its own."""
    found = pc.unique(ids)
    found = found.take(pc.sort_indices(found))
    return found, pc.index_in(ids, value_set=found).to_numpy().astype(np.int64)


@guarded("features", before=["PII_detection"], after=["data_contract", "data_poisoning"])
def prepare(rows: Ref) -> Ref:
    """Vocabularies, split and starting embeddings from rows without personal data."""
    run = current()
    table = pq.read_table(run.path(rows) / "rows.parquet")
    users, user = _indexed(table["user_id"])
    items, item = _indexed(table["item_id"])
    time = table["timestamp"].cast(pa.int64()).to_numpy()
    chosen = pairs(user, item, time)
    every = user * len(items) + item
    user, item = user[chosen], item[chosen]
    split = temporal(user, item, time[chosen], test=TEST, validation=VALIDATION)
    part = np.zeros(len(chosen), dtype=np.int8)
    part[split.validation], part[split.test] = 1, 2
    order = np.argsort(every[chosen])
    place = order[np.searchsorted(every[chosen], every, sorter=order)]
    kinds = table["interaction_type"].to_numpy(zero_copy_only=False).astype(str)
    seconds = table["timestamp"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy() / 1e6
    says = weights(place, kinds, seconds, user, split.train)
    tested = len(np.unique(user[split.test]))
    if not tested:
        most = int(np.bincount(user).max())
        found = f"no user of {len(users):,} with more than {most:,} of {len(items):,} items, and nothing to test on"
        raise BadInput("rows.parquet", "user_id", found, f"users with {LEAST} items or more, whose last are held out")
    hyper = settings(run)
    folder = run.place("features")
    folder.mkdir()
    of: dict[declared.Of, Any] = {"user": every // len(items), "item": every % len(items)}
    pq.write_table(declared.gathered(table, declared.named(run.plan), of), folder / declared.FILE, compression="zstd")
    columns = {
        "user_id": table["user_id"].take(chosen),
        "item_id": table["item_id"].take(chosen),
        "interaction_type": table["interaction_type"].take(chosen),
        "timestamp": table["timestamp"].take(chosen),
        "user": pa.array(user, pa.int32()),
        "item": pa.array(item, pa.int32()),
        "part": pa.array(part, pa.int8()),
        "says": pa.array(says, pa.float32()),
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet", compression="zstd")
    told = {"users": users.to_pylist(), "items": items.to_pylist()}
    (folder / "vocabulary.json").write_text(json.dumps(told, separators=(",", ":")), encoding="utf-8")
    shape = len(users), len(items)
    train = histories(user[split.train], item[split.train], shape, says[split.train])
    held = histories(user[split.validation], item[split.validation], shape)
    try:
        start = begun(train, held, width=int(hyper["width"]), seed=int(hyper["seed"]))
    except ValueError as why:
        found = f"{len(users):,} users and {len(items):,} items, with which no model can begin ({why})"
        raise BadInput("rows.parquet", "user_id", found, "two or more of each") from None
    (folder / "start.safetensors").write_bytes(save(dict(start.weights)))
    (folder / "start.json").write_text(json.dumps({"closed": start.closed, "ridge": start.ridge}), encoding="utf-8")
    sha, size = measure(folder)
    run.notes["features"] = {"users": len(users), "items": len(items), "pairs": len(chosen), "tested": tested}
    run.listener.step("features", f"{len(users):,} users, {len(items):,} items, {len(chosen):,} pairs")
    return Ref(kind="features", uri="staging:features", sha256=sha, size=size, count=tested, unit="users")
