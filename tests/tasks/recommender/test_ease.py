"""EASE: both forms against a direct dense solution, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tasks.recommender.ease import Ease
from tasks.recommender.histories import Histories, histories


def direct(taken: np.ndarray, ridge: float) -> np.ndarray:
    """The matrix of links by the definition: a ridge regression for each item on all others."""
    items = taken.shape[1]
    links = np.zeros((items, items))
    for target in range(items):
        others = np.delete(np.arange(items), target)
        given = taken[:, others]
        links[others, target] = np.linalg.solve(given.T @ given + ridge * np.eye(items - 1), given.T @ taken[:, target])
    return links


def drawn(users: int, items: int, seed: int) -> Histories:
    """Random histories with at least one interaction."""
    taken = np.random.default_rng(seed).random((users, items)) < 0.3
    taken[0, 0] = True
    user, item = np.nonzero(taken)
    return histories(user, item, (users, items))


@pytest.mark.parametrize(("users", "items"), [(30, 11), (11, 30), (20, 20), (5, 90)])
@pytest.mark.parametrize("ridge", [0.5, 40.0])
def test_both_forms_are_the_regression(users: int, items: int, ridge: float) -> None:
    seen = drawn(users, items, 1)
    expected = seen.toarray().astype(float) @ direct(seen.toarray().astype(float), ridge)
    for dual in (False, True, None):
        got = Ease.fit(seen, ridge=ridge, dual=dual).scores(seen)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(users=some.integers(1, 25), items=some.integers(1, 25), ridge=some.floats(0.5, 1000), seed=some.integers(0, 99))
def test_no_item_recommends_itself_and_forms_and_batches_agree(users: int, items: int, ridge: float, seed: int) -> None:
    seen, others = drawn(users, items, seed), drawn(9, items, seed + 1)
    alone = histories(np.arange(items), np.arange(items), (items, items))
    first, second = (Ease.fit(seen, ridge=ridge, dual=dual) for dual in (False, True))
    for model in (first, second):
        np.testing.assert_allclose(model.scores(alone).diagonal(), 0, atol=1e-5)
        parts = np.vstack([model.scores(others[low : low + 2]) for low in range(0, 9, 2)])
        np.testing.assert_allclose(parts, model.scores(others), atol=1e-5)
    np.testing.assert_allclose(first.scores(others), second.scores(others), atol=1e-5)


def test_the_smaller_form_is_taken_and_bounds_memory() -> None:
    assert Ease.fit(drawn(30, 11, 1), ridge=1).links.shape == (11, 11)
    assert Ease.fit(drawn(11, 30, 1), ridge=1).links.shape == (11, 30)
    with pytest.raises(ValueError, match="need 1 MiB, 0 are allowed"):
        Ease.fit(drawn(11, 30_000, 1), ridge=1, most=1000)


def test_what_cannot_be_fitted_is_refused(rows: Callable[..., Histories]) -> None:
    seen = rows(30, 11, 0.3, 1)
    with pytest.raises(ValueError, match="no interactions"):
        Ease.fit(histories(np.array([], dtype=np.int64), np.array([], dtype=np.int64), (2, 3)), ridge=1)
    for ridge in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="ridge must be positive"):
            Ease.fit(seen, ridge=ridge)
    for wrong in (np.nan, np.inf):
        spoiled = seen.copy()
        spoiled.data[3] = wrong
        with pytest.raises(ValueError, match="not finite"):
            Ease.fit(spoiled, ridge=1)
    with pytest.raises(ValueError, match="knows 11 items"):
        Ease.fit(seen, ridge=1).scores(rows(3, 12, 0.3, 1))
