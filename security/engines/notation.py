"""JSON (RFC 8259), read strictly: UTF-8 without a mark, one value, each key once, numbers that are numbers.

Python's reader takes the last of two equal keys, `NaN`, and `1e999` for infinity; another reader takes the first. Two
readers that read two things from one file are how a check is passed by. Bounds: `LARGEST` bytes,
`VALUES`, `DEEPEST` brackets in each other.
"""

import json
import math
import re
from typing import Any, NoReturn

import numpy as np

from security.engines.unfit import Unfit

LARGEST = 256 << 20
DEEPEST = 64
VALUES = 10_000_000
"""Brackets, commas and colons: each value takes tens of bytes of memory, and may have been one of the file."""
DIGITS = 400
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_SIGNS = np.zeros(256, np.int8)
_SIGNS[[*b"[{"]], _SIGNS[[*b"]}"]], _SIGNS[[*b",:"]] = 1, -1, 2


def parsed(data: bytes, place: str = "JSON", largest: int = LARGEST) -> Any:
    """The value that a text of JSON is, or `Unfit`."""
    if len(data) > largest:
        raise Unfit("size", place, f"{len(data):,} bytes", f"at most {largest:,}")
    signs = _SIGNS[np.frombuffer(_TEXT.sub(b"", data), np.uint8)]
    turns = signs[np.abs(signs) == 1]
    if turns.size and int(np.cumsum(turns, dtype=np.int32).max()) > DEEPEST:
        raise Unfit("size", place, "deeper brackets", f"{DEEPEST} of them")
    if np.count_nonzero(signs) > VALUES:
        raise Unfit("size", place, "more values", f"{VALUES:,}")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise Unfit("form", place, "a key twice", "each key once")
        return made

    def whole(text: str) -> int:
        if len(text) > DIGITS:
            raise Unfit("size", place, "a number of more digits", f"{DIGITS} of them")
        return int(text)

    def broken(text: str) -> float:
        if len(text) > DIGITS or not math.isfinite(number := float(text)):
            raise Unfit("form", place, "a number that is not finite", "finite numbers")
        return number

    def never(_: str) -> NoReturn:
        raise Unfit("form", place, "a number that is not finite", "finite numbers")

    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=once, parse_constant=never, parse_int=whole, parse_float=broken)
    except (ValueError, RecursionError):
        raise Unfit("form", place, "something else", "JSON in UTF-8, and nothing after it") from None
    if b"\\ud" in data.lower():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Unfit("form", place, "half of a character", "whole ones") from None
    return value
