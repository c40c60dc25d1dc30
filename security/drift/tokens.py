"""What a profile says in place of a value: 48 bits of SipHash-2-4 under a key that only its owner has.

SipHash (Aumasson, Bernstein 2012) of the 64-bit keyed hash of a value (`security.rows.hashes`), for whole columns at
once; the key is BLAKE2b (RFC 7693) of the column's name under the secret, so that a value in two columns is not seen
to be the same.
"""

import base64
import hashlib

import numpy as np

from security.rows.hashes import Words

BITS = 48
BLOCK = 1 << 13
"""Words at a time, so that they stay in the processor's cache."""
_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def mark(secret: bytes) -> str:
    """What tells profiles under other secrets apart: 16 hexadecimal digits."""
    return hashlib.blake2b(b"drift", key=secret[:64], digest_size=8).hexdigest()


def keyed(secret: bytes, name: str) -> bytes:
    """The key of a column: 16 bytes."""
    return hashlib.blake2b(name.encode(), key=secret[:64], person=b"drift column", digest_size=16).digest()


def siphash(words: Words, key: bytes) -> Words:
    """SipHash-2-4 of each word, as its eight bytes, lowest first."""
    return np.concatenate([words[:0], *(_hashed(words[at : at + BLOCK], key) for at in range(0, len(words), BLOCK))])


def _hashed(words: Words, key: bytes) -> Words:
    low, high = (int.from_bytes(half, "little") for half in (key[:8], key[8:]))
    v = [np.full(len(words), start ^ half, np.uint64) for start, half in zip(_START, (low, high) * 2, strict=True)]
    for block in (words, np.full(len(words), 8 << 56, np.uint64)):
        v[3] ^= block
        _rounds(v, 2)
        v[0] ^= block
    v[2] ^= np.uint64(0xFF)
    _rounds(v, 4)
    return np.asarray(v[0] ^ v[1] ^ v[2] ^ v[3], np.uint64)


def tokens(words: Words, key: bytes) -> Words:
    """The tokens of hashes, as whole numbers of 48 bits."""
    return siphash(words, key) >> np.uint64(64 - BITS)


def spelled(some: Words) -> list[str]:
    """Tokens as eight letters each (base 64 of RFC 4648, 5)."""
    return [base64.urlsafe_b64encode(int(each).to_bytes(BITS // 8, "big")).decode() for each in some]


def read(some: list[str]) -> Words:
    """Tokens from their letters."""
    return np.array([int.from_bytes(base64.urlsafe_b64decode(each), "big") for each in some], np.uint64)


def _rounds(v: list[Words], count: int) -> None:
    for _ in range(count):
        for one, other, turn in ((0, 1, 13), (2, 3, 16)):
            v[one] += v[other]
            v[other] = _turned(v[other], turn) ^ v[one]
        v[0] = _turned(v[0], 32)
        for one, other, turn in ((2, 1, 17), (0, 3, 21)):
            v[one] += v[other]
            v[other] = _turned(v[other], turn) ^ v[one]
        v[2] = _turned(v[2], 32)


def _turned(words: Words, bits: int) -> Words:
    return (words << np.uint64(bits)) | (words >> np.uint64(64 - bits))
