"""Ranking metrics over the full catalogue, with the items already taken left out.

No negatives are sampled: against 99 sampled negatives the same model scores about twice as high (Krichene and Rendle,
"On sampled metrics for item recommendation", KDD 2020). Equal scores are ordered by item index, so that a figure
depends on the scores alone. Users are scored in batches: memory is bounded by batch x catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.recommender.histories import Histories, Scorer, Scores

NONE: Final = -1
"""The place of a list that no item is left for."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Per-user results at k; `users` are the rows that hold something out, in order, and all else is parallel to it."""

    k: int
    users: Ints
    lists: Ints
    """[users, k] item indices, best first, `NONE` where fewer are left."""
    hits: Ints
    """Held-out items among the k."""
    relevant: Ints
    """Held-out items; at least one."""
    gain: NDArray[np.float64]
    """nDCG at k with binary relevance (Jarvelin and Kekalainen 2002)."""

    @property
    def precision(self) -> float:
        """Mean over users of hits / k."""
        return float((self.hits / self.k).mean())

    @property
    def recall(self) -> float:
        """Mean over users of hits / relevant."""
        return float((self.hits / self.relevant).mean())

    @property
    def ndcg(self) -> float:
        """Mean over users of the discounted cumulative gain as a share of the best possible."""
        return float(self.gain.mean())


def evaluate(scorer: Scorer, seen: Histories, held: Histories, *, k: int = 10, batch: int = 256) -> Ranking:
    """The ranking of every user who has something held out, by what `scorer` makes of what that user has seen.

    Raises:
        ValueError: shapes differ, nothing is held out, an item is both seen and held out, or what `top` refuses.
    """
    if seen.shape != held.shape:
        raise ValueError(f"seen has shape {seen.shape}, held out has {held.shape}")
    if seen.multiply(held).nnz:
        raise ValueError("an item is both seen and held out")
    relevant = np.diff(held.indptr).astype(np.int64)
    users = np.flatnonzero(relevant).astype(np.int64)
    if len(users) == 0:
        raise ValueError("nothing is held out: there is no user to evaluate")
    lists = np.empty((len(users), k), dtype=np.int64)
    found = np.zeros((len(users), k), dtype=bool)
    for low in range(0, len(users), batch):
        part = slice(low, low + batch)
        rows = seen[users[part]]
        lists[part] = top(scorer.scores(rows), rows, k)
        truth = held[users[part]]
        kept = np.repeat(np.arange(len(rows.indptr) - 1), np.diff(truth.indptr)) * held.shape[1] + truth.indices
        listed = np.arange(len(lists[part]))[:, None] * held.shape[1] + lists[part]
        found[part] = np.isin(listed, kept) & (lists[part] != NONE)
    discount = 1 / np.log2(np.arange(k) + 2)
    best = np.cumsum(discount)[np.minimum(relevant[users], k) - 1]
    return Ranking(
        k=k,
        users=users,
        lists=lists,
        hits=found.sum(axis=1).astype(np.int64),
        relevant=relevant[users],
        gain=(found * discount).sum(axis=1) / best,
    )


def top(scores: Scores, seen: Histories, k: int) -> Ints:
    """Indices [rows, k] of the best-scored items not in `seen`; ties by lower index; `NONE` where none is left.

    The scores are written over, since a copy of them takes as long as to find the best: what was seen becomes -inf.

    Raises:
        ValueError: `k` is not in 1 to items, the shapes differ, or a score is not a finite float32.
    """
    rows, items = seen.shape
    if not 1 <= k <= items:
        raise ValueError(f"k must lie in 1 to {items} items, not {k}")
    if scores.shape != (rows, items) or scores.dtype != np.float32:
        raise ValueError(f"scores must be float32 {(rows, items)}, not {scores.dtype} {scores.shape}")
    # A sum that is finite says it of every score, in one pass; one that is not may have grown too large.
    with np.errstate(over="ignore", invalid="ignore"):
        sums = scores.sum(axis=1)
    if not (np.isfinite(sums).all() or np.isfinite(scores).all()):
        raise ValueError("a score is not finite")
    scores[np.repeat(np.arange(rows), np.diff(seen.indptr)), seen.indices] = -np.inf
    least: Scores = np.partition(scores, items - k, axis=1)[:, items - k]
    chosen: NDArray[np.bool_] = scores >= least[:, None]
    count: Ints = chosen.sum(axis=1)
    for at in np.flatnonzero((count != k) | ~np.isfinite(least)):
        # More are as good as the last, of which the lowest indices count; or none are left.
        more = scores[at] > least[at]
        if np.isfinite(least[at]):
            more[np.flatnonzero(scores[at] == least[at])[: k - np.count_nonzero(more)]] = True
        chosen[at] = more
    row, index = np.divmod(np.flatnonzero(chosen), items)
    order = np.lexsort((index, -scores[row, index], row))
    row, index = row[order], index[order]
    best = np.full((rows, k), NONE, dtype=np.int64)
    best[row, np.arange(len(row)) - np.searchsorted(row, np.arange(rows))[row]] = index
    return best
