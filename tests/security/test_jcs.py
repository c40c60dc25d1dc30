"""RFC 8785 written quickly is what its own library writes: the same bytes, or the same refusal."""

import math
import struct
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from security import jcs
from security.jcs import canonical


def spelled(write: Any, value: Any) -> bytes | type[BaseException]:
    """What is written, or how it is refused."""
    try:
        told: bytes = write(value)
    except (ValueError, RecursionError) as why:
        return type(why)
    return told


def bits(number: int) -> float:
    """The double with these bits."""
    return float(struct.unpack(">d", struct.pack(">Q", number))[0])


FLOATS = st.floats() | st.integers(0, 2**64 - 1).map(bits) | st.integers(-(2**60), 2**60).map(float)
FLOATS |= st.builds(lambda whole, places: whole / 10**places, st.integers(-(10**9), 10**9), st.integers(0, 25))
WHOLE = st.integers() | st.sampled_from([2**53 - 1, 2**53, -(2**53) + 1, -(2**53), 2**63, 2**64, 10**15, 10**16])
TEXT = st.text() | st.text(st.sampled_from('\x00\x1f\x7f"\\/\ud7ff\ud800\udfff\ue000\uffff\U00010000é,:[1.0e5'))
LEAVES = st.none() | st.booleans() | WHOLE | FLOATS | TEXT
VALUES = st.recursive(LEAVES, lambda x: st.lists(x) | st.dictionaries(TEXT, x) | st.tuples(x, x), max_leaves=20)


@given(VALUES)
def test_written_as_the_library_writes(value: Any) -> None:
    assert spelled(canonical, value) == spelled(rfc8785.dumps, value)


@given(st.lists(FLOATS, min_size=20))
def test_every_number(value: list[float]) -> None:
    for each in value:
        assert spelled(canonical, [each]) == spelled(rfc8785.dumps, [each])


def test_every_character() -> None:
    for number in range(0x110000):
        assert 0xD800 <= number < 0xE000 or canonical(chr(number)) == rfc8785.dumps(chr(number)), hex(number)


class Spoken(StrEnum):
    ONE = "one"


class Counted(IntEnum):
    ONE = 1


class Plain(Enum):
    ONE = "one"


class Record(msgspec.Struct):
    one: int


ODD: dict[str, Any] = {
    "whole": 5, "a whole number as a fraction": 1.0, "nothing below nought": -0.0, "true": True, "one": 1,
    "none": math.nan, "without end": [math.inf], "too large": {"a": 2**53}, "too large alone": 2**53,
    "large, as text": "a:9007199254740993", "largest": [2**53 - 1, -(2**53) + 1],
    "keys that are numbers": {1: 2}, "a key that is none": {None: 1}, "a key that is true": {True: 1},
    "a key that is a fraction": {1.5: 1}, "keys by halves": {"\U00010000": 1, "\ue000": 2}, "half": "\ud800",
    "bytes": b"one", "an array": bytearray(b"one"), "a set": {1}, "a moment": datetime(2026, 1, 1, tzinfo=UTC),
    "an id": UUID(int=1), "decimal": Decimal("1.5"), "raw": msgspec.Raw(b'{"b":1,"a":2}'), "a struct": Record(1),
    "spoken": Spoken.ONE, "spoken, a key": {Spoken.ONE: 1}, "counted": Counted.ONE, "plain": Plain.ONE,
    "a pair": (1, 2), "a pair within": {"a": [(1, "b")]}, "an object": object(), "deep": [],
}  # fmt: skip
for _ in range(100_000):
    ODD["deep"] = [ODD["deep"]]


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_json_is_refused_as_the_library_refuses(name: str) -> None:
    assert spelled(canonical, ODD[name]) == spelled(rfc8785.dumps, ODD[name])


def test_most_is_not_written_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it would all be for nothing."""
    monkeypatch.setattr(jcs.rfc8785, "dumps", None)
    told = {"sha256": "0123456789" * 6 + "0123", "b": [1, -2.5, None, True, 0.001], "a": {"é": "x,1.0"}}
    assert canonical(told) == (
        '{"a":{"é":"x,1.0"},"b":[1,-2.5,null,true,0.001],"sha256":"' + "0123456789" * 6 + '0123"}'
    ).encode()
