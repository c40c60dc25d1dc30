"""The leaves of a Parquet file: how long their texts are, before any is unfolded.

A text that a row group holds once may stand in each of its rows, and a list of one text repeated takes no room in the
file. So the memory that rows will need is told from the dictionary and from the counts of values.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from security.errors import BadInput
from security.rows.columns import COLUMNS

NESTED = 256 << 20
"""Most bytes that a nested column of a row group may unfold to, were each value as long as the longest."""
_NUMBER = 24
"""Bytes of a number as text, about."""


def texts(file: pq.ParquetFile) -> list[str]:
    """Paths of the leaves that hold texts or bytes."""
    return [each.path for each in file.schema if each.physical_type == "BYTE_ARRAY"]


def longest(coded: pq.ParquetFile, group: int, path: str) -> int:
    """Of the texts that a leaf of a row group has codes for, the bytes of the longest."""
    first = next(coded.iter_batches(1, row_groups=[group], columns=[path]), None)
    if first is None:
        return 0
    lengths = [pc.max(pc.binary_length(each.dictionary)).as_py() or 0 for each in _codes(first.column(0))]
    return int(max(lengths, default=0))


def beside(coded: pq.ParquetFile, group: int, name: str) -> int:
    """Bytes of a row of the columns that are not declared, about; `BadInput` where a nested one is out of bounds."""
    size, meta = 0, coded.metadata.row_group(group)
    for place, each in enumerate(coded.schema):
        if each.path in COLUMNS:
            continue
        kind = each.physical_type
        wide = longest(coded, group, each.path) if kind == "BYTE_ARRAY" else _NUMBER + max(0, each.length or 0)
        if each.max_repetition_level:
            values = meta.column(place).num_values
            if values * wide > NESTED:
                found = f"a nested column of {values:,} values of up to {wide:,} bytes in a row group"
                raise BadInput(name, "row 1", found, f"{NESTED >> 20} MiB, were each as long as the longest")
            wide = -(-values * wide // max(1, meta.num_rows))
        size += wide
    return size


def _codes(column: Any) -> Iterator[pa.DictionaryArray]:
    """The coded leaves of a column."""
    if isinstance(column, pa.DictionaryArray):
        yield column
    elif isinstance(column, pa.StructArray):
        for each in column.flatten():
            yield from _codes(each)
    elif pa.types.is_nested(column.type):
        yield from _codes(column.values)
