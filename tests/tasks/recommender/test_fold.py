"""Inference without TensorFlow: the arithmetic, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.recommender.fold import Folded, check, fold
from tasks.recommender.histories import Histories, histories

Make = Callable[[int, int, int], dict[str, NDArray[np.float32]]]


def test_an_embedding_is_the_formula(weights: Make, rows: Callable[..., Histories]) -> None:
    model, seen = weights(9, 4, 0), rows(6, 9, 0.4, 1)
    taken = seen.toarray().astype(np.float64)
    length = np.maximum(np.sqrt(taken.sum(axis=1, keepdims=True)), 1)
    expected = np.tanh(taken / length @ model["encoder"] + model["encoder_bias"])
    np.testing.assert_allclose(fold(model, seen), expected, atol=1e-6)
    scores = Folded(model).scores(seen)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected @ model["decoder"] + model["decoder_bias"], atol=1e-5)


def test_batching_changes_nothing_of_note(weights: Make, rows: Callable[..., Histories]) -> None:
    model, seen = weights(40, 8, 0), rows(23, 40, 0.2, 1)
    assert np.allclose(fold(model, seen, batch=5), fold(model, seen), rtol=0, atol=1e-6)


def test_an_empty_history_is_the_bias(weights: Make, rows: Callable[..., Histories]) -> None:
    model = weights(9, 4, 0)
    assert np.allclose(fold(model, rows(1, 9, 0.4, 1))[0], np.tanh(model["encoder_bias"]), rtol=1e-6, atol=0)


def test_a_history_over_another_catalogue_is_refused(weights: Make, rows: Callable[..., Histories]) -> None:
    with pytest.raises(ValueError, match="the model knows 9 items"):
        fold(weights(9, 4, 0), rows(3, 10, 0.4, 1))


@pytest.mark.parametrize("item", [-1, 9])
def test_an_item_outside_the_catalogue_is_refused(weights: Make, item: int) -> None:
    seen = histories(np.array([0]), np.array([0]), (1, 9))
    seen.indices[0] = item
    with pytest.raises(ValueError, match="outside the 9"):
        fold(weights(9, 4, 0), seen)


def test_a_sound_model_tells_its_size(weights: Make) -> None:
    assert check(weights(9, 4, 0)) == (9, 4)


@pytest.mark.parametrize("name", ["encoder", "encoder_bias", "decoder", "decoder_bias"])
def test_a_broken_array_is_refused(weights: Make, name: str) -> None:
    sound = weights(9, 4, 0)
    broken = sound[name].copy()
    broken.flat[-1] = np.nan
    with pytest.raises(ValueError, match=f"{name} holds a value that is not finite"):
        check({**sound, name: broken})
    with pytest.raises(ValueError, match="must be float32"):
        check({**sound, name: sound[name].astype(np.float64)})
    with pytest.raises(ValueError, match="four arrays"):
        check({other: array for other, array in sound.items() if other != name})


def test_arrays_of_other_shapes_are_refused(weights: Make) -> None:
    sound = weights(9, 4, 0)
    with pytest.raises(ValueError, match="decoder must be float32"):
        check({**sound, "decoder": sound["decoder"].T.copy()})
    with pytest.raises(ValueError, match="encoder must be"):
        check({**sound, "encoder": np.zeros((0, 4), dtype=np.float32)})
    with pytest.raises(ValueError, match="four arrays"):
        check({**sound, "extra": sound["decoder"]})
