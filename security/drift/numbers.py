"""A column of numbers."""

import numpy as np
import pyarrow as pa

from security.drift.cells import GIVEN, LAST, Ints, floats, ordered, valued
from security.drift.edges import edges
from security.drift.groups import GROUPS, effects
from security.drift.held import Held, Seen, Way, held, rounded
from security.drift.histogram import Histogram
from security.drift.profile import Number


class Numbers(Seen):
    """Exact counts between the cuts of a reference, where there is one, and a histogram of its own."""

    role = "number"

    def __init__(self, reference: Number | None = None) -> None:
        super().__init__()
        cuts = None
        if reference is not None:
            ends = [each for each in (reference.low, *reference.cuts, reference.high) if each is not None]
            cuts = ordered(np.array(ends, np.float64))
        self.histogram = Histogram(cuts)
        self.nan, self.infinite = np.zeros(GROUPS, np.int64), np.zeros(GROUPS, np.int64)

    def take(self, array: pa.Array, groups: Ints) -> None:
        """Numbers; what is not finite is counted apart."""
        values = floats(array)
        finite = np.isfinite(values)
        if not finite.all():
            nan = np.isnan(values)
            self.nan += np.bincount(groups[nan], minlength=GROUPS)
            self.infinite += np.bincount(groups[~finite & ~nan], minlength=GROUPS)
            values, groups = values[finite], groups[finite]
        self.histogram.add(np.clip(ordered(values), -LAST, LAST), groups)

    def join(self, other: "Numbers") -> None:
        """Take in what another kept."""
        self.nan, self.infinite = self.nan + other.nan, self.infinite + other.infinite
        self.histogram.merge(other.histogram)

    def facts(self, way: Way) -> Number:
        """The bins, their edges and counts."""
        keys, counts = self.histogram.bins()
        shift = self.histogram.shift
        found = edges(keys, counts.sum(axis=1), 1 << shift, way.limit, way.least)
        ends = np.searchsorted(keys, np.array(found.cuts if found else (), np.int64))
        below = np.r_[np.zeros((1, GROUPS), np.int64), np.cumsum(counts, axis=0)][np.r_[ends, len(keys)]]
        _, effect = effects(below[:-1], counts.sum(axis=0), way.kish)
        odd, _ = effects((self.nan + self.infinite)[None], self.sizes - self.blank, way.kish)
        range_ = (
            valued(np.array([max(found.low, -LAST), min(found.high, LAST + (1 << GIVEN))])).tolist()
            if found
            else (None, None)
        )
        return Number(
            **self.base(way),
            effect=rounded(effect),
            nan=int(self.nan.sum()),
            infinite=int(self.infinite.sum()),
            odd=rounded(odd[0]),
            low=range_[0],
            high=range_[1],
            cuts=tuple(valued(np.array(found.cuts if found else (), np.int64)).tolist()),
            counts=tuple(np.diff(below.sum(axis=1), prepend=0).tolist()),
            distinct=len(keys),
            exact=shift == GIVEN,
        )

    def held(self, kish: float) -> Held | None:
        """The rows between the reference's cuts."""
        self.histogram.settle()
        cells = self.histogram.between
        return held(cells, cells.sum(axis=0), kish, ordered=True) if len(cells) else None
