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
from threadpoolctl import threadpool_limits

from tasks.recommender.histories import Histories, Scores

SMALL: Final = 0.1
"""Root mean square of the hidden layer over the training part's users: tanh bends it by a third of a percent."""

MOST: Final = 4096
"""Users by whose hidden layers it is scaled, at most, and rows that are multiplied at a time."""

WHOLE: Final = 1024
"""The smaller side up to which the Gram matrix is solved whole. Beyond, that takes the third power of it."""
DENSE: Final = 4096
"""The smaller side up to which there is a Gram matrix at all, of 128 MiB once it is dense."""
ROUNDS: Final = 6
"""Of the search; more make the last of the values more exact, and no list better."""


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
        in X as its root). Time is linear in interactions for a given width, beyond what the Gram
        matrix takes where there is one; width is cut to the rank.

        Raises:
            ValueError: no interactions, fewer than two users or items, or a width that is not positive.
        """
        if histories.nnz == 0 or min(histories.shape) < 2:
            raise ValueError(f"{histories.nnz} interactions of shape {histories.shape} have no linear model")
        if width < 1:
            raise ValueError(f"width must be positive, not {width}")
        rng = np.random.default_rng(seed)
        # How many threads share a product decides how its sums are cut, and with that their last bits.
        with threadpool_limits(1, "blas"):
            values, right = _singular(histories.astype(np.float64).sqrt(), width, rng)
            return cls(values, right, np.linalg.qr(rng.normal(size=(len(values), len(values))))[0])

    def solved(self, histories: Histories, *, ridge: float) -> dict[str, NDArray[np.float32]]:
        """The model's four arrays for a ridge; biases are zero. ValueError for a ridge that is not positive."""
        with threadpool_limits(1, "blas"):
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


def _singular(
    wide: csr_matrix[np.float64], width: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The `width` greatest singular values, ascending, and their right vectors [width, items]."""
    users, items = wide.shape
    side = min(users, items)
    tall: csr_matrix[np.float64] = wide.T.tocsr() if users < items else wide
    gram = (tall.T @ tall).toarray() if side <= DENSE else None
    if gram is not None and side <= WHOLE:
        squares, vectors = eigh(gram, overwrite_a=True, check_finite=False)
    else:
        squares, vectors = _search(tall, gram, min(width, side), rng)
    chosen = np.flatnonzero(squares > squares[-1] * 1e-10)[-width:]
    values, vectors = np.sqrt(squares[chosen]), vectors[:, chosen]
    right = (np.asarray(wide.T @ vectors) / values).T if users < items else vectors.T
    return np.asarray(values, dtype=np.float64), np.asarray(right)


def _search(
    tall: csr_matrix[np.float64], gram: NDArray[np.float64] | None, width: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues, ascending, and vectors [side, more than `width`] of the square of a matrix, by iteration of a random
    subspace that is a third wider (Halko, Martinsson and Tropp, SIAM Review 2011). The last of them are near, and not
    exact: what a ridge leaves of those is little."""
    side = tall.shape[1]

    def square(basis: NDArray[np.float64]) -> NDArray[np.float64]:
        if gram is not None:
            return np.asarray(gram @ basis)
        parts = (tall[low : low + MOST] for low in range(0, tall.shape[0], MOST))
        total = np.zeros_like(basis)
        for part in parts:
            total += np.asarray(part.T @ (part @ basis))
        return total

    basis = np.linalg.qr(rng.normal(size=(side, min(side, width + width // 3 + 8))))[0]
    for _ in range(ROUNDS):
        basis = np.linalg.qr(square(basis))[0]
    squares, turned = eigh(basis.T @ square(basis), check_finite=False)
    return np.asarray(squares), basis @ turned
