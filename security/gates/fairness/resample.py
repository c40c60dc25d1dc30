"""A user-level bootstrap of ratios to the whole, drawn for people to see; what is judged needs none (`interval`).

To draw users anew is to draw how many of them lie in each cell of group and value (a multinomial): a million users are
some hundred cells. A metric of more than `FINE` values is cut into so many cells, each worth the mean of its users, so
that means stay as they are.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

FINE = 64
REPLICATES = 1_000
SEED = 20_110
CHUNK = 1 << 22
"""Counts that are drawn at once: what bounds memory."""


def cells(codes: Any, value: Any, groups: int) -> tuple[Any, Any]:
    """Users and mean value of each cell, groups x cells. `codes` are 0 to groups - 1, `value` a number a user."""
    low, high = float(value.min()), float(value.max())
    width = (high - low) / FINE or 1.0
    place = np.minimum(((value - low) / width).astype(np.int64), FINE - 1)
    place += codes * FINE
    counts = np.bincount(place, minlength=groups * FINE)
    sums = np.bincount(place, value, groups * FINE)
    worth = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    return counts.reshape(groups, FINE), worth.reshape(groups, FINE)


def ratios(codes: Any, value: Any, groups: int, replicates: int = REPLICATES, seed: int = SEED) -> Any:
    """Group's mean in those of the whole, replicates x groups: NaN where a draw has no user of a group, or no value."""
    counts, worth = cells(codes, value, groups)
    users, draw = int(counts.sum()), np.random.default_rng(seed)
    there = counts.ravel() > 0
    chance, values = counts.ravel()[there] / users, worth.ravel()[there]
    starts = np.flatnonzero(np.diff(np.repeat(np.arange(groups), FINE)[there], prepend=-1))
    some = np.repeat(np.arange(groups), FINE)[there][starts]
    found = np.full((replicates, groups), np.nan)
    step = max(CHUNK // len(values), 1)
    for first in range(0, replicates, step):
        drawn = draw.multinomial(users, chance, min(step, replicates - first))
        sums = np.add.reduceat(drawn * values, starts, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = sums / np.add.reduceat(drawn, starts, axis=1)
            found[first : first + len(drawn), some] = means / (sums.sum(1, keepdims=True) / users)
    return found


def intervals(
    codes: Any, values: Mapping[str, Any], groups: int, level: float = 0.95, replicates: int = REPLICATES
) -> dict[str, tuple[Any, Any]]:
    """Metric -> low and high end of the ratio of each group, of one comparison alone."""
    tails = (1 - level) / 2, (1 + level) / 2
    ends = {}
    for name, value in values.items():
        found = ratios(codes, value, groups, replicates)
        told = np.isfinite(found).any(axis=0)
        low, high = (np.full(groups, np.nan) for _ in tails)
        low[told], high[told] = np.nanquantile(found[:, told], tails, axis=0)
        ends[name] = low, high
    return ends
