"""What is done to a run that has ended, or goes on from one: nothing that is written later makes a refusal good."""

import csv
import gzip
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.states import Completed

import security.gates.contract.gate
from flows.audit import audit
from flows.shell import once
from security.errors import SluiceError
from security.log import missing
from security.rows import read
from security.rows.columns import COLUMNS
from security.verify import verify
from tasks import process
from tasks.home import Home
from tasks.run import REFUSED, Quiet, Run
from tasks.source import ENDINGS
from tasks.store import current, hashed
from tests.attacks import acts
from tests.attacks.attacker import Attacker, Ground
from tests.attacks.bucket import DAYS, Operator, body, key, rows
from tests.attacks.conftest import BUCKET, Pair

LAST = DAYS[-1]


def ran(home: Home, listener: Any = None, **parameters: Any) -> tuple[Any, Run | None]:
    """A run that must leave the pointer where it was."""
    pointer = current(home, "serving")
    state, run = once(listener or Quiet(), **parameters)
    assert current(home, "serving") == pointer
    return state, run


def refused(home: Home, passed: Run, **parameters: Any) -> str:
    """What is said of a run that goes on from another, and is refused."""
    state, _ = ran(home, **passed.notes["asked"] | parameters)
    assert (state.is_failed(), state.name) == (True, REFUSED), state
    return str(state.message)


def separated(day: bytes) -> bytes:
    """The rows of JSON lines as CSV, as Python's own writer has it."""
    out, made = io.StringIO(), list(map(json.loads, day.splitlines()))
    writer = csv.DictWriter(out, sorted(made[0]))
    writer.writeheader()
    writer.writerows(made)
    return out.getvalue().encode()


@pytest.fixture
def spoiled(passed: Run) -> Iterator[Path]:
    """The log of the run that passed, to be altered and put back."""
    whole = passed.log.path.read_bytes()
    yield passed.log.path
    passed.log.path.write_bytes(whole)


def test_duplicates_are_only_removed(operator: Operator, pair: Pair, home: Home) -> None:
    operator.fill(BUCKET, "again", {LAST: body(LAST, more=rows(LAST)[:50])})
    document, policy = pair("again")
    state, run = ran(home, document=document, policy=policy, stages=["ingest"])
    assert state.is_completed(), state.message
    assert run is not None
    assert (run.notes["clean"]["rejected"], run.notes["clean"]["duplicates"]) == (0, 50)
    assert pq.read_metadata(run.path(run.published["rows"]) / "rows.parquet").num_rows == sum(
        len(rows(d)) for d in DAYS
    )


def test_rows_are_the_same_rows_in_every_format_that_the_lake_may_hold(
    operator: Operator, pair: Pair, home: Home, passed: Run, tmp_path: Path
) -> None:
    day = gzip.decompress(body(LAST))
    plain, path = tmp_path / "x.jsonl", tmp_path / "x.parquet"
    plain.write_bytes(day)
    table = pa.Table.from_batches(list(read([plain], ["x"]))).select(list(COLUMNS))
    stamps = table["timestamp"].cast(pa.timestamp("us", "UTC"))
    table = table.set_column(3, "timestamp", stamps)
    pq.write_table(table.append_column("comment", pa.nulls(len(table), pa.string())), path)
    commas = separated(day)
    held_as = {".jsonl": day, ".jsonl.zst": zstd.compress(day), ".parquet": path.read_bytes(), ".csv": commas}
    held_as |= {".csv.gz": gzip.compress(commas), ".csv.zst": zstd.compress(commas)}
    assert {".jsonl.gz", *held_as} == set(ENDINGS)
    digests = set()
    for ending, held in held_as.items():
        prefix = f"as{ending.replace('.', '-')}"
        operator.put(BUCKET, key(prefix, DAYS[0]), body(DAYS[0]))
        operator.put(BUCKET, f"{prefix}/{LAST}/part-000{ending}", held)
        document, policy = pair(prefix)
        state, run = ran(home, document=document, policy=policy, stages=["ingest"])
        assert state.is_completed(), state.message
        assert run is not None
        assert run.notes["clean"]["rejected"] == 0
        digests.add(hashed(run.path(run.published["rows"]) / "rows.parquet"))
    assert digests == {hashed(passed.path(passed.published["rows"]) / "rows.parquet")}


