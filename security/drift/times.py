"""A column of times: what of them outlives the day, and the unit that their size speaks for."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from security.drift.cells import Ints, decoded, floats, micros, numeric
from security.drift.groups import GROUPS, effects
from security.drift.held import Grouped, Held, Seen, Way, held, rounded
from security.drift.profile import Time

UNITS = ("declared", "seconds", "milliseconds", "microseconds", "nanoseconds")
STEPS = (1e11, 1e14, 1e17)
"""From each of these sizes on a number is taken for the next unit: seconds end in the year 5138."""
SOON, LATE = 100_000_000_000_000, 100_000_000_000_000_000
"""Microseconds of a time with a declared unit: before March 1973, or after 5138, it is counted with the seconds, or the
milliseconds, that another unit was declared for."""
_HOUR, _DAY = 3_600_000_000, 86_400_000_000
_FAR = 1_000_000
"""Days since 1970 beyond which they are not told apart."""


class Times(Seen):
    """Rows by unit, hour, weekday and day."""

    role = "time"

    def __init__(self) -> None:
        super().__init__()
        self.units, self.hours, self.weekdays = (np.zeros((size, GROUPS), np.int64) for size in (len(UNITS), 24, 7))
        self.days = Counter[int]()

    def take(self, array: pa.Array, groups: Ints) -> None:
        """Times; numbers that are not finite cannot be read."""
        array = decoded(array)
        if not numeric(array.type):
            since = micros(array)
            size = np.abs(since)
            unit = (size < SOON).astype(np.int64) + 2 * (size >= LATE)
        else:
            values = floats(array)
            finite = np.isfinite(values)
            if not finite.all():
                self.unread += int((~finite).sum())
                self.sizes -= np.bincount(groups[~finite], minlength=GROUPS)
                values, groups = values[finite], groups[finite]
            unit = np.searchsorted(np.array(STEPS), np.abs(values), side="right") + 1
            factor = np.array([1, 1e6, 1e3, 1, 1e-3])[unit]
            since = np.clip(np.floor(values * factor), -9e18, 9e18).astype(np.int64)
        day = since // _DAY
        _count(self.units, unit, groups)
        _count(self.hours, since // _HOUR % 24, groups)
        _count(self.weekdays, (day + 3) % 7, groups)
        told = pc.value_counts(pa.array(np.clip(day, -_FAR, _FAR)))
        self.days.update(dict(zip(told.field("values").to_pylist(), told.field("counts").to_pylist(), strict=True)))

    def join(self, other: "Times") -> None:
        """Take in what another kept."""
        self.units = self.units + other.units
        self.hours, self.weekdays = self.hours + other.hours, self.weekdays + other.weekdays
        self.days.update(other.days)

    def facts(self, way: Way) -> Time:
        """The times in a profile."""
        days = sorted(self.days)
        ends = np.cumsum([self.days[day] for day in days], dtype=np.int64)
        known = len(ends) and ends[-1] >= way.least
        _, effect = effects(self.hours, self.hours.sum(axis=0), way.kish)
        return Time(
            **self.base(way),
            effect=rounded(effect),
            units=tuple(self.units.sum(axis=1).tolist()),
            hours=tuple(self.hours.sum(axis=1).tolist()),
            weekdays=tuple(self.weekdays.sum(axis=1).tolist()),
            first=days[int(np.searchsorted(ends, way.least))] if known else None,
            last=days[int(np.searchsorted(ends, ends[-1] - way.least, side="right"))] if known else None,
        )

    def held(self, kish: float) -> dict[str, Held]:
        """The rows by hour, weekday and unit, each as cells."""
        each = {"hours": self.hours, "weekdays": self.weekdays, "units": self.units}
        return {name: held(cells, cells.sum(axis=0), kish, ordered=False) for name, cells in each.items()}


def _count(cells: Grouped, place: Ints, groups: Ints) -> None:
    cells += np.bincount(place * GROUPS + groups, minlength=cells.size).reshape(cells.shape)
