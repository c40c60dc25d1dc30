"""What must be found is found, and alone; what cannot be told is said to be so."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from security.drift import floors
from security.drift.compare import compare
from security.drift.levels import Drift, Levels, Moved, Score
from security.drift.sketch import planned
from security.errors import CannotTell
from tests.security.drift.data import drift, facts, log

ROWS = 20_000
Column = Any


@pytest.fixture(scope="module")
def then() -> pa.Table:
    """Rows drawn one by one."""
    return log(ROWS, 1, False)


@pytest.fixture
def now() -> pa.Table:
    """Others of the same kind."""
    return log(ROWS, 2, False)


def put(table: pa.Table, name: str, column: Column) -> pa.Table:
    """The table with another column of this name."""
    return table.set_column(table.column_names.index(name), name, column)


def some(table: pa.Table, share: float) -> Any:
    """A mask of so many rows."""
    return np.random.default_rng(9).random(table.num_rows) < share


def column(found: Drift, name: str) -> Moved:
    """What is said of a column."""
    return next(each for each in found.columns if each.column == name)


def scores(found: Drift, name: str) -> dict[str, Score]:
    """Its scores by name."""
    return {each.name: each for each in column(found, name).scores}


def alone(found: Drift, name: str) -> set[str]:
    """The scores that drifted, in the only column that did, or in a pair that it is part of."""
    assert name in found.drifted
    assert all(name in each.split(" × ") for each in found.drifted)
    return {each.name for each in column(found, name).scores if each.drifted}


def changed(table: pa.Table, name: str, mask: Any, value: Any) -> pa.Table:
    """The table with another value in these rows of a column."""
    array = table[name].combine_chunks()
    return put(table, name, pc.if_else(pa.array(mask), pa.scalar(value, array.type), array))


def test_a_shift_of_three_tenths_of_a_standard_deviation(then: pa.Table, now: pa.Table) -> None:
    found = drift(then, put(now, "height", pc.add(now["height"], 0.3)))
    assert {"ks", "wasserstein"} <= alone(found, "height")
    assert scores(found, "height")["wasserstein"].value == pytest.approx(0.3, abs=0.05)
    assert "standard deviations" in column(found, "height").reason


def test_five_points_of_missingness(then: pa.Table, now: pa.Table) -> None:
    found = drift(then, changed(now, "height", some(now, 0.053), None))
    assert alone(found, "height") == {"missing"}
    assert scores(found, "height")["missing"].value == pytest.approx(0.05, abs=0.01)
    assert scores(found, "height")["missing"].reason.startswith("nulls: 5.")


def test_a_shift_of_three_standard_deviations_behind_one_outlier(then: pa.Table, now: pa.Table) -> None:
    hidden = put(then, "height", pa.chunked_array([pa.array([1e6, *then["height"].to_pylist()[1:]])]))
    found = drift(hidden, put(now, "height", pc.add(now["height"], 3)))
    assert {"ks", "psi", "js", "wasserstein", "spread", "outside"} <= alone(found, "height")
    assert scores(found, "height")["ks"].value > 0.8
    assert scores(found, "height")["wasserstein"].value > 2


def test_a_category_that_went_from_two_to_four_percent() -> None:
    def mixed(seed: int, rare: float) -> pa.Table:
        draw = np.random.default_rng(seed)
        return pa.table({"kind": draw.choice(list("abcd"), ROWS, p=[0.6, 0.3, 0.1 - rare, rare])})

    found = drift(mixed(1, 0.02), mixed(2, 0.04))
    assert "move" in alone(found, "kind")
    assert scores(found, "kind")["move"].value == pytest.approx(0.02, abs=0.006)
    assert not drift(mixed(1, 0.02), mixed(2, 0.02)).drifted


@pytest.mark.parametrize("kind", [pa.string(), pa.int32(), pa.float64()])
def test_a_change_of_type(then: pa.Table, now: pa.Table, kind: pa.DataType) -> None:
    found = drift(then, put(now, "stars", now["stars"].cast(kind)))
    assert "type" in alone(found, "stars")
    assert f"type: int64, now {kind}" in column(found, "stars").reason


def test_a_type_that_cannot_be_read_is_a_drift_and_never_silence(then: pa.Table, now: pa.Table) -> None:
    found = drift(then, put(now, "price", now["price"].cast(pa.string())))
    assert alone(found, "price") == {"type", "unread"}


def test_the_layout_of_a_column_is_no_change(then: pa.Table, now: pa.Table) -> None:
    kind = now["kind"].combine_chunks()
    for other in (kind.dictionary_encode(), kind.cast(pa.large_string()), kind.cast(pa.string_view())):
        assert not drift(then, put(now, "kind", other)).drifted


@pytest.mark.parametrize("factor", [1_000, 1_000_000, 1_000_000_000])
def test_seconds_that_became_another_unit(then: pa.Table, now: pa.Table, factor: int) -> None:
    found = drift(then, put(now, "at", pc.multiply(now["at"], factor)))
    assert alone(found, "at") == {"unit"}
    assert "unit: seconds, now" in column(found, "at").reason
    found = drift(then, put(now, "price", pc.multiply(now["price"], factor)))
    assert {"ks", "scale", "outside"} <= alone(found, "price")
    assert f"{factor:.3g}"[:1] == "1"


def test_one_row_in_twenty_in_another_unit(then: pa.Table, now: pa.Table) -> None:
    mixed = pc.if_else(pa.array(some(now, 0.05)), pc.multiply(now["at"], 1_000), now["at"])
    assert alone(drift(then, put(now, "at", mixed)), "at") == {"unit"}


def test_a_new_category(then: pa.Table, now: pa.Table) -> None:
    found = drift(then, changed(now, "kind", some(now, 0.015), "bot"))
    assert "fresh" in alone(found, "kind")
    found = drift(then, changed(now, "item", some(now, 0.015), "bot"))
    assert "fresh" in alone(found, "item")


def test_many_new_categories_at_once(then: pa.Table, now: pa.Table) -> None:
    fresh = pa.array([f"new{row}" for row in range(ROWS)])
    mixed = pc.if_else(pa.array(some(now, 0.1)), fresh, now["item"].combine_chunks())
    assert {"other", "distinct"} <= alone(drift(then, put(now, "item", mixed)), "item")


def test_rows_out_of_range(then: pa.Table, now: pa.Table) -> None:
    found = drift(then, changed(now, "clicks", some(now, 0.04), 10_000))
    assert "outside" in alone(found, "clicks")


@pytest.mark.parametrize(
    ("value", "score"), [(float("nan"), "nan"), (float("inf"), "infinite"), (-float("inf"), "infinite")]
)
def test_numbers_that_are_none(then: pa.Table, now: pa.Table, value: float, score: str) -> None:
    assert alone(drift(then, changed(now, "price", some(now, 0.03), value)), "price") == {score}


def test_hours_that_moved(then: pa.Table, now: pa.Table) -> None:
    assert alone(drift(then, put(now, "at", pc.add(now["at"], 3_600 * 5))), "at") == {"hours"}


def test_two_columns_together_that_apart_are_as_before() -> None:
    def joined(seed: int, alike: bool) -> pa.Table:
        draw = np.random.default_rng(seed)
        one, other = draw.integers(0, 2, (2, ROWS))
        return pa.table({"one": one.astype(str), "other": (one if alike else other).astype(str)})

    under = planned(joined(0, True).schema, {}, pairs=(("one", "other"),))
    found = drift(joined(1, False), joined(2, True), under=under)
    assert found.drifted == ("one × other",)
    assert not drift(joined(1, True), joined(2, True), under=under).drifted


def test_one_user_who_does_most_of_it(then: pa.Table, now: pa.Table) -> None:
    found = drift(then, changed(now, "user", some(now, 0.3), "bot"))
    assert {"weight"} <= {each.name for each in column(found, "user").scores if each.drifted}


@pytest.mark.parametrize("size", [400, 200_000])
def test_turnover_of_ids(size: int) -> None:
    def ids(first: int, last: int) -> pa.Table:
        return pa.table({"id": [f"u{number}" for number in range(first, last)]})

    under = planned(ids(0, 1).schema, {"id": "id"})
    levels = Levels(gone=0.3, new=0.3)
    told = scores(drift(ids(0, size), ids(size // 4, size), levels, under), "id")
    assert told["gone"].value == pytest.approx(0.25, abs=0.1 if size > 256 else 0)
    assert told["new"].value == 0
    assert told["jaccard"].value == pytest.approx(0.25, abs=0.1 if size > 256 else 0)
    assert not told["gone"].drifted
    told = scores(drift(ids(0, size), ids(size * 3 // 4, size * 7 // 4), levels, under), "id")
    assert told["new"].value == pytest.approx(0.75, abs=0.12)
    assert told["jaccard"].value == pytest.approx(6 / 7, abs=0.1)
    assert told["gone"].drifted
    assert told["new"].drifted


def test_volume(then: pa.Table) -> None:
    assert drift(then, log(ROWS // 4, 5, False)).drifted == ("",)
    assert not drift(then, log(ROWS // 2, 5, False)).drifted


def test_a_slow_walk_is_caught_against_what_it_began_with() -> None:
    days = [pa.table({"height": np.random.default_rng(day).standard_normal(ROWS) + day * 0.03}) for day in range(12)]
    pinned = facts(days[0]).profile
    against = [bool(compare(pinned, facts(day, pinned)).drifted) for day in days[1:]]
    rolling = [bool(drift(one, other).drifted) for one, other in zip(days, days[1:], strict=False)]
    assert against[-1]
    assert not against[0]
    assert not any(rolling)


def test_too_few_rows_are_no_all_clear(then: pa.Table) -> None:
    found = drift(then, then.slice(0, 150), Levels(volume=None))
    assert not found.drifted
    assert set(found.unclear) == {each.column for each in found.columns if each.role not in ("rows",)}
    assert "effective rows; at least 200 are needed" in column(found, "height").reason


def test_many_rows_of_few_users_are_few() -> None:
    """Each user's rows are all the same: 20,000 rows say no more than 100."""

    def few(seed: int) -> pa.Table:
        draw, user = np.random.default_rng(seed), np.arange(ROWS) % 100
        return pa.table({"user": (user + seed * 1_000).astype(str), "height": draw.standard_normal(100)[user]})

    found = drift(few(1), few(2))
    assert "height" in found.unclear
    assert column(found, "height").rows == pytest.approx(100, rel=0.01)


