"""What a row holds beside the declared columns, as text by column: for whoever has to have looked at everything.

Kept there is each column that is not declared; and of a declared one each value that could not be kept in it, since it
is of another type, too long, or tells no time. A text is what it is, whatever else JSON holds is its JSON, a number as
it is written; a value of Parquet is the text that Arrow makes of it, a whole number without a point, and whatever is
nested is JSON. Bytes that are not UTF-8 are read as Latin-1 without their zeros, so that any text of ASCII characters
in them can be read, and marked as `OPAQUE`.

A name is there although the column holds nothing but nulls: it may say as much as a value.
"""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

BESIDE = pa.map_(pa.string(), pa.string())
"""Column -> text or null."""
OPAQUE = "\0"
"""What a text begins with that was made of bytes of no known encoding. No other text is worse off for being marked."""
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
_WHOLE = float(1 << 63)


class Entries(NamedTuple):
    """Values beside some rows: the index of the row, the column and the text of each, in any order."""

    rows: NDArray[np.int64]
    columns: pa.StringArray
    texts: pa.StringArray


def column(name: str, texts: pa.StringArray) -> Entries:
    """The entries of a column: a null is none, but where there is nothing else the first stands for the name."""
    rows = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
    if not len(rows):
        rows = np.arange(min(1, len(texts)))
    held = texts if len(rows) == len(texts) else texts.take(pa.array(rows))
    return Entries(rows, pa.repeat(name, len(rows)), held)


def gathered(entries: Iterable[Entries], rows: int) -> pa.MapArray:
    """The column `beside` of so many rows: for each its entries in the order in which they come, null for none."""
    held = [each for each in entries if len(each.rows)]
    if not held:
        return pa.nulls(rows, BESIDE)
    at = np.concatenate([each.rows for each in held])
    names, texts = (pa.concat_arrays([each[part] for each in held]) for part in (1, 2))
    if len(held) > 1 and (np.diff(at) < 0).any():
        order = np.argsort(at, kind="stable")
        at, names, texts = at[order], names.take(pa.array(order)), texts.take(pa.array(order))
    ends = np.searchsorted(at, np.arange(rows + 1)).astype(np.int32)
    none = np.append(np.diff(ends) == 0, False)
    return pa.MapArray.from_arrays(pa.array(ends, pa.int32(), mask=none), names, texts)


def beside(batch: pa.RecordBatch) -> Iterator[tuple[str, NDArray[np.int64], pa.StringArray]]:
    """The columns beside the declared ones of a batch: name, the rows that have a value or a null there, and these."""
    rows, names, texts = entries(batch)
    codes = names.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    cuts = np.searchsorted(codes[order], np.arange(len(names.dictionary) + 1))
    for code, name in enumerate(names.dictionary.to_pylist()):
        mine = order[cuts[code] : cuts[code + 1]]
        yield name, rows[mine], texts if len(mine) == len(texts) else texts.take(pa.array(mine))


def entries(batch: pa.RecordBatch) -> tuple[NDArray[np.int64], pa.DictionaryArray, pa.StringArray]:
    """What is beside the declared columns of a batch, row by row in the order of each: row, name and text of each."""
    held = batch.column("beside")
    ends = held.offsets.to_numpy() if len(held) else np.zeros(1, np.int32)
    rows = np.repeat(np.arange(len(held)), np.diff(ends))
    return rows, held.keys[ends[0] : ends[-1]].dictionary_encode(), held.items[ends[0] : ends[-1]]


def text(values: pa.Array) -> pa.StringArray:
    """Values of any type of Arrow's as texts; null where they are."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return text(values.dictionary).take(values.indices)
    if any(known(kind) for known in _BYTES):
        return _decoded(values)
    if pa.types.is_floating(kind):
        return _numbers(values.cast(pa.float64()))
    if pa.types.is_nested(kind) or isinstance(values, pa.ExtensionArray):
        return pa.array([None if each is None else _nested(each) for each in _plain(values)], pa.string())
    try:
        return values.cast(pa.string())
    except pa.ArrowException:
        return pa.array([None if each is None else str(each) for each in values.to_pylist()], pa.string())


def _plain(values: pa.Array) -> Iterator[object]:
    yield from (values.storage if isinstance(values, pa.ExtensionArray) else values).to_pylist()


def _nested(value: object) -> str:
    """JSON; marked where bytes of no known encoding are in it, or where it looks so."""
    told = json.dumps(value, ensure_ascii=False, default=_told)
    return OPAQUE + told if r"\u0000" in told else told


def _told(value: object) -> str:
    """What JSON has no form for; bytes as those of a column of bytes."""
    return str(_decoded(pa.array([value], pa.binary()))[0]) if isinstance(value, bytes) else str(value)


def _numbers(values: pa.DoubleArray) -> pa.StringArray:
    """Whole numbers as such: a number to call is a fraction where a column of them has a gap."""
    held = values.to_numpy(zero_copy_only=False)
    whole = np.isfinite(held) & (np.trunc(held) == held) & (np.abs(held) < _WHOLE)
    ints = pa.array(np.where(whole, held, 0).astype(np.int64)).cast(pa.string())
    return pc.if_else(pa.array(whole), ints, values.cast(pa.string()))


def _decoded(values: pa.Array) -> pa.StringArray:
    held = values.cast(pa.binary())
    try:
        found = held.cast(pa.string())
        found.validate(full=True)
        return found
    except pa.ArrowException:
        return pa.array([None if each is None else _read(each) for each in held.to_pylist()], pa.string())


def _read(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return OPAQUE + value.decode("latin-1").replace("\0", "")
