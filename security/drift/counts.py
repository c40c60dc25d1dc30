"""How often each value is there, exactly, by its keyed hash: in bounded memory, whatever the number of values.

What is more than fits is put aside in files without a name (`security.rows.buckets`), 16 bytes for each different
value and flush, and gone through one part of 64 at a time. Sums do not depend on the order of the rows, nor on where
they were cut into shards.
"""

from collections.abc import Iterator

import numpy as np

from security.drift.cells import Ints
from security.rows.buckets import BUCKETS, Buckets
from security.rows.hashes import Words

MOST = 1 << 20
"""Different values that are kept in memory."""
HELD = 32 << 20
PENDING = 1 << 18
ROW = np.dtype([("value", "u8"), ("count", "i8")])
_PART = np.uint64(58)
"""Bits to drop of a hash, so that what is left numbers the part in which it lies."""


class Counts:
    """Hash -> count."""

    def __init__(self) -> None:
        self.values, self.counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        self.waiting, self.size = list[tuple[Words, Ints | None]](), 0
        self.aside: Buckets | None = None

    def add(self, values: Words, counts: Ints | None = None) -> None:
        """Take in hashes, with their counts or once each."""
        self.waiting.append((values, counts))
        self.size += len(values)
        if self.size > max(PENDING, len(self.values) // 2):
            self.settle()

    def settle(self) -> None:
        """Count what waits."""
        if not self.size:
            return
        if all(counts is None for _, counts in self.waiting):
            values, counts = _runs(np.sort(np.concatenate([values for values, _ in self.waiting])))
        else:
            several = [np.ones(len(values), np.int64) if some is None else some for values, some in self.waiting]
            values, counts = summed(np.concatenate([values for values, _ in self.waiting]), np.concatenate(several))
        if len(self.values):
            values, counts = summed(np.concatenate([self.values, values]), np.concatenate([self.counts, counts]))
        self.values, self.counts, self.waiting, self.size = values, counts, [], 0
        if len(values) > MOST:
            self._put(values, counts)
            self.values, self.counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)

    def _put(self, values: Words, counts: Ints) -> None:
        rows = np.empty(len(values), ROW)
        rows["value"], rows["count"] = values, counts
        self.aside = self.aside or Buckets(ROW, HELD)
        self.aside.add((values >> _PART).astype(np.int64), rows)

    def merge(self, other: "Counts") -> None:
        """Take in what another counted."""
        other.settle()
        self.add(other.values, other.counts)
        for rows in other.aside or ():
            self._put(rows["value"], rows["count"])

    def parts(self) -> Iterator[tuple[Words, Ints]]:
        """Different hashes in order, with their counts: parts of all, in order; none is in two."""
        self.settle()
        if self.aside is None:
            yield self.values, self.counts
            return
        ends = np.searchsorted(self.values, np.arange(1, BUCKETS, dtype=np.uint64) << _PART)
        put, held = self.aside.numbered(), zip(np.split(self.values, ends), np.split(self.counts, ends), strict=True)
        number, rows = next(put, (BUCKETS, np.zeros(0, ROW)))
        for place, (values, counts) in enumerate(held):
            if place == number:
                values = np.concatenate([values, rows["value"]])
                counts = np.concatenate([counts, rows["count"]])
                number, rows = next(put, (BUCKETS, rows))
            yield summed(values, counts)


def summed(values: Words, counts: Ints) -> tuple[Words, Ints]:
    """Each different hash, in order, with the sum of its counts."""
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    first = np.flatnonzero(np.r_[True, values[1:] != values[:-1]]) if len(values) else np.zeros(0, np.int64)
    return values[first], np.add.reduceat(counts, first) if len(first) else counts


def _runs(values: Words) -> tuple[Words, Ints]:
    first = np.flatnonzero(np.r_[True, values[1:] != values[:-1]]) if len(values) else np.zeros(0, np.int64)
    return values[first], np.diff(np.r_[first, len(values)])
