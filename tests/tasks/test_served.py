"""Figures of groups as the page gets them: made again from the scores that were judged, or none."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from security import gate as gates
from security.errors import CannotTell
from security.gates import fairness
from security.verdict import Observation
from tasks import served
from tests.security.gates import test_fairness

LIMITS: dict[str, Any] = {
    "groupings": {"activity": "behavioural"},
    "ratio": {"ndcg": 0.8},
    "behavioural": {"ndcg": 0.5},
}
WHERE = "evaluate", "score"


def written(folder: Path, chance: Any) -> Any:
    """Scores of 600 users, half of them light."""
    who: dict[str, Any] = {"activity": ["light", "heavy"] * 300}
    rows = test_fairness.made(who, chance, groups={"activity": "behavioural"}, proxy={})
    pq.write_table(pa.Table.from_batches([rows]), folder / "scores.parquet")
    return rows


@pytest.fixture
def judged(tmp_path: Path) -> tuple[Any, Observation]:
    """A run in which the gate has looked at scores, and what it saw."""
    rows = written(tmp_path, np.where(np.arange(600) % 2, 0.5, 0.4))
    seen = gates.observe(fairness.FairnessMetrics(), test_fairness.material(rows), LIMITS)
    terms = {"evaluate": {"score": {served.NAME: SimpleNamespace(limits=LIMITS)}}}
    outputs = {seen.subject.sha256: "staging:scores"}
    run = SimpleNamespace(plan=SimpleNamespace(terms=terms), outputs=outputs, path=lambda ref: tmp_path, notes={})
    return run, seen


def test_every_group_that_was_judged_has_its_figures(judged: tuple[Any, Observation]) -> None:
    run, seen = judged
    served.heard(run, *WHERE, seen)
    facts, limits, rows = run.notes["groups"]
    assert facts == fairness.Facts.model_validate(seen.facts)
    assert limits.lowest("behavioural") == {"ndcg": 0.5}
    assert {(row.group, row.metric) for row in rows} == {(g, m) for g in ("light", "heavy") for m in fairness.METRICS}
    assert all(row.low < row.ratio < row.high for row in rows)
    page = served.section(run)
    assert "activity (behavioural)" in page
    assert page.count("<svg") == 4


def test_scores_that_are_others_than_were_judged_have_none(judged: tuple[Any, Observation], tmp_path: Path) -> None:
    run, seen = judged
    written(tmp_path, np.where(np.arange(600) % 2, 0.5, 0.5))
    with pytest.raises(CannotTell, match="fairlearn has"):
        served.heard(run, *WHERE, seen)
    page = served.section(run)
    assert "none is shown" in page
    assert "<svg" not in page


def test_where_no_groups_were_looked_at_nothing_is_said(judged: tuple[Any, Observation]) -> None:
    run, _ = judged
    assert served.section(run) == ""
