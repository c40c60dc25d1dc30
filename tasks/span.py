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
from security.policy import days
from security.rows import lines
from tasks.run import Run
from tasks.source import Place

TIME = pa.timestamp("us", "UTC")
Kept = Callable[[pa.RecordBatch], pa.RecordBatch]


def recent(run: Run, rows: Material[Any], folder: Path, stage: str, limits: dict[str, Any]) -> Material[Any]:
    """Of the rows that lie in a folder those of the days `since` to `until`, and how many there are, counted apart.

    A row as it was fetched is of the partition that its file lies in; one that was cleaned of the one that its time is
    in.
    """
    since, until = limits["since"], limits["until"]
    if stage == "ingest":
        expected, kept = _fetched(Place.of(run.plan.document["stages"][0]["source"]), folder, since, until)
    else:
        expected, kept = _cleaned(folder / "rows.parquet", since, until)

    def within() -> Iterator[pa.RecordBatch]:
        return (each for each in map(kept, rows.source()) if each.num_rows)

    return Material(
        rows.subject, within, expected=expected, unit=rows.unit, weigh=rows.weigh, sample=rows.sample, basis=rows.basis
    )


def _fetched(where: Place, folder: Path, since: str, until: str) -> tuple[int, Kept]:
    objects = json.loads((folder / "manifest.json").read_text())["objects"]
    parts = {each["key"]: where.partition(each["key"]) for each in objects}
    wanted = {part for part in parts.values() if part and since <= days(part, None)[1] <= until}
    expected = sum(lines(folder / e["file"], e["key"]) for e in objects if parts[e["key"]] in wanted)
    return expected, lambda batch: batch if contract.partition(batch) in wanted else batch.slice(0, 0)


def _cleaned(path: Path, since: str, until: str) -> tuple[int, Kept]:
    first, last = moments(since, until)
    time = ds.field("timestamp")

    def kept(batch: pa.RecordBatch) -> pa.RecordBatch:
        moment = batch["timestamp"]
        return batch.filter(pc.and_(pc.greater_equal(moment, first.value), pc.less(moment, last.value)))

    return ds.dataset(path).count_rows(filter=(time >= first) & (time < last)), kept


def moments(since: str, until: str) -> tuple[pa.Scalar, pa.Scalar]:
    """When the days begin, and when they are over."""
    found = [datetime.fromisoformat(f"{day}T00:00:00+00:00") for day in (since, until)]
    return pa.scalar(found[0], TIME), pa.scalar(found[1] + timedelta(1), TIME)
