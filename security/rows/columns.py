"""The columns of a batch of interactions: their schema, and what can be wrong with a row.

A value that is wrong is null in its column and marked in the row's mask of faults, so that whoever judges counts it and
nobody uses it. Times are RFC 3339 strings with a zone (a leap second counts as unparsable), or numbers since 1970:
seconds below 1e11, milliseconds below 1e14.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntFlag
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET
from numpy.typing import NDArray

from security.errors import BadInput
from security.rows.beside import BESIDE, Entries, gathered

COLUMNS = ("user_id", "item_id", "interaction_type", "timestamp")
LONGEST = 256
"""Most characters of an id or an interaction type; a longer one is a fault and is not kept."""
SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "interaction_type": pa.string(),
        "timestamp": pa.int64(),
        "row": pa.int64(),
        "file": pa.dictionary(pa.int32(), pa.string()),
        "faults": pa.uint32(),
        "beside": BESIDE,
    }
)
"""`timestamp` in microseconds since 1970 UTC; `row` counts from 1 within its file; `faults` is a mask of `Fault`.

`beside` is everything else that the row holds, as text by column (`security.rows.beside`); null where there is nothing.
"""
_DATE = "-[01][0-9]-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_ZONE = "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_FAST = rf"\A[1-8][0-9]{{3}}{_DATE}(\.[0-9]{{1,6}})?{_ZONE}\z"
_RFC3339 = re.compile(rf"[0-9]{{4}}{_DATE}(\.[0-9]{{1,9}})?{_ZONE}")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Mask = NDArray[np.uint32]
Column = tuple[pa.Array, Mask]
"""Values, and the faults found in making them."""


class Fault(IntFlag):
    """What can be wrong with a row."""

    MISSING = 1
    NULL = 2
    TYPE = 4
    TIME = 8
    """A timestamp that is text or a number and no time."""
    EMPTY = 16
    """An id without a character."""
    LONG = 32
    """An id of more than `LONGEST` characters."""
    KIND = 64
    """An interaction type that is empty, or longer than `LONGEST` characters."""
    GROUP = 128
    """A group that no contract lists: whoever has the list marks it, the reader has none."""


def text(values: Sequence[Any]) -> Column:
    """Strings from decoded JSON values; `UNSET` where a row lacks the key."""
    faults = np.zeros(len(values), np.uint32)
    try:
        return pa.array(values, pa.string()), faults
    except (pa.ArrowException, TypeError):
        kept = [value if isinstance(value, str) else None for value in values]
    for index, value in enumerate(values):
        if not isinstance(value, str | None):
            faults[index] = Fault.MISSING if value is UNSET else Fault.TYPE
    return pa.array(kept, pa.string()), faults


def stamps(texts: pa.StringArray) -> Column:
    """Microseconds since 1970 from texts of a format without types: one that JSON would read as a number is that."""
    try:
        if (found := _dated(texts)) is not None:
            return found, np.zeros(len(texts), np.uint32)
    except pa.ArrowException:
        # A day that no month has, found one by one below.
        pass
    return times([_number(each) for each in texts.to_pylist()])


def _dated(texts: pa.StringArray) -> pa.Array | None:
    """Microseconds since 1970, where every text is RFC 3339 in the form that Arrow reads by itself."""
    if texts.null_count or not pc.all(pc.match_substring_regex(texts, _FAST)).as_py():
        return None
    return texts.cast(pa.timestamp("us", "UTC")).cast(pa.int64())


def _number(value: str | None) -> str | int | float | None:
    told = _NUMBER.fullmatch(value) if value else None
    if told is None or value is None:
        return value
    # So many digits are no time, and Python refuses to take some thousands of them for a whole number.
    return float(value) if any(told.groups()) or len(value) > 20 else int(value)


def times(values: Sequence[Any]) -> Column:
    """Microseconds since 1970 from decoded JSON values; `UNSET` where a row lacks the key."""
    faults = np.zeros(len(values), np.uint32)
    kinds = set(map(type, values))
    try:
        if kinds == {str}:
            if (dated := _dated(pa.array(values, pa.string()))) is not None:
                return dated, faults
        elif kinds == {int}:
            numbers = np.array(values, np.int64)
            if ((numbers > -(10**14)) & (numbers < 10**14)).all():
                return pa.array(numbers * np.where(np.abs(numbers) < 10**11, 1_000_000, 1_000)), faults
    except (pa.ArrowException, OverflowError):
        # A day that no month has, or a number that no time is: found one by one below.
        faults[:] = 0
    found = [micros(value) for value in values]
    for index, value in enumerate(values):
        if found[index] is None and value is not None:
            parsable = isinstance(value, str | int | float) and not isinstance(value, bool)
            faults[index] = Fault.MISSING if value is UNSET else Fault.TIME if parsable else Fault.TYPE
    return pa.array(found, pa.int64()), faults


def micros(value: Any) -> int | None:
    """Microseconds since 1970 of one value, or None where it tells no time."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        size = abs(value)
        return round(value * 1_000_000) if size < 1e11 else round(value * 1_000) if size < 1e14 else None
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        return None
    try:
        return (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None


def offsets(array: pa.StringArray) -> NDArray[np.int32]:
    """Where each text begins in the buffer of all, and at the end where the last one ends."""
    if not len(array):
        return np.zeros(1, np.int32)
    return np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]


