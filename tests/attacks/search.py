"""Searches what was written for strings that must not be there, whatever it was packed into.

A file is searched as it is; then inflated, if it is gzip; value by value, if it is Parquet or a SQLite database, whose
pages can cut a string in two; and every run of Base64 in any of it is decoded and searched again.
"""

import base64
import binascii
import gzip
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Needles = Mapping[str, bytes]
"""What it is called -> the bytes that are looked for."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
_DEPTH = 4


def within(data: bytes, needles: Needles, depth: int = _DEPTH) -> set[str]:
    """The names of the needles that some bytes hold, as they are or in Base64 (DSSE, JWT), also of Base64."""
    found = {name for name, needle in needles.items() if needle in data}  # ten times as fast as one pattern of them all
    if depth:
        for text in set(_BASE64.findall(data)):
            plain = _decoded(text)
            found |= within(plain, needles, depth - 1) if plain else set()
    return found


def _decoded(text: bytes) -> bytes:
    text = text.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(text[: len(text) - (len(text) % 4 == 1)] + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return b""


def _values(value: Any) -> Iterator[bytes]:
    """The texts and bytes in a value of a row."""
    if isinstance(value, str):
        yield value.encode()
    elif isinstance(value, bytes):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _values(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _values(each)


def _rows(path: Path) -> Iterator[bytes]:
    """Every value of every table of a database."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
        base.text_factory = bytes
        names = [row[0].decode() for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            for row in base.execute(f'SELECT * FROM "{name}"'):
                yield from _values(row)


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what they are when they are unpacked."""
    data = path.read_bytes()
    yield data
    if data.startswith(b"\x1f\x8b"):
        yield gzip.decompress(data)
    elif data.startswith(b"PAR1"):
        distinct = {value for row in pq.read_table(path).to_pylist() for value in _values(row)}
        yield b"\n".join(sorted(distinct))
    elif data.startswith(b"SQLite format 3\x00"):
        yield b"\n".join(_rows(path))


def found(root: Path, needles: Needles) -> dict[str, set[str]]:
    """File below `root`, by its path -> the needles that are in it or in its name; files without any are left out."""
    told: dict[str, set[str]] = {}
    for path in sorted(root.rglob("*")):
        names = within(path.relative_to(root).as_posix().encode(), needles, 0)
        if path.is_file() and not path.is_symlink():
            names |= {name for data in contents(path) for name in within(data, needles)}
        if names:
            told[path.relative_to(root).as_posix()] = names
    return told
