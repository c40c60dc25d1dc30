"""A model of a language in real runs: who it knows is found, or handled; another model stops the run."""

import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from security.personal.names import pin
from tasks.home import Home
from tests.attacks.bucket import DAYS, Operator, body, lines, packed, rows
from tests.attacks.conftest import BUCKET, Pair
from tests.attacks.test_replays import ran
from tests.security.personal.test_names import ruled, written

INGEST: dict[str, Any] = {"stages": ["ingest"]}
LAST = DAYS[-1]
WHO = "Alice.Smith"
"""A name as the contract lets an id be written."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rules that know some people and places."""
    pipeline = ruled()
    pipeline.get_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": WHO}])  # type: ignore[attr-defined]
    return written(pipeline, tmp_path / "model")


def named(folder: Path, **more: Any) -> dict[str, Any]:
    """The change of a policy that names it."""
    told = {"at": f"file:{folder}", "sha256": pin(folder), "finds": "Alice Smith lives in Paris"}
    return {"PII_detection": {"model": told} | more}


def test_a_name_in_a_note_is_refused_by_a_policy_that_names_a_model(
    operator: Operator, pair: Pair, home: Home, folder: Path
) -> None:
    operator.fill(BUCKET, "noted", {LAST: body(LAST, change={700: {"note": "ask Bob about it"}})})
    document, policy = pair("noted", name="noted")
    state, _ = ran(home, document=document, policy=policy, **INGEST)
    assert state.is_completed(), state.message
    document, policy = pair("noted", name="noted", **named(folder))
    state, _ = ran(home, document=document, policy=policy, **INGEST)
    assert state.is_failed()
    said = r"\[PII_detection\] fail: PII-NAMED column \d: PERSON in 1 of 1 cells, .*part-000.jsonl.gz row 700; "
    assert re.search(said, state.message), state.message
    assert "Bob" not in state.message


def test_a_folder_that_is_another_stops_the_run(operator: Operator, pair: Pair, home: Home, folder: Path) -> None:
    operator.fill(BUCKET, "another")
    document, policy = pair("another", name="another", **named(folder))
    (folder / "meta.json").write_text((folder / "meta.json").read_text() + "\n")
    for _ in range(2):
        state, _ = ran(home, document=document, policy=policy, **INGEST)
        said = r"\[PII_detection\] inconclusive: a model with the digest [0-9a-f]{12}; [0-9a-f]{12} is the one that is "
        assert re.search(said, state.message), state.message
        shutil.rmtree(folder, ignore_errors=True)
        written(ruled(), folder)
        (folder / "more.json").write_text("{}")


def test_a_name_as_an_id_is_handled_with_it(operator: Operator, pair: Pair, home: Home, folder: Path) -> None:
    who = {"user_id": WHO}
    told = {day: [row | (who if row["user_id"] == "p001" else {}) for row in rows(day)] for day in DAYS}
    operator.fill(BUCKET, "people", {day: packed(lines(each)) for day, each in told.items()})
    actions = {"user_id": {"PERSON": "hash"}, "comment": {"*": "drop"}}
    terms = named(folder, actions=actions, key="UnsafeLocal")
    document, policy = pair("people", name="people", **terms)
    state, run = ran(home, document=document, policy=policy, stages=["ingest", "features"])
    assert state.is_completed(), state.message
    assert run is not None
    (cells,) = run.notes["handled"]["cells"]
    assert cells == {
        "column": "user_id",
        "entity": "PERSON",
        "action": "hash",
        "cells": sum(row["user_id"] == WHO for day in told.values() for row in day),
    }
    told_ = [str(pq.read_table(each).to_pydict()) for each in run.path(run.published["features"]).glob("*.parquet")]
    assert any("hashed:" in each for each in told_)
    assert not any("Alice" in each for each in told_)
