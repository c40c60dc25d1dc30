"""The scores of a column of ids: how many, how unevenly used, and how many of them are others than before."""

import math

import numpy as np

from security.drift import floors
from security.drift.levels import Score, scored
from security.drift.profile import Id
from security.drift.side import Sides, Weighed, many, percent
from security.drift.tokens import read


def ids(sides: Sides) -> Weighed:
    """Scores of the ids of both sides."""
    then: Id = sides.then
    now: Id = sides.now
    sizes = then.rows - then.unread - then.nulls, now.rows - now.unread - now.nulls
    if not all(sizes):
        return Weighed([], float(min(sizes)), "no values" if not any(sizes) else "too few values")
    words = f"rows of the id of a row, on average: {then.weight:.3g}, now {now.weight:.3g}"
    chance = math.exp(min(floors.SPREAD * math.hypot(then.doubt, now.doubt), 600))
    # A user is one of them, however many rows he has.
    spread = (then.distinct, now.distinct) if sides.own else (then.spread, now.spread)
    found = [many(sides, then.distinct, now.distinct, sizes, spread)]
    found += [scored(sides.levels, "weight", sides.times(then.weight, now.weight), chance, words)]
    found += _fresh(sides) if sides.part else _turnover(sides)
    return Weighed(found, float(min(sizes)))


def _turnover(sides: Sides) -> list[Score]:
    """Shares of ids in one side only, from the smallest tokens of both together."""
    then: Id = sides.then
    now: Id = sides.now
    one, other = read(list(then.sample)), read(list(now.sample))
    ends = [part[-1] for part, side in ((one, then), (other, now)) if side.distinct > len(part)]
    if ends:
        one, other = one[one <= min(ends)], other[other <= min(ends)]
    both, union = len(np.intersect1d(one, other)), len(np.union1d(one, other))
    return [
        _share(sides, name, count, size, words, bool(ends))
        for name, count, size, words in (
            ("gone", len(one) - both, len(one), "ids of the reference that are not there"),
            ("new", len(other) - both, len(other), "ids that the reference does not have"),
            ("jaccard", union - both, union, "ids that are not in both"),
        )
    ]


def _fresh(sides: Sides) -> list[Score]:
    """In a part of the time not all ids are there, and few of a sample: what is told is how many were in no rows
    before."""
    if sides.fresh is None:
        return []
    return [_share(sides, "new", sides.fresh, sides.now.distinct, "ids that no row before has", True)]


def _share(sides: Sides, name: str, count: int, size: int, words: str, some: bool) -> Score:
    """The score of a share of ids: of all there are, or of `some`."""
    share, limit = count / max(size, 1), getattr(sides.levels, name) or 0.0
    # What is beyond a limit by chance is not beyond it.
    floor = floors.above(limit, size) if some else 0.0
    if floor >= 1 and 1 - share > floors.above(1 - limit, size):  # as surely within it
        floor = limit
    return scored(sides.levels, name, share, floor, f"{words}: about {percent(share)}")
