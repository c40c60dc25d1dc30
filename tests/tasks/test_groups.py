"""Who is in which group, by hand and by a slow reading; what embeddings tell; and what the runner does not believe."""

import json
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.errors import BadInput
from tasks import declared, form, groups
from tasks.dataset import Features
from tasks.groups import BEHAVIOURS, FOLDS, auc
from tasks.recommender.joint import Start
from tasks.recommender.shape import starting

ITEMS = 30
KINDS = dict.fromkeys(BEHAVIOURS, "behavioural")


def features(pairs: list[tuple[int, int, int, int]], users: int) -> Features:
    """Features of (user, item, time, part)."""
    user, item, time, part = (np.array(column) for column in zip(*pairs, strict=True))
    names = [f"u{each:03d}" for each in range(users)]
    items = [f"i{each:02d}" for each in range(ITEMS)]
    start, says = Start(starting(ITEMS, 4, 1), 3, 300.0), np.ones(len(user), np.float32)
    columns = ("user_id", "item_id", "user", "item", "part")
    groups_: declared.Groups = {"user": {}, "item": {}}
    return Features(names, items, user, item, time, part.astype(np.int8), says, start, columns, groups_)


def made(size: int = 40) -> Features:
    """Users with 3 to 12 items before the test, each with one in it; the first of each at a time of its own."""
    pairs = [(u, i, 100 * u + i, 1 if i == 1 else 0) for u in range(size) for i in range(3 + u % 10)]
    return features(pairs + [(u, ITEMS - 1, 10**6, 2) for u in range(size)], size)


def area(embedded: Any, names: Any) -> float:
    """The area alone."""
    told = auc(embedded, names)
    assert told is not None
    return told[0]


def test_activity_and_tenure_are_cut_at_the_median_of_who_is_evaluated() -> None:
    # Items before the test: 2, 3, 4, 9; the last has nothing held out. First items at 40, 30, 20, 10.
    counts = (2, 3, 4, 9)
    pairs = [(u, i, 40 - 10 * u + i, i % 2) for u, count in enumerate(counts) for i in range(count)]
    found = features(pairs + [(u, 20, 5, 2) for u in range(3)], 4)
    users = np.array([0, 1, 2])
    told = {name: column.to_pylist() for name, column in groups.columns(found, users, KINDS).items()}
    assert told == {"group_activity": ["light", "light", "heavy"], "group_tenure": ["new", "old", "old"]}
    assert list(groups.columns(found, users, {"tenure": "behavioural"})) == ["group_tenure"]


USERS = st.lists(st.tuples(st.integers(1, 9), st.integers(-5, 5)), min_size=1, max_size=20)


