"""Ranking metrics against a slow reading of their definitions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.recommender.histories import Histories, Scores, histories
from tasks.recommender.metrics import NONE, evaluate, top

ITEMS = 7


@dataclass
class Case:
    """Scores with many ties, and for each cell whether it is free (0), seen (1) or held out (2)."""

    scores: list[list[float]]
    state: list[list[int]]
    k: int

    def matrix(self, wanted: int) -> Histories:
        """The cells of one state."""
        user, item = np.nonzero(np.array(self.state) == wanted)
        return histories(user, item, (len(self.state), ITEMS))

    def array(self) -> Scores:
        """The scores as a scorer would give them."""
        return np.array(self.scores, dtype=np.float32)


class Given:
    """A scorer that hands out prepared scores, batch after batch of the users asked for."""

    def __init__(self, scores: Scores) -> None:
        """Start with the first row."""
        self.left = scores

    def scores(self, histories: Histories) -> Scores:
        """The next rows."""
        batch, self.left = self.left[: histories.shape[0]], self.left[histories.shape[0] :]
        return batch


@st.composite
def cases(draw: st.DrawFn) -> Case:
    users = draw(st.integers(1, 6))
    value = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, -3e38, 3e38, 1e-45, -1e-45])
    cell = st.sampled_from([0, 0, 1, 2])
    return Case(
        scores=[draw(st.lists(value, min_size=ITEMS, max_size=ITEMS)) for _ in range(users)],
        state=[draw(st.lists(cell, min_size=ITEMS, max_size=ITEMS)) for _ in range(users)],
        k=draw(st.integers(1, ITEMS)),
    )


def slow_list(scores: list[float], state: list[int], k: int) -> list[int]:
    free = [item for item in range(ITEMS) if state[item] != 1]
    # Float32, or else two scores that become equal there would differ here.
    best = sorted(free, key=lambda item: (-float(np.float32(scores[item])), item))[:k]
    return best + [NONE] * (k - len(best))


@given(cases())
def test_top_is_the_sorted_list(case: Case) -> None:
    got = top(case.array(), case.matrix(1), case.k).tolist()
    assert got == [slow_list(scores, state, case.k) for scores, state in zip(case.scores, case.state, strict=True)]


@given(cases(), st.integers(1, 7))
def test_metrics_are_their_definitions(case: Case, batch: int) -> None:
    kept = [n for n, state in enumerate(case.state) if 2 in state]
    if not kept:
        with pytest.raises(ValueError, match="nothing is held out"):
            evaluate(Given(case.array()), case.matrix(1), case.matrix(2), k=case.k)
        return
    ranking = evaluate(Given(case.array()[kept]), case.matrix(1), case.matrix(2), k=case.k, batch=batch)
    precision, recall, ndcg = [], [], []
    for n in kept:
        relevant = {item for item in range(ITEMS) if case.state[n][item] == 2}
        best = slow_list(case.scores[n], case.state[n], case.k)
        found = [item in relevant for item in best]
        precision.append(sum(found) / case.k)
        recall.append(sum(found) / len(relevant))
        ideal = sum(1 / math.log2(place + 2) for place in range(min(len(relevant), case.k)))
        ndcg.append(sum(hit / math.log2(place + 2) for place, hit in enumerate(found)) / ideal)
    assert ranking.users.tolist() == kept
    assert ranking.precision == pytest.approx(np.mean(precision))
    assert ranking.recall == pytest.approx(np.mean(recall))
    assert ranking.ndcg == pytest.approx(np.mean(ndcg))


def test_equal_scores_are_ordered_by_item() -> None:
    nobody = histories(np.array([], dtype=np.int64), np.array([], dtype=np.int64), (2, 1000))
    scores = np.zeros((2, 1000), dtype=np.float32)
    scores[1, ::2] = -0.0
    assert top(scores, nobody, 5).tolist() == [[0, 1, 2, 3, 4]] * 2


def test_the_scorer_is_given_no_more_than_a_batch() -> None:
    sizes = []

    class Counting:
        def scores(self, histories: Histories) -> Scores:
            sizes.append(histories.shape[0])
            return np.zeros(histories.shape, dtype=np.float32)

    held = histories(np.arange(10), np.zeros(10, dtype=np.int64), (10, 3))
    seen = histories(np.arange(10), np.ones(10, dtype=np.int64), (10, 3))
    assert evaluate(Counting(), seen, held, k=1, batch=4).precision == 1
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_refused(bad: float) -> None:
    seen = histories(np.array([0]), np.array([1]), (1, 3))
    with pytest.raises(ValueError, match="not finite"):
        top(np.array([[0, bad, 0]], dtype=np.float32), seen, 1)


@pytest.mark.parametrize("k", [0, 4])
def test_a_list_longer_than_the_catalogue_or_empty_is_refused(k: int) -> None:
    seen = histories(np.array([0]), np.array([1]), (1, 3))
    with pytest.raises(ValueError, match="k must lie in 1 to 3"):
        top(np.zeros((1, 3), dtype=np.float32), seen, k)


@pytest.mark.parametrize("scores", [np.zeros((1, 3)), np.zeros((3, 1), dtype=np.float32)])
def test_scores_of_another_type_or_shape_are_refused(scores: Scores) -> None:
    seen = histories(np.array([0]), np.array([1]), (1, 3))
    with pytest.raises(ValueError, match="must be float32"):
        top(scores, seen, 1)


def test_an_item_both_seen_and_held_out_is_refused() -> None:
    one = histories(np.array([0]), np.array([1]), (1, 3))
    with pytest.raises(ValueError, match="both seen and held out"):
        evaluate(Given(np.zeros((1, 3), dtype=np.float32)), one, one)


def test_other_shapes_are_refused() -> None:
    one = histories(np.array([0]), np.array([1]), (1, 3))
    other = histories(np.array([0]), np.array([1]), (1, 4))
    with pytest.raises(ValueError, match="seen has shape"):
        evaluate(Given(np.zeros((1, 3), dtype=np.float32)), one, other)


@pytest.mark.parametrize(
    ("user", "item", "message"),
    [([0, 0], [1, 1], "1 pairs occur more than once"), ([2], [0], "outside"), ([0], [-1], "outside")],
)
def test_pairs_that_make_no_history_are_refused(user: list[int], item: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        histories(np.array(user), np.array(item), (2, 3))
