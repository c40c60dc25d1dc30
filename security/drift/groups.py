"""How much less rows say because they come in clusters: design effects, from groups of whole users.

Each user falls into one of 32 groups by a keyed hash. How much a share differs between groups, beside how much it would
if rows were drawn one by one, is its design effect (the method of random groups: Wolter, Introduction to Variance
Estimation, 2007, chapter 2; ratio estimates linearised). Whatever the cause, it is at most Kish's: the sum of the
squares of the users' rows over the sum of their rows, which is reached where all rows of a user are alike.
"""

import numpy as np
from numpy.typing import NDArray

from security.drift.cells import Floats
from security.rows.hashes import Words

GROUPS = 32
CAUTION = 1.25
"""Estimated design effects are raised by so much: with 31 degrees of freedom they are off by a quarter."""


def group(users: Words) -> NDArray[np.int64]:
    """The group of each user, from the hash."""
    return ((users >> np.uint64(24)) % np.uint64(GROUPS)).astype(np.int64)


def effects(cells: NDArray[np.integer], sizes: NDArray[np.integer], kish: float) -> tuple[Floats, float]:
    """The design effect of the share of each row of `cells` (cells x groups), and one of all of them together.

    `sizes` are the rows of each group. Each effect is between 1 and `kish`; a cell without rows has that of all.
    """
    counts, total = np.asarray(cells, np.float64), float(sizes.sum())
    if total == 0 or kish <= 1:
        return np.ones(len(counts)), 1.0
    share = counts.sum(axis=1) / total
    between = ((counts - share[:, None] * sizes) ** 2).sum(axis=1) * GROUPS / (GROUPS - 1)
    alone = share * (1 - share) * total
    whole = float(between.sum() / alone.sum()) if alone.sum() > 0 else 1.0
    each = np.divide(between, alone, out=np.full(len(counts), whole), where=alone > 0)
    return np.clip(each * CAUTION, 1, kish), float(np.clip(whole * CAUTION, 1, kish))
