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

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from security.errors import BadInput, CannotTell
from security.rows import beside, commas, leaves, objects
from security.rows.ahead import ahead, ended
from security.rows.beside import Entries
from security.rows.columns import COLUMNS, LONGEST, Column, batch, lacks
from security.rows.packing import HELD, Broken, chunks, kind, place

WIDE = 1 << 16
"""Most rows of a batch of Parquet."""
_CHARACTER = 4
"""Bytes of a character, at most."""
CUT = 1 << 13
"""Characters that are left of a text that is cut while it is a code: more than anybody looks at."""


def read(files: Sequence[Path], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Batches of `SCHEMA`, in the order of the files; `names` are what the files are called in errors and rows.

    By its ending a name says what a file is where its bytes do not: whether it is CSV. Raises `CannotTell` where there
    is no file, `BadInput` where one cannot be read. A file without rows gives none.
    """
    if not files:
        raise CannotTell("there are no files to read", "coverage")
    if len(names) != len(files) or len(set(names)) != len(names):
        raise ValueError(f"{len(files)} files need as many names, each its own; found {len(set(names))}")
    ways = {"JSON lines": objects.read, "CSV": commas.read, "Parquet": _parquet}
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
