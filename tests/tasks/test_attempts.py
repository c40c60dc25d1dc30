"""What a test slice is known by: the pairs that are held out, and nothing else of a run."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.attempts import sliced
from tasks.dataset import Features

PAIR = st.tuples(st.integers(0, 5), st.integers(0, 7))


def features(pairs: dict[tuple[str, str], int], seed: int = 0, width: int = 3) -> Features:
    """Pairs of ids and the part of each, as a features folder holds them, in any order."""
    users, items = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    rng = np.random.default_rng(seed)
    told = [list(pairs)[n] for n in rng.permutation(len(pairs))]
    user = np.array([users.index(each[0]) for each in told], np.int64)
    item = np.array([items.index(each[1]) for each in told], np.int64)
    part = np.array([pairs[each] for each in told], np.int8)
    start: Any = {"encoder": rng.normal(size=(len(items), width)).astype(np.float32)}
    says = rng.uniform(0.1, 3, len(told)).astype(np.float32)
    return Features(
        users,
        items,
        user,
        item,
        rng.integers(0, 9, len(told)),
        part,
        says,
        start,
        ("user", "item"),
        {"user": {}, "item": {}},
    )


def named(told: dict[tuple[int, int], int]) -> dict[tuple[str, str], int]:
    return {(f"u{user}", f"i{item}"): part for (user, item), part in told.items()}


PAIRS = st.dictionaries(PAIR, st.integers(0, 2), min_size=2, max_size=20).map(named)


@given(PAIRS, st.integers(1, 99))
def test_it_is_the_same_whatever_the_seed_the_width_and_the_order(pairs: dict[tuple[str, str], int], seed: int) -> None:
    assert sliced(features(pairs)) == sliced(features(pairs, seed, 5))


@given(PAIRS, st.sampled_from(("a", "u25", "z")), st.sampled_from(("a", "i25", "z")), st.integers(0, 1))
def test_it_is_the_same_whatever_is_trained_on(
    pairs: dict[tuple[str, str], int], user: str, item: str, part: int
) -> None:
    """Also where a user or an item more changes the number of every other."""
    more = features(pairs | {(user, item): part})
    assert sliced(more) == sliced(features(pairs))
    other = features({pair: 1 - each if each < 2 else 2 for pair, each in pairs.items()})
    assert sliced(other) == sliced(features(pairs))


@given(PAIRS, PAIRS)
def test_two_are_the_same_only_where_their_pairs_are(
    one: dict[tuple[str, str], int], two: dict[tuple[str, str], int]
) -> None:
    held = [{pair for pair, part in each.items() if part == 2} for each in (one, two)]
    assert (sliced(features(one)) == sliced(features(two))) == (held[0] == held[1])


@given(PAIRS)
def test_one_pair_more_or_less_is_another_slice(pairs: dict[tuple[str, str], int]) -> None:
    """The rule's limit: whoever may alter a row begins to count anew, and the partition is what tells of it."""
    held = [pair for pair, part in pairs.items() if part == 2]
    assume(held)
    assert sliced(features(pairs | {held[0]: 0})) != sliced(features(pairs))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({("a", "b"): 2, ("a", "c"): 2}, {("a", "b"): 2, ("c", "a"): 2}),
        ({("ab", "c"): 2}, {("a", "bc"): 2}),
        ({('a", ["b', "c"): 2}, {("a", "b"): 2}),
        ({("a\n", "b"): 2}, {("a", "\nb"): 2}),
    ],
)
def test_ids_do_not_run_together(one: dict[tuple[str, str], int], two: dict[tuple[str, str], int]) -> None:
    assert sliced(features(one)) != sliced(features(two))


def test_nothing_held_out_is_a_slice_too() -> None:
    made = features({("a", "b"): 0, ("a", "c"): 1})
    assert len(sliced(made)) == 64
    assert sliced(made) == sliced(replace(made, users=["z"]))
