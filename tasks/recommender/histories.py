"""Histories of users as sparse rows, and what it means to score them.

A history is a row of a matrix [users, items] in compressed sparse rows (CSR) that holds 1.0 for every item taken. It
is the one currency between split, baselines, autoencoder and metrics.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Histories = csr_matrix[np.float32]
"""Rows of users, columns of items, 1.0 where taken; sorted indices, no entry twice. Those that a model learns from may
hold what each interaction says instead (`weight`)."""

Scores = NDArray[np.float32]
"""Dense scores [users, items] of one batch; higher is better."""


class Scorer(Protocol):
    """Whatever ranks the whole catalogue for given histories."""

    def scores(self, histories: Histories) -> Scores:
        """Scores [rows of `histories`, items], an array of the caller's own; that of a row depends on that row only."""
        ...


def histories(
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    shape: tuple[int, int],
    says: NDArray[np.float32] | None = None,
) -> Histories:
    """Histories of `shape` (users, items) from pairs of indices; `says`: what each holds, positive, instead of 1.0.

    Raises:
        ValueError: an index outside the shape, a pair that occurs twice, or one that says nothing, or no number.
    """
    if len(user) and (user.min() < 0 or item.min() < 0 or user.max() >= shape[0] or item.max() >= shape[1]):
        raise ValueError(f"a pair lies outside {shape[0]} users and {shape[1]} items")
    held = np.ones(len(user), dtype=np.float32) if says is None else says
    if not (np.isfinite(held) & (held > 0)).all():
        raise ValueError("a pair says nothing, or what is no number")
    matrix = csr_matrix((held, (user, item)), shape=shape)
    matrix.sum_duplicates()
    if matrix.nnz != len(user):
        raise ValueError(f"{len(user) - matrix.nnz} pairs occur more than once")
    return matrix
