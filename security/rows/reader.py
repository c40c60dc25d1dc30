"""The one reader of interaction logs: JSON lines and CSV, plain, gzip or zstd, and Parquet, as batches of one schema.

A *file* that cannot be read as what it should be is `BadInput`; a *row* that is wrong keeps its place in the batch with
its faults marked (`security.rows.columns`). Whatever else a row holds comes beside it, as text, for those who have to
look at everything (`security.rows.beside`).

Memory is bounded whatever the bytes are: compressed data is inflated a MiB at a time, a zstd frame may look back at
most 8 MiB, a line has at most 1 MiB, and a batch is cut at 16,384 lines or 8 MiB of text, of Parquet at 65,536 rows. A
Parquet page is inflated whole, as large as its writer made it. JSON is RFC 8259 in UTF-8, one object a line; of a key
that is given twice the last counts, and what it held before comes beside the row. CSV is told from JSON lines by the
name alone (`security.rows.commas` says what it may be).
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import UNSET

from security.errors import BadInput, CannotTell
from security.rows import beside, commas, leaves
from security.rows.ahead import ahead, ended
from security.rows.beside import Entries
from security.rows.columns import COLUMNS, LONGEST, Column, Fault, batch, lacks, text, times
from security.rows.packing import HELD, Broken, blocks, chunks, kind, place

WIDE = 1 << 16
"""Most rows of a batch of Parquet."""
_CHARACTER = 4
"""Bytes of a character, at most."""
CUT = 1 << 13
"""Characters that are left of a text that is cut while it is a code: more than anybody looks at."""


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


def read(files: Sequence[Path], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Batches of `SCHEMA`, in the order of the files; `names` are what the files are called in errors and rows.

    By its ending a name says what a file is where its bytes do not: whether it is CSV. Raises `CannotTell` where there
    is no file, `BadInput` where one cannot be read. A file without rows gives none.
    """
    if not files:
        raise CannotTell("there are no files to read", "coverage")
    if len(names) != len(files) or len(set(names)) != len(names):
        raise ValueError(f"{len(files)} files need as many names, each its own; found {len(set(names))}")
    ways = {"JSON lines": _json, "CSV": commas.read, "Parquet": _parquet}
    return (each for path, name in zip(files, names, strict=True) for each in ways[kind(path, name)](path, name))


def lines(path: Path, name: str = "") -> int:
    """Rows of a file, counted without parsing: line ends, less a CSV's header, or what a Parquet footer says.

    A last line without an end counts. Raises `BadInput` where the bytes cannot be had; `name` is what the file is
    called in it, and what says by its ending that it is CSV: the file's own where none is given.
    """
    name = name or path.name
    what = kind(path, name)
    if what == "Parquet":
        return int(_opened(path, name).metadata.num_rows)
    count, last = -1 if what == "CSV" else 0, b"\n"
    try:
        for chunk in chunks(path):
            count, last = count + chunk.count(b"\n"), chunk[-1:]
    except Broken as why:
        raise BadInput(name, place(count + 1), *why.args) from None
    count += last != b"\n"
    if count < 0:
        raise commas.headless(name)
    return count


def _json(path: Path, name: str) -> Iterator[pa.RecordBatch]:
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
    try:
        rows: Sequence[_Row] = [_only(line) for line in held]
        given = [value for row in rows for value in (row.user_id, row.item_id, row.interaction_type, row.timestamp)]
        strings = sum(isinstance(value, str) for value in given)
        keys = len(given) - sum(value is UNSET for value in given)
        if sum(line.count(b'"') for line in held) == 2 * (keys + strings):
            return rows, []
    except msgspec.ValidationError:
        rows = [_decode(line) for line in held]
    at, names, texts = [], [], []
    for row, line in enumerate(held):
        every = _every(line)
        found = [(key, _told(raw)) for key, raw in every.items() if key not in COLUMNS]
        if line.count(b'"') != 2 * (len(every) + sum(bytes(raw).startswith(b'"') for raw in every.values())):
            found += _earlier(line)
        for key, text_ in found:
            at.append(row)
            names.append(key)
            texts.append(text_)
    return rows, [Entries(np.array(at, np.int64), pa.array(names, pa.string()), pa.array(texts, pa.string()))]


