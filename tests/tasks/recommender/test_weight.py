"""What an interaction says: by type, by age, and never by what lies in the time of what is held out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.recommender.weight import HALF, OLD, TYPES, weights

DAY = 86_400.0


def of(events: list[tuple[int, str, float]], user: list[int], train: list[bool]) -> list[float]:
    """The weights of pairs: each event is of a pair, of a type, at a time."""
    place, kind, time = (np.array(column) for column in zip(*events, strict=True))
    found = weights(place.astype(np.int64), kind, time.astype(float), np.array(user), np.array(train))
    assert found.dtype == np.float32
    return [float(each) for each in found]


def test_a_purchase_says_more_than_a_click_and_that_more_than_a_view() -> None:
    said = of([(0, "view", 9.0), (1, "click", 9.0), (2, "purchase", 9.0), (3, "hover", 9.0)], [0] * 4, [True] * 4)
    assert said == [TYPES["view"], TYPES["click"], TYPES["purchase"], 1.0]
    assert said[0] < said[1] < said[2]


def test_age_is_to_the_users_own_last_pair_and_leaves_half() -> None:
    events = [(0, "view", 0.0), (1, "view", HALF), (2, "view", 0.0), (3, "view", -1e12), (4, "view", 0.0)]
    said = of(events, [0, 0, 1, 2, 2], [True] * 5)
    assert said == pytest.approx([OLD + (1 - OLD) / 2, 1.0, 1.0, OLD, 1.0])


def test_a_pair_says_what_its_strongest_interaction_says() -> None:
    said = of([(0, "view", 0.0), (0, "purchase", HALF), (1, "view", HALF)], [0, 0], [True, True])
    assert said == [2.0, 1.0]


def test_what_came_after_the_last_pair_to_train_on_says_nothing() -> None:
    later = [(0, "view", 0.0), (1, "view", DAY), (0, "purchase", 2 * DAY), (2, "view", 3 * DAY)]
    user, train = [0, 0, 0], [True, True, False]
    assert of(later, user, train) == of([each for each in later if each[1] != "purchase"], user, train)
    assert of(later, user, train)[2] == 1.0, "what is not trained on"


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from([*TYPES, "other"]), st.floats(-1e9, 1e9)), min_size=1, max_size=30
    ),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_weights_are_positive_bounded_and_do_not_depend_on_order(
    events: list[tuple[int, str, float]], train: list[bool]
) -> None:
    events = [(place, "view", 0.0) for place in range(6)] + events
    user = [0, 0, 0, 1, 1, 2]
    said = of(events, user, train)
    assert all(0 < each <= max(TYPES.values()) for each in said)
    assert of(events[::-1], user, train) == said
