r"""From an expression of the `regex` module, one of RE2 that matches wherever the first does, and perhaps elsewhere.

Whoever looks for matches of `A B C` may look for those of `B` alone: each match of the whole holds one of any run of
its parts. So boundaries and lookarounds are dropped, a repetition at an edge is cut to its fewest, and alternatives at
an edge to the few parts that are next to the rest. A group that is named again is written out again.

Classes are not translated but enumerated: the characters of all of Unicode that `regex` itself takes for a member. RE2
and `regex` have other tables of digits, letters and cases, so none of RE2's is used. Of a wide class (`\w`, or one that
is negated) every character beyond ASCII is taken for a member. Those of a narrow one, the digits of other scripts and
the few letters that fold to ASCII, are `special`: no expression of RE2 knows them, and a text that has one must be
looked at in full.
"""

from functools import cache
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import regex

FLAGS = regex.DOTALL | regex.MULTILINE | regex.IGNORECASE
"""What Presidio compiles every expression with."""
NEVER = r"[^\x{0}-\x{10ffff}]"
"""Of RE2: matches nothing."""
WIDE = 2_000
"""Members beyond ASCII from which on a class is wide."""
HEAD = 2
"""Parts that are left of an alternative at an edge, where there is more beside it."""
_ALL = frozenset(range(0x110000)) - frozenset(range(0xD800, 0xE000))
_ASCII = frozenset(range(0x80))
_TEXT = "".join(map(chr, sorted(_ALL)))
_NOTHING = (op.AT, op.ASSERT, op.ASSERT_NOT)
_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
}
Parts = list[tuple[Any, Any]]


class Unknown(ValueError):
    """An expression with a part that is not known here: nothing may be left out because of it."""


class Relaxed:
    """`text` is the expression for RE2, `special` the characters beyond ASCII that it does not know."""

    def __init__(self, pattern: str) -> None:
        self.special: set[int] = set()
        self._groups: dict[int, str] = {}
        try:
            parts = list(parser.parse(pattern, 0))
        except Exception as why:
            raise Unknown(f"an expression that cannot be taken apart: {type(why).__name__}") from None
        kept = parts if any(kind is op.GROUPREF for kind, _ in _all(parts)) else _trimmed(parts)
        if not kept:
            raise Unknown("an expression that matches nothing at all")
        self.text = self._written(kept)

    def _written(self, parts: Parts) -> str:
        return "".join(self._part(kind, value) for kind, value in parts)

    def _part(self, kind: Any, value: Any) -> str:
        if kind in _NOTHING:
            return ""
        if kind is op.LITERAL:
            return self._class([(kind, value)])
        if kind is op.NOT_LITERAL:
            return self._class([(op.NEGATE, None), (op.LITERAL, value)])
        if kind is op.ANY:
            return "(?s:.)"
        if kind is op.IN:
            return self._class(value)
        if kind is op.BRANCH:
            return f"(?:{'|'.join(dict.fromkeys(self._written(list(each)) for each in value[1]))})"
        if kind is op.SUBPATTERN:
            number, added, removed, inner = value
            if (added | removed) & ~FLAGS:
                raise Unknown("a group with flags of its own")
            text = f"(?:{self._written(list(inner))})"
            if number is not None:
                self._groups[number] = text
            return text
        if kind is op.ATOMIC_GROUP:
            return f"(?:{self._written(list(value))})"
        if kind in _REPEATS:
            least, most, inner = value
            return f"(?:{self._written(list(inner))}){{{least},{'' if most is op.MAXREPEAT else most}}}"
        if kind is op.GROUPREF and value in self._groups:
            return self._groups[value]
        raise Unknown(f"a part that is not known: {kind}")

    def _class(self, items: Any) -> str:
        text, special = _classed(tuple(items))
        self.special |= special
        return text


@cache
def relaxed(pattern: str) -> Relaxed:
    """That of an expression, made once."""
    return Relaxed(pattern)


