"""The one reader of interaction logs: JSON lines, plain, gzip or zstd, and Parquet, as Arrow batches of one schema.

A *file* that cannot be read as what it should be is `BadInput`; a *row* that is wrong keeps its place in the batch with
its faults marked (`security.rows.columns`). A column that is not declared is skipped while decoding and never kept.

Memory is bounded whatever the bytes are: compressed data is inflated a MiB at a time, a zstd frame may look back at
most 8 MiB, a line has at most 1 MiB, and a batch is cut at 16,384 lines or 8 MiB of text, of Parquet at 65,536 rows. A
Parquet page is inflated whole, as large as its writer made it. JSON is RFC 8259 in UTF-8, one object a line; of a key
that is given twice the last counts.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import UNSET

from security.errors import BadInput, CannotTell
from security.rows.ahead import ahead
from security.rows.columns import COLUMNS, Column, batch, text, times
from security.rows.packing import Broken, chunks, kind

ROWS = 16_384
"""Most rows of a batch of lines."""
WIDE = 1 << 16
"""Most rows of a batch of Parquet."""
LINE = 1 << 20
"""Most bytes of a line."""
_HELD = 8 << 20


class _Row(msgspec.Struct, gc=False):
    """The declared columns of a line; whatever else it holds is skipped by the decoder."""

    user_id: Any = UNSET
    item_id: Any = UNSET
    interaction_type: Any = UNSET
    timestamp: Any = UNSET


_decode = msgspec.json.Decoder(_Row).decode


def read(files: Sequence[Path], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Batches of `SCHEMA`, in the order of the files; `names` are what the files are called in errors and rows.

    Raises `CannotTell` where there is no file, `BadInput` where one cannot be read. A file without rows gives none.
    """
    if not files:
        raise CannotTell("there are no files to read", "coverage")
    if len(names) != len(files) or len(set(names)) != len(names):
        raise ValueError(f"{len(files)} files need as many names, each its own; found {len(set(names))}")
    return (
        each
        for path, name in zip(files, names, strict=True)
        for each in (_parquet if kind(path, name) == "Parquet" else _json)(path, name)
    )


def lines(path: Path, name: str = "") -> int:
    """Rows of a file, counted without parsing: line ends, or what a Parquet footer says.

    A last line without an end counts. Raises `BadInput` where the bytes cannot be had; `name` is what the file is
    called in it, its own where none is given.
    """
    if kind(path, "") == "Parquet":
        return int(_opened(path, name or path.name).metadata.num_rows)
    count, last = 0, b"\n"
    try:
        for chunk in chunks(path):
            count, last = count + chunk.count(b"\n"), chunk[-1:]
    except Broken as why:
        raise BadInput(name or path.name, f"row {count + 1}", *why.args) from None
    return count + (last != b"\n")


def _json(path: Path, name: str) -> Iterator[pa.RecordBatch]:
    held: list[bytes] = []
    tail, size, done = b"", 0, 0
    try:
        for chunk in chunks(path):
            *whole, tail = (tail + chunk).split(b"\n")
            if max(map(len, whole), default=0) > LINE or len(tail) > LINE:
                place = done + len(held) + next(n for n, line in enumerate((*whole, tail), 1) if len(line) > LINE)
                raise BadInput(name, f"row {place}", "a line of more than 1 MiB", "at most 1 MiB a line")
            held += whole
            size += len(chunk)
            full = len(held) if size > _HELD else len(held) - len(held) % ROWS
            for start in range(0, full, ROWS):
                yield _decoded(held[start : min(start + ROWS, full)], name, done + start)
            if full:
                del held[:full]
                done, size = done + full, sum(map(len, held))
    except Broken as why:
        raise BadInput(name, f"row {done + len(held) + 1}", *why.args) from None
    if tail:
        held.append(tail)
    if held:
        yield _decoded(held, name, done)


def _decoded(held: list[bytes], name: str, done: int) -> pa.RecordBatch:
    try:
        if not all(map(bytes.isascii, held)):
            for line in held:
                line.decode()
        rows = [_decode(line) for line in held]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        place, found = next((place, found) for place, line in enumerate(held, done + 1) if (found := _wrong(line)))
        raise BadInput(name, f"row {place}", found, "one JSON object a line") from None
    columns = [
        [row.user_id for row in rows],
        [row.item_id for row in rows],
        [row.interaction_type for row in rows],
        [row.timestamp for row in rows],
    ]
    for column, values in zip(COLUMNS, columns, strict=True):
        if done == 0 and all(value is UNSET for value in values):
            raise _lacks(name, column, list(msgspec.json.decode(held[0], type=dict[str, msgspec.Raw])))
    return batch([*map(text, columns[:3]), times(columns[3])], name, done)


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


def _lacks(name: str, column: str, keys: list[str]) -> BadInput:
    # A key that is not a plain name may be a value in disguise, and is not repeated.
    plain = [key for key in keys if re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,39}", key)]
    near = difflib.get_close_matches(column, plain, n=1, cutoff=0.4)
    found = f"no column {column} (nearest: {near[0] if near else 'none'})"
    return BadInput(name, f"key {column}", found, ", ".join(COLUMNS))


def _opened(path: Path, name: str) -> pq.ParquetFile:
    try:
        # Buffering ahead would keep the bytes of the whole file until its end.
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    except (pa.ArrowException, OSError):
        raise BadInput(name, "row 1", "Parquet that cannot be read", "a whole Parquet file") from None


def _parquet(path: Path, name: str) -> Iterator[pa.RecordBatch]:
    with _opened(path, name) as file:
        _typed(file.schema_arrow, name)
        done = 0
        try:
            for each in ahead(_columns(file)):
                yield batch(each, name, done)
                done += len(each[0][0])
        except (pa.ArrowException, OSError):
            raise BadInput(name, f"row {done + 1}", "Parquet that cannot be read", "a whole Parquet file") from None


def _columns(file: pq.ParquetFile) -> Iterator[list[Column]]:
    for each in file.iter_batches(WIDE, columns=list(COLUMNS)):
        each.validate(full=True)
        clean = np.zeros(len(each), np.uint32)
        texts = [(each.column(column).cast(pa.string()), clean) for column in COLUMNS[:3]]
        stamps = each.column("timestamp")
        # Only nanoseconds lose anything, and only what a microsecond cannot hold.
        stamps = stamps.cast(pa.timestamp("us", "UTC"), safe=stamps.type.unit != "ns").cast(pa.int64())
        yield [*texts, (stamps, clean)]


def _typed(schema: pa.Schema, name: str) -> None:
    """Refuse a schema without the declared columns, each once and of its type."""
    for column in COLUMNS:
        places = schema.get_all_field_indices(column)
        if not places:
            raise _lacks(name, column, schema.names)
        kind, time = schema.field(places[0]).type, column == "timestamp"
        if time:
            good = pa.types.is_timestamp(kind) and kind.tz is not None
        else:
            good = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not good or len(places) > 1:
            found = f"{len(places)} columns of this name" if len(places) > 1 else f"the type {kind}"
            raise BadInput(name, f"key {column}", found, "a timestamp with a zone" if time else "a string")
