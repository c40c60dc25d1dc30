"""What a model has to beat: chance, popularity, and the nearest items.

Each is a `Scorer` made from the histories of the training part. On real data a precision means little by itself; its
lift over popularity does.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from tasks.recommender.histories import Histories, Scores


@dataclass(frozen=True)
class Random:
    """Uniform scores, drawn from the seed and the history, so that the way of batching changes nothing."""

    seed: int

    def scores(self, histories: Histories) -> Scores:
        """Scores in [0, 1)."""
        drawn = np.empty(histories.shape, dtype=np.float32)
        for row, (low, high) in enumerate(zip(histories.indptr[:-1], histories.indptr[1:], strict=True)):
            mark = zlib.crc32(histories.indices[low:high].astype("<i4").tobytes())
            drawn[row] = np.random.default_rng([self.seed, mark]).random(histories.shape[1], dtype=np.float32)
        return drawn


@dataclass(frozen=True, eq=False)
class Popularity:
    """The same list for everybody: items by the number of users who took them."""

    counts: NDArray[np.float32]

    @classmethod
    def fit(cls, histories: Histories) -> Self:
        """Popularity in the given histories; raises ValueError where there is no interaction."""
        _refuse_empty(histories)
        return cls(np.bincount(histories.indices, minlength=histories.shape[1]).astype(np.float32))

    def scores(self, histories: Histories) -> Scores:
        """The counts, once a row."""
        return np.tile(self.counts, (histories.shape[0], 1))


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Item-kNN: an item scores the sum of its similarities to the history's items.

    The similarity is the cosine c / (sqrt(n) sqrt(m) + shrink) of co-occurrence c and counts n, m (Deshpande and
    Karypis 2004); `shrink` holds pairs of rare items back. `links` is sparse [items, items]: a column holds the
    nearest `nearest` sources of its item, and more only where the last of them tie.
    """

    links: Histories

    @classmethod
    def fit(cls, histories: Histories, *, nearest: int = 100, shrink: float = 50.0, block: int = 512) -> Self:
        """Links from the given histories, `block` items at a time; raises ValueError where there is no interaction."""
        _refuse_empty(histories)
        if nearest < 1 or shrink < 0:
            raise ValueError(f"nearest must be at least 1 and shrink not negative, not {nearest} and {shrink}")
        items = histories.shape[1]
        norm = np.sqrt(np.bincount(histories.indices, minlength=items)).astype(np.float32)
        targets = histories.T.tocsr()
        parts = []
        for low in range(0, items, block):
            near = (targets[low : low + block] @ histories).toarray()
            rows = len(near)
            near /= np.maximum(norm[low : low + rows, None] * norm + np.float32(shrink), np.float32(1e-9))
            near[np.arange(rows), np.arange(low, low + rows)] = 0
            if nearest < items:
                near[near < np.partition(near, items - nearest, axis=1)[:, items - nearest, None]] = 0
            parts.append(csr_matrix(near))
        return cls(vstack(parts, format="csr").T.tocsr())

    def scores(self, histories: Histories) -> Scores:
        """Sums of similarities; zero where nothing is near."""
        return np.asarray((histories @ self.links).toarray(), dtype=np.float32)


def _refuse_empty(histories: Histories) -> None:
    if histories.nnz == 0:
        raise ValueError("a baseline cannot be made from no interactions")
