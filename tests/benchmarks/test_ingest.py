"""Figures of ingest at ten and thirty million rows: ratios within one run, printed beside their targets.

The stage is the real flow over the embedded lake, every gate at its place, bucket and objects among them; without gates
it is the same download and the same cleaning, by the same process.

What is asserted is what no load of the machine changes: every way leaves the same rows, and the peak of memory. The
targets of the ratios are not met on two processors. By hand nothing is sorted; here rows are, by account, and each is
held against the contract: that limits the first. Two whole looks, before and after, limit the second: each classifies
and hashes every row again, since a gate takes nothing from the task that it stands beside; only the first one's reading
is shared with the task. The stage asks the bucket some thirty questions besides, and Prefect runs ten tasks.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import flows.pipeline
from flows.shell import once
from security.engines.s3 import fetch as download
from security.gates.contract import batches
from security.verdict import Ref
from security.verify import verify
from tasks.home import Home
from tasks.run import Quiet
from tasks.source import Place, Source, window
from tasks.store import hashed
from tests.attacks.bucket import Operator
from tests.benchmarks.ingest import WAYS, cleaned
from tests.small import small

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]
SMALL, LARGE = 10_000_000, 30_000_000
ROOT = Path(__file__).parents[2]
MONTH = "2023-07"
MOST = 1.5
"""GB."""
BY_HAND, GATES = 1.3, 1.25


def run(*given: str) -> str:
    """What the script prints."""
    argv = [sys.executable, "-m", "tests.benchmarks.ingest", *given]
    return subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Both files, made from a seed; gone afterwards."""
    made = tmp_path_factory.mktemp("ingest")
    for rows in (SMALL, LARGE):
        run("make", str(made / f"{rows}.parquet"), str(made), str(rows))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def operator(prefect: str, home: Home) -> Operator:
    """Who owns the buckets."""
    return Operator(home)


def measured(folder: Path, way: str, rows: int) -> dict[str, Any]:
    """One way in a process of its own, which leaves nothing behind but its output."""
    own = folder / f"{way}-{rows}"
    own.mkdir()
    told: dict[str, Any] = json.loads(run(way, str(folder / f"{rows}.parquet"), str(own)))
    assert [path.name for path in own.iterdir()] == ["out.parquet"]
    shutil.rmtree(own)
    return told


def test_ingest_against_engines_by_hand_and_against_itself_without_gates(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {way: measured(folder, way, SMALL) for way in WAYS}
    large = measured(folder, "gated", LARGE)
    best = min(("duckdb", "polars"), key=lambda way: float(found[way]["seconds"]))

    def over(way: str, other: str) -> str:
        both = (found[way][unit] / found[other][unit] for unit in ("seconds", "processors"))
        return "{:.2f} ({:.2f} of processors)".format(*both)

    with capsys.disabled():
        print()
        for way, told in (*found.items(), ("gated, 30 million", large)):
            print(f"  {way:<20} {told['seconds']:6.1f} s, {told['processors']:6.1f} of processors, {told['gb']:.2f} GB")
        print(f"  ungated over {best}, by hand: {over('ungated', best)}; target {BY_HAND}")
        print(f"  gated over {best}, by hand:   {over('gated', best)}")
        print(f"  gated over ungated:           {over('gated', 'ungated')}; target {GATES}")
    assert {told["rows"] for told in found.values()} == {SMALL - SMALL // 100}
    assert large["rows"] == LARGE - LARGE // 100
    assert max(found["gated"]["gb"], large["gb"]) < MOST


def test_the_stage_against_itself_without_gates(
    folder: Path, operator: Operator, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.make("speed")
    operator.put("speed", f"rows/{MONTH}/part-000.parquet", (folder / f"{SMALL}.parquet").read_bytes())
    source = f"s3://speed/rows/{MONTH}/"
    document, policy = small(name="speed", source=source)
    found: dict[str, list[float]] = {"without": [], "with": []}
    real = flows.pipeline.ingest

    def timed(bucket: Ref) -> Any:
        begun, used = time.perf_counter(), time.process_time()
        out = real(bucket)
        found["with"] = [time.perf_counter() - begun, time.process_time() - used]
        return out

    monkeypatch.setattr(flows.pipeline, "ingest", timed)
    state, run = once(Quiet(), document=document, policy=policy, stages=["ingest"])
    assert state.is_completed(), state.message
    assert run is not None
    assert run.notes["clean"]["rows out"] == SMALL - SMALL // 100
    gates = [each.verdict.gate for each in verify(run.log.path, run.trust).held]
    assert gates == [gate for task in run.plan.matrix["ingest"].values() for gate in task["before"] + task["after"]]

    begun, used = time.perf_counter(), time.process_time()
    rows = without(Source.read(home), Place.of(source), folder)
    found["without"] = [time.perf_counter() - begun, time.process_time() - used]
    assert rows == SMALL - SMALL // 100
    ratio = [a / b for a, b in zip(found["with"], found["without"], strict=True)]
    with capsys.disabled():
        print()
        for way, (seconds, processors) in found.items():
            print(f"  the stage {way + ' gates':<14} {seconds:6.1f} s, {processors:6.1f} of processors")
        print(f"  {', '.join(gates)}: {run.clock['gates']:.1f} s")
        print(f"  with gates over without: {ratio[0]:.2f} ({ratio[1]:.2f} of processors); target {GATES}")


def without(source: Source, place: Place, folder: Path) -> int:
    """What the tasks of the stage do, between no gates: listed, fetched, cleaned, hashed; the rows that are left."""
    (each,) = window(source, place, MONTH, None)
    raw, out = folder / "raw.parquet", folder / "out.parquet"
    with raw.open("xb") as sink:
        download(source.endpoint, source.credentials, place.bucket, each, sink)
    left = cleaned(partial(batches, [raw], [each.key], place.partition), folder)
    hashed(out)
    for path in (raw, out):
        path.unlink()
    return left
