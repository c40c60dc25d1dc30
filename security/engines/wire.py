"""Protocol buffers, read from the wire by a list of messages that is ours, and more strictly than their own readers.

A field that is not on the list, one field twice where it may be there once, a text that is no UTF-8, a group, a rest:
refused. Their own readers keep what they do not know, take the last of two, and merge messages. Bounds: `FIELDS` in
all, `DEEPEST` messages in each other.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from security.engines.unfit import Unfit

FIELDS = 2_000_000
DEEPEST = 40
_SCALARS = {"int": 0, "f64": 1, "f32": 5}
_TEXTS = ("str", "bytes")
Message = dict[str, list[Any]]
"""A message: field -> its values, in their order. A message in it is such a dictionary too."""


class Field(NamedTuple):
    """A field: its name, its kind (a scalar's, or the name of a message), and whether there may be many."""

    name: str
    kind: str
    many: bool


Schema = Mapping[str, Mapping[int, Field]]


def schema(text: str) -> Schema:
    """A list of messages, one a line: its name, then for each field its number, name and kind (`*`: many)."""
    made: dict[str, dict[int, Field]] = {}
    for line in text.strip().splitlines():
        message, *fields = line.split()
        made[message] = {}
        for each in fields:
            number, name, kind = each.split(":")
            made[message][int(number)] = Field(name, kind.rstrip("*"), kind.endswith("*"))
    return made


class Reader:
    """Reads messages of one list. What it reads all in all is bounded, so one is made for each file."""

    def __init__(self, known: Schema) -> None:
        self._known, self._left = known, FIELDS

    def read(self, data: memoryview, message: str, depth: int = 0) -> Message:
        """A message, and those in it."""
        if depth > DEEPEST:
            raise Unfit("size", message, "deeper messages", f"{DEEPEST} in each other")
        made: Message = {}
        for number, form, value in _fields(data, message):
            self._left -= 1
            if self._left < 0:
                raise Unfit("size", message, "more fields", f"{FIELDS:,}")
            field = self._known[message].get(number)
            if field is None:
                raise Unfit("form", message, f"a field of number {number}", "those that are known")
            values = made.setdefault(field.name, [])
            if values and not field.many:
                raise Unfit("form", message, f"the field {field.name} twice", "it once")
            values += self._values(field, form, value, message, depth)
        return made

    def _values(self, field: Field, form: int, value: int | memoryview, message: str, depth: int) -> list[Any]:
        if form == _SCALARS.get(field.kind):
            return [value]
        if isinstance(value, memoryview) and form == 2:
            if field.kind == "bytes":
                return [bytes(value)]
            if field.kind == "str":
                try:
                    return [str(value, "utf-8")]
                except UnicodeDecodeError:
                    raise Unfit("form", message, f"bytes in {field.name}", "text in UTF-8") from None
            if field.many and field.kind in _SCALARS:
                self._left -= len(value) // (1 if field.kind == "int" else 4)
                if self._left < 0:
                    raise Unfit("size", message, "more numbers", f"{FIELDS:,}")
                return list(_packed(value, field.kind, message))
            if field.kind not in _SCALARS:
                return [self.read(value, field.kind, depth + 1)]
        raise Unfit("form", message, f"another kind of value in {field.name}", field.kind)


def varint(data: memoryview, at: int, message: str) -> tuple[int, int]:
    """A number of any length up to 64 bits, and where it ends."""
    value = 0
    for here in range(at, min(at + 10, len(data))):
        value |= (data[here] & 0x7F) << 7 * (here - at)
        if data[here] < 0x80:
            return value & (1 << 64) - 1, here + 1
    raise Unfit("form", message, "a number that does not end", "at most ten bytes")


def _fields(data: memoryview, message: str) -> Iterator[tuple[int, int, int | memoryview]]:
    """Number, form on the wire, and value of each field."""
    at = 0
    while at < len(data):
        key, at = varint(data, at, message)
        number, form = key >> 3, key & 7
        if form == 0:
            value, at = varint(data, at, message)
            yield number, form, value
            continue
        if form == 2:
            length, at = varint(data, at, message)
        elif form in (1, 5):
            length = 8 if form == 1 else 4
        else:
            raise Unfit("form", message, "a form that is not known", "numbers, and what has a length")
        if number == 0 or length > len(data) - at:
            raise Unfit("form", message, "a field that is cut off, or has no number", "whole ones")
        part = data[at : at + length]
        yield number, form, part if form == 2 else int.from_bytes(part, "little")
        at += length


def _packed(data: memoryview, kind: str, message: str) -> Iterator[int]:
    if kind == "int":
        at = 0
        while at < len(data):
            value, at = varint(data, at, message)
            yield value
        return
    width = 8 if kind == "f64" else 4
    if len(data) % width:
        raise Unfit("form", message, "numbers that are cut off", "whole ones")
    yield from struct.unpack(f"<{len(data) // width}{'Q' if width == 8 else 'L'}", data)


def signed(value: int) -> int:
    """A number that was written as 64 bits without a sign."""
    return value - (1 << 64) if value >> 63 else value
