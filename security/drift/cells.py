"""Any Arrow column as what is counted: numbers as ordered keys, values as keyed hashes, times as microseconds.

A number's key is a whole number of 64 bits that is ordered as the numbers are (IEEE 754-2019, 5.10, without NaN): the
bits of the double, with those of a negative number turned round, so that -x has the key of x with its sign changed.
The lowest five bits are given up for the group of the row (`security.drift.groups`): numbers that differ by less than
2^-47 of themselves are one, and so are whole numbers beyond 2^53 that doubles cannot tell apart.
"""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from security.rows.hashes import Key, Words, hashed

Role = Literal["number", "category", "id", "time"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
GIVEN = 5
"""Bits of a key that are given up."""
_LEAST = np.int64(np.iinfo(np.int64).min)
LAST = 0x7FEFFFFFFFFFF000
"""The largest key that is told apart from larger ones, so that there is a number beyond every bin."""


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values, however they are laid out, and whatever they are said to mean."""
    if isinstance(kind, pa.BaseExtensionType):
        return plain(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    return kind


def numeric(kind: pa.DataType) -> bool:
    """Whether values of this type can be read as numbers."""
    kind = plain(kind)
    some = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    some = some or pa.types.is_duration(kind) or pa.types.is_time(kind)
    return bool(some or pa.types.is_boolean(kind) or pa.types.is_null(kind))


def timely(kind: pa.DataType) -> bool:
    """Whether values of this type can be read as times: those with a unit, and numbers, whose unit is guessed."""
    kind = plain(kind)
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind) or (numeric(kind) and not pa.types.is_time(kind)))


def hashable(kind: pa.DataType) -> bool:
    """Whether values of this type can be told apart by a hash: those that have a text."""
    kind = plain(kind)
    return not pa.types.is_nested(kind) and not pa.types.is_interval(kind)


def guessed(kind: pa.DataType) -> Role | None:
    """The role of a column of which nothing else is known; None for one that cannot be looked at."""
    kind = plain(kind)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time"
    if numeric(kind) and not pa.types.is_boolean(kind) and not pa.types.is_null(kind):
        return "number"
    return "category" if hashable(kind) else None


def fits(role: Role, kind: pa.DataType) -> bool:
    """Whether a column of this type can be looked at in this role."""
    return numeric(kind) if role == "number" else timely(kind) if role == "time" else hashable(kind)


def decoded(array: pa.Array) -> pa.Array:
    """The values, however they are laid out."""
    array = _stored(array)
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _stored(array: pa.Array) -> pa.Array:
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def settled(array: pa.Array) -> pa.Array:
    """The same values in a layout that can be filtered, with every null marked as one. Dictionaries stay."""
    array = _stored(array)
    if pa.types.is_dictionary(array.type):
        return array.dictionary_decode() if array.dictionary.null_count else array
    if pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type):
        return array.cast(plain(array.type))
    return decoded(array)


def floats(array: pa.Array) -> Floats:
    """The values of a numeric array without nulls as doubles."""
    array = decoded(array)
    kind = array.type
    if pa.types.is_duration(kind) or pa.types.is_time64(kind):
        array = array.cast(pa.int64())
    elif pa.types.is_time32(kind):
        array = array.cast(pa.int32())
    elif pa.types.is_boolean(kind) or pa.types.is_null(kind):
        array = array.cast(pa.uint8())
    if not pa.types.is_float64(array.type):
        array = array.cast(pa.float64(), safe=False)
    return np.asarray(array.to_numpy(zero_copy_only=False), np.float64)


def micros(array: pa.Array) -> Ints:
    """Microseconds since 1970 of an array without nulls of a type that has a unit; beyond 64 bits the last that is
    within."""
    array = decoded(array)
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    since = np.asarray(array.cast(pa.int64()).to_numpy(), np.int64)
    if array.type.unit == "ns":
        return since // 1_000
    factor = {"s": 1_000_000, "ms": 1_000, "us": 1}[array.type.unit]
    most = np.iinfo(np.int64).max // factor
    return np.clip(since, -most, most) * factor


def _texts(array: pa.Array) -> pa.StringArray:
    if pa.types.is_string(array.type):
        return array
    if pa.types.is_fixed_size_binary(array.type):
        array = array.cast(pa.binary())
    # Not safe: bytes that are no UTF-8 have a hash as well.
    return array.cast(pa.string(), safe=False)


def words(array: pa.Array, key: Key) -> Words:
    """A hash for each value of an array without nulls: of its text."""
    return hashed(_texts(decoded(array)), key)


def coded(array: pa.Array, key: Key) -> tuple[Words, Ints]:
    """The hash of each different value of an array without nulls, and which of them each row has."""
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    index = np.asarray(array.indices.to_numpy(zero_copy_only=False), np.int64)
    return words(array.dictionary, key), index


def ordered(values: Floats) -> Ints:
    """The keys of finite numbers."""
    bits = np.ascontiguousarray(values).view(np.int64)
    return np.where(bits < 0, _LEAST - bits, bits)


def valued(keys: Ints) -> Floats:
    """The numbers that have these keys."""
    keys = np.asarray(keys, np.int64)
    return np.where(keys < 0, _LEAST - keys, keys).view(np.float64)


def roundest(low: int, high: int) -> int:
    """The key above `low`, and not above `high`, of the number that takes the fewest binary digits to write."""
    if low < 0 <= high:
        return 0
    place = (low ^ high).bit_length() - 1
    return (high >> place) << place
