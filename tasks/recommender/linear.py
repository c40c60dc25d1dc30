"""The linear autoencoder of a given width in closed form, and two autoencoders made one.

Of EASE's solution, what items say of each other is X'(XX' + ridge I)^-1 X / d, of rank at most the number of users:
with X = U S V' it is V S^2 / (S^2 + ridge) V' / d. Cut to the `width` greatest singular values it is an encoder and a
decoder, and so has the form of the trained model: a hidden layer that stays small enough for tanh to be a line. An
item's own share is in it, which no ranking without seen items ever looks at.

Two models over one catalogue side by side are a model again, whose scores are the sum of theirs.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from tasks.recommender.fold import Folded, Weights
from tasks.recommender.histories import Histories

SMALL: Final = 0.1
"""Standard deviation of the hidden layer over the training part: tanh bends it by a third of a percent."""

DENSE: Final = 4096
"""The smaller side up to which the Gram matrix is solved whole: many times faster than a search, and 128 MiB."""


def linear(histories: Histories, *, width: int, ridge: float, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """The weights of the closed form; biases are zero.

    Time is linear in interactions for a given width. The seed turns the hidden layer, so that no unit holds all of what
    is popular, and starts the search for singular vectors. Width is cut to the rank.

    Raises:
        ValueError: no interactions, fewer than two users or items, or a width or ridge that is not positive.
    """
    if histories.nnz == 0 or min(histories.shape) < 2:
        raise ValueError(f"{histories.nnz} interactions of shape {histories.shape} have no linear model")
    if width < 1 or not 0 < ridge < np.inf:
        raise ValueError(f"width and ridge must be positive, not {width} and {ridge}")
    rng = np.random.default_rng(seed)
    values, right = _singular(histories.astype(np.float64), width, rng)
    kept = values**2 / (values**2 + ridge)
    lever = (right**2 * kept[:, None]).sum(axis=0)
    width = len(values)
    turn = np.linalg.qr(rng.normal(size=(width, width)))[0]
    half = np.sqrt(kept)[:, None] * right
    encoder, decoder = half.T @ turn, turn.T @ (half / (1 - lever))
    count = np.sqrt(np.maximum(np.diff(histories.indptr), 1))[:, None]
    encoder *= SMALL / ((histories @ encoder) / count).std()
    return {
        "encoder": encoder.astype(np.float32),
        "encoder_bias": np.zeros(width, dtype=np.float32),
        "decoder": decoder.astype(np.float32),
        "decoder_bias": np.zeros(histories.shape[1], dtype=np.float32),
    }


def _singular(
    wide: csr_matrix[np.float64], width: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The `width` greatest singular values, and their right vectors [width, items]."""
    users, items = wide.shape
    if min(users, items) > DENSE:
        width = min(width, min(users, items) - 1)
        _, values, right = svds(wide, k=width, v0=rng.normal(size=min(users, items)))
        return np.asarray(values, dtype=np.float64), np.asarray(right)
    gram = (wide @ wide.T if users < items else wide.T @ wide).toarray()
    squares, vectors = eigh(gram, overwrite_a=True, check_finite=False)
    chosen = np.flatnonzero(squares > squares[-1] * 1e-10)[-width:]
    values, vectors = np.sqrt(squares[chosen]), vectors[:, chosen]
    right = (np.asarray(wide.T @ vectors) / values).T if users < items else vectors.T
    return np.asarray(values, dtype=np.float64), np.asarray(right)


def spread(weights: Weights, histories: Histories, *, most: int = 1024) -> float:
    """Standard deviation of scores within a user, the mean over the first `most` users."""
    return float(Folded(weights).scores(histories[:most]).std(axis=1).mean())


def joined(first: Weights, second: Weights, by: tuple[float, float]) -> dict[str, NDArray[np.float32]]:
    """The model whose scores are those of two, each multiplied by its factor."""
    one, two = (np.float32(factor) for factor in by)
    return {
        "encoder": np.concatenate([first["encoder"], second["encoder"]], axis=1),
        "encoder_bias": np.concatenate([first["encoder_bias"], second["encoder_bias"]]),
        "decoder": np.concatenate([first["decoder"] * one, second["decoder"] * two]),
        "decoder_bias": first["decoder_bias"] * one + second["decoder_bias"] * two,
    }
