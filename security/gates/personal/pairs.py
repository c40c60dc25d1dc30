"""Cells that stand beside each other in a row, read as one text: of the first the end, of the second the start.

Which cells these are each row says for itself: one that is null or empty stands nowhere, and the order is the row's.
Looked for is only what no two texts are by chance, in disguise too; and of that, what is in neither part alone.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from security.personal.fold import folded
from security.personal.found import Found
from security.rows.beside import entries

if TYPE_CHECKING:
    from security.personal.search import Search

EDGE = 128
"""Characters of the end of a cell, and of the start of the next, that are read together."""
OVER = frozenset({"CREDIT_CARD", "EMAIL_ADDRESS", "IBAN_CODE"})
"""What is looked for over two columns: other forms are met by chance where any two numbers stand side by side."""
CUT = "\0"
"""What keeps apart the parts of a pair: pairs that differ only by where they are cut are two."""
_OVER = r"@|[0-9](?:[^0-9]{0,3}[0-9]){11}|[A-Za-z]{2}[0-9]{2}(?:[^A-Za-z0-9]?[A-Za-z0-9]){11}|[^\x01-\x7f]"
"""What has to be in a text for any of these to be, or what may hide it."""
_APART = "interaction_type"
"""Stands between ids and the rest only here, not in a file; its values are few, and known."""


class Pairs(NamedTuple):
    """Pairs in which there may be something: the columns of both parts, the rows, the texts with `CUT` between."""

    first: str
    second: str
    rows: NDArray[np.int64]
    texts: pa.StringArray


def pairs(batch: pa.RecordBatch) -> Iterator[Pairs]:
    """Pairs of a batch that are to be looked at, by columns."""
    users, items = batch.column("user_id"), batch.column("item_id")
    at, texts = _joined(users, items)
    if len(at):
        yield Pairs("user_id", "item_id", at, texts)
    rows, names, held = entries(batch)
    there = pc.greater(pc.binary_length(held), 0).fill_null(False).to_numpy(zero_copy_only=False)
    called, codes = names.dictionary.to_pylist(), names.indices.to_numpy()
    if _APART in called:
        there = there & (codes != called.index(_APART))
    every = np.flatnonzero(there)
    near = rows[every][1:] == rows[every][:-1]
    left, right = every[:-1][near], every[1:][near]
    at, texts = _joined(held.take(pa.array(left)), held.take(pa.array(right)))
    left, right = left[at], right[at]
    both = codes[left].astype(np.int64) * len(called) + codes[right]
    for which in np.unique(both).tolist():
        mine = np.flatnonzero(both == which)
        first, second = divmod(which, len(called))
        yield Pairs(called[first], called[second], rows[left[mine]], texts.take(pa.array(mine)))


def _joined(lefts: pa.StringArray, rights: pa.StringArray) -> tuple[NDArray[np.int64], pa.StringArray]:
    """Which of these pairs are to be looked at, and their texts."""
    ends = pc.utf8_slice_codeunits(lefts, -EDGE, None)
    starts = pc.utf8_slice_codeunits(rights, 0, EDGE)
    some = pc.match_substring_regex(pc.binary_join_element_wise(ends, starts, ""), _OVER).fill_null(False)
    at = np.flatnonzero(some.to_numpy(zero_copy_only=False))
    parts = [pc.replace_substring(each.take(pa.array(at)), CUT, "") for each in (ends, starts)]
    return at, pc.binary_join_element_wise(*parts, CUT)


def spanning(texts: pa.StringArray, search: "Search") -> Iterator[tuple[int, str, tuple[Found, ...]]]:
    """Of each of these pairs in which something lies over the cut, and no part of it is found alone: its index, its
    text without the cut, and what."""
    parts = [tuple(map(folded, text.split(CUT))) for text in texts.to_pylist()]
    for index, some in search.cells.find(pa.array([left + right for left, right in parts], pa.string())).items():
        left, right = parts[index]
        cut = len(left)
        over = [each for each in some if each[0] in OVER and each[1] < cut < each[2]]
        if not over:
            continue
        alone = search.cells.find(pa.array([left, right]))
        held = {(entity, start, end) for entity, start, end, _ in alone.get(0, ())}
        held |= {(entity, start + cut, end + cut) for entity, start, end, _ in alone.get(1, ())}
        told = tuple(each for each in over if not any(_meet(each, other) for other in held))
        if told:
            yield index, left + right, told


def _meet(one: Found, other: tuple[str, int, int]) -> bool:
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]
