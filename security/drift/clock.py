"""The scores of a column of times: what does not change because days pass."""

import numpy as np

from security.drift import distances, floors
from security.drift.levels import Score, scored
from security.drift.profile import Time
from security.drift.side import Sides, Weighed, apart, effective, percent
from security.drift.times import UNITS

WEEKS = 13
"""Days between the first and the last, at least, before days of the week are compared: two weeks."""


def time(sides: Sides) -> Weighed:
    """Scores of units, hours and weekdays; the latter only where both sides are long enough to have all of them."""
    then: Time = sides.then
    now: Time = sides.now
    sizes = sum(then.hours), sum(now.hours)
    if not all(sizes):
        return Weighed([], float(min(sizes)), "no values" if not any(sizes) else "too few values")
    found, left = [_mix(sides, "hours", "hours of the day", sizes), _unit(sides, sizes)], ""
    if min(_span(then), _span(now)) >= WEEKS:
        found.append(_mix(sides, "weekdays", "days of the week", sizes))
    else:
        left = "days of the week not compared: less than two weeks"
    effect = max(then.effect, sides.held["hours"].effect)
    return Weighed(found, effective(*sizes, effect), left)


def _span(column: Time) -> int:
    return 0 if column.first is None or column.last is None else column.last - column.first


def _unit(sides: Sides, sizes: tuple[int, int]) -> Score:
    one, other = (np.array(side.units, np.float64) for side in (sides.then, sides.now))
    held = sides.held["units"]
    off = distances.variation(distances.shares(one), distances.shares(other))
    at = int(np.argmax((one + other) * (1 - (one + other) / sum(sizes))))
    pooled = float(one[at] + other[at]) / sum(sizes)
    # A change of the whole source is no chance, however much of it each user has.
    floor = floors.share(pooled, apart(*sizes, held.effects[at])) if 0 < off < 1 else 0.0
    was, is_ = UNITS[int(np.argmax(one))], UNITS[int(np.argmax(other))]
    words = f"unit: {was}" if off == 0 else f"unit: {was}, now {is_} ({percent(off)} of rows in another one)"
    return scored(sides.levels, "unit", off, floor, words)


def _mix(sides: Sides, part: str, what: str, sizes: tuple[int, int]) -> Score:
    one, other = (np.array(getattr(side, part), np.float64) for side in (sides.then, sides.now))
    held = sides.held[part]
    effect = max(sides.then.effect, held.effect)
    off = distances.variation(distances.shares(one), distances.shares(other))
    floor = floors.variation((one + other) / sum(sizes), apart(*sizes, effect))
    return scored(sides.levels, part, off, floor, f"{percent(off)} of rows are in other {what}")