def sizes(array: pa.StringArray) -> NDArray[np.int32]:
    """The number of bytes of each text; 0 for a null."""
    found = np.diff(offsets(array))
    return np.where(array.is_valid().to_numpy(zero_copy_only=False), found, 0) if array.null_count else found


def content(array: pa.StringArray) -> NDArray[np.uint8]:
    """The bytes of all texts, one after the other, and whatever lies under nulls."""
    ends = offsets(array)
    return np.frombuffer(array.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]


def batch(columns: Sequence[Column], file: str, done: int, others: Iterable[Entries] = ()) -> pa.RecordBatch:
    """The batch of four columns that follows `done` rows of a file; marks what is null, empty or over-long.

    `others` goes beside them, and so does a text that is over-long.
    """
    others = list(others)
    arrays: list[pa.Array] = []
    faults = np.zeros(len(columns[0][0]), np.uint32)
    for name, (column, own) in zip(COLUMNS, columns, strict=True):
        array, marks = column, own.copy()
        if array.null_count:
            marks[array.is_null().to_numpy(zero_copy_only=False) & (own == 0)] |= int(Fault.NULL)
        if name != "timestamp":
            size = sizes(array)
            if size.min(initial=1) == 0 or size.max(initial=1) > LONGEST:  # of bytes: as many as characters, or more
                size = pc.fill_null(pc.utf8_length(array), 1).to_numpy()
                kind = name == "interaction_type"
                marks[size == 0] |= int(Fault.KIND if kind else Fault.EMPTY)
                marks[size > LONGEST] |= int(Fault.KIND if kind else Fault.LONG)
                if len(long := np.flatnonzero(size > LONGEST)):
                    others.append(Entries(long, pa.repeat(name, len(long)), array.take(pa.array(long))))
                keep = pa.array((size > 0) & (size <= LONGEST))
                array = pc.if_else(keep, array, pa.scalar(None, pa.string()))
        arrays.append(array)
        faults |= marks
    rows = pa.array(np.arange(done + 1, done + len(faults) + 1))
    names = pa.DictionaryArray.from_arrays(np.zeros(len(faults), np.int32), [file])
    beside = gathered(others, len(faults))
    return pa.RecordBatch.from_arrays([*arrays, rows, names, pa.array(faults), beside], schema=SCHEMA)


def lacks(file: str, column: str, keys: Sequence[str]) -> BadInput:
    """The error for a file without a declared column, with the nearest of the keys that it has."""
    # A key that is not a plain name may be a value in disguise, and is not repeated.
    plain = [key for key in keys if re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,39}", key)]
    near = difflib.get_close_matches(column, plain, n=1, cutoff=0.4)
    found = f"no column {column} (nearest: {near[0] if near else 'none'})"
    return BadInput(file, f"key {column}", found, ", ".join(COLUMNS))
