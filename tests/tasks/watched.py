"""A run under a plan that watches rows for drift, and published rows of days, for what people see of it."""

import random
import shutil
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from security.drift.profile import Reference
from security.gate import judge, observe
from security.gates.drift import COLUMNS, Facts, Given, material
from security.log import Index
from security.material import Material
from security.policy import Terms, effect
from security.resolve import days
from security.verdict import Observation, Ref, Verdict
from tasks import report
from tasks.baseline import NAME
from tasks.run import Run
from tasks.store import measure
from tests.security.gates.test_drift import GATE, LEVELS, SECRET, log, rows_of

DAY = 86_400_000_000
PARTITIONS = 3
KINDS = ["view", "click", "purchase"]


def days_of(partition: str, seed: int, shares: list[float], rows: int = 3_000) -> pa.RecordBatch:
    """Rows of the last days up to a partition, of kinds in these shares."""
    draw, batch = np.random.default_rng(seed), log(seed, rows)
    since = np.datetime64(days(partition, PARTITIONS)[0], "us").astype(np.int64)
    times = since + draw.integers(0, PARTITIONS * DAY, rows)
    kinds = draw.choice(KINDS, rows, p=shares)
    for name, values in (("timestamp", times), ("interaction_type", kinds)):
        batch = batch.set_column(batch.schema.get_field_index(name), name, pa.array(values))
    return batch


def look(batch: pa.RecordBatch, against: Reference | None) -> Material[Given]:
    """Rows for one look, those of the last day being of the newest partition."""
    day = np.asarray(batch["timestamp"]) // DAY
    last = batch.filter(pa.array(day == day.max(initial=0)))
    rows, then = rows_of(batch.filter(pa.array(day < day.max(initial=0))), last), against.bytes if against else None
    return material(rows, then, SECRET, newest=lambda each: each is last, partitions=PARTITIONS)


def facts(batch: pa.RecordBatch, against: Reference | None = None) -> Facts:
    """What is seen of rows."""
    return GATE.look(look(batch, against).handed()[0])


def limits(partition: str, baseline: str, **more: Any) -> dict[str, Any]:
    """The plan's limits."""
    since, until = days(partition, PARTITIONS)
    told = {"baseline": baseline, "since": since, "until": until, "partitions": PARTITIONS, "levels": LEVELS}
    return told | {"first": "establish", **more}


def watching(run: Run, partition: str, baseline: str = "", **more: Any) -> Run:
    """The run under a plan that watches for drift, and nothing else."""
    terms = Terms(limits=limits(partition, baseline, **more), accepts={}, observe=())
    places = {"features": {"protect": {NAME: terms}}, "ingest": {"fetch": {NAME: terms}}}
    run.plan = run.plan.model_copy(update={"terms": places, "partition": partition})
    return run


def tell(
    run: Run, batch: pa.RecordBatch, against: Reference | None, at: tuple[str, str] = ("features", "protect")
) -> Verdict:
    """Report the verdict on these rows, as the runner does."""
    terms = run.plan.terms[at[0]][at[1]][NAME]
    seen: Observation = observe(GATE, look(batch, against), terms.limits, random.Random(1))
    said = judge(GATE, seen, terms.limits)
    report.verdict(run, *at, said, effect(said, terms), seen, 0.1)
    return said


def published(run: Run, *batches: pa.RecordBatch) -> Ref:
    """Cleaned rows in the store of the run's home."""
    tables = [pa.Table.from_batches([each]).select(list(COLUMNS)) for each in batches]
    table = pa.concat_tables(tables)
    times = pc.cast(table["timestamp"], pa.timestamp("us", "UTC"))
    fresh = run.home.folder("store", "fresh")
    pq.write_table(table.set_column(3, "timestamp", times), fresh / "rows.parquet")
    (fresh / "manifest.json").write_text("{}")
    sha, size = measure(fresh)
    shutil.move(fresh, run.home.root / "store" / sha)
    return Ref(kind="rows", uri=f"store:{sha}", sha256=sha, size=size, count=len(table), unit="rows")


def known(run: Run, partition: str, rows: Ref, profile: Reference) -> None:
    """Say in the index that these rows were a baseline."""
    told = {
        "pipeline": run.plan.document["pipeline_name"],
        "partition": partition,
        "run": "before",
        "how": "established",
        "span": PARTITIONS,
        "policy": "0" * 64,
    }
    told |= {"profiles": {"protect": profile.digest}, "rows": rows.sha256, "reason": ""}
    Index(run.home.index, run.log.signer).append("reference", **told)