def test_a_floor_far_above_the_limit_is_no_all_clear() -> None:
    then, now = (pa.table({"height": np.random.default_rng(seed).standard_normal(400)}) for seed in (1, 2))
    assert drift(then, now, Levels(ks=0.02)).unclear == ("height",)
    assert "chance alone may reach" in column(drift(then, now, Levels(ks=0.02)), "height").reason


def test_what_is_not_compared_is_named(then: pa.Table, now: pa.Table) -> None:
    lists = pa.array([[1]] * ROWS)
    found = drift(then.append_column("tags", lists), now.append_column("tags", lists).append_column("more", lists))
    told = {each.column: each.reason for each in found.untested}
    assert told.keys() == {"tags", "more"}
    assert "no role" in told["tags"]
    assert "the reference does not have the column" in told["more"]
    everything = {*now.column_names, "tags", "more"}
    assert everything == {each.column for each in found.columns if each.role not in ("rows", "pair")} | set(told)


def test_a_column_that_is_gone_is_a_drift(then: pa.Table, now: pa.Table) -> None:
    found = drift(then, now.drop_columns(["price"]))
    assert "type" in alone(found, "price")
    assert "now absent" in column(found, "price").reason


def test_limits_decide_and_none_only_shows(then: pa.Table, now: pa.Table) -> None:
    moved = put(now, "height", pc.add(now["height"], 0.3))
    wide = Levels(ks=0.5, psi=None, js=0.5, wasserstein=0.5, spread=0.5)
    assert not drift(then, moved, wide).drifted
    assert scores(drift(then, moved, wide), "height")["psi"].limit is None


