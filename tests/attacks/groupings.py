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
from tasks.declared import FILE
from tasks.recommender.fold import Folded
from tests.attacks.acts import staged
from tests.attacks.attacker import Ground
from tests.attacks.bucket import DAYS, Row, lines, packed, rows
from tests.attacks.conftest import drift
from tests.attacks.table import AFTER, EVALUATE, Attack

NAME = "fairness_metrics"
SCORES = "scores/scores.parquet"
FED = AFTER | {"stages": ["features", "train", "evaluate"]}
LIMITS = load.text(load.find("local", "policies"))["gates"][NAME]["limits"]
TEAM, SHELF = ("red", "blue"), ("top", "low")


def promised() -> dict[str, Any]:
    """The shipped contract, and columns that say the team of a user and the shelf of an item."""
    told: dict[str, Any] = load.text(load.find("interactions", "contracts")) | {"name": "grouped"}
    for name, of, values in (("team", "user", TEAM), ("shelf", "item", SHELF)):
        named = {"type": "library", "metric": "invalidValues", "arguments": {"validValues": list(values)}, "mustBe": 0}
        role = {"property": "sluiceRole", "value": f"{of}_group"}
        told["schema"][0]["properties"].append(
            {"name": name, "required": False, "customProperties": [role], "quality": [named]}
        )
    return told


def said(team: Callable[[int], str | None] = lambda person: TEAM[person % 8 < 3]) -> dict[str, bytes]:
    """The good rows of each day, which say of each person a team, and of each item a shelf."""

    def row(told: Row) -> Row:
        who, what = int(told["user_id"][1:]), int(told["item_id"][1:])
        return told | {"team": team(who), "shelf": SHELF[what % 2]}

    return {day: packed(lines(map(row, rows(day)))) for day in DAYS}


DECLARED: dict[str, Any] = {
    "name": "grouped",
    "contract": promised(),
    "groups": {"activity": "behavioural", "tenure": "behavioural", "team": "declared"},
    "item_groups": {"shelf": "declared"},
    NAME: {"ratio": {"ndcg": 0.6, "exposure": 0.6}},
}
"""A document with groups that its rows say; so few people are told apart at less than the shipped policy asks."""


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


def worse(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """A model that shows what fits them least to those of the first three circles of items: one team."""
    real = Folded.scores

    def scores(self: Folded, histories: Any) -> Any:
        found = real(self, histories)
        found[np.asarray(histories[:, :90].sum(axis=1)).ravel() > 9] *= -1
        return found

    patch.setattr(Folded, "scores", scores)


def hidden(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """A model that shows hardly any item of every second place of the catalogue, which are those of one shelf."""
    real = Folded.scores

    def scores(self: Folded, histories: Any) -> Any:
        found = real(self, histories)
        found[:, 1::2] -= 1e6
        return found

    patch.setattr(Folded, "scores", scores)


def swapped(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The features say other groups than the rows."""
    real = tasks.features.measure

    def measure(folder: Path) -> tuple[str, int]:
        table = pq.read_table(folder / FILE)
        groups = table["group"].to_pylist()
        names = pa.array(groups[1:] + groups[:1], pa.string())
        pq.write_table(table.set_column(3, table.schema.field(3), names), folder / FILE)
        return real(folder)

    patch.setattr(tasks.features, "measure", measure)


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
    "a-group-that-no-contract-lists": Attack(
        "ingest",
        r"\[data_contract\] fail: CON-GROUP .*1,\d+ of 4,\d+ rows say a group that is not listed, or two; "
        r"allowed: team: red, blue; shelf: top, low",
        bodies=lambda: said(lambda person: ("red", "blue", "green")[person % 3]),
        changes=DECLARED,
    ),
    "people-of-whom-nobody-knows-the-group": Attack(
        "evaluate",
        rf"\[{NAME}\] inconclusive: .*team: of \d+% of the users nobody knows the group; allowed: 0%",
        bodies=lambda: said(lambda person: None if person % 4 else "red"),
        changes=DECLARED | {"name": "untold"},  # of the other pipeline's baseline it would be drift
    ),
    "groups-that-the-rows-do-not-say": Attack(
        "features",
        r"features/groups.parquet, groups: found others than the rows say; allowed: what rows say of each",
        bodies=said,
        changes=DECLARED,
        patch=swapped,
    ),
    "a-declared-group-that-is-served-badly": Attack(
        "evaluate",
        rf"\[{NAME}\] fail: FAIR-GROUP team: (red|blue): ndcg: found ndcg 0\.\d+ of \d+ users \(declared\)",
        bodies=said,
        changes=DECLARED | {"thresholds": {"precision@10": 0.1}},
        patch=worse,
    ),
    "a-shelf-that-is-hardly-shown": Attack(
        "evaluate",
        r"\[bias_detection\] fail: BIAS-(CATALOGUE|RELEVANCE) shelf: (top|low)",
        bodies=said,
        changes=DECLARED | {"thresholds": {"precision@10": 0.1}},
        patch=hidden,
    ),
    "groups-too-small-to-tell-of": Attack(
        "evaluate",
        rf"\[{NAME}\] inconclusive: .*users are in suppressed groups",
        changes={"terms": drift() | {NAME: {"limits": LIMITS}}},
    ),
}
