"""Groups that rows say: of each user and item one or none, by hand and by a slow reading; and files of another form."""

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.errors import BadInput
from tasks import declared, form
from tasks.declared import FILE, SCHEMA, gathered, read
from tests.attacks import groupings

WANTED: dict[declared.Of, list[str]] = {"user": ["team"], "item": ["shelf"]}
Rows = list[tuple[int, int, str | None, str | None]]


def table(rows: Rows) -> tuple[pa.Table, dict[declared.Of, Any]]:
    """Rows of (user, item, team, shelf)."""
    user, item, team, shelf = zip(*rows, strict=True) if rows else ((), (), (), ())
    made = pa.table({"team": pa.array(team, pa.string()), "shelf": pa.array(shelf, pa.string())})
    return made, {"user": np.array(user, dtype=np.int64), "item": np.array(item, dtype=np.int64)}


def written(folder: Path, made: pa.Table, users: list[str], items: list[str], at: list[int]) -> pa.Table:
    """Rows of these users and items, and features with each pair once; groups are still to be written."""
    when = pa.array(at, pa.timestamp("us", "UTC"))
    rows = made.append_column("user_id", pa.array(users)).append_column("item_id", pa.array(items))
    rows = rows.append_column("timestamp", when)
    pq.write_table(rows, folder / "of.parquet")
    told = {"users": sorted(set(users)), "items": sorted(set(items))}
    (folder / "vocabulary.json").write_text(json.dumps(told))
    user, item = (pa.array(range(len(each)), pa.int32()) for each in (users, items))
    pq.write_table(pa.table({"user": user, "item": item, "timestamp": when}), folder / "rows.parquet")
    return rows


def said(rows: Rows) -> list[tuple[Any, ...]]:
    made, places = table(rows)
    return [tuple(row.values()) for row in gathered(made, WANTED, places).to_pylist()]


def test_who_says_one_thing_is_in_that_group_and_who_says_two_in_none() -> None:
    rows: Rows = [
        (0, 0, "red", "top"),
        (0, 1, None, None),
        (1, 0, "red", "low"),
        (1, 1, "blue", None),
        (2, 1, None, None),
    ]
    assert said(rows) == [("user", "team", 0, "red")], (
        "user 1 says two, user 2 none; item 0 is on two shelves, item 1 on none"
    )


ROWS = st.lists(
    st.tuples(
        st.integers(0, 4), st.integers(0, 4), st.sampled_from([None, "a", "b"]), st.sampled_from([None, "x", "y"])
    ),
    max_size=25,
)


@given(ROWS, st.randoms())
def test_it_is_that_of_a_slow_reading_whatever_the_order(rows: Rows, draw: Any) -> None:
    found: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    for user, item, team, shelf in rows:
        found["user", "team", user] |= {team} - {None}
        found["item", "shelf", item] |= {shelf} - {None}
    wanted = sorted(
        ((*key, *names) for key, names in found.items() if len(names) == 1), key=lambda e: (e[0] == "item", e)
    )
    assert said(rows) == wanted
    draw.shuffle(rows)
    assert said(rows) == wanted


def test_a_column_that_the_contract_promises_and_rows_lack_is_an_error() -> None:
    made, places = table([(0, 0, "red", "top")])
    with pytest.raises(BadInput, match="column shelf: found none"):
        gathered(made.drop_columns(["shelf"]), WANTED, places)


def test_what_was_written_is_read_as_groups_of_each(tmp_path: Path) -> None:
    made, places = table([(0, 2, "red", "top"), (2, 2, "blue", "top")])
    pq.write_table(gathered(made, WANTED, places), tmp_path / FILE)
    found = read(tmp_path, {"user": 3, "item": 3})
    assert found["user"]["team"].to_pylist() == ["red", None, "blue"]
    assert found["item"]["shelf"].to_pylist() == [None, None, "top"]
    with pytest.raises(BadInput, match="users by team: found a place twice, or none; allowed: 0 to 1, each once"):
        read(tmp_path, {"user": 2, "item": 3})


@pytest.mark.parametrize(
    "spoilt",
    [
        pa.table({"of": ["user"], "grouping": ["team"], "place": [0]}),
        pa.table([["user"], ["team"], pa.array([0], pa.int32()), pa.array([None], pa.string())], schema=SCHEMA),
        pa.table([["user"] * 2, ["team"] * 2, pa.array([0, 0], pa.int32()), ["a", "b"]], schema=SCHEMA),
        pa.table([["user"], ["team"], pa.array([-1], pa.int32()), ["a"]], schema=SCHEMA),
    ],
    ids=["columns", "null", "twice", "outside"],
)
def test_a_file_of_another_form_is_bad_input(spoilt: pa.Table, tmp_path: Path) -> None:
    pq.write_table(spoilt, tmp_path / FILE)
    with pytest.raises(BadInput, match="features/groups.parquet"):
        read(tmp_path, {"user": 3, "item": 3})
    (tmp_path / FILE).write_bytes(b"PAR1")
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path, {"user": 3, "item": 3})


