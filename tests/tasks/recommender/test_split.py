"""The temporal split: nothing lost, nothing twice, no test before its train."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.recommender.split import LEAST, pairs, temporal

Ints = NDArray[np.int64]
Columns = tuple[Ints, Ints, Ints]


def columns(rows: list[tuple[int, int, int]]) -> Columns:
    user, item, time = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return user, item, time


EVENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30), st.integers(0, 9)), min_size=1, max_size=120)
PAIRS = st.lists(
    st.tuples(st.integers(-3, 4), st.integers(0, 40), st.integers(0, 9)),
    min_size=1,
    max_size=120,
    unique_by=lambda row: row[:2],
)
SHARES = st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.5, 0.9])


@given(EVENTS)
def test_pairs_are_the_first_events_of_each(events: list[tuple[int, int, int]]) -> None:
    user, item, time = columns(events)
    chosen = pairs(user, item, time)
    earliest: dict[tuple[int, int], int] = {}
    for u, i, t in events:
        earliest[u, i] = min(t, earliest.get((u, i), t))
    got = [(int(user[n]), int(time[n]), int(item[n])) for n in chosen]
    assert got == sorted((u, t, i) for (u, i), t in earliest.items())


@given(PAIRS, SHARES, SHARES)
def test_each_pair_is_in_exactly_one_part(rows: list[tuple[int, int, int]], test: float, validation: float) -> None:
    split = temporal(*columns(rows), test=test, validation=validation)
    assert (split.train.astype(int) + split.validation + split.test == 1).all()


@given(PAIRS, SHARES, SHARES)
def test_counts_per_user_are_the_shares_rounded_down(
    rows: list[tuple[int, int, int]], test: float, validation: float
) -> None:
    user, item, time = columns(rows)
    split = temporal(user, item, time, test=test, validation=validation)
    for one in np.unique(user):
        count = int((user == one).sum())
        # Hundredths in whole numbers, which share no rounding with the code.
        tested = count * round(test * 100) // 100 if count >= LEAST else 0
        validated = (count - tested) * round(validation * 100) // 100 if count >= LEAST else 0
        assert int(split.test[user == one].sum()) == tested
        assert int(split.validation[user == one].sum()) == validated


@given(PAIRS, SHARES, SHARES)
def test_parts_follow_each_other_in_time_then_item(
    rows: list[tuple[int, int, int]], test: float, validation: float
) -> None:
    user, item, time = columns(rows)
    split = temporal(user, item, time, test=test, validation=validation)
    for one in np.unique(user):
        keys = {
            name: [(int(time[n]), int(item[n])) for n in np.flatnonzero(getattr(split, name) & (user == one))]
            for name in ("train", "validation", "test")
        }
        assert keys["train"], "a user without a history cannot be folded in"
        assert max(keys["train"]) < min(keys["validation"] or keys["test"] or [(99, 99)])
        assert max(keys["validation"] or [(-1, -1)]) < min(keys["test"] or [(99, 99)])


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: list[tuple[int, int, int]], random: Random) -> None:
    mixed = list(rows)
    random.shuffle(mixed)
    first, second = (temporal(*columns(part), validation=0.2) for part in (rows, mixed))
    for name in ("train", "validation", "test"):
        assert {rows[n] for n in np.flatnonzero(getattr(first, name))} == {
            mixed[n] for n in np.flatnonzero(getattr(second, name))
        }


def test_a_fifth_of_fifteen_is_three() -> None:
    user, item = np.zeros(15, dtype=np.int64), np.arange(15)
    split = temporal(user, item, item, test=0.2)
    assert np.flatnonzero(split.test).tolist() == [12, 13, 14]


def test_a_short_user_is_all_train() -> None:
    user, item = np.zeros(4, dtype=np.int64), np.arange(4)
    assert temporal(user, item, item, test=0.5, validation=0.5).train.all()
    assert int(temporal(user, item, item, test=0.5, least=4).test.sum()) == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [([], "no interactions"), ([(0, 1, 5), (0, 2, 6), (0, 1, 7)], "1 pairs occur more than once")],
)
def test_what_cannot_be_split_is_refused(rows: list[tuple[int, int, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        temporal(*columns(rows))


@pytest.mark.parametrize("shares", [{"test": 1.0}, {"test": -0.1}, {"validation": 1.0}, {"test": float("nan")}])
def test_shares_outside_of_zero_to_one_are_refused(shares: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="shares"):
        temporal(*columns([(0, 0, 0)]), **shares)


def test_columns_of_unequal_length_are_refused() -> None:
    short, long = np.zeros(1, dtype=np.int64), np.zeros(2, dtype=np.int64)
    with pytest.raises(ValueError, match="differ in length"):
        pairs(long, short, long)