@cache
def _classed(items: tuple[Any, ...]) -> tuple[str, frozenset[int]]:
    """A class for RE2, and its members beyond ASCII where these are few."""
    members = _members(items)
    beyond = members - _ASCII
    ranges = _ranges(sorted(members & _ASCII))
    if len(beyond) > WIDE:
        ranges.append((0x80, 0x10FFFF))
        beyond = frozenset()
    # Beyond ASCII only, and each member special: no text without one of them can match.
    return f"[{''.join(map(_range, ranges))}]" if ranges else NEVER, frozenset(beyond)


def _trimmed(parts: Parts) -> Parts:
    """The parts that every occurrence has, of a run of which no group is named again."""
    return _cut(_cut(_flat(parts), -1), 0)


def _cut(parts: Parts, edge: int) -> Parts:
    """Parts without what may be missing at an edge, 0 for the left one and -1 for the right."""
    kept = list(parts)
    while kept:
        kind, value = kept[edge]
        if kind in _REPEATS and value[0] == 0:
            kept.pop(edge)
        elif kind in _REPEATS:
            kept[edge] = (kind, (value[0], value[0], value[2]))
            break
        elif kind is op.BRANCH:
            most = HEAD if len(kept) > 1 else 1 << 20
            some = slice(None, most) if edge else slice(-most, None)
            ends = [_cut(_cut(_flat(list(each)), edge)[some], edge) for each in value[1]]
            if all(ends):
                kept[edge] = (kind, (value[0], ends))
                break
            kept.pop(edge)
        else:
            break
    return kept


def _flat(parts: Parts) -> Parts:
    """Parts without boundaries and lookarounds, those of groups in place of the groups."""
    found: Parts = []
    for kind, value in parts:
        if kind is op.SUBPATTERN and not (value[1] | value[2]) & ~FLAGS:
            found += _flat(list(value[3]))
        elif kind not in _NOTHING:
            found.append((kind, value))
    return found


def _all(parts: Any) -> Any:
    """Every part, those inside others too."""
    for kind, value in parts:
        yield kind, value
        inner: list[Any] = []
        if kind is op.BRANCH:
            inner = list(value[1])
        elif kind is op.SUBPATTERN:
            inner = [value[3]]
        elif kind in _REPEATS:
            inner = [value[2]]
        elif kind in (op.ASSERT, op.ASSERT_NOT):
            inner = [value[1]]
        elif kind is op.ATOMIC_GROUP:
            inner = [value]
        for each in inner:
            yield from _all(each)


def _members(items: Any) -> frozenset[int]:
    """The characters that `regex` takes for members of a class."""
    found, negated = frozenset[int](), False
    for kind, value in items:
        if kind is op.NEGATE:
            negated = True
        elif kind is op.LITERAL:
            found |= _enumerated(_escaped(value), value <= 0x7F)
        elif kind is op.RANGE:
            found |= _enumerated(f"[{_escaped(value[0])}-{_escaped(value[1])}]", value[1] <= 0x7F)
        elif kind is op.CATEGORY and value in _CATEGORIES:
            found |= _enumerated(_CATEGORIES[value])
        else:
            raise Unknown(f"a member of a class that is not known: {kind}")
    return _ALL - found if negated else found


def _escaped(point: int) -> str:
    return f"\\U{point:08x}"


@cache
def _enumerated(source: str, plain: bool = False) -> frozenset[int]:
    """Of all of Unicode; `plain` is what ASCII alone is a member of, and what folds to it."""
    return frozenset(map(ord, regex.compile(source, FLAGS).findall(_folding() if plain else _TEXT)))


@cache
def _folding() -> str:
    return "".join(regex.compile(r"[\x00-\x7f]", FLAGS).findall(_TEXT))


def _range(ends: tuple[int, int]) -> str:
    return "-".join(rf"\x{{{point:x}}}" for point in dict.fromkeys(ends))


def _ranges(points: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for point in points:
        if found and found[-1][1] == point - 1:
            found[-1] = found[-1][0], point
        else:
            found.append((point, point))
    return found
