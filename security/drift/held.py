"""What a column is kept as while rows pass, whatever its role; and how its rows lie in the cells of a reference."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from security.drift.cells import Ints, Role, fits, settled
from security.drift.groups import GROUPS, effects
from security.drift.profile import Base, Count, Effect
from security.verdict import Frozen

Grouped = NDArray[np.int64]
"""Counts, by group in the last dimension."""


class Held(Frozen):
    """Rows in the cells of a reference. Of a number: below `low`, in each bin, from `high` on. Of a category: of each
    token of the reference, in its order, and of all others; `fresh` are the rows of the most frequent of those.

    `effects` are the design effects of each cell's share, and of that of `fresh`."""

    counts: tuple[Count, ...]
    effect: Effect
    effects: tuple[Effect, ...] = ()
    fresh: Count = 0
    newest: Effect = 1.0


class Way(NamedTuple):
    """How facts are made: so many users' rows count as one (`kish`), so many bins at most, and rows, at least."""

    kish: float
    limit: int
    least: int
    users: bool


class Seen(ABC):
    """A column: batches in, facts out. `add` and `merge` may come in any order; the facts are the same."""

    role: Role

    def __init__(self) -> None:
        self.types, self.unread = set[str](), 0
        self.sizes, self.blank = np.zeros(GROUPS, np.int64), np.zeros(GROUPS, np.int64)
        """Rows that could be read, and nulls among them, by group."""

    def add(self, array: pa.Array, kind: str, groups: Ints, sizes: Ints) -> None:
        """Take in values of rows of these groups, of these sizes; `kind` is what the type is called."""
        self.types.add(kind)
        if not fits(self.role, array.type):
            self.unread += len(array)
            return
        self.sizes += sizes
        array = settled(array)
        if array.null_count:
            valid = array.is_valid()
            mask = valid.to_numpy(zero_copy_only=False)
            self.blank += np.bincount(groups[~mask], minlength=GROUPS)
            array, groups = array.filter(valid), groups[mask]
        if len(array):
            self.take(array, groups)

    def merge(self, other: Self) -> None:
        """Take in what another kept."""
        self.types |= other.types
        self.unread += other.unread
        self.sizes, self.blank = self.sizes + other.sizes, self.blank + other.blank
        self.join(other)

    def base(self, way: Way) -> dict[str, Any]:
        """The facts of every column."""
        nulls, read = int(self.blank.sum()), int(self.sizes.sum())
        gaps, _ = effects(self.blank[None], self.sizes, way.kish)
        told = {"type": " | ".join(sorted(self.types)), "rows": read + self.unread, "nulls": nulls}
        return told | {"unread": self.unread, "gaps": rounded(gaps[0])}

    @abstractmethod
    def take(self, array: pa.Array, groups: Ints) -> None:
        """Take in values, at least one and none of them null."""

    @abstractmethod
    def join(self, other: Self) -> None:
        """Take in what another kept of values."""

    @abstractmethod
    def facts(self, way: Way) -> Base:
        """The column in a profile."""


def rounded(value: float) -> float:
    """A design effect as it is told: three digits after the point, never less."""
    return float(np.ceil(value * 1000) / 1000)


def held(cells: Grouped, sizes: NDArray[np.int64], kish: float, ordered: bool) -> Held:
    """Counts by group as those of cells. Where cells are `ordered`, one effect is that of the shares up to each."""
    each, whole = effects(cells, sizes, kish)
    if ordered:
        _, whole = effects(np.cumsum(cells, axis=0)[:-1], sizes, kish)
    told = tuple(rounded(one) for one in each)
    return Held(counts=tuple(cells.sum(axis=1).tolist()), effect=rounded(whole), effects=told)
