"""What could not have been seen is never called steady; and what chance cannot do is not laid to it."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from security.drift import floors
from security.drift.compare import compare
from security.drift.levels import Levels
from security.drift.side import Part
from security.drift.sketch import planned
from tests.security.drift.data import drift, facts
from tests.security.drift.test_compare import column

ROWS = 20_000


def kinds(users: int, names: tuple[str, ...], seed: int) -> pa.Table:
    """Rows of some users, who do a few things."""
    draw = np.random.default_rng(seed)
    user = np.char.add("u", draw.integers(0, users, ROWS).astype(str))
    return pa.table({"user": user, "kind": draw.choice(names, ROWS, p=[0.6, 0.3, 0.1])})


@pytest.mark.parametrize("users", [5, 7])
def test_of_too_few_users_for_a_list_nothing_is_told_of_a_mix_however_many_rows(users: int) -> None:
    before = kinds(users, ("view", "click", "buy"), 1)
    under = planned(before.schema, {"user": "id", "kind": "category"}, "user")
    for names in (("view", "click", "buy"), ("buy", "click", "view"), ("x", "y", "z")):
        found = column(drift(before, kinds(users, names, 2), Levels(blind=4), under), "kind")
        assert found.outcome == "cannot tell"
        assert "the reference lists 0 of 3 categories" in found.reason


def test_of_a_list_of_a_handful_of_rows_nothing_is_told_of_the_rest() -> None:
    """Each row a text of its own, but for one in a hundred."""
    draw = np.random.default_rng(5)

    def texts(seed: int) -> pa.Table:
        names = np.char.add(f"t{seed}-", np.arange(ROWS).astype(str)).astype(object)
        names[draw.random(ROWS) < 0.01] = "hello"
        return pa.table({"kind": pa.array(names)})

    found = column(drift(texts(1), texts(2)), "kind")
    assert (found.outcome, "lists 1 of" in found.reason) == ("cannot tell", True), found.reason


@pytest.mark.parametrize(("users", "items"), [(8_000, 300), (500, 2_000), (2_000, 500)])
def test_that_all_ids_are_there_is_told_the_surer_the_more_rows_there_are(users: int, items: int) -> None:
    def rows(seed: int, items: int) -> pa.Table:
        draw = np.random.default_rng(seed)
        user, item = (draw.integers(0, each, 10 * ROWS).astype(str) for each in (users, items))
        return pa.table({"user": user, "item": item})

    under = planned(rows(1, items).schema, {"user": "id", "item": "id"}, "user")
    found = drift(rows(1, items), rows(2, items), under=under)
    assert (found.unclear, found.drifted) == ((), ())
    assert column(drift(rows(1, items), rows(2, items // 3), under=under), "item").outcome == "drifted"


def test_ids_that_few_users_bring_along_may_come_and_go_with_them() -> None:
    def rows(seed: int, users: int) -> pa.Table:
        user = np.arange(users * 50) // 50 + seed * 1_000
        return pa.table({"user": user.astype(str), "item": np.arange(users * 50).astype(str)})

    under = planned(rows(1, 30).schema, {"user": "id", "item": "id"}, "user")
    for users, outcome in ((30, "steady"), (5, "cannot tell")):
        item = column(drift(rows(1, users), rows(2, users), Levels(rows=1), under), "item")
        floor = next(each.floor for each in item.scores if each.name == "distinct")
        assert floor == pytest.approx(1 + floors.SPREAD * (2 / users) ** 0.5, rel=1e-5)
        assert item.outcome == outcome


def test_rows_of_a_handful_of_users_may_be_many_more_by_chance() -> None:
    before = kinds(5, ("view", "click", "buy"), 1)
    under = planned(before.schema, {"user": "id", "kind": "category"}, "user")
    (rows, *_) = drift(before, kinds(5, ("view", "click", "buy"), 2), under=under).columns
    assert (rows.column, rows.outcome) == ("", "cannot tell")
    assert "in volume, whose limit is 3" in rows.reason


@pytest.mark.parametrize(("limit", "size", "least"), [(0.9, 133, True), (0.9, 132, False), (0.95, 273, True)])
def test_from_how_many_ids_on_that_all_are_new_is_beyond_chance(limit: float, size: int, least: bool) -> None:
    assert (floors.above(limit, size) < 1) is least


@pytest.mark.parametrize(
    ("size", "new", "outcome"), [(60, 0, "steady"), (60, 30, "steady"), (60, 55, "cannot tell"), (2, 0, "cannot tell")]
)
def test_of_few_ids_it_is_told_that_most_are_old_but_not_that_most_are_new(size: int, new: int, outcome: str) -> None:
    """A shop of 60 items has no more in a day, and each of them is sold on every day."""
    at = np.arange(ROWS)
    before = pa.table({"user": (at % 5_000).astype(str), "item": (at % size).astype(str)})
    under = planned(before.schema, {"user": "id", "item": "id"}, "user")
    reference = facts(before, under=under).profile
    part = Part(1.0, {"user": 0, "item": new})
    found = compare(reference, facts(before, reference), Levels(new=0.9), part=part)
    assert column(found, "item").outcome == outcome


def test_a_share_is_beyond_chance_as_seldom_as_promised() -> None:
    draw = np.random.default_rng(1)
    for limit, size in ((0.5, 200), (0.9, 400), (0.95, 2_000)):
        floor = floors.above(limit, size)
        assert limit < floor < 1
        assert (draw.binomial(size, limit, 1_000_000) / size > floor).sum() <= 5


START = datetime(2024, 1, 1)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_that_were_declared_in_another_unit(unit: str) -> None:
    """Seconds read as milliseconds are of January 1970; milliseconds read as seconds of a year beyond 50,000."""
    times = [START + timedelta(seconds=37 * at) for at in range(4_000)]
    before = pa.table({"at": pa.array(times, pa.timestamp(unit))})
    assert column(drift(before, before), "at").outcome == "steady"
    since = before["at"].combine_chunks().cast(pa.int64()).to_numpy()
    for factor in (1_000, 1 / 1_000):
        if factor == 1_000 and unit == "ns":
            continue
        other = pa.table({"at": pa.array((since * factor).astype(np.int64)).cast(pa.timestamp(unit))})
        found = column(drift(before, other), "at")
        assert "unit" in {each.name for each in found.scores if each.drifted}, (unit, factor)


@pytest.mark.parametrize("kind", [pa.time32("s"), pa.time64("us")])
def test_times_of_day_are_numbers(kind: pa.DataType) -> None:
    whole = 86_399 * (1 if kind.unit == "s" else 1_000_000)

    def clock(share: float, seed: int) -> pa.Table:
        at = np.random.default_rng(seed).random(4_000) * share
        return pa.table({"clock": pa.array((at * whole).astype(f"int{kind.bit_width}")).cast(kind)})

    assert column(drift(clock(1, 1), clock(1, 2)), "clock").outcome == "steady"
    assert column(drift(clock(1, 1), clock(0.1, 2)), "clock").outcome == "drifted"


def test_a_type_of_somebodys_own_is_looked_at_as_what_it_is_stored_as() -> None:
    draw = np.random.default_rng(3)
    stored = pa.array([bytes(draw.bytes(15)) + bytes([at % 4]) for at in range(400)], pa.binary(16))
    own = pa.ExtensionArray.from_storage(pa.uuid(), stored)
    found = drift(pa.table({"id": own, "n": range(400)}), pa.table({"id": own, "n": range(400)}))
    assert {each.column for each in found.columns} == {"", "id", "n"}
