"""One way through a Parquet file of interactions, in a process of its own: time and peak of memory, as JSON.

`python -m tests.benchmarks.ingest WAY FILE FOLDER`. Time is in seconds, by the clock and of processors; imports are not
in it. The peak is the kernel's `VmHWM`: `ru_maxrss` would also count the process that this one was started from.
"""

import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from security.gate import judge, observe
from security.gates.contract import ContractLimits, DataContract, batches, material
from security.rows import lines
from security.rows.kept import Kept
from security.verdict import Outcome, Subject
from tasks.clean import clean

Rows = Callable[[], Iterable[pa.RecordBatch]]
MINUTE = 60
"""Most events a minute that the ways by hand let an account have."""
CHUNK = 1_000_000


def make(path: Path, rows: int) -> None:
    """So many rows from a seed: one in a hundred a repetition, 20 a user, 50,000 items, 30 days in any order."""
    draw = np.random.default_rng(7)
    users, items = rows // 20, 50_000
    names = [pa.array([f"{letter}{index}" for index in range(count)]) for letter, count in (("u", users), ("i", items))]
    types = pa.array(["view", "click", "purchase"])
    with pq.ParquetWriter(path, table(names[0], names[1], types, draw, 1).schema) as writer:
        for start in range(0, rows, CHUNK):
            size = min(CHUNK, rows - start)
            made = table(names[0], names[1], types, draw, size - size // 100)
            writer.write_table(pa.concat_tables([made, made.slice(0, size // 100)]))


def table(users: pa.Array, items: pa.Array, types: pa.Array, draw: np.random.Generator, size: int) -> pa.Table:
    """Rows drawn evenly over users, items and the first 30 days of July 2023."""
    stamps = 1_688_169_600_000_000 + draw.integers(0, 30 * 86_400_000, size) * 1000
    return pa.table(
        {
            "user_id": users.take(pa.array(draw.integers(0, len(users), size))),
            "item_id": items.take(pa.array(draw.integers(0, len(items), size))),
            "interaction_type": types.take(pa.array(draw.choice(3, size, p=[0.7, 0.2, 0.1]))),
            "timestamp": pa.array(stamps, pa.timestamp("us", "UTC")),
        }
    )


def duckdb(path: Path, folder: Path) -> int:
    """By hand: repetitions out, accounts above the rate out, written."""
    import duckdb as engine

    base = engine.connect(config={"temp_directory": str(folder), "preserve_insertion_order": False})
    base.execute(
        f"""copy (
            with once as materialized (select distinct * from read_parquet('{path}')),
            fast as (select user_id from once group by user_id, time_bucket(interval 1 minute, timestamp)
                     having count(*) > {MINUTE})
            select * from once anti join fast using (user_id)
        ) to '{folder / "out.parquet"}' (format parquet, compression zstd)"""
    ).fetchall()
    return pq.read_metadata(folder / "out.parquet").num_rows


def polars(path: Path, folder: Path) -> int:
    """The same with Polars, streaming."""
    import polars as engine

    once = engine.scan_parquet(path).unique().collect(engine="streaming")
    minutes = once.lazy().group_by("user_id", engine.col("timestamp").dt.truncate("1m")).len()
    fast = minutes.filter(engine.col("len") > MINUTE).select("user_id").unique()
    kept = once.lazy().join(fast, on="user_id", how="anti")
    kept.sink_parquet(folder / "out.parquet", compression="zstd")
    return pq.read_metadata(folder / "out.parquet").num_rows


def ungated(path: Path, folder: Path) -> int:
    """Sluice: hashed, read, faulty rows out, repetitions out, bots out, sorted and written; nothing looked at."""
    _hashed(path)
    return cleaned(partial(batches, [path], ["x"]), folder)


def gated(path: Path, folder: Path) -> int:
    """The same, with the data contract's gate, its canaries included, before and after; read once, as in the flow."""
    rows = Kept(partial(batches, [path], ["x"]))
    _contract(path, rows, clean=False)
    _hashed(path)
    left = cleaned(rows, folder)
    rows.close()
    out = folder / "out.parquet"
    _contract(out, partial(batches, [out], ["x"]), clean=True)
    return left


def _hashed(path: Path) -> None:
    with path.open("rb") as raw:
        hashlib.file_digest(raw, "sha256")


def cleaned(rows: Rows, folder: Path) -> int:
    """The cleaning of the flow, into `out.parquet`; how many rows are left."""
    limits = ContractLimits.model_validate({"since": "", "until": "2099-12-31", "bots": {}})
    steps = ["deduplicate", "filter_bots"]
    return clean(rows(), folder / "out.parquet", folder, limits, steps, key=b"k" * 32, spill=folder).rows_out


def _contract(path: Path, rows: Rows, clean: bool) -> None:
    limits = {"since": "", "until": "2099-12-31", "clean": clean, "bots": {}}
    gate, subject = DataContract(), Subject(kind="rows", name="x", sha256="0" * 64)
    seen = observe(gate, material(subject, rows, lines(path)), limits)
    found = judge(gate, seen, limits)
    if found.outcome != Outcome.PASS:
        raise SystemExit(found.reason)


WAYS: dict[str, Callable[[Path, Path], int]] = {
    "duckdb": duckdb,
    "polars": polars,
    "ungated": ungated,
    "gated": gated,
}


def main() -> None:
    """Run one way."""
    way, path, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if way == "make":
        make(path, int(sys.argv[4]))
        return
    for name in ("duckdb", "polars"):
        __import__(name)
    began, used = time.perf_counter(), time.process_time()
    rows = WAYS[way](path, folder)
    seconds, used = time.perf_counter() - began, time.process_time() - used
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if peak is None:
        raise SystemExit("the kernel tells no VmHWM")
    print(json.dumps({"seconds": seconds, "processors": used, "gb": int(peak[1]) * 1024 / 1e9, "rows": rows}))


if __name__ == "__main__":
    main()