@given(USERS)
@settings(max_examples=60, deadline=None)
def test_groups_are_those_of_a_slow_reading_whatever_the_order_of_rows(given_: list[tuple[int, int]]) -> None:
    pairs = [(u, i, first + i, i % 2) for u, (count, first) in enumerate(given_) for i in range(count)]
    pairs += [(u, 25, -99, 2) for u in range(len(given_))]
    users = np.arange(len(given_))
    cut, since = median(count for count, _ in given_), sorted(first for _, first in given_)[(len(given_) - 1) // 2]
    for order in (pairs, pairs[::-1]):
        told = groups.columns(features(order, len(given_)), users, KINDS)
        assert told["group_activity"].to_pylist() == ["heavy" if n > cut else "light" for n, _ in given_]
        assert told["group_tenure"].to_pylist() == ["new" if first > since else "old" for _, first in given_]


def test_what_is_held_out_makes_no_group() -> None:
    found = made()
    other = Features(**{**vars(found), "item": np.where(found.part == 2, 3, found.item), "time": found.time})
    users = np.arange(40)
    assert groups.columns(found, users, KINDS) == groups.columns(other, users, KINDS)


def test_embeddings_that_say_the_group_tell_it_and_noise_does_not() -> None:
    draw = np.random.default_rng(3)
    names = np.array(["light", "heavy"])[draw.integers(0, 2, 400)]
    noise = draw.normal(size=(400, 32))
    assert abs(area(noise, names) - 0.5) < 0.08
    told = noise.copy()
    told[:, 7] += 6.0 * (names == "heavy")
    assert area(told, names) > 0.99
    assert auc(told, names) == auc(told.copy(), names.copy())
    assert auc(told, np.where(names == "heavy", "a", "b")) == (pytest.approx(area(told, names), abs=1e-6), 400)


def test_no_user_is_told_from_itself() -> None:
    """A column for each user could say any group, to who has seen that user's."""
    draw = np.random.default_rng(5)
    names = np.array(["light", "heavy"])[draw.permutation(np.arange(200) % 2)]
    assert area(np.eye(200), names) < 0.6


@pytest.mark.parametrize(
    "names", [["a"] * 40, ["a"] * (40 - FOLDS + 1) + ["b"] * (FOLDS - 1), ["a"] * 20 + [None] * 20]
)
def test_of_one_group_or_too_few_users_nothing_is_told(names: list[str | None]) -> None:
    assert auc(np.ones((40, 3)), np.array(names, dtype=object)) is None


@pytest.mark.parametrize("groups_", [3, 11])
def test_of_several_groups_the_one_that_is_best_told_counts(groups_: int) -> None:
    draw = np.random.default_rng(8)
    names = np.array([f"g{n}" for n in range(groups_)], dtype=object)[draw.integers(0, groups_, 600)]
    noise = draw.normal(size=(600, 8))
    told = noise.copy()
    told[:, 2] += 8.0 * (names == "g1")
    assert area(told, names) > 0.99, "however many others nobody can tell apart"
    assert area(noise, names) < 0.65


def test_who_is_in_no_group_or_a_small_one_is_not_counted() -> None:
    draw = np.random.default_rng(9)
    names = np.array(["a", "b"] * 50 + [None] * 30 + ["few"] * 19, dtype=object)
    noise = draw.normal(size=(149, 4))
    assert auc(noise, names, 20) == auc(noise[:100], names[:100])
    assert (auc(noise, names, 20) or (0, 0))[1] == 100
    assert (auc(noise, names, 19) or (0, 0))[1] == 119
    assert auc(noise, names, 51) is None


def test_declared_groups_are_what_features_have_and_null_where_nobody_knows() -> None:
    found = made()
    teams: Any = pa.array([None if u % 4 == 3 else ("red", "blue")[u % 2] for u in range(40)], pa.string())
    other = replace(found, groups={"user": {"team": teams}, "item": {}})
    users = np.array([0, 1, 3, 39])
    told = groups.columns(other, users, {"team": "declared", "activity": "behavioural"})
    assert told["group_team"].to_pylist() == ["red", "blue", None, None]
    assert groups.columns(found, users, {"team": "declared"})["group_team"].null_count == 4
    said = groups.told(
        other, told, {"team": "declared", "activity": "behavioural"}, found.start.weights, before(found), FOLDS
    )
    assert json.loads(said["groups"]) == {"activity": "behavioural", "team": "declared"}
    assert "team" not in json.loads(said["inputs"])


def before(found: Features) -> Any:
    return found.histories("train", "validation")[np.array([0, 1, 3, 39])]


def test_items_are_coded_by_name_and_unknown_ones_apart() -> None:
    found = made()
    shelves: Any = pa.array([("top", "low", None)[i % 3] for i in range(ITEMS)], pa.string())
    other = replace(found, groups={"user": {}, "item": {"shelf": shelves}})
    (described, codes), (none, unknown) = groups.of_items(other, ["shelf", "maker"]).values()
    assert (described.kind, described.groups) == ("declared", ("low", "top"))
    assert codes.tolist() == [(1, 0, 255)[i % 3] for i in range(ITEMS)]
    assert (none.groups, set(unknown.tolist())) == ((), {255})


def test_embeddings_that_are_all_the_same_tell_nothing() -> None:
    assert auc(np.ones((40, 3)), np.array(["a", "b"] * 20)) == (0.5, 40)
    assert auc(np.ones((40, 3)), np.array(["a", "b", "c", "d"] * 10)) == (0.5, 40)


def scores(found: Features) -> tuple[pa.Table, Any, Any]:
    """The part of an evaluation that is about groups, and the users and histories that it is of."""
    users = np.arange(len(found.users))
    seen = found.histories("train", "validation")[users]
    who = groups.columns(found, users, KINDS)
    told = groups.told(found, who, KINDS, found.start.weights, seen, FOLDS)
    return pa.table({"user": pa.array(users, pa.int32())} | who).replace_schema_metadata(told), users, seen


def test_what_is_said_of_groups_is_read_from_the_features() -> None:
    table, _, _ = scores(made())
    said = {name.decode(): json.loads(text) for name, text in table.schema.metadata.items()}
    assert said["groups"] == {"activity": "behavioural", "tenure": "behavioural"}
    assert said["inputs"] == ["user_id", "item_id", "user", "item", "part"]
    assert {name: each["users"] for name, each in said["proxy"].items()} == {"activity": 40, "tenure": 40}
    assert all(0 <= each["auc"] <= 1 for each in said["proxy"].values())


def swapped(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("group_activity")
    names = table["group_activity"].to_pylist()
    names[0] = "heavy" if names[0] == "light" else "light"
    return table.set_column(at, "group_activity", pa.array(names, pa.string()))


def worded(**changes: Any) -> Any:
    def change(table: pa.Table) -> pa.Table:
        fresh = {name.encode(): json.dumps(value).encode() for name, value in changes.items()}
        return table.replace_schema_metadata(table.schema.metadata | fresh)

    return change


ODD: dict[str, tuple[Any, str]] = {
    "swapped": (swapped, "group_activity: found groups that are not the features'"),
    "dropped": (lambda table: table.drop_columns(["group_tenure"]), "group_tenure: found no such groups"),
    "added": (
        lambda table: table.append_column("group_age", table["group_tenure"]),
        "group_age: found groups that the document does not name",
    ),
    "unknown": (
        lambda table: table.set_column(1, "group_activity", pa.nulls(table.num_rows, pa.string())),
        "group_activity: found groups that are not",
    ),
    "declared": (worded(groups={"activity": "declared", "tenure": "declared"}), "groups: found another account"),
    "inputs": (worded(inputs=["user_id"]), "inputs: found another account"),
    "proxy": (worded(proxy={}), "proxy: found another account"),
}


@pytest.mark.parametrize("name", ODD)
def test_the_evaluations_word_about_groups_is_not_believed(name: str) -> None:
    found = made()
    table, users, seen = scores(found)
    form.grouped(table, found, users, KINDS, found.start.weights, seen, FOLDS)
    change, says = ODD[name]
    with pytest.raises(BadInput, match=says):
        form.grouped(change(table), found, users, KINDS, found.start.weights, seen, FOLDS)
