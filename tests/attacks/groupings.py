"""What is done to groups of users: how they are served, who is said to be in them, and what the model is fed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tasks.features
from configs import load
from tasks.recommender.fold import Folded
from tests.attacks.acts import staged
from tests.attacks.attacker import Ground
from tests.attacks.conftest import drift
from tests.attacks.table import AFTER, EVALUATE, Attack

NAME = "fairness_metrics"
SCORES = "scores/scores.parquet"
FED = AFTER | {"stages": ["features", "train", "evaluate"]}
LIMITS = load.text(load.find("local", "policies"))["gates"][NAME]["limits"]
ASKED = LIMITS["groupings"] | {"age": "declared"}


def rewritten(change: Callable[[Any], Any]) -> Callable[[Ground, Path], None]:
    """The evaluation writes another table."""

    def act(ground: Ground, path: Path) -> None:
        table = change(pq.read_table(path))
        pq.write_table(table, path)

    return act


def others(table: Any) -> Any:
    """Light and heavy users become one another's every second time, so that both are served alike."""
    at = table.schema.get_field_index("group_activity")
    names = [("light", "heavy")[row % 2] for row in range(table.num_rows)]
    return table.set_column(at, "group_activity", pa.array(names, pa.string()))


def worded(**changes: Any) -> Callable[[Any], Any]:
    """Something else is said of the groups."""

    def change(table: Any) -> Any:
        fresh = {name.encode(): json.dumps(value).encode() for name, value in changes.items()}
        return table.replace_schema_metadata(table.schema.metadata | fresh)

    return change


def badly(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """A model that shows light users what fits them least: to the evaluation, and to the runner that asks it again."""
    real = Folded.scores

    def scores(self: Folded, histories: Any) -> Any:
        found, count = real(self, histories), np.diff(histories.indptr)
        found[count <= np.median(count)] *= -1
        return found

    patch.setattr(Folded, "scores", scores)


def fed(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The features get a column that says whether a user is heavy, for the model to learn from."""
    real = tasks.features.measure

    def measure(folder: Path) -> tuple[str, int]:
        table = pq.read_table(folder / "rows.parquet")
        count = np.bincount(table["user"].to_numpy())[table["user"].to_numpy()]
        column = pa.array(np.where(count > np.median(count), "heavy", "light").tolist(), pa.string())
        pq.write_table(table.append_column("activity", column), folder / "rows.parquet")
        return real(folder)

    patch.setattr(tasks.features, "measure", measure)


GROUPINGS = {
    "groups-of-other-users": Attack(
        "evaluate",
        "group_activity: found groups that are not the features'",
        {"written": staged(SCORES, rewritten(others))},
        parameters=EVALUATE,
    ),
    "groups-that-are-left-out": Attack(
        "evaluate",
        "group_activity: found no such groups; allowed: those by activity, tenure",
        {"written": staged(SCORES, rewritten(lambda table: table.drop_columns(["group_activity"])))},
        parameters=EVALUATE,
    ),
    "groups-that-are-said-to-be-declared": Attack(
        "evaluate",
        "groups: found another account of groups",
        {"written": staged(SCORES, rewritten(worded(groups={"activity": "declared", "tenure": "declared"})))},
        parameters=EVALUATE,
    ),
    "embeddings-that-are-said-to-tell-nothing": Attack(
        "evaluate",
        "proxy: found another account of groups",
        {"written": staged(SCORES, rewritten(worded(proxy={"activity": {"auc": 0.5, "users": 160}})))},
        parameters=EVALUATE,
    ),
    "a-group-that-is-served-badly": Attack(
        "evaluate",
        rf"\[{NAME}\] fail: FAIR-GROUP activity: light: ndcg: found ndcg 0\.\d+ of \d+ users \(behavioural\), "
        r"at best 0\.\d+, of all 0\.\d+, ratio 0\.\d+; allowed: 0\.5 of the whole",
        changes={"thresholds": {"precision@10": 0.075}},
        patch=badly,
    ),
    "a-group-among-what-the-model-is-fed": Attack(
        "evaluate",
        rf"\[{NAME}\] fail: FAIR-INPUT activity: found grouping activity among the model's inputs",
        parameters=FED,
        patch=fed,
    ),
    "a-grouping-that-nobody-has": Attack(
        "evaluate",
        rf"\[{NAME}\] inconclusive: age: a declared grouping is asked for, and there is none",
        changes={NAME: {"groupings": ASKED}},
    ),
    "groups-too-small-to-tell-of": Attack(
        "evaluate",
        rf"\[{NAME}\] inconclusive: .*users are in suppressed groups",
        changes={"terms": drift() | {NAME: {"limits": LIMITS}}},
    ),
}
