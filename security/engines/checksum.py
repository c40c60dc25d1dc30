"""What a token must be besides its form: the sum that it carries, what it decodes to, or no more than letters in a row.

GitHub and npm end their tokens with the CRC-32 of what stands before, in base 62: text of the same form with another
sum was never one of theirs.
"""

import base64
import binascii
import json
import math
import zlib
from collections import Counter
from collections.abc import Callable

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SUM = 6
"""Digits of a sum."""


def crc(text: str) -> str:
    """The CRC-32 of a text in base 62, as GitHub and npm write it."""
    rest, told = zlib.crc32(text.encode()), ""
    while rest:
        rest, digit = divmod(rest, len(DIGITS))
        told = DIGITS[digit] + told
    return told.rjust(SUM, "0")


def summed(token: str) -> bool:
    """Whether a token ends with the sum of what stands between its prefix and that."""
    body = token.partition("_")[2]
    return crc(body[:-SUM]) == body[-SUM:]


def entropy(text: str) -> float:
    """Bits of each character, by how often each occurs in the text itself."""
    whole = len(text)
    return -sum(n / whole * math.log2(n / whole) for n in Counter(text).values()) if whole else 0.0


def mixed(text: str) -> bool:
    """Whether a text is neither one character over and over nor a word."""
    return len(set(text)) > 5 and entropy(text) > 2.8


def unpacked(text: str) -> bytes:
    """What base64 stands for, of either alphabet; empty where it is none."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def jwt(token: str) -> bool:
    """Whether the first two parts of a token are JSON, and the first names an algorithm."""
    try:
        head, body = (json.loads(unpacked(part)) for part in token.split(".")[:2])
    except ValueError:
        return False
    return isinstance(head, dict) and "alg" in head and isinstance(body, dict)


def pair(text: str) -> bool:
    """Whether base64 stands for a name and a password."""
    told = unpacked(text)
    name, colon, password = told.partition(b":")
    return bool(colon) and len(password) > 2 and all(32 <= byte < 127 for byte in told)


CHECKS: dict[str, Callable[[str], bool]] = {"crc": summed, "jwt": jwt, "mixed": mixed, "pair": pair}
"""By the names that the rules file uses."""
