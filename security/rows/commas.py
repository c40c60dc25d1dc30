"""CSV: RFC 4180 in UTF-8, with a header, as batches of one schema.

The header names every declared column once; other columns come beside them (`security.rows.beside`). CSV has no
types: a field that is empty and has no quotes is null, every other one is text, and a timestamp may be a number as JSON
writes it. Spaces belong to the field that they stand in.

Stricter than the RFC: lines end in a line feed, which the last may lack, with or without a carriage return before it; a
quoted field holds neither, so that rows are counted by line ends alone; other characters below a space but a tab are
refused too. An empty line is an error, and so is a byte order mark. Rows count from 1 after the header, which has at
most 64 KiB. Arrow cuts the fields; what it lets pass and the RFC does not (quotes that are out of place or not closed,
characters after a closing quote, a carriage return as the end of a line, bytes of other encodings)
is looked for before, over whole blocks.
"""

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow
from numpy.typing import NDArray

from security.errors import BadInput
from security.rows import beside
from security.rows.beside import Entries
from security.rows.columns import COLUMNS, batch, lacks, stamps
from security.rows.packing import blocks, place

HEADER = 1 << 16
"""Most bytes of a header."""
_PIECE = 1 << 18
_ALLOWED = "CSV as of RFC 4180, in UTF-8, a row a line"
_TAB, _FEED, _SPACE, _QUOTE = b'\t\n "'
_BESIDE = np.isin(np.arange(256), list(b'\n,"'))
"""What may stand before an opening quote or after a closing one, a quote that is written twice being one of each."""

Raw = NDArray[np.uint8]


def read(path: Path, name: str) -> Iterator[pa.RecordBatch]:
    """Batches of `security.rows.columns.SCHEMA`. Raises `BadInput` where a header or a row is not what it should be."""
    columns: list[str] = []
    for done, held in blocks(path, name, header=True):
        block = (b"\n".join(held) + b"\n").replace(b"\r\n", b"\n")
        if done < 0:
            columns = _header(block, name)
            continue
        if wrong := _wrong(block):
            at, found = wrong
            # A row before it may have too many fields or too few: what is told is the first that is wrong.
            if before := block[: block.rfind(b"\n", 0, at) + 1]:
                _cut(before, columns, name, done)
            raise BadInput(name, place(done + before.count(b"\n") + 1), found, _ALLOWED)
        whole = _cut(block, columns, name, done)
        clean = np.zeros(len(held), np.uint32)
        *texts, times = (whole[columns.index(each)] for each in COLUMNS)
        others = [beside.column(each, whole[at]) for at, each in enumerate(columns) if each not in COLUMNS]
        stamped, faults = stamps(times)
        if len(bad := np.flatnonzero(faults)):
            others.append(Entries(bad, pa.repeat("timestamp", len(bad)), times.take(pa.array(bad))))
        yield batch([*((each, clean) for each in texts), (stamped, faults)], name, done, others)
    if not columns:
        raise headless(name)


def headless(name: str) -> BadInput:
    """The error for a file without a byte."""
    return BadInput(name, place(0), "no bytes", f"a header with {', '.join(COLUMNS)}")


def _header(block: bytes, name: str) -> list[str]:
    """The names of a file's columns, each declared one among them once."""
    if len(block) > HEADER:
        raise BadInput(name, place(0), f"{len(block):,} bytes", "at most 64 KiB")
    wrong = (0, "a byte order mark") if block.startswith(codecs.BOM_UTF8) else _wrong(block)
    if wrong:
        raise BadInput(name, place(0), wrong[1], _ALLOWED)
    columns = next(csv.reader([block.decode()], strict=True))
    if not set(COLUMNS) & set(columns):
        # It may be a row, so none of its words is told as the nearest.
        raise BadInput(name, place(0), "a first line that names no column that is wanted", ", ".join(COLUMNS))
    for column in COLUMNS:
        if column not in columns:
            raise lacks(name, column, columns)
        if (count := columns.count(column)) > 1:
            raise BadInput(name, f"key {column}", f"{count} columns of this name", "each column once")
    return columns


def _cut(block: bytes, columns: list[str], name: str, done: int) -> list[pa.StringArray]:
    """The columns of whole lines, as strings; every row must have as many fields as the header."""
    uneven: list[tuple[int, int]] = []
    # A header may give a name twice.
    places = list(map(str, range(len(columns))))

    def tell(row: arrow.InvalidRow) -> Literal["error"]:
        uneven.append((row.number, row.actual_columns))
        return "error"

    try:
        table = arrow.read_csv(
            # Arrow takes a byte order mark away: this one, and not one that a field begins with.
            pa.BufferReader(codecs.BOM_UTF8 + block),
            # In one block, whatever a row's length, and a row is numbered within it; with threads Arrow numbers none.
            read_options=arrow.ReadOptions(use_threads=False, block_size=len(block) + 3, column_names=places),
            parse_options=arrow.ParseOptions(invalid_row_handler=tell),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(places, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowException:
        # Arrow's own words quote the row.
        row, count = uneven[0] if uneven else (1, 0)
        found = f"{count:,} fields" if uneven else "rows that cannot be read"
        raise BadInput(name, place(done + row), found, f"{len(columns):,}, as in the header") from None
    (whole,) = table.to_batches()
    return list(whole.columns)


def _wrong(block: bytes) -> tuple[int, str] | None:
    """The first thing that is wrong with whole lines, however many fields they have: where, and what."""
    start = 0
    while start < len(block):
        # In pieces of whole lines: where every byte is a quote, the places of all take many times as much as the bytes.
        end = block.find(b"\n", start + _PIECE) + 1 or len(block)
        if found := _first(block[start:end]):
            return start + found[0], found[1]
        start = end
    return None


def _first(block: bytes) -> tuple[int, str] | None:
    raw = np.frombuffer(block, np.uint8)
    low = np.flatnonzero(raw < _SPACE)
    ends = low[raw[low] == _FEED]
    control = low[(raw[low] != _FEED) & (raw[low] != _TAB)]
    empty = ends[np.diff(ends, prepend=-1) == 1]
    quote = _misplaced(raw, ends)
    found = [(int(at[0]), what) for at, what in ((empty, "an empty line"), (quote, "a quote out of place")) if len(at)]
    if len(control):
        found.append((int(control[0]), f"a control character (0x{raw[control[0]]:02x})"))
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError as why:
            found.append((why.start, "bytes that are not UTF-8"))
    return min(found, default=None)


def _misplaced(raw: Raw, ends: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where pairs of quotes begin that are out of place or not closed on their line; past the first nothing is sure."""
    quotes = np.flatnonzero(raw == _QUOTE)
    opening, closing = quotes[0::2], quotes[1::2]
    # The last byte is a line feed, so what stands before the first one is right.
    good = _BESIDE[raw[opening - 1]]
    paired = slice(len(closing))
    good[paired] &= _BESIDE[raw[closing + 1]]
    good[paired] &= np.searchsorted(ends, opening[paired]) == np.searchsorted(ends, closing)
    good[len(closing) :] = False
    return opening[~good]
