r"""What is written inside a text: the leaves of JSON, and what is left when escapes are taken away.

JSON, where all of a cell is that (blanks and a byte order mark before it are passed over): every string and number,
the latter as written, every key, each value also with the last two keys on the way to it before it, through arrays and
objects (`key: key: value`, for the context that a key is), and of a key that is there twice every value. Of each array
also what its leaves say together, through arrays in it too, with nothing between and with a space: a value may be split
over them. Lists of ids would look like telephone numbers, so there is no space between digits of which some are more
than four together, and an array of numbers alone is not joined. What begins like JSON and is none stays what it is.

Escapes, elsewhere: of URLs (`%40`, UTF-8, and `+` for a space beside them), of HTML (`&#64;`, `&commat;`; a name only
with its semicolon, as `&copy=` is a part of a URL), of program texts (`\u0040`, `\x40`, `\u{40}`, `%u0040`). Each kind
is taken away by itself. All of this once more from the text as it would be read aloud (`security.personal.fold`).

What comes out is unfolded again. Not unfolded: Base64 and other codes, what is compressed, XML's elements.
"""

import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from security.errors import CannotTell
from security.personal import fold

DEPTH = 6
"""Wrappings, one in another, that are taken away."""
NESTED = 64
"""Arrays and objects, one in another."""
KEYS, LENGTH = 2, 64
"""Keys on the way to a value that are put before it, and characters of the end of each."""
PIECE = 4
"""Digits that a piece of a number has at most, where numbers are written in pieces."""
SPREAD = 1 << 18
"""Characters that may come out of one cell: 64 times the longest cell that is looked at."""
MOST = 1 << 28
"""Characters that may come out of one column's part that is handed over at once."""
_BLANK = "\ufeff \t\r\n"
_START = re.compile(rf'[{_BLANK}]*["\[{{]')
_MAY = re.compile(rf'\A[{_BLANK}]*["\[{{]|[%&\\]')
"""What has something inside has a match of this; most leaves have none."""
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7};?|#[xX][0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};)")
_ESCAPE = re.compile(
    r"[\\%]u([0-9A-Fa-f]{4})|\\u\{([0-9A-Fa-f]{1,6})\}|\\x([0-9A-Fa-f]{2})|\\U([0-9A-Fa-f]{8})"  # in this order
)
WIDE = "\ufe37\ufe47\ufe5b\ufe60\ufe68\ufe6a\uff02\uff05\uff06\uff3b\uff3c\uff5b"
"""What is read as a sign that something inside begins with."""
FOLDED = (
    r'\A[^!-~]*["\[{]|%[0-9A-Fa-f]{2}|&#[xX]?[0-9A-Fa-f]|&[A-Za-z][A-Za-z0-9]{1,31};'
    r"|[\\%]u[0-9A-Fa-f{]|\\x[0-9A-Fa-f]|\\U[0-9A-Fa-f]"
    rf"|[{WIDE}]|(?s:[%&\\].*{fold.FOLDED})"
)
"""Of RE2: matches wherever there may be something to unfold."""
_ODD = re.compile(fold.FOLDED)
_SPLIT = re.compile("[\ud800-\udfff]")


