"""The linear autoencoder of a given width in closed form.

Of EASE's solution, what items say of each other is X'(XX' + ridge I)^-1 X / d, of rank at most the number of users:
with X = U S V' it is V S^2 / (S^2 + ridge) V' / d. Cut to the `width` greatest singular values it is an encoder and a
decoder, and so has the form of the trained model: a hidden layer that stays small enough for tanh to be a line. An
item's own share is in it, which no ranking without seen items ever looks at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, eigsh

from tasks.recommender.histories import Histories, Scores

SMALL: Final = 0.1
"""Root mean square of the hidden layer over the training part's users: tanh bends it by a third of a percent."""

MOST: Final = 4096
"""Users by whose hidden layers it is scaled, at most."""

DENSE: Final = 4096
"""The smaller side up to which the Gram matrix is solved whole: many times faster than a search, and 128 MiB."""

ROWS: Final = 8192
"""Users who are turned at once: of a million it would be gigabytes."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The greatest singular values of histories, their right vectors [values, items], and how the hidden layer is
    turned, so that no unit of it holds all of what is popular: of this every ridge's solution is made."""

    values: NDArray[np.float64]
    right: NDArray[np.float64]
    turn: NDArray[np.float64]

    @classmethod
    def of(cls, histories: Histories, *, width: int, seed: int = 0) -> Self:
        """Of a training part, whose entries count in the square by what they say (an interaction that says `w` stands
        in X as its root). Time is linear in interactions for a given width; width is cut to the rank.

        Raises:
            ValueError: no interactions, fewer than two users or items, or a width that is not positive.
        """
        if histories.nnz == 0 or min(histories.shape) < 2:
            raise ValueError(f"{histories.nnz} interactions of shape {histories.shape} have no linear model")
        if width < 1:
            raise ValueError(f"width must be positive, not {width}")
        rng = np.random.default_rng(seed)
        values, right = _singular(histories.astype(np.float64).sqrt(), width, rng)
        return cls(values, right, np.linalg.qr(rng.normal(size=(len(values), len(values))))[0])

    def solved(self, histories: Histories, *, ridge: float) -> dict[str, NDArray[np.float32]]:
        """The model's four arrays for a ridge; biases are zero. ValueError for a ridge that is not positive."""
        kept, rest = self._held(ridge)
        half = np.sqrt(kept)[:, None] * self.right
        encoder, decoder = half.T @ self.turn, self.turn.T @ (half / rest)
        some = histories[:: max(1, -(-histories.shape[0] // MOST))]
        count = np.sqrt(np.maximum(np.diff(some.indptr), 1))[:, None]
        taken = some.astype(bool).astype(np.float64)
        encoder *= SMALL / np.sqrt(np.square((taken @ encoder) / count).mean())
        return {
            "encoder": encoder.astype(np.float32),
            "encoder_bias": np.zeros(len(self.values), dtype=np.float32),
            "decoder": decoder.astype(np.float32),
            "decoder_bias": np.zeros(histories.shape[1], dtype=np.float32),
        }

    def line(self, *, ridge: float) -> Line:
        """What ranks as the model of a ridge does, but for what tanh bends: many ridges are tried, and one is taken."""
        kept, rest = self._held(ridge)
        return Line(self.right.T.astype(np.float32), (self.right * (kept[:, None] / rest)).astype(np.float32))

    def _held(self, ridge: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The part that a ridge leaves of each value, and what of each item's score is not its own doing."""
        if not 0 < ridge < np.inf:
            raise ValueError(f"ridge must be positive and finite, not {ridge}")
        kept = self.values**2 / (self.values**2 + ridge)
        return kept, 1 - kept @ self.right**2


@dataclass(frozen=True, eq=False)
class Line:
    """Two factors as a scorer: `into` [items, width] of a history, and `out` [width, items]."""

    into: NDArray[np.float32]
    out: NDArray[np.float32]

    def scores(self, histories: Histories) -> Scores:
        """Scores [rows, items]."""
        hidden: Scores = np.asarray(histories.astype(bool).astype(np.float32) @ self.into)
        return hidden @ self.out


def linear(histories: Histories, *, width: int, ridge: float, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """The model of one ridge."""
    return Spectrum.of(histories, width=width, seed=seed).solved(histories, ridge=ridge)


def _turned(
    tall: csr_matrix[np.float64], found: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Singular values of `tall` within the space of the columns of `found` [items, width], greatest first, and their
    right vectors; by the square, some rows at a time, since `tall` times `found` grows with the users."""
    square = np.zeros((found.shape[1], found.shape[1]))
    for low in range(0, tall.shape[0], ROWS):
        part = np.asarray(tall[low : low + ROWS] @ found)
        square += part.T @ part
    squares, turn = eigh(square, overwrite_a=True, check_finite=False)
    return np.sqrt(np.maximum(squares[::-1], 0.0)), (found @ turn[:, ::-1]).T


def _singular(
    wide: csr_matrix[np.float64], width: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The `width` greatest singular values, and their right vectors [width, items]."""
    users, items = wide.shape
    if min(users, items) > DENSE:
        width = min(width, min(users, items) - 1)
        tall = wide.T.tocsr() if users < items else wide
        side = min(users, items)
        square = LinearOperator((side, side), matvec=lambda x: np.asarray(tall.T @ (tall @ x)), dtype=np.float64)
        # `svds` draws what a search begins again with from nowhere, which equal values make it do.
        found = np.linalg.qr(eigsh(square, k=width, v0=rng.normal(size=side), rng=rng)[1])[0]
        if users < items:
            left, values, _ = np.linalg.svd(tall @ found, full_matrices=False)
            right = left.T
        else:
            values, right = _turned(tall, found)
        sound = values > values[0] * 1e-5
        return np.asarray(values[sound], dtype=np.float64), np.asarray(right[sound])
    gram = (wide @ wide.T if users < items else wide.T @ wide).toarray()
    squares, vectors = eigh(gram, overwrite_a=True, check_finite=False)
    chosen = np.flatnonzero(squares > squares[-1] * 1e-10)[-width:]
    values, vectors = np.sqrt(squares[chosen]), vectors[:, chosen]
    right = (np.asarray(wide.T @ vectors) / values).T if users < items else vectors.T
    return np.asarray(values, dtype=np.float64), np.asarray(right)
