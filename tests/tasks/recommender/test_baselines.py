"""The baselines: their definitions, and their places below the oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deployments.lake import sample
from tasks.recommender.baselines import Neighbours, Popularity, Random
from tasks.recommender.histories import Histories, Scorer, Scores, histories
from tasks.recommender.metrics import evaluate

if TYPE_CHECKING:
    from tests.tasks.recommender.conftest import Interactions, Parts


class Oracle:
    """The generator's probabilities, given out in the order of the users."""

    def __init__(self) -> None:
        """Start with the first user."""
        self.left = sample.oracle_scores()[2]

    def scores(self, histories: Histories) -> Scores:
        """The next rows."""
        batch, self.left = self.left[: histories.shape[0]], self.left[histories.shape[0] :]
        return batch


def test_neighbours_are_cosines_with_shrink(rows: Callable[..., Histories]) -> None:
    seen = rows(30, 11, 0.3, 1)
    taken = seen.toarray().astype(float)
    expected = np.zeros((30, 11))
    for target in range(11):
        near = []
        for source in range(11):
            both = float(taken[:, source] @ taken[:, target])
            norm = float(np.sqrt(taken[:, source].sum() * taken[:, target].sum()))
            near.append(0.0 if source == target else both / (norm + 5))
        smallest = sorted(near)[-4]
        expected[:, target] = taken @ np.array([value if value >= smallest else 0.0 for value in near])
    for block in (3, 11, 512):
        got = Neighbours.fit(seen, nearest=4, shrink=5, block=block).scores(seen)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_neighbours_without_shrink_and_with_an_item_nobody_took() -> None:
    seen = histories(np.array([0, 0]), np.array([0, 1]), (1, 3))
    assert Neighbours.fit(seen, shrink=0).scores(seen).tolist() == [[1.0, 1.0, 0.0]]


def test_popularity_counts_users(rows: Callable[..., Histories]) -> None:
    seen = rows(30, 11, 0.3, 1)
    scores = Popularity.fit(seen).scores(seen[:2])
    assert scores.tolist() == [seen.toarray().sum(axis=0).tolist()] * 2


def test_chance_depends_on_seed_and_history_only(rows: Callable[..., Histories]) -> None:
    seen = rows(30, 50, 0.3, 1)
    whole = Random(3).scores(seen)
    assert np.array_equal(np.vstack([Random(3).scores(seen[n : n + 7]) for n in range(0, 30, 7)]), whole)
    assert not np.array_equal(Random(4).scores(seen), whole)
    assert whole.min() >= 0
    assert whole.max() < 1
    assert abs(float(whole.mean()) - 0.5) < 0.05


@pytest.mark.parametrize("fit", [Popularity.fit, Neighbours.fit])
def test_no_interactions_are_refused(fit: Callable[[Histories], Scorer]) -> None:
    with pytest.raises(ValueError, match="no interactions"):
        fit(histories(np.array([], dtype=np.int64), np.array([], dtype=np.int64), (2, 3)))


@pytest.mark.parametrize("wrong", [{"nearest": 0}, {"shrink": -1.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Neighbours.fit(histories(np.array([0]), np.array([0]), (1, 1)), **wrong)  # type: ignore[arg-type]


def test_the_order_on_the_sample(lake: Interactions, parts: Callable[[Interactions], Parts]) -> None:
    part = parts(lake)
    scorers = (Random(0), Popularity.fit(part.seen), Neighbours.fit(part.seen), Oracle())
    chance, popular, near, oracle = (evaluate(scorer, part.seen, part.test).precision for scorer in scorers)
    assert chance < 0.06
    assert 2 * chance < popular < 0.3
    assert 0.85 < near < oracle
    assert 0.94 < oracle < 0.96


def test_the_order_on_movielens(movielens: Interactions, parts: Callable[[Interactions], Parts]) -> None:
    part = parts(movielens)
    scorers = (Random(0), Popularity.fit(part.seen), Neighbours.fit(part.seen))
    chance, popular, near = (evaluate(scorer, part.seen, part.test).precision for scorer in scorers)
    assert chance < 0.01
    assert popular == pytest.approx(0.075, abs=0.005)
    assert near == pytest.approx(0.113, abs=0.01)
