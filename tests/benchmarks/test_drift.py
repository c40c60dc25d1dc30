"""Our scores of a million rows against Evidently's preset: ratios of processor time within one run, beside the target.

What is asserted is what no load changes: the exact scores of both are the same to four digits, and memory does not grow
with the number of ids. Evidently computes from two tables; of ours the reference is a profile that was made before, and
both are told: the rows of today alone, and both sides.
"""

import os
import time
import tracemalloc
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa
import pytest

from security.drift import counts
from security.drift.compare import compare
from security.drift.exact import scores_on
from security.drift.levels import Drift
from security.drift.profile import Reference, Spec
from security.drift.sketch import Facts, Sketch, planned
from tests.benchmarks.drift import CATEGORICAL, NUMERICAL, made, users

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]
ROWS, BATCH = 1_000_000, 131_072
SECRET = bytes(range(32))
TARGET = 50


def spent(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, and what came of it."""
    begun = time.process_time()
    done = work()
    return time.process_time() - begun, done


def looked(table: pa.Table, spec: Spec, reference: Reference | None = None) -> Facts:
    """The facts of a table."""
    sketch = Sketch(SECRET, spec, reference)
    for batch in table.to_batches(max_chunksize=BATCH):
        sketch.add(batch)
    return sketch.facts()


def judged(now: pa.Table, spec: Spec, stored: Reference) -> Drift:
    """What moved since a stored profile."""
    return compare(stored, looked(now, spec, stored))


@pytest.mark.parametrize("columns", [6, 7])
def test_profiles_against_evidently(columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    then, now = (made(ROWS, seed, moved).select(range(columns)) for seed, moved in ((1, 0.0), (2, 0.05)))
    some = [name for name in CATEGORICAL if name in then.column_names]
    looked(then.slice(0, 5_000), planned(then.schema, {"at": "time"}))
    spec = planned(then.schema, {"at": "time"})
    built, found = spent(lambda: looked(then, spec))
    stored = found.profile
    today, drift = spent(lambda: judged(now, spec, stored))
    exactly, ours = spent(lambda: scores_on(then, now, NUMERICAL, some))
    theirs, scores = spent(lambda: printed(then, now, some))
    for name, (method, score) in ours.items():
        assert scores[name] == (method, pytest.approx(score, abs=5e-5)), name
    assert {each.column for each in drift.columns} == {"", *then.column_names}
    with capsys.disabled():
        print(
            f"\n  {ROWS:,} rows x {columns}: Evidently {theirs:.1f} s"
            f"\n  today against a stored profile of {len(stored.bytes):,} bytes {today:.2f} s, "
            f"{theirs / today:.0f} times; target {TARGET}"
            f"\n  both sides {built + today:.2f} s, {theirs / (built + today):.0f} times"
            f"\n  Evidently's own scores without it {exactly:.2f} s, {theirs / exactly:.0f} times"
        )


def printed(then: pa.Table, now: pa.Table, categorical: list[str]) -> dict[str, tuple[str, float]]:
    """Column -> method and score, from Evidently's preset."""
    os.environ["DO_NOT_TRACK"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        kinds: Any = DataDefinition(numerical_columns=list(NUMERICAL), categorical_columns=categorical, text_columns=[])
        sides = [Dataset.from_pandas(side.to_pandas(), kinds) for side in (now, then)]
        metrics = Report([DataDriftPreset()]).run(*sides).dict()["metrics"]
    told = [each for each in metrics if each["metric_name"].startswith("ValueDrift(")]
    return {each["config"]["column"]: (each["config"]["method"], float(each["value"])) for each in told}


def test_a_million_ids(capsys: pytest.CaptureFixture[str]) -> None:
    lines, took = [], {}
    for different in (1_000, ROWS):
        then, now = (users(ROWS, different, seed) for seed in (1, 2))
        spec = planned(then.schema, {"user": "id", "session": "category"}, "user")
        stored = looked(then, spec).profile
        took[different], drift = spent(partial(judged, now, spec, stored))
        assert drift.drifted == ()
        lines.append(f"  {ROWS:,} rows of {different:>9,} users and as many sessions: {took[different]:.2f} s")
    lines.append(f"  {took[ROWS] / took[1_000]:.1f} times as long for a thousand times as many")
    with capsys.disabled():
        print("\n" + "\n".join(lines))


def test_memory_does_not_grow_with_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the bounds as they are a million ids fit; lowered, four times as many take no more."""
    monkeypatch.setattr(counts, "MOST", 1 << 16)
    monkeypatch.setattr(counts, "HELD", 4 << 20)
    peaks = []
    for rows in (ROWS // 2, 2 * ROWS):
        sketch = Sketch(SECRET, Spec(roles={"user": "id"}))
        tracemalloc.start()
        for first in range(0, rows, BATCH):
            ids = pa.array([f"u{number}" for number in range(first, min(first + BATCH, rows))])
            sketch.add(pa.record_batch({"user": ids}))
        (column,) = sketch.facts().profile.columns.values()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert column.distinct == rows  # type: ignore[union-attr]
    assert peaks[1] < 1.3 * peaks[0]