def test_what_was_fetched_is_read_once_for_gate_and_task(
    operator: Operator, pair: Pair, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the batch that canaries are made of, which comes first."""
    opened = Counter[str]()

    def counting(files: Sequence[Path], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for batch in read(files, names):
            opened[batch.column("file").dictionary[0].as_py()] += batch.num_rows
            yield batch

    monkeypatch.setattr(security.gates.contract.gate, "read", counting)
    document, policy = pair()
    state, run = ran(home, document=document, policy=policy, stages=["ingest"])
    assert state.is_completed(), state.message
    assert run is not None
    whole = Counter({key("good", day): len(rows(day)) for day in DAYS})
    sample = Counter({key("good", DAYS[0]): len(rows(DAYS[0]))})
    left = run.notes["clean"]["rows out"]
    assert opened == whole + sample + Counter({"rows.parquet": 2 * left})
    assert run.kept == {}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"interaction_type", b"interactionType", "key interaction_type: found no column .*nearest: interactionType"),
        (b"\r\n", b",more\r\n", "row 1: found 5 fields; allowed: 6, as in the header"),
        (b",view,", b',"view,', r"row \d+: found a quote out of place"),
        (b",view,", b',"view\n",', r"row \d+: found a quote out of place"),
        (b",view,", b",view\0,", r"row \d+: found a control character \(0x00\)"),
    ],
)
def test_csv_that_is_not_whole_stops_a_run(
    operator: Operator, pair: Pair, home: Home, old: bytes, new: bytes, says: str
) -> None:
    operator.put(BUCKET, key("torn", DAYS[0]), body(DAYS[0]))
    held = separated(gzip.decompress(body(LAST))).replace(old, new, 1)
    operator.put(BUCKET, f"torn/{LAST}/part-000.csv.gz", gzip.compress(held))
    document, policy = pair("torn")
    state, _ = ran(home, document=document, policy=policy, stages=["ingest"])
    assert state.name == REFUSED
    assert re.search(rf"torn/{LAST}/part-000\.csv\.gz, {says}", state.message)


def test_zstd_that_is_cut_off_stops_a_run(operator: Operator, pair: Pair, home: Home) -> None:
    operator.put(BUCKET, key("cut", DAYS[0]), body(DAYS[0]))
    held = zstd.compress(gzip.decompress(body(LAST)))
    operator.put(BUCKET, f"cut/{LAST}/part-000.jsonl.zst", held[:-5])
    document, policy = pair("cut")
    state, _ = ran(home, document=document, policy=policy, stages=["ingest"])
    assert state.name == REFUSED
    assert "a zstd file that is cut off" in state.message


def test_a_few_faulty_rows_are_told_by_place_and_rule(operator: Operator, pair: Pair, home: Home) -> None:
    change = {3: {"interaction_type": "stare"}, 5: {"timestamp": "yesterday"}}
    operator.fill(BUCKET, "few", {LAST: body(LAST, change=change)})
    document, policy = pair("few")
    state, run = ran(home, document=document, policy=policy, stages=["ingest"])
    assert state.is_completed(), state.message
    assert run is not None
    told = (home.evidence(run.plan.run) / "apart" / "rejects.jsonl").read_text().splitlines()
    file = f"few/{LAST}/part-000.jsonl.gz"
    assert [json.loads(line) for line in told] == [
        {"file": file, "row": 3, "rules": ["CON-TYPE"]},
        {"file": file, "row": 5, "rules": ["CON-TIME"]},
    ]


def test_after_a_run_whose_log_was_altered(home: Home, passed: Run, spoiled: Path) -> None:
    spoiled.write_bytes(b"".join(acts.altered(spoiled.read_bytes().splitlines(keepends=True))))
    assert refused(home, passed, after=passed.plan.run).startswith("plan: line 2: ")


def test_after_a_run_whose_log_was_cut(home: Home, passed: Run, spoiled: Path) -> None:
    spoiled.write_bytes(b"".join(spoiled.read_bytes().splitlines(keepends=True)[:-1]))
    assert "the log is not closed" in refused(home, passed, after=passed.plan.run)


def test_after_a_run_that_is_not_there(home: Home, passed: Run) -> None:
    assert "there is no log" in refused(home, passed, after="20240105T000000Z-abcdef")


def test_after_a_run_that_did_not_evaluate(home: Home, passed: Run) -> None:
    state, run = ran(home, **passed.notes["asked"], stages=["ingest", "features", "train"])
    assert state.is_completed(), state.message
    assert run is not None
    assert "depends on evaluate, of which there is no log" in refused(home, passed, after=run.plan.run)


def test_a_model_that_was_trained_again_needs_its_own_evaluation(home: Home, passed: Run) -> None:
    state, run = ran(home, **passed.notes["asked"], stages=["train"], after=passed.plan.run)
    assert state.is_completed(), state.message
    assert run is not None
    assert "depends on evaluate, of which there is no log" in refused(home, passed, after=run.plan.run)


def test_a_dataset_that_is_older_than_what_the_store_has_now(operator: Operator, pair: Pair, home: Home) -> None:
    operator.fill(BUCKET, "older")
    document, policy = pair("older")
    state, run = ran(home, document=document, policy=policy, stages=["ingest", "features"])
    assert state.is_completed(), state.message
    assert run is not None
    operator.put(BUCKET, key("older", LAST), body(LAST))
    state, again = ran(home, document=document, policy=policy, stages=["train"], after=run.plan.run)
    assert (state.name, again is not None) == (REFUSED, True), state
    assert re.search(
        rf"\[approved_inputs\] fail: INP-VERSION {LAST}: found version .*as the plan names it", state.message
    )
    assert again is not None
    assert "model" not in again.published


def test_what_was_not_asked_cannot_serve(home: Home, passed: Run, operator: Operator) -> None:
    """The log holds and every gate passed, but the address that would serve is not the one that was asked."""
    attacker = Attacker(Ground(home, operator, BUCKET, "good", passed), {"deploy gate 12": acts.moved})
    state, run = ran(home, attacker, **passed.notes["asked"], after=passed.plan.run)
    assert (state.name, attacker.acted) == (REFUSED, ["deploy gate 12"])
    assert "not the one that its gate asked" in state.message
    assert run is not None
    assert process.alive(home.root / "service" / run.plan.run / "process.json") is None


def test_a_state_set_by_hand_changes_nothing(home: Home, passed: Run, operator: Operator, pair: Pair) -> None:
    """Whoever has Prefect's UI can write Completed over a refusal; nothing reads it."""
    stares = dict.fromkeys(range(3, 63), {"interaction_type": "stare"})
    operator.fill(BUCKET, "staring", {LAST: body(LAST, change=stares)})
    document, policy = pair("staring")
    state, run = ran(home, document=document, policy=policy)
    assert (state.name, "CON-TYPE" in state.message) == (REFUSED, True)
    assert run is not None
    evidence = home.evidence(run.plan.run)
    before = {path: path.read_bytes() for path in evidence.rglob("*") if path.is_file()}
    pointer = current(home, "serving")
    with get_client(sync_client=True) as api:
        flow_run = state.state_details.flow_run_id
        asked = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run]))
        children = api.read_flow_runs(flow_run_filter=asked)
        assert REFUSED in {child.state.name for child in children if child.state}
        for ended in [flow_run, *(child.id for child in children)]:
            api.set_flow_run_state(ended, Completed(), force=True)
        shown = api.read_flow_run(flow_run)
    assert shown.state is not None
    assert shown.state.is_completed()
    assert current(home, "serving") == pointer
    assert {path: path.read_bytes() for path in evidence.rglob("*") if path.is_file()} == before
    with pytest.raises(SluiceError, match="CON-TYPE"):
        verify(run.log.path, run.trust)
    assert audit(evidence, home.root / "trust" / "producer.pub", policy) == 1
    message = refused(home, passed, document=document, policy=policy, after=run.plan.run)
    assert message.startswith("plan: [data_contract] fail: CON-TYPE")


def test_evidence_of_a_good_run_under_the_name_of_a_refused_one(home: Home, passed: Run, pair: Pair) -> None:
    """A log that verifies, laid where that of a refused run was: the index of runs tells."""
    document, policy = pair(thresholds={"precision@10": 0.99})
    state, run = ran(home, document=document, policy=policy, partition="2024-01-06")
    assert state.name == REFUSED
    assert run is not None
    kept = run.log.path.read_bytes()
    shutil.copyfile(passed.log.path, run.log.path)
    told = missing(home.index, run.trust.key, home.root / "evidence")
    run.log.path.write_bytes(kept)
    assert f"run {run.plan.run} ended with another log than the one that is here" in told