def plan(document: dict[str, Any], contract: dict[str, Any]) -> Any:
    """What of a plan says which columns of groups there are."""
    return SimpleNamespace(document={"stages": [{}, {}, {}, document]}, contract=contract)


def test_only_what_the_document_groups_by_is_kept() -> None:
    promised = groupings.promised()
    nobody: dict[declared.Of, list[str]] = {"user": [], "item": []}
    assert declared.named(plan({}, promised)) == nobody
    assert declared.named(plan({"groups": {"activity": "behavioural"}}, promised)) == nobody
    both = {"groups": {"team": "declared", "tenure": "behavioural"}, "item_groups": {"shelf": "declared"}}
    assert declared.named(plan(both, promised)) == WANTED


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda told: told, ""),
        (lambda told: told.slice(1), "groups: found others than the rows say"),
        (lambda told: SCHEMA.empty_table(), "groups: found others than the rows say"),
    ],
)
def test_the_features_word_about_groups_is_not_believed(tmp_path: Path, change: Any, says: str) -> None:
    made, places = table([(0, 0, "red", "top"), (1, 1, "blue", "low")])
    rows = written(tmp_path, made, ["u", "v"], ["i", "j"], [3, 4])
    pq.write_table(change(gathered(made, WANTED, places)), tmp_path / FILE)
    if not says:
        form.said(tmp_path, tmp_path / "of.parquet", WANTED)
    else:
        with pytest.raises(BadInput, match=says):
            form.said(tmp_path, tmp_path / "of.parquet", WANTED)
        pq.write_table(rows.drop_columns(["shelf"]), tmp_path / "of.parquet")
        with pytest.raises(BadInput, match="column shelf: found none; allowed: what the contract promises"):
            form.said(tmp_path, tmp_path / "of.parquet", WANTED)


def test_where_nothing_is_grouped_no_group_is_said(tmp_path: Path) -> None:
    made, places = table([(0, 0, "red", "top")])
    written(tmp_path, made, ["u"], ["i"], [3])
    pq.write_table(SCHEMA.empty_table(), tmp_path / FILE)
    none: dict[declared.Of, list[str]] = {"user": [], "item": []}
    form.said(tmp_path, tmp_path / "of.parquet", none)
    pq.write_table(gathered(made, WANTED, places), tmp_path / FILE)
    with pytest.raises(BadInput, match="groups: found others than the rows say"):
        form.said(tmp_path, tmp_path / "of.parquet", none)


@pytest.mark.parametrize(
    "change",
    [
        lambda pairs: pairs.slice(1),
        lambda pairs: pa.concat_tables([pairs, pairs.slice(0, 1)]),
        lambda pairs: pairs.set_column(2, "timestamp", pa.array([4, 4, 5], pa.timestamp("us", "UTC"))),
        lambda pairs: pairs.set_column(2, "timestamp", pa.array([9, 4, 5], pa.timestamp("us", "UTC"))),
        lambda pairs: pairs.set_column(2, "timestamp", pairs["timestamp"].cast(pa.timestamp("ns", "UTC"))),
        lambda pairs: pairs.set_column(1, "item", pa.array([1, 0, 1], pa.int32())),
    ],
    ids=["dropped", "added", "moved", "its last time", "unit", "items swapped"],
)
def test_pairs_that_the_rows_do_not_have_are_refused(tmp_path: Path, change: Any) -> None:
    made, _ = table([(0, 0, None, None)] * 4)
    written(tmp_path, made, ["u", "u", "v", "u"], ["i", "i", "j", "j"], [9, 3, 4, 5])
    pairs = pa.table(
        {
            "user": pa.array([0, 1, 0], pa.int32()),
            "item": pa.array([0, 1, 1], pa.int32()),
            "timestamp": pa.array([3, 4, 5], pa.timestamp("us", "UTC")),
        }
    )
    pq.write_table(SCHEMA.empty_table(), tmp_path / FILE)
    none: dict[declared.Of, list[str]] = {"user": [], "item": []}
    for order in ([0, 1, 2], [2, 1, 0]):
        pq.write_table(pairs.take(order), tmp_path / "rows.parquet")
        form.said(tmp_path, tmp_path / "of.parquet", none)
    pq.write_table(change(pairs), tmp_path / "rows.parquet")
    with pytest.raises(BadInput, match=r"features/rows\.parquet, timestamp: found"):
        form.said(tmp_path, tmp_path / "of.parquet", none)
