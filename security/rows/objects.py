"""JSON lines: RFC 8259 in UTF-8, one object a line, as batches of one schema.

Whatever is not declared comes beside the row, and so does what a key held that is given once more: of such the last
counts. Lines of the keys that the first of a block has are decoded at once; where some have others, each by itself.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET

from security.errors import BadInput
from security.rows import beside
from security.rows.beside import Entries
from security.rows.columns import COLUMNS, Fault, batch, lacks, text, times
from security.rows.packing import blocks, place

WIDEST = 32
"""Columns that are not declared, of a first line, for which all lines of a block are tried at once."""


class _Row(msgspec.Struct, gc=False):
    """The declared columns of a line; whatever else it holds is skipped by the decoder."""

    user_id: Any = UNSET
    item_id: Any = UNSET
    interaction_type: Any = UNSET
    timestamp: Any = UNSET


class _Only(_Row, gc=False, forbid_unknown_fields=True):
    """A line that holds nothing else."""


_decode, _only = msgspec.json.Decoder(_Row).decode, msgspec.json.Decoder(_Only).decode
_encode = msgspec.json.encode
_every, _text = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode, msgspec.json.Decoder(str).decode


def read(path: Path, name: str) -> Iterator[pa.RecordBatch]:
    """Batches of `security.rows.columns.SCHEMA`. Raises `BadInput` where a line is not what it should be."""
    for done, held in blocks(path, name):
        yield _decoded(held, name, done)


def _decoded(held: list[bytes], name: str, done: int) -> pa.RecordBatch:
    try:
        if not all(map(bytes.isascii, held)):
            for line in held:
                line.decode()
        rows, others = _parted(held)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        row, found = next((row, found) for row, line in enumerate(held, done + 1) if (found := _wrong(line)))
        raise BadInput(name, place(row), found, "one JSON object a line") from None
    columns = [
        [row.user_id for row in rows],
        [row.item_id for row in rows],
        [row.interaction_type for row in rows],
        [row.timestamp for row in rows],
    ]
    for column, values in zip(COLUMNS, columns, strict=True):
        if done == 0 and all(value is UNSET for value in values):
            raise lacks(name, column, list(msgspec.json.decode(held[0], type=dict[str, msgspec.Raw])))
    made = [*map(text, columns[:3]), times(columns[3])]
    for column, values, (_, faults) in zip(COLUMNS, columns, made, strict=True):
        if len(bad := np.flatnonzero(faults & (Fault.TYPE | Fault.TIME))):
            told = [each if isinstance(each, str) else _encode(each).decode() for each in map(values.__getitem__, bad)]
            others.append(Entries(bad, pa.repeat(column, len(bad)), pa.array(told, pa.string())))
    return batch(made, name, done, others)


def _parted(held: list[bytes]) -> tuple[Sequence[_Row], list[Entries]]:
    """The declared columns of lines, and whatever else they hold: also what a key held that is given once more."""
    extra = tuple(key for key in _every(held[0]) if key not in COLUMNS)[:WIDEST]
    if any(len(_encode(key)) != len(key.encode()) + 2 for key in extra):
        return _loose(held)  # no key that has to be escaped can be a field's
    try:
        rows: Sequence[_Row] = list(map(_only if not extra else _shaped(extra), held))
    except msgspec.ValidationError:
        return _loose(held)
    keys, strings, entries = *_declared(rows), list[Entries]()
    before = np.full(len(held), -1)
    for number, name in enumerate(extra):
        raws = list(map(bytes, map(attrgetter(f"x{number}"), rows)))
        missing = np.array([raw == b"" for raw in raws])
        mark = _encode(name) + b":"
        at = np.where(missing, before, [line.find(mark) for line in held] if len(extra) > 1 else before)
        if (at < before).any() or any(raw.startswith((b"{", b"[")) for raw in raws):
            return _loose(held)  # a row whose keys have another order keeps it: some stand beside others
        before = at
        keys += len(raws) - int(missing.sum())
        strings += sum([raw.startswith(b'"') for raw in raws])
        none = raws.count(b"null") == len(raws)
        given = pa.nulls(len(raws), pa.string()) if none else pa.array(map(_told, raws), pa.string())
        entries.append(beside.column(name, given))
    return (rows, entries) if _quotes(held) == 2 * (keys + strings) else _loose(held)


@lru_cache(256)
def _shaped(extra: tuple[str, ...]) -> Callable[[bytes], Any]:
    """Decodes lines that hold these keys beside the declared ones, or some of them, and no others."""
    absent = msgspec.Raw(b"")
    fields = [(f"x{place}", msgspec.Raw, msgspec.field(name=key, default=absent)) for place, key in enumerate(extra)]
    line = msgspec.defstruct("_Line", fields, bases=(_Row,), gc=False, forbid_unknown_fields=True)
    return msgspec.json.Decoder(line).decode


def _loose(held: list[bytes]) -> tuple[Sequence[_Row], list[Entries]]:
    """The same for lines of any keys."""
    rows = [_decode(line) for line in held]
    at, names, texts = list[int](), list[str](), list[str | None]()
    for row, line in enumerate(held):
        every = _every(line)
        told = [(key, bytes(raw)) for key, raw in every.items()]
        found = [(key, _told(raw)) for key, raw in told if key not in COLUMNS]
        if line.count(b'"') != 2 * (len(told) + sum([raw.startswith(b'"') for _, raw in told])):
            found += _earlier(line)
        for key, text_ in found:
            at.append(row)
            names.append(key)
            texts.append(text_)
    return rows, [Entries(np.array(at, np.int64), pa.array(names, pa.string()), pa.array(texts, pa.string()))]


def _told(raw: bytes) -> str | None:
    """A text, null, or the JSON of whatever else it is; null for nothing."""
    if raw.startswith(b'"'):
        return _text(raw)
    return None if raw in (b"null", b"") else raw.decode()


def _quotes(held: list[bytes]) -> int:
    return sum([line.count(b'"') for line in held])


def _declared(rows: Sequence[_Row]) -> tuple[int, int]:
    """How many of the declared keys there are in rows, and how many of their values are strings. Each of both has two
    quotes in its line; a key that is given twice has two more, or four."""
    given = [value for row in rows for value in (row.user_id, row.item_id, row.interaction_type, row.timestamp)]
    kinds = list(map(type, given))
    return len(kinds) - kinds.count(type(UNSET)), kinds.count(str)


def _earlier(line: bytes) -> list[tuple[str, str | None]]:
    """What keys of a line hold that are given again after it."""
    # Objects in it come as lists of pairs: what they hold is looked at all the same.
    pairs: list[tuple[str, Any]] = json.loads(line, object_pairs_hook=list)
    last = {key: place for place, (key, _) in enumerate(pairs)}
    gone = [(key, value) for place, (key, value) in enumerate(pairs) if place < last[key]]
    return [(key, value if isinstance(value, str | None) else json.dumps(value)) for key, value in gone]


def _wrong(line: bytes) -> str:
    """What a line is instead of an object, without a word of it; empty where it is one."""
    value: Any = {}
    try:
        line.decode()
        value = msgspec.json.decode(line)
        _decode(line)
    except UnicodeDecodeError:
        return "bytes that are not UTF-8"
    except RecursionError:
        return "JSON that is nested too deep"
    except msgspec.ValidationError:
        return "a number out of range" if isinstance(value, dict) else _described(value)
    except msgspec.DecodeError:
        if line.startswith(b"\xef\xbb\xbf"):
            return "a byte order mark"
        return f"a line of {len(line):,} bytes that is not JSON" if line.strip() else "an empty line"
    return ""


def _described(value: Any) -> str:
    if isinstance(value, str | list):
        return f"a string of {len(value):,} characters" if isinstance(value, str) else f"a list of {len(value):,}"
    return "null" if value is None else "true or false" if isinstance(value, bool) else "a number"
