"""The second model: EASE, an item-item ridge regression in closed form.

Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019: B [items, items] has a diagonal of zero and
minimises |X - X B|^2 + ridge |B|^2 over the training histories X [users, items]. With P = (X'X + ridge I)^-1 it is
I - P / diag(P), each column by its own entry.

Where there are fewer users than items, P is (I - X'Y) / ridge with Y = (XX' + ridge I)^-1 X, and of a history x the
scores are (xX') Y / d - x (1 - d) / d with d = 1 - diag(X'Y): the same numbers, and nothing is items x items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpotrf, dpotri

from tasks.recommender.histories import Histories, Scores

MOST: Final = 4 << 30
"""Bytes that fitting may take unless told otherwise."""


@dataclass(frozen=True, eq=False)
class Ease:
    """A fitted model: `links` scores a history, through the training part where `through` is given.

    Fitting takes about 20 bytes for each cell of items x items, or where users are fewer 8 for each of users x users
    and 4 for each of users x items; what is kept is 4 for each cell of `links`.
    """

    links: NDArray[np.float32]
    """B [items, items], or Y / d [users, items]."""
    own: NDArray[np.float32]
    """What an item would add to its own score, [items]; it is taken off again. Zero for the first form."""
    through: Histories | None
    """The training part [users, items], for the second form."""

    @classmethod
    def fit(cls, histories: Histories, *, ridge: float, dual: bool | None = None, most: int = MOST) -> Self:
        """Solve for given histories.

        Args:
            histories: The training part.
            ridge: What is added to the diagonal of the Gram matrix, about the count of interactions below which an
                item's column is mostly held back.
            dual: Which form; by default the smaller one.
            most: Bytes that may be taken.

        Raises:
            ValueError: no interactions, a value that is not finite, a ridge that is not positive and finite, or more
                memory than allowed.
        """
        if histories.nnz == 0:
            raise ValueError("EASE cannot be made from no interactions")
        if not np.isfinite(histories.data).all():
            raise ValueError("a history holds a value that is not finite")
        if not 0 < ridge < np.inf:
            raise ValueError(f"ridge must be positive and finite, not {ridge}")
        users, items = histories.shape
        dual = users < items if dual is None else dual
        needed = 8 * users**2 + 4 * users * items if dual else 20 * items**2
        if needed > most:
            raise ValueError(f"{users} users and {items} items need {needed >> 20} MiB, {most >> 20} are allowed")
        return cls(*_dual(histories, ridge), histories) if dual else cls(*_primal(histories, ridge), None)

    def scores(self, histories: Histories) -> Scores:
        """Sums of links of the history's items, never an item's to itself; ValueError for another catalogue."""
        if histories.shape[1] != len(self.own):
            raise ValueError(f"the model knows {len(self.own)} items, the histories have {histories.shape[1]}")
        if self.through is None:
            return np.asarray(histories @ self.links, dtype=np.float32)
        scores = np.asarray((histories @ self.through.T).toarray() @ self.links, dtype=np.float32)
        # One cell a stored entry: none occurs twice, so the subtraction in place loses nothing.
        rows = np.repeat(np.arange(len(scores)), np.diff(histories.indptr))
        scores[rows, histories.indices] -= histories.data * self.own[histories.indices]
        return scores


def _primal(histories: Histories, ridge: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """B, and zeros."""
    wide = histories.astype(np.float64)
    gram = (wide.T @ wide).toarray(order="F")
    gram[np.diag_indices_from(gram)] += ridge
    factor, failed = dpotrf(gram, lower=0, overwrite_a=1)
    if not failed:
        factor, failed = dpotri(factor, lower=0, overwrite_c=1)
    if failed:
        raise ValueError(f"the Gram matrix with ridge {ridge} is not positive definite in double precision")
    diagonal = factor.diagonal().copy()
    # Of the inverse only the upper triangle is written; the factor's own lower one is zero.
    links = factor.astype(np.float32)
    links += np.triu(links, 1).T
    links /= -diagonal.astype(np.float32)
    np.fill_diagonal(links, 0)
    return np.ascontiguousarray(links), np.zeros(len(links), dtype=np.float32)


def _dual(histories: Histories, ridge: float, *, block: int = 512) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Y / d, and (1 - d) / d; `block` items at a time."""
    wide = histories.astype(np.float64)
    gram = (wide @ wide.T).toarray()
    gram[np.diag_indices_from(gram)] += ridge
    factor = cho_factor(gram, overwrite_a=True, check_finite=False)
    users, items = histories.shape
    links = np.empty((users, items), dtype=np.float32)
    own = np.empty(items, dtype=np.float32)
    columns = wide.tocsc()
    for low in range(0, items, block):
        part = slice(low, low + block)
        taken = columns[:, part].toarray()
        solved = cho_solve(factor, taken, check_finite=False)
        lever = (taken * solved).sum(axis=0)
        links[:, part] = solved / (1 - lever)
        own[part] = lever / (1 - lever)
    return links, own
