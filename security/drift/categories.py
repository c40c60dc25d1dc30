"""A column of categories, or two of them together."""

import numpy as np
import pyarrow as pa

from security.drift import profile
from security.drift.cells import Ints, coded
from security.drift.counts import Counts
from security.drift.groups import GROUPS, effects
from security.drift.held import Grouped, Held, Seen, Way, held, rounded
from security.drift.profile import Category
from security.drift.tokens import read, spelled, tokens
from security.rows.hashes import Key, Words

_GROUP = np.uint64(GROUPS - 1)
_NONE = np.zeros(0, np.uint64)


class Categories(Seen):
    """Exact counts of every value, by group: the lowest five bits of a hash are the group of the row."""

    role = "category"

    def __init__(self, key: Key, token: bytes) -> None:
        super().__init__()
        self.key, self.token, self.counts = key, token, Counts()

    def take(self, array: pa.Array, groups: Ints) -> None:
        """Values; a batch of few different ones is counted at once."""
        different, index = coded(array, self.key)
        different &= ~_GROUP
        if len(different) * GROUPS > 4 * len(index) + 4096:
            self.counts.add(different[index] | groups.astype(np.uint64))
            return
        cells = np.bincount(index * GROUPS + groups, minlength=len(different) * GROUPS)
        some = np.flatnonzero(cells)
        self.counts.add(different[some // GROUPS] | (some % GROUPS).astype(np.uint64), cells[some])

    def pair(self, one: Words, other: Words, groups: Ints, sizes: Ints) -> None:
        """Rows by the hashes of two columns, 0 for a null; of any type."""
        self.sizes += sizes
        both = (one * np.uint64(0x9E3779B97F4A7C15)) ^ ((other >> np.uint64(29)) | (other << np.uint64(35)))
        both = (both ^ (both >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
        self.counts.add((both ^ (both >> np.uint64(29))) & ~_GROUP | groups.astype(np.uint64))

    def join(self, other: "Categories") -> None:
        """Take in what another kept."""
        self.counts.merge(other.counts)

    def _most(self, way: Way) -> tuple[int, Words, Grouped]:
        """How many different values there are; and the most frequent, and their counts by group."""
        distinct, kept, cells = 0, _NONE, np.zeros((0, GROUPS), np.int64)
        for words, counts in self.counts.parts():
            values = words & ~_GROUP
            first = np.flatnonzero(np.r_[True, values[1:] != values[:-1]]) if len(words) else np.zeros(0, np.int64)
            sums = np.add.reduceat(counts, first) if len(first) else counts
            distinct += len(first)
            spread = np.diff(np.r_[first, len(words)]) >= (profile.GROUPS if way.users else 1)
            some = np.flatnonzero((sums >= way.least) & spread)
            some = some[np.lexsort((values[first[some]], -sums[some]))][: way.limit]
            kept = np.concatenate([kept, values[first[some]]])
            cells = np.concatenate([cells, _by_group(values[first[some]], words, counts)])
            order = np.lexsort((kept, -cells.sum(axis=1)))[: way.limit]
            kept, cells = kept[order], cells[order]
        return distinct, kept, cells

    def facts(self, way: Way) -> Category:
        """The most frequent values and how often each is there."""
        distinct, values, cells = self._most(way)
        sizes = self.sizes - self.blank
        rest = sizes - cells.sum(axis=0)
        _, effect = effects(np.concatenate([cells, rest[None]]), sizes, way.kish)
        names = spelled(tokens(values, self.token))
        top = dict(sorted(zip(names, cells.sum(axis=1).tolist(), strict=True)))
        other = int(rest.sum())
        return Category(**self.base(way), effect=rounded(effect), top=top, other=other, distinct=distinct)

    def held(self, reference: Category, way: Way) -> Held:
        """The rows of the reference's tokens, of all others, and of the most frequent of those."""
        wanted = read(list(reference.top))
        order = np.argsort(wanted)
        cells = np.zeros((len(wanted) + 1, GROUPS), np.int64)
        for words, counts in self.counts.parts():
            if not len(wanted) or not len(words):
                continue
            found = tokens(words & ~_GROUP, self.token)
            place = np.minimum(np.searchsorted(wanted, found, sorter=order), len(wanted) - 1)
            known = wanted[order[place]] == found
            np.add.at(cells, (order[place[known]], (words[known] & _GROUP).astype(np.int64)), counts[known])
        sizes = self.sizes - self.blank
        cells[-1] = sizes - cells.sum(axis=0)
        _, values, own = self._most(way)
        fresh = own[~np.isin(tokens(values, self.token), wanted)][:1]
        told = held(cells, sizes, way.kish, ordered=False)
        newest, _ = effects(fresh, sizes, way.kish) if len(fresh) else (np.ones(1), 1.0)
        return told.model_copy(update={"fresh": int(fresh.sum()), "newest": rounded(newest[0])})


def _by_group(values: Words, words: Words, counts: Ints) -> Grouped:
    """Counts by group of some values; `words` in order."""
    cells = np.zeros((len(values), GROUPS), np.int64)
    begin, end = np.searchsorted(words, values), np.searchsorted(words, values | _GROUP, side="right")
    size = end - begin
    owner = np.repeat(np.arange(len(values)), size)
    at = np.arange(len(owner)) + np.repeat(begin - (np.cumsum(size) - size), size)
    cells[owner, (words[at] & _GROUP).astype(np.int64)] = counts[at]
    return cells
