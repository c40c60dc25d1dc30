"""How numbers lie, in bounded memory, without a sample: exact counts between round numbers.

Numbers are counted by the leading bits of their keys (`security.drift.cells`), and by the group of their row. All bits
count until there are more different ones than `MOST`; then the last ones are dropped, for all, until there are not. How
many are dropped follows from the set of numbers alone, so that neither the order of the rows nor where they are cut
into shards changes anything. A bin is a thousandth of a number's size or finer where the numbers span a few powers of
two, and much finer where they lie close together; it is coarser where they span hundreds.
"""

from copy import copy

import numpy as np
from numpy.typing import NDArray

from security.drift.cells import GIVEN, Ints
from security.drift.groups import GROUPS

MOST = 1 << 13
"""Different bins that are kept."""
PENDING = 1 << 17
"""Numbers that wait until they are sorted together."""


class Histogram:
    """Numbers by bin and group; and, where `cuts` (keys with nothing in their given-up bits) are given, exact counts
    between them: below the first, between each two (from the lower one on), from the last one on."""

    def __init__(self, cuts: Ints | None = None) -> None:
        self.low, self.counts, self.shift = np.zeros(0, np.int64), np.zeros((0, GROUPS), np.int64), GIVEN
        """The lowest key of each bin over 2^shift, in order, and its counts by group."""
        self.cuts = cuts
        self.between = np.zeros((0 if cuts is None else len(cuts) + 1, GROUPS), np.int64)
        self.waiting, self.size = list[Ints](), 0

    def add(self, keys: Ints, groups: Ints) -> None:
        """Take in numbers by their keys, and the groups of their rows."""
        self.waiting.append((keys & -(1 << GIVEN)) | groups)
        self.size += len(keys)
        if self.size >= PENDING:
            self.settle()

    def settle(self) -> None:
        """Count what waits."""
        if not self.size:
            return
        keys = self.waiting[0] if len(self.waiting) == 1 else np.concatenate(self.waiting)
        self.waiting, self.size = [], 0
        keys.sort()
        group = keys & (GROUPS - 1)
        if self.cuts is not None:
            ends = np.searchsorted(keys, self.cuts)
            place = np.repeat(np.arange(0, self.between.size, GROUPS), np.diff(np.r_[0, ends, len(keys)]))
            self.between += _cells(place + group, len(self.cuts) + 1)
        low = keys >> self.shift
        first = _first(low)
        if len(first) > MOST:
            self._coarser(_enough(low[first]))
            low = keys >> self.shift
            first = _first(low)
        place = np.repeat(np.arange(0, len(first) * GROUPS, GROUPS), np.diff(first, append=len(low)))
        self._join(low[first], _cells(place + group, len(first)))

    def _join(self, low: Ints, counts: NDArray[np.int64]) -> None:
        """Take in bins of the same width."""
        every = np.sort(np.concatenate([self.low, low]))
        every = every[_first(every)]
        both = np.zeros((len(every), GROUPS), np.int64)
        both[np.searchsorted(every, self.low)] = self.counts
        both[np.searchsorted(every, low)] += counts
        self.low, self.counts = every, both
        if len(every) > MOST:
            self._coarser(_enough(every))

    def _coarser(self, bits: int) -> None:
        """Drop so many bits."""
        self.shift += bits
        low = self.low >> bits
        first = _first(low)
        self.low = low[first]
        self.counts = np.add.reduceat(self.counts, first, axis=0) if len(first) else self.counts

    def merge(self, other: "Histogram") -> None:
        """Take in what another counted."""
        self.settle()
        other.settle()
        self.between = self.between + other.between
        more = copy(other)
        for one, shift in ((self, other.shift), (more, self.shift)):
            if one.shift < shift:
                one._coarser(shift - one.shift)
        self._join(more.low, more.counts)

    def bins(self) -> tuple[Ints, NDArray[np.int64]]:
        """The lowest key of each bin that has rows, in order, and its counts by group."""
        self.settle()
        return self.low << self.shift, self.counts


def _first(low: Ints) -> NDArray[np.intp]:
    """Where each different one of some in order is first."""
    return np.flatnonzero(np.r_[True, low[1:] != low[:-1]]) if len(low) else np.zeros(0, np.intp)


def _enough(low: Ints) -> int:
    """How many bits to drop so that no more than `MOST` different ones are left, of some in order."""
    most, least = 63, 1
    while least < most:
        bits = (least + most) // 2
        if np.count_nonzero(low[1:] >> bits != low[:-1] >> bits) < MOST:
            most = bits
        else:
            least = bits + 1
    return least


def _cells(codes: Ints, count: int) -> NDArray[np.int64]:
    return np.bincount(codes, minlength=count * GROUPS).reshape(count, GROUPS)
