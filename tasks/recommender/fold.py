"""The trained autoencoder as plain arithmetic: inference with NumPy alone.

A model is four float32 arrays. A history becomes the user's embedding tanh(x / |x| @ encoder + encoder_bias), which
the rows of the decoder, one per item, turn into scores. A user whom the training never saw is folded in by the same
product, and an empty history gives the embedding of nobody in particular.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.float32]]
"""{"encoder": [items, k], "encoder_bias": [k], "decoder": [k, items], "decoder_bias": [items]}, float32."""


class Rows(Protocol):
    """The parts of a CSR matrix that are read: which items each row holds. The values are taken to be ones."""

    @property
    def indptr(self) -> NDArray[Any]:
        """Where each row starts in `indices`, and the end of the last."""
        ...

    @property
    def indices(self) -> NDArray[Any]:
        """Items of all rows, one row after the other, none twice within a row."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, items."""
        ...


@dataclass(frozen=True, eq=False)
class Folded:
    """A model as a scorer of histories."""

    weights: Weights

    def scores(self, histories: Rows) -> NDArray[np.float32]:
        """Scores [rows, items]."""
        scores = fold(self.weights, histories) @ self.weights["decoder"]
        scores += self.weights["decoder_bias"]
        return scores


def check(weights: Weights) -> tuple[int, int]:
    """The number of items and the width of a model.

    Raises:
        ValueError: an array is missing, unknown, of another type or shape, empty, or not finite.
    """
    if set(weights) != {"encoder", "encoder_bias", "decoder", "decoder_bias"}:
        raise ValueError(f"a model has four arrays, not {sorted(weights)}")
    if weights["encoder"].ndim != 2 or 0 in weights["encoder"].shape:
        raise ValueError(f"encoder must be [items, width], not {weights['encoder'].shape}")
    items, width = weights["encoder"].shape
    shapes = {"encoder": (items, width), "encoder_bias": (width,), "decoder": (width, items), "decoder_bias": (items,)}
    for name, shape in shapes.items():
        array = weights[name]
        if array.dtype != np.float32 or array.shape != shape:
            raise ValueError(f"{name} must be float32 {shape}, not {array.dtype} {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds a value that is not finite")
    return items, width


def fold(weights: Weights, histories: Rows, *, batch: int = 32) -> NDArray[np.float32]:
    """Embeddings [rows, width] of histories, `batch` rows at a time: memory is bounded by their items x width, and so
    small that it stays in a processor's caches, which is several times faster.

    Raises:
        ValueError: the histories are over another number of items than the model, or an item is outside of it.
    """
    encoder, bias = weights["encoder"], weights["encoder_bias"]
    rows, items = histories.shape
    if items != encoder.shape[0]:
        raise ValueError(f"the model knows {encoder.shape[0]} items, the histories have {items}")
    if len(histories.indices) and (histories.indices.min() < 0 or histories.indices.max() >= items):
        raise ValueError(f"a history holds an item outside the {items} of the model")
    count = np.diff(histories.indptr)
    value = 1 / np.sqrt(np.maximum(count, 1)).astype(np.float32)
    embeddings = np.empty((rows, encoder.shape[1]), dtype=np.float32)
    for low in range(0, rows, batch):
        high = min(low + batch, rows)
        first = histories.indptr[low:high]
        taken = encoder[histories.indices[int(first[0]) : int(histories.indptr[high])]]
        some = count[low:high] > 0  # a row without an item has no sum of its own
        sums = np.zeros((high - low, encoder.shape[1]), dtype=np.float32)
        if some.any():
            sums[some] = np.add.reduceat(taken, (first - first[0])[some], axis=0) * value[low:high][some, None]
        embeddings[low:high] = np.tanh(sums + bias)
    return embeddings
