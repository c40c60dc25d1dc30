"""How numbers lie, in bounded memory, without a sample: exact counts between round numbers.

Numbers are counted by the leading bits of their keys (`security.drift.cells`), and by the group of their row. All bits
count until there are more different ones than `MOST`; then the last ones are dropped, for all, until there are not. How
many are dropped follows from the set of numbers alone, so that neither the order of the rows nor where they are cut
into shards changes anything. With 8,000 different bins and 32 groups a bin is 2^-11 of a number's size or finer, where
the numbers span a few powers of ten; it is coarser only where they span hundreds.
"""

import numpy as np
from numpy.typing import NDArray

from security.drift.cells import GIVEN, Ints
from security.drift.groups import GROUPS

MOST = 1 << 18
"""Different pairs of bin and group that are kept."""
PENDING = 1 << 17
"""Numbers that wait until they are sorted together."""


class Histogram:
    """Numbers by bin and group; and, where `cuts` (keys with nothing in their given-up bits) are given, exact counts
    between them: below the first, between each two (from the lower one on), from the last one on."""

    def __init__(self, cuts: Ints | None = None) -> None:
        self.keys, self.counts, self.shift = np.zeros(0, np.int64), np.zeros(0, np.int64), GIVEN
        self.cuts = cuts
        self.between = np.zeros((0 if cuts is None else len(cuts) + 1, GROUPS), np.int64)
        self.waiting, self.size = list[Ints](), 0

    def add(self, keys: Ints, groups: Ints) -> None:
        """Take in numbers by their keys, and the groups of their rows."""
        self.waiting.append((keys >> GIVEN << GIVEN) | groups)
        self.size += len(keys)
        if self.size > PENDING:
            self.settle()

    def settle(self) -> None:
        """Count what waits."""
        if not self.size:
            return
        keys = np.concatenate(self.waiting)
        self.waiting, self.size = [], 0
        keys.sort()
        if self.cuts is not None:
            ends = np.searchsorted(keys, self.cuts)
            place = np.repeat(np.arange(len(self.cuts) + 1), np.diff(np.r_[0, ends, len(keys)]))
            cells = place * GROUPS + (keys & (GROUPS - 1))
            self.between += np.bincount(cells, minlength=self.between.size).reshape(self.between.shape)
        self._join(*_runs(keys))

    def _join(self, keys: Ints, counts: Ints) -> None:
        """Take in keys in order, with their counts."""
        keys, counts = _coarser(keys, counts, self.shift)
        if len(self.keys):
            keys, counts = _summed(np.concatenate([self.keys, keys]), np.concatenate([self.counts, counts]))
        while len(keys) > MOST:
            self.shift += 1
            keys, counts = _coarser(keys, counts, self.shift)
        self.keys, self.counts = keys, counts

    def merge(self, other: "Histogram") -> None:
        """Take in what another counted."""
        self.settle()
        other.settle()
        self.between = self.between + other.between
        while self.shift < other.shift:
            self.shift += 1
        self.keys, self.counts = _coarser(self.keys, self.counts, self.shift)
        self._join(other.keys, other.counts)

    def bins(self) -> tuple[Ints, NDArray[np.int64]]:
        """The lowest key of each bin that has rows, in order, and its counts by group."""
        self.settle()
        low, group = self.keys >> self.shift << self.shift, self.keys & (GROUPS - 1)
        first = np.flatnonzero(np.r_[True, low[1:] != low[:-1]]) if len(low) else np.zeros(0, np.int64)
        counts = np.zeros((len(first), GROUPS), np.int64)
        counts[np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(low)])), group] = self.counts
        return low[first], counts


def _runs(keys: Ints) -> tuple[Ints, Ints]:
    """Each different key of some in order, and how often it is there."""
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, np.int64)
    return keys[first], np.diff(np.r_[first, len(keys)])


def _summed(keys: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Each different key, in order, with the sum of its counts."""
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, np.int64)
    return keys[first], np.add.reduceat(counts, first) if len(first) else counts


def _coarser(keys: Ints, counts: Ints, shift: int) -> tuple[Ints, Ints]:
    """The same with so many bits dropped."""
    if shift == GIVEN or not len(keys):
        return keys, counts
    return _summed((keys >> shift << shift) | (keys & (GROUPS - 1)), counts)