def _earlier(line: bytes) -> list[tuple[str, str | None]]:
    """What keys of a line hold that are given again after it."""
    # Objects in it come as lists of pairs: what they hold is looked at all the same.
    pairs: list[tuple[str, Any]] = json.loads(line, object_pairs_hook=list)
    after = [key for key, _ in pairs]
    gone = [(key, value) for place, (key, value) in enumerate(pairs) if key in after[place + 1 :]]
    return [(key, value if isinstance(value, str | None) else json.dumps(value)) for key, value in gone]


def _told(raw: msgspec.Raw) -> str | None:
    """A text, null, or the JSON of whatever else it is."""
    held = bytes(raw)
    if held.startswith(b'"'):
        return _text(held)
    return None if held == b"null" else held.decode()


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


def _opened(path: Path, name: str, coded: Sequence[str] = ()) -> pq.ParquetFile:
    """A Parquet file, some of its columns as codes and the texts that they stand for."""
    try:
        # Buffering ahead would keep the bytes of the whole file until its end.
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20, read_dictionary=list(coded))
    except (pa.ArrowException, OSError):
        raise BadInput(name, "row 1", "Parquet that cannot be read", "a whole Parquet file") from None


def _parquet(path: Path, name: str) -> Iterator[pa.RecordBatch]:
    with ExitStack() as stack:
        file = stack.enter_context(_opened(path, name))
        _typed(file.schema_arrow, name)
        coded = stack.enter_context(_opened(path, name, leaves.texts(file)))
        done = 0
        try:
            for columns, others in stack.enter_context(ended(ahead(_columns(file, coded, name), 1))):
                yield batch(columns, name, done, others)
                done += len(columns[0][0])
        except (pa.ArrowException, OSError):
            raise BadInput(name, place(done + 1), "Parquet that cannot be read", "a whole Parquet file") from None


def _columns(file: pq.ParquetFile, coded: pq.ParquetFile, name: str) -> Iterator[tuple[list[Column], list[Entries]]]:
    """Batches of columns, of `WIDE` rows or some 8 MiB of any text.

    A text that a row group holds once may stand in each of its rows. So the longest is looked up first, and where one
    is longer than an id may be, texts stay codes until such are cut.
    """
    names = file.schema_arrow.names
    apart = [(place, each) for place, each in enumerate(names) if each not in COLUMNS]
    for group in range(file.num_row_groups):
        longest = max(leaves.longest(coded, group, column) for column in COLUMNS[:3])
        held, size = (coded, CUT * _CHARACTER) if longest > LONGEST * _CHARACTER else (file, longest)
        size += leaves.beside(coded, group, name)
        most = min(WIDE, HELD // max(1, size) + 1)
        for each in held.iter_batches(most, row_groups=[group], columns=None if apart else list(COLUMNS)):
            each.validate(full=True)
            clean = np.zeros(len(each), np.uint32)
            texts = [(_cut(each.column(column)).cast(pa.string()), clean) for column in COLUMNS[:3]]
            stamps = each.column("timestamp")
            # Only nanoseconds lose anything, and only what a microsecond cannot hold.
            stamps = stamps.cast(pa.timestamp("us", "UTC"), safe=stamps.type.unit != "ns").cast(pa.int64())
            others = [beside.column(called, beside.text(each.column(place))) for place, called in apart]
            yield [*texts, (stamps, clean)], others


def _cut(texts: pa.Array) -> pa.Array:
    """Texts; of those that stay codes, what is too long is cut to a length that still is, for everybody."""
    if not pa.types.is_dictionary(texts.type):
        return texts
    short = pc.utf8_slice_codeunits(texts.dictionary, 0, CUT)
    return pa.DictionaryArray.from_arrays(texts.indices, short)


def _typed(schema: pa.Schema, name: str) -> None:
    """Refuse a schema without the declared columns, each once and of its type."""
    for column in COLUMNS:
        places = schema.get_all_field_indices(column)
        if not places:
            raise lacks(name, column, schema.names)
        kind, time = schema.field(places[0]).type, column == "timestamp"
        if time:
            good = pa.types.is_timestamp(kind) and kind.tz is not None
        else:
            value = kind.value_type if pa.types.is_dictionary(kind) else kind
            good = pa.types.is_string(value) or pa.types.is_large_string(value)
        if not good or len(places) > 1:
            found = f"{len(places)} columns of this name" if len(places) > 1 else f"the type {kind}"
            raise BadInput(name, f"key {column}", found, "a timestamp with a zone" if time else "a string")
