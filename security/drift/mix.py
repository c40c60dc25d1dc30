"""The scores of a column of categories, and of two columns together."""

import numpy as np
from numpy.typing import NDArray

from security.drift import distances, floors
from security.drift.cells import Floats
from security.drift.held import Held
from security.drift.levels import Score, scored
from security.drift.profile import Category
from security.drift.side import Sides, Weighed, apart, effective, many, percent

LIFTED = 5.0
"""Standard deviations by which chance may lift a category above the mean of those that are not listed."""
FEW = 5.0
"""Effective rows that a cell is expected to hold, at least, before it counts as one of its own."""


def category(sides: Sides) -> Weighed:
    """Scores over the categories that the reference lists, and over all others."""
    then: Category = sides.then
    now: Category = sides.now
    held = sides.held.get("")
    before = np.array([*then.top.values(), then.other], np.float64)
    sizes = int(before.sum()), sum(held.counts) if held else 0
    if held is None or not all(sizes):
        return Weighed([], float(min(sizes)), "no values" if not any(sizes) else "too few values")
    effect = max(then.effect, held.effect)
    near = apart(*sizes, effect)
    one, other = distances.shares(before), distances.shares(np.array(held.counts, np.float64))
    pooled = (before + held.counts) / sum(sizes)
    moves = _moves(sides, held, one, other, pooled, effect, sizes)
    lucky = _lucky(then, before, effect)
    one, other, pooled = (
        np.append(each[:-1][~lucky], each[:-1][lucky].sum() + each[-1]) for each in (one, other, pooled)
    )
    off = distances.variation(one, other)
    chance = floors.variation(pooled, near)
    total = scored(sides.levels, "variation", off, chance, f"{percent(off)} of rows are in other categories")
    found = [total, *divergences(sides, one, other, near), *moves]
    found += [_other(sides, held, one, other, pooled, effect, sizes), _fresh(sides, held, sizes, effect)]
    found.append(many(sides, then.distinct, now.distinct, sizes))
    blind = "" if _could(found, one) else _nothing(then, float(one[-1]))
    return Weighed(found, effective(*sizes, effect), blind=blind)


def _could(scores: list[Score], one: Floats) -> bool:
    """Whether something would have been beyond its limit if all rows were of categories that are not listed."""
    listed = float(one[:-1].sum())
    gone = {"variation": listed, "other": listed, "move": float(one[:-1].max(initial=0.0))}
    return any(
        score.name in gone and score.limit is not None and gone[score.name] > max(score.limit, score.floor)
        for score in scores
    )


def _nothing(then: Category, other: float) -> str:
    """Why a comparison of what is listed says nothing."""
    told = f"the reference lists {len(then.top):,} of {then.distinct:,} categories"
    return f"{told}, too few users or rows having each of the others: {percent(other)} of rows are not told apart"


def _lucky(then: Category, before: Floats, effect: float) -> NDArray[np.bool_]:
    """Which of those that are listed chance may have lifted from among those that are not; they count as these."""
    mean = float(before[-1]) / max(then.distinct - len(then.top), 1)
    return before[:-1] <= mean + LIFTED * (mean * effect) ** 0.5 if mean else np.zeros(len(before) - 1, np.bool_)


def divergences(sides: Sides, one: Floats, other: Floats, near: float) -> list[Score]:
    """The population stability index and the Jensen-Shannon distance; cells of few rows are taken as one."""
    one, other = _merged(one, other, near)
    cells = int(np.count_nonzero(one + other))
    index = distances.stability(one, other, near / 4)
    raw = distances.jensen(one, other)
    far = max(0.0, raw - floors.expected(cells, near)) ** 0.5
    return [
        scored(sides.levels, "psi", index, floors.squares(cells, near), f"population stability index {index:.3g}"),
        scored(sides.levels, "js", far, floors.jensen(cells, near), f"Jensen-Shannon distance {far:.3g} beyond chance"),
    ]


def _merged(one: Floats, other: Floats, near: float) -> tuple[Floats, Floats]:
    small = (one + other) / near < FEW
    return tuple(np.append(each[~small], each[small].sum()) for each in (one, other))  # type: ignore[return-value]


def _moves(
    sides: Sides, held: Held, one: Floats, other: Floats, pooled: Floats, effect: float, sizes: tuple[int, int]
) -> list[Score]:
    """The category whose share moved most beyond what may be."""
    names, limit = list(sides.then.top), sides.levels.move or 0.0
    if not names:
        return []
    off = np.abs(one - other)[:-1]
    each = [floors.share(p, apart(*sizes, max(effect, e))) for p, e in zip(pooled[:-1], held.effects, strict=False)]
    at = int(np.argmax(off - np.maximum(each, limit)))
    words = f"category {names[at]}: {percent(one[at])} of rows, now {percent(other[at])}"
    return [scored(sides.levels, "move", float(off[at]), each[at], words)]


def _other(
    sides: Sides, held: Held, one: Floats, other: Floats, pooled: Floats, effect: float, sizes: tuple[int, int]
) -> Score:
    more = max(0.0, float(other[-1] - one[-1]))
    floor = floors.share(float(pooled[-1]), apart(*sizes, max(effect, held.effects[-1])))
    floor += floors.regression(one[:-1], effect / sizes[0]) if one[-1] else 0.0
    words = f"categories that are not listed: {percent(one[-1])} of rows, now {percent(other[-1])}"
    return scored(sides.levels, "other", more, floor, words)


def _fresh(sides: Sides, held: Held, sizes: tuple[int, int], effect: float) -> Score:
    """The most frequent category that is not listed, beyond what one that is not listed can have had."""
    then: Category = sides.then
    cap = min(then.other, max([sides.least, min(then.top.values(), default=0)]))
    share = held.fresh / sizes[1]
    more = max(0.0, share - cap / sizes[0])
    pooled = min((held.fresh + cap) / sum(sizes), 1.0)
    floor = floors.share(pooled, apart(*sizes, max(effect, held.newest)))
    words = f"the most frequent category that is not listed has {percent(share)} of rows"
    return scored(sides.levels, "fresh", more, floor, words)
