"""The one spelling of a JSON value: RFC 8785, the JSON Canonicalization Scheme.

`rfc8785` writes it, thirty times more slowly than `msgspec` writes JSON with sorted keys, and most of what is signed
and digested comes out the same from both. What `msgspec` wrote is taken where it is seen to be what RFC 8785 wants: it
reads back as the value that was given, so that it holds nothing but JSON with names for keys; none of its numbers is
one that the two write differently, or that RFC 8785 has no spelling for; and no character is in it by which the order
of keys could differ. Everything else, and every refusal, is `rfc8785`'s.
"""

import re
from typing import Any

import msgspec
import rfc8785

_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_LARGE = re.compile(rb"(?:^|[:,\[])-?\d{16}")
"""A number of 16 digits or more: whole ones end at 2**53. In a text it may be none, and is not taken either."""
_BEYOND = re.compile(rb"[\xf0-\xf4]")
"""The first byte of a character beyond U+FFFF: such keys are ordered by their halves in UTF-16."""
_FRACTION = re.compile(r"-?\d+\.\d*[1-9]")
"""A fraction as both write it: without an exponent, and none that is a whole number."""


class _Otherwise(Exception):
    """A number that the two write differently."""


def _same(number: str) -> float:
    if not _FRACTION.fullmatch(number):
        raise _Otherwise
    return float(number)


_WRITE = msgspec.json.Encoder(order="sorted").encode
_READ = msgspec.json.Decoder(float_hook=_same).decode


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value; a `ValueError` of `rfc8785` for what is none, or has none."""
    for form in (_as_given, _whole):
        try:
            told = _WRITE(form(value))
            if _READ(told) == value and not _large(told) and (told.isascii() or not _BEYOND.search(told)):
                return told
        except _Otherwise:
            continue
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
            break
    return rfc8785.dumps(value)


def _as_given(value: Any) -> Any:
    return value


def _whole(value: Any) -> Any:
    """The same value, with fractions that are whole numbers as such: both write these alike."""
    kind = type(value)
    if kind is dict:
        return {name: _whole(each) for name, each in value.items()}
    if kind in (list, tuple):
        return kind(map(_whole, value))
    return int(value) if kind is float and value.is_integer() else value


def _large(told: bytes) -> bool:
    """Whether it may hold a whole number that is too large; most hold no 16 digits in a row, which is soon seen."""
    return b"0" * 16 in told.translate(_DIGITS) and _LARGE.search(told) is not None
