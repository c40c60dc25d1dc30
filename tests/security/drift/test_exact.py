"""Our scores on a sample are the ones that Evidently prints."""

import os
import re
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from security.drift.exact import CHI, JS, KS, WASSERSTEIN, Z, scores_on
from security.errors import CannotTell

NUMERICAL = ("stars", "flag", "price", "height")
CATEGORICAL = ("kind", "side", "item")


def sample(rows: int, seed: int, moved: float) -> pa.Table:
    """Columns for every method that Evidently may choose; some without values in places."""
    draw = np.random.default_rng(seed)
    height = draw.standard_normal(rows) + moved
    height[:3] = np.nan, np.inf, -np.inf
    shares = np.array([0.6, 0.25, 0.15]) + moved * np.array([-0.3, 0.2, 0.1])
    return pa.table(
        {
            "stars": draw.choice([1, 2, 3, 4], rows, p=[*(shares / 2), 0.5]),
            "flag": draw.choice([0, 1], rows, p=[0.4 + moved / 5, 0.6 - moved / 5]),
            "price": draw.lognormal(3, 1 + moved / 4, rows),
            "height": height,
            "kind": pa.array(draw.choice(["view", "buy", "cart"], rows, p=shares), mask=draw.random(rows) < 0.05),
            "side": draw.choice(["left", "right"], rows, p=[0.5 + moved / 5, 0.5 - moved / 5]),
            "item": np.char.add("i", (draw.zipf(1.8, rows) % 40).astype(str)),
        }
    )


def printed(then: pa.Table, now: pa.Table) -> dict[str, tuple[str, float]]:
    """Column -> method and score, from Evidently's own report."""
    os.environ["DO_NOT_TRACK"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        kinds: Any = DataDefinition(
            numerical_columns=list(NUMERICAL), categorical_columns=list(CATEGORICAL), text_columns=[]
        )
        sides = [Dataset.from_pandas(side.to_pandas(), kinds) for side in (now, then)]
        metrics = Report([DataDriftPreset()]).run(*sides).dict()["metrics"]
    found = {}
    for each in metrics:
        told = re.fullmatch(r"ValueDrift\(column=(\w+),method=(.*),threshold=.*\)", each["metric_name"])
        if told:
            found[told[1]] = told[2], float(each["value"])
    return found


@pytest.mark.parametrize(("rows", "moved"), [(800, 0.1), (3_000, 0.4)])
def test_scores_are_those_that_evidently_prints(rows: int, moved: float) -> None:
    then, now = sample(rows, 1, 0.0), sample(rows + 77, 2, moved)
    ours, theirs = scores_on(then, now, NUMERICAL, CATEGORICAL), printed(then, now)
    assert theirs.keys() == {*NUMERICAL, *CATEGORICAL}
    assert {name: method for name, (method, _) in ours.items()} == {
        name: method for name, (method, _) in theirs.items()
    }
    assert {method for method, _ in ours.values()} == ({KS, CHI, Z} if rows <= 1_000 else {JS, WASSERSTEIN})
    for name, (_, score) in theirs.items():
        assert ours[name][1] == pytest.approx(score, rel=1e-7, abs=1e-9), name


def test_a_value_that_the_reference_lacks_is_as_evidently_has_it() -> None:
    then, now = sample(500, 1, 0.0), sample(500, 2, 0.0)
    kind = now["kind"].to_pylist()
    now = now.set_column(now.column_names.index("kind"), "kind", pa.array(["new", *kind[1:]]))
    ours, theirs = scores_on(then, now, NUMERICAL, CATEGORICAL), printed(then, now)
    assert ours["kind"] == theirs["kind"] == (CHI, 0.0)


def test_a_column_without_values_is_no_score() -> None:
    then, now = sample(500, 1, 0.0), sample(500, 2, 0.0)
    now = now.set_column(0, "stars", pa.nulls(500, pa.int64()))
    with pytest.raises(CannotTell, match="stars has no values"):
        scores_on(then, now, NUMERICAL, CATEGORICAL)
