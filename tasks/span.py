"""The rows of the last partitions of a run: what is compared with a baseline, however much a run trains on."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from security.gates import contract
from security.material import Material
from security.resolve import days
from security.rows import lines
from tasks.run import Run
from tasks.source import Place

TIME = pa.timestamp("us", "UTC")
Kept = Callable[[pa.RecordBatch], Iterator[pa.RecordBatch]]
Newest = Callable[[pa.RecordBatch], bool]


def recent(
    run: Run, rows: Material[Any], folder: Path, stage: str, limits: dict[str, Any]
) -> tuple[Material[Any], Newest]:
    """Of the rows that lie in a folder those of the days `since` to `until`, and how many there are, counted apart; and
    what tells whether a batch of them is of the newest partition.

    A row as it was fetched is of the partition that its file lies in; one that was cleaned of the one that its time is
    in.
    """
    since, until, last = limits["since"], limits["until"], run.plan.partition
    if stage == "ingest":
        expected, kept, newest = _fetched(
            Place.of(run.plan.document["stages"][0]["source"]), folder, since, until, last
        )
    else:
        expected, kept, newest = _cleaned(folder / "rows.parquet", since, until, days(last, 1)[0])

    def within() -> Iterator[pa.RecordBatch]:
        return (each for batch in rows.source() for each in kept(batch) if each.num_rows)

    found = Material(
        rows.subject, within, expected=expected, unit=rows.unit, weigh=rows.weigh, sample=rows.sample, basis=rows.basis
    )
    return found, newest


def _fetched(where: Place, folder: Path, since: str, until: str, last: str) -> tuple[int, Kept, Newest]:
    objects = json.loads((folder / "manifest.json").read_text())["objects"]
    parts = {each["key"]: where.partition(each["key"]) for each in objects}
    wanted = {part for part in parts.values() if part and since <= days(part, None)[1] <= until}
    expected = sum(lines(folder / e["file"], e["key"]) for e in objects if parts[e["key"]] in wanted)

    def kept(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        if contract.partition(batch) in wanted:
            yield batch

    return expected, kept, lambda batch: contract.partition(batch) == last


def _cleaned(path: Path, since: str, until: str, newest: str) -> tuple[int, Kept, Newest]:
    first, last = moments(since, until)
    apart, _ = moments(newest, newest)
    time = ds.field("timestamp")

    def kept(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        moment = batch["timestamp"]
        within = pc.and_(pc.greater_equal(moment, first.value), pc.less(moment, last.value))
        fresh = pc.greater_equal(moment, apart.value)
        yield batch.filter(pc.and_(within, pc.invert(fresh)))
        yield batch.filter(pc.and_(within, fresh))

    expected = ds.dataset(path).count_rows(filter=(time >= first) & (time < last))
    return expected, kept, lambda batch: bool(batch["timestamp"][0].as_py() >= apart.value)


def moments(since: str, until: str) -> tuple[pa.Scalar, pa.Scalar]:
    """When the days begin, and when they are over."""
    found = [datetime.fromisoformat(f"{day}T00:00:00+00:00") for day in (since, until)]
    return pa.scalar(found[0], TIME), pa.scalar(found[1] + timedelta(1), TIME)
