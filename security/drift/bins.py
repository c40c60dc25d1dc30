"""The scores of a column of numbers."""

import math

import numpy as np

from security.drift import distances, floors
from security.drift.cells import Floats
from security.drift.held import Held
from security.drift.levels import Score, scored
from security.drift.mix import divergences
from security.drift.profile import Number
from security.drift.side import Sides, Weighed, apart, effective, many, percent

COARSE = 20
"""Bins over which the population stability index and the Jensen-Shannon distance are taken."""


def number(sides: Sides) -> Weighed:
    """Scores over the reference's bins; none where it has no range, or no values are left."""
    then: Number = sides.then
    now: Number = sides.now
    held = sides.held.get("")
    sizes = sum(then.counts), sum(now.counts)
    if then.low is None or then.high is None or held is None or not sizes[1]:
        few = float(min(sizes))
        return Weighed([], few, "no finite values" if not any(sizes) else "too few finite values for bins")
    effect = max(then.effect, held.effect)
    near = apart(*sizes, effect)
    inner = np.array(held.counts[1:-1], np.float64)
    inner[0] += held.counts[0]
    inner[-1] += held.counts[-1]
    one, other = distances.shares(np.array(then.counts, np.float64)), distances.shares(inner)
    off = distances.kolmogorov(one, other)
    words = f"up to {percent(off)} of rows lie below a point where they did not, or the reverse"
    ks = scored(sides.levels, "ks", off, floors.kolmogorov(near), words)
    found = [ks, *divergences(sides, *_coarse(one, other), near), *_ways(sides, held, near)]
    found += [_outside(sides, held, sizes, effect), *_scale(sides, near)]
    if then.exact and now.exact:
        found.append(many(sides, then.distinct, now.distinct, sizes))
    return Weighed(found, effective(*sizes, effect))


def _coarse(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    place = np.minimum((np.cumsum(one) - one / 2) * COARSE, COARSE - 1).astype(np.int64)
    return tuple(np.bincount(place, each, COARSE).astype(np.float64) for each in (one, other))  # type: ignore[return-value]


def _below(counts: tuple[int, ...]) -> Floats:
    """The shares below each cut."""
    return np.cumsum(distances.shares(np.array(counts, np.float64)))[:-1]


def _ends(column: Number) -> Floats:
    return np.array([column.low, *column.cuts, column.high], np.float64)


def _ways(sides: Sides, held: Held, near: float) -> list[Score]:
    """The mean way, in standard deviations and in ranges between quartiles, all of it within the range."""
    then: Number = sides.then
    ends = _ends(then)
    ends = ends / max(float(np.abs(ends).max()), float(np.finfo(np.float64).tiny))
    # What lies beyond the range is taken for its end: of the reference it is not known how much that is.
    below, now = np.r_[0.0, _below(then.counts), 1.0], np.r_[0.0, _below(held.counts)[1:-1], 1.0]
    way, chance = distances.wasserstein(below, now, ends), floors.way(distances.doubt(below, ends), near)
    quarter, wide = (distances.quantile(below, ends, 1 - s) - distances.quantile(below, ends, s) for s in (0.25, 0.05))
    units = {"wasserstein": (distances.deviation(below, ends), "standard deviations")}
    # Where most rows have one number, its own quartiles are no measure.
    units["spread"] = (quarter, "ranges between quartiles") if quarter > wide / 1000 else (wide / 2.44, "its spread")
    return [
        scored(sides.levels, name, way / unit, chance / unit, f"moved by {way / unit:.3g} {words}")
        for name, (unit, words) in units.items()
        if unit > 0
    ]


def _outside(sides: Sides, held: Held, sizes: tuple[int, int], effect: float) -> Score:
    """The share beyond the range; in the reference fewer than twice `least` rows lay there on either side."""
    count, then = held.counts[0] + held.counts[-1], min(4 * sides.least, sizes[0])
    pooled = min((count + then) / sum(sizes), 1.0)
    far = apart(*sizes, max(effect, held.effects[0], held.effects[-1]))
    floor = then / sizes[0] + floors.share(pooled, far)
    share = count / sizes[1]
    return scored(sides.levels, "outside", share, floor, f"{percent(share)} of rows lie outside the range")


def _scale(sides: Sides, near: float) -> list[Score]:
    """Powers of ten between the sizes of the numbers: a unit that became another."""
    then: Number = sides.then
    now: Number = sides.now
    if now.low is None:
        return []
    off = floors.kolmogorov(near)
    one, other = _size(then, 0.0), _size(now, 0.0)
    if one <= 0 or other <= 0:
        return []
    apart_ = [_size(then, each) / one for each in (-off, off)]
    floor = max((abs(math.log10(each)) if each > 0 else math.inf for each in apart_), default=0.0)
    times = other / one
    words = f"numbers are {times:.3g} times as large" if times >= 1 else f"numbers are {1 / times:.3g} times smaller"
    return [scored(sides.levels, "scale", abs(math.log10(times)), min(floor, 600.0), words)]


def _size(column: Number, off: float) -> float:
    """The size of the numbers, from three of their quantiles; `off` moves those outwards."""
    ends, below = _ends(column), np.r_[0.0, _below(column.counts), 1.0]
    unit = float(np.abs(ends).max())
    shares = (0.1 - off, 0.5 - off, 0.5 + off, 0.9 + off)
    found = (abs(distances.quantile(below, ends / unit, min(max(each, 0.0), 1.0))) for each in shares)
    return max(found) * unit
