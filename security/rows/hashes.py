"""Keyed 64-bit hashes of texts, a column at a time: who does not know the key can neither read nor match them.

Each text is taken as its UTF-8 bytes in words of eight, each word mixed with what came before it; the length goes in
last. Two different texts of a set of a million have the same hash with a probability below 1 in 10 million.
Mixing: the finaliser of splitmix64 (Steele, Lea, Flood 2014), with a multiplier and a start that are the key.
"""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from security.rows.columns import content, offsets, sizes

Words = NDArray[np.uint64]
Key = tuple[int, int]
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def key(secret: bytes) -> Key:
    """The key that belongs to a secret."""
    drawn = hashlib.sha256(secret).digest()
    return int.from_bytes(drawn[:8], "little") | 1, int.from_bytes(drawn[8:16], "little")


def hashed(column: pa.StringArray, under: Key) -> Words:
    """A hash for each text; a null has that of the empty text."""
    size = len(column)
    if not size:
        return np.zeros(0, np.uint64)
    length, body = sizes(column).astype(np.int64), content(column)
    begin = offsets(column)[:-1].astype(np.int64)
    begin -= begin[0]
    every: Any = slice(None)
    factor, total = np.uint64(under[0]), np.full(size, under[1], np.uint64)
    raw = np.empty(len(body) + 8, np.uint8)
    raw[:-8], raw[-8:] = body, 0
    words: Any = np.lib.stride_tricks.as_strided(raw.view(), (len(raw) - 7, 8), (1, 1))
    for place in range(0, int(length.max(initial=0)), 8):
        longer = length > place
        at = every if longer.all() else np.flatnonzero(longer)
        word = words[begin[at] + place].copy().view("<u8").reshape(-1)
        left = np.minimum(length[at] - place, 8).astype(np.uint64)
        word &= (np.uint64(0xFFFFFFFFFFFFFFFF)) >> (np.uint64(64) - left * np.uint64(8))
        total[at] = _mixed((total[at] ^ word) * factor)
    return _mixed(total ^ (length.astype(np.uint64) * factor))


def _mixed(value: Words) -> Words:
    value = (value ^ (value >> _SHIFTS[0])) * _FACTORS[0]
    value = (value ^ (value >> _SHIFTS[1])) * _FACTORS[1]
    return np.asarray(value ^ (value >> _SHIFTS[2]), np.uint64)
