"""Columns of lists of items, flat: each entry by its row, and pairs of row and item as one integer."""

from typing import Any

import numpy as np

from security.errors import CannotTell


def flat(column: Any) -> tuple[Any, Any, Any]:
    """Row and item of every entry of a list column, and the number of entries of each row. `CannotTell` for an empty
    cell."""
    values = column.flatten()
    if column.null_count or values.null_count:
        raise CannotTell("the evaluation has empty cells")
    counts = np.diff(column.offsets.to_numpy()).astype(np.int64)
    return np.repeat(np.arange(len(column)), counts), values.to_numpy().astype(np.int64), counts


def ranks(counts: Any) -> Any:
    """The place of every entry in its list, from 0."""
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)


def keys(rows: Any, items: Any) -> Any:
    """One integer for each pair of row and item: the row above, the item's 32 bits below."""
    return (rows << 32) | (items & 0xFFFFFFFF)


def distinct(pairs: Any) -> Any:
    """The keys in order, each once. Sorted, as NumPy's `unique` hashes, many times slower on keys like these."""
    ordered = np.sort(pairs)
    return ordered[np.diff(ordered, prepend=ordered[:1] - 1) != 0]


def within(pairs: Any, ordered: Any) -> Any:
    """Which keys are among `ordered` ones."""
    if not len(ordered):
        return np.zeros(len(pairs), dtype=bool)
    return ordered[np.minimum(np.searchsorted(ordered, pairs), len(ordered) - 1)] == pairs


def first(pairs: Any) -> Any:
    """Which keys are the first of their kind."""
    order = np.argsort(pairs, kind="stable")
    ordered = pairs[order]
    found = np.zeros(len(pairs), dtype=bool)
    found[order[np.diff(ordered, prepend=ordered[:1] - 1) != 0]] = True
    return found