class _Number(str):
    """A number of JSON, as written."""

    __slots__ = ()


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON with all of its pairs."""


_JSON = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_float=_Number, parse_int=_Number, parse_constant=_Number, strict=False
)


def unfold(texts: pa.StringArray) -> tuple[NDArray[np.int64], pa.StringArray]:
    """What is inside these texts, to be looked at beside them: for each, in the first array, the index of the text
    that it comes from. No text twice for one index; nothing for a null.

    `CannotTell` (`nested`) where more is wrapped in itself, or more comes out, than is unfolded.
    """
    held = np.flatnonzero(pc.fill_null(pc.match_substring_regex(texts, FOLDED), False).to_numpy(zero_copy_only=False))
    origins, leaves, size = list[int](), list[str](), 0
    for origin, text in zip(held.tolist(), texts.take(pa.array(held)).to_pylist(), strict=True):
        inside = opened(text)
        size += sum(map(len, inside))
        if size > MOST:
            raise CannotTell(f"more than {MOST:,} characters come out of nested values", "nested")
        leaves += inside
        origins += [origin] * len(inside)
    return np.array(origins, np.int64), pa.array(leaves, pa.string())


def opened(text: str) -> list[str]:
    """What is inside one text, outermost first, without the text itself. `CannotTell` (`nested`) as `unfold`."""
    known, layer, size = {text: None}, [text], 0
    for depth in range(DEPTH + 1):
        inner = []
        for form in (form for each in layer for form in _inside(each)):
            if form in known:
                continue
            if depth == DEPTH:
                raise CannotTell(f"a value in more than {DEPTH} wrappings", "nested")
            size += len(form)
            if size > SPREAD:
                raise CannotTell(f"more than {SPREAD:,} characters come out of a nested cell", "nested")
            known[form] = None
            if _MAY.search(form) or _ODD.search(form):
                inner.append(form)
        layer = inner
    return list(known)[1:]


def _inside(text: str) -> Iterator[str]:
    """What one wrapping less leaves of a text, as it is and as it is read; empty leaves are none."""
    yield from _plainly(text)
    if _ODD.search(text) and (form := fold.folded(text)) != text:
        yield from _plainly(form)


def _plainly(text: str) -> Iterator[str]:
    if _START.match(text):
        try:
            parsed = _JSON.decode(text.lstrip(_BLANK))
        except ValueError:
            pass
        except RecursionError:
            raise CannotTell(f"arrays and objects, more than {NESTED} in one another", "nested") from None
        else:
            # No escape is left in what a parser took: its leaves may have some, and are asked by themselves.
            leaves = _leaves(parsed)
            yield from filter(None, map(_whole, leaves) if "\\u" in text else leaves)
            return
    if _PERCENT.search(text):
        yield unquote(text)
        if "+" in text:
            yield unquote(text.replace("+", " "))
    if _ENTITY.search(text):
        yield _ENTITY.sub(lambda each: html.unescape(each.group()), text)
    if _ESCAPE.search(text):
        yield _whole(_ESCAPE.sub(_sign, text))


def _leaves(value: Any, way: tuple[str, ...] = (), depth: int = 0) -> Iterator[str]:
    """Of a value of JSON: strings, numbers, keys, arrays in one; each with the keys on the `way` to it too."""
    if depth > NESTED:
        raise CannotTell(f"arrays and objects, more than {NESTED} in one another", "nested")
    if isinstance(value, str):
        yield from _keyed(value, way)
    elif isinstance(value, _Pairs):
        for key, each in value:
            yield key
            yield from _leaves(each, (*way[1 - KEYS :], key[-LENGTH:]), depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, way, depth + 1)
        flat = list(_flat(value))
        if len(flat) > 1 and not all(isinstance(each, _Number) for each in flat):
            yield from _keyed("".join(flat), way)
            if max(map(len, flat)) <= PIECE or not all(map(str.isdigit, flat)):
                yield from _keyed(" ".join(flat), way)


def _keyed(value: str, way: tuple[str, ...]) -> Iterator[str]:
    yield value
    if way and value:
        # Not with a space between: two keys that are numbers would be one to call.
        yield ": ".join((*way, value))


def _flat(value: list[Any]) -> Iterator[str]:
    """The strings and numbers of an array, and of arrays in it."""
    for each in value:
        if isinstance(each, str):
            yield each
        elif isinstance(each, list) and not isinstance(each, _Pairs):
            yield from _flat(each)


def _sign(escape: re.Match[str]) -> str:
    point = int(next(filter(None, escape.groups())), 16)
    return chr(point) if point <= 0x10FFFF else "\ufffd"


def _whole(text: str) -> str:
    """Halves of a character, which Arrow refuses, put together where they stand together."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _SPLIT.search(text) else text