def test_facts_of_another_reference_are_refused(then: pa.Table, now: pa.Table) -> None:
    one, other = facts(then).profile, facts(now).profile
    with pytest.raises(CannotTell, match="not counted in the cells of this reference"):
        compare(one, facts(now, other))
    with pytest.raises(CannotTell, match="not counted in the cells of this reference"):
        compare(one, facts(now))
    with pytest.raises(CannotTell, match="no rows"):
        compare(one, facts(now.slice(0, 0), one))


def test_a_small_move_in_strongly_clustered_data_is_not_called_steady() -> None:
    """A user's rows are all of one kind: a kind that went from 5 to 7 % is within chance, and beyond its limit."""

    def alike(seed: int, rare: float) -> pa.Table:
        draw, user = np.random.default_rng(seed), np.arange(50_000) % 500
        own = draw.choice(["a", "b", "c"], 500, p=[0.6, 0.4 - rare, rare])
        return pa.table({"user": (user + seed * 1_000).astype(str), "kind": own[user]})

    under = planned(alike(0, 0.05).schema, {"user": "id", "kind": "category"}, "user")
    levels = Levels(variation=0.2, psi=None, js=None, other=None, fresh=None)
    for rare in (0.05, 0.07):
        found = drift(alike(1, 0.05), alike(2, rare), levels, under)
        told = scores(found, "kind")
        assert told["variation"].floor <= 2 * 0.2
        assert told["move"].floor > 2 * 0.015
        assert "kind" in found.unclear
        assert "in move, whose limit is 0.015" in column(found, "kind").reason
    wide = levels.model_copy(update={"move": 0.2, "missing": 0.1})
    assert column(drift(alike(1, 0.05), alike(2, 0.05), wide, under), "kind").outcome == "steady"


def test_those_that_are_listed_because_chance_made_them_frequent_are_expected_to_fall_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The share of all that are not listed grows by as much, at one source; the floor holds just that."""

    def items(seed: int) -> pa.Table:
        share = 1 / np.arange(1, 2_001) ** 0.9
        return pa.table({"item": np.random.default_rng(seed).choice(2_000, ROWS, p=share / share.sum()).astype(str)})

    grown, own = [], []
    for seed in range(4):
        both = drift(items(seed), items(seed + 100), under=planned(items(0).schema, {"item": "category"}))
        with monkeypatch.context() as patch:
            patch.setattr(floors, "regression", lambda *_: 0.0)
            bare = drift(items(seed), items(seed + 100), under=planned(items(0).schema, {"item": "category"}))
        assert not scores(both, "item")["other"].drifted
        grown.append(scores(both, "item")["other"].value)
        own.append(scores(both, "item")["other"].floor - scores(bare, "item")["other"].floor)
    assert np.mean(grown) > 0.005
    assert np.mean(own) == pytest.approx(np.mean(grown), rel=0.4)
