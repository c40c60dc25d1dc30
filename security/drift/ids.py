"""A column of ids: how many there are, how unevenly rows lie on them, and a sample by which two can be compared.

The sample is the smallest tokens (`security.drift.tokens`) of all ids: whether an id is in it depends on no other id
but how many smaller ones there are, so that of the smallest tokens of two samples together it is known which are in
both (Beyer and others 2007, "On synopses for distinct-value estimation under multiset operations").
"""

import numpy as np
import pyarrow as pa

from security.drift.cells import Ints, words
from security.drift.counts import Counts
from security.drift.groups import GROUPS, group
from security.drift.held import Seen, Way, rounded
from security.drift.profile import Id
from security.drift.tokens import spelled, tokens
from security.rows.hashes import Key, Words


class Ids(Seen):
    """Exact counts of every id."""

    role = "id"

    def __init__(self, key: Key, token: bytes) -> None:
        super().__init__()
        self.key, self.token, self.counts = key, token, Counts()

    def take(self, array: pa.Array, groups: Ints) -> None:
        """Ids."""
        self.counts.add(words(array, self.key))

    def join(self, other: "Ids") -> None:
        """Take in what another kept."""
        self.counts.merge(other.counts)

    def weight(self) -> tuple[int, float, float]:
        """How many ids there are; the rows of the id of a row, on average; and its relative standard error."""
        sums, squares, distinct = np.zeros(GROUPS), np.zeros(GROUPS), 0
        for values, counts in self.counts.parts():
            held, rows = group(values), counts.astype(np.float64)
            sums += np.bincount(held, rows, GROUPS)
            squares += np.bincount(held, rows**2, GROUPS)
            distinct += len(values)
        if not distinct:
            return 0, 1.0, 0.0
        weight = squares.sum() / sums.sum()
        off = float((((squares - weight * sums) ** 2).sum() * GROUPS / (GROUPS - 1)) ** 0.5)
        return distinct, float(weight), off / float(squares.sum())

    def only(self, part: "Ids") -> int:
        """How many of the ids of some of these rows no other of these rows has."""
        part.counts.settle()
        if part.counts.aside:  # then these are put aside too, and cut in the same places
            return sum(
                _alone(*one, *other) for one, other in zip(self.counts.parts(), part.counts.parts(), strict=True)
            )
        ((values, counts),) = part.counts.parts()
        return sum(_alone(*each, values, counts) for each in self.counts.parts())

    def facts(self, way: Way) -> Id:
        """The ids in a profile."""
        distinct, weight, doubt = self.weight()
        sample, spread = np.zeros(0, np.uint64), 0.0
        for values, counts in self.counts.parts():
            spread += float(np.maximum(way.kish / counts, 1.0).sum())
            sample = np.sort(np.concatenate([sample, tokens(values, self.token)]))[: way.limit]
        told = {"distinct": distinct, "spread": rounded(spread), "weight": rounded(weight), "doubt": rounded(doubt)}
        return Id(**self.base(way), effect=1.0, sample=tuple(spelled(sample)), **told)


def _alone(every: Words, counts: Ints, values: Words, some: Ints) -> int:
    """How many of these values are among all, as often as here."""
    if not len(every):
        return 0
    at = np.minimum(np.searchsorted(every, values), len(every) - 1)
    return int(((every[at] == values) & (counts[at] == some)).sum())
