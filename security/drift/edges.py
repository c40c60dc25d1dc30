"""Where to cut numbers so that about as many lie in each bin, and no cut gives a number away.

A cut is the roundest number, in binary digits, of a window in which at least `least` rows lie: it says where these lie
together, and nothing of any one of them. Where many rows have one number, that number is between two cuts. Every bin
holds at least `least` rows. The range ends between the numbers of rank `least` and twice that, from either end: so many
smallest and largest numbers show nowhere, and as many outliers do not widen it.
"""

from typing import NamedTuple

import numpy as np

from security.drift.cells import Ints, roundest


class Edges(NamedTuple):
    """Keys (`security.drift.cells`): cuts in order, strictly between `low` and `high`."""

    low: int
    high: int
    cuts: tuple[int, ...]


def edges(keys: Ints, sizes: Ints, width: int, limit: int, least: int) -> Edges | None:
    """Cuts for at most `limit` bins; None where there are too few rows for any.

    `keys` are the lowest keys of the finest bins, in order, `sizes` their rows, `width` the keys of each.
    """
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    if total < 4 * least:
        return None
    low, high = _range(keys, ends, total, width, least)
    depth = min(limit, total // (2 * least))
    while True:
        found = sorted({each for each in _cuts(keys, ends, depth) if low < each < high})
        kept = _deep(found, keys, ends, total, least)
        if len(kept) < limit or depth == 1:
            return Edges(low, high, tuple(kept[: limit - 1]))
        depth //= 2


def _range(keys: Ints, ends: Ints, total: int, width: int, least: int) -> tuple[int, int]:
    first, second = (int(np.searchsorted(ends, rank)) for rank in (least, 2 * least))
    before, last = (int(np.searchsorted(ends, total - rank, side="right")) for rank in (2 * least, least))
    low = int(keys[first]) if first == second else roundest(int(keys[first]), int(keys[second]))
    return low, int(keys[last]) + width if before == last else roundest(int(keys[before]), int(keys[last]))


def _cuts(keys: Ints, ends: Ints, depth: int) -> list[int]:
    """A cut near each of `depth` - 1 quantiles, or on both sides of a number that many rows have."""
    total, found = int(ends[-1]), list[int]()
    middle, off = total * np.arange(1, depth) / depth, total / (4 * depth)
    first, last = (np.searchsorted(ends, middle + each, side="right") for each in (-off, off))
    for one, other in zip(first.tolist(), np.minimum(last, len(keys) - 1).tolist(), strict=True):
        if one < other:
            found.append(roundest(int(keys[one]), int(keys[other])))
            continue
        if one > 0:
            found.append(roundest(int(keys[one - 1]), int(keys[one])))
        if one + 1 < len(keys):
            found.append(roundest(int(keys[one]), int(keys[one + 1])))
    return found


def _deep(cuts: list[int], keys: Ints, ends: Ints, total: int, least: int) -> list[int]:
    """The cuts that leave at least so many rows in every bin."""
    below = np.r_[0, ends][np.searchsorted(keys, np.array(cuts, np.int64))].tolist()
    kept, done = list[int](), 0
    for cut, rows in zip(cuts, below, strict=True):
        if rows - done >= least and total - rows >= least:
            kept.append(cut)
            done = rows
    return kept
