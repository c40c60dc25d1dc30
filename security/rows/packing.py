"""How a file of rows is packed, told by its first bytes and held against its name; its plain bytes and its lines.

Never more than a MiB is unpacked at a time, whatever the bytes are. A zstd frame may look back at most 8 MiB, what
RFC 8878 asks of every reader; frames of zstd's levels 20 to 22 and of its long mode look back further.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from backports import zstd

from security.errors import BadInput

ROWS = 16_384
"""Most rows of a batch."""
LINE = 1 << 20
"""Most bytes of a line."""
HELD = 8 << 20
"""Bytes of text that are held at once, about."""
_CHUNK = 1 << 20
WINDOW = 23
"""Binary logarithm of the most bytes that a zstd frame may look back: 8 MiB."""
_MAGICS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PAR1": "Parquet"}
_PROMISES = {".gz": "gzip", ".zst": "zstd", ".parquet": "Parquet", ".csv": "CSV"}
_PROMISES |= dict.fromkeys((".jsonl", ".json", ".ndjson"), "JSON lines")
_COMMAS = (".csv", ".csv.gz", ".csv.zst")


class Broken(Exception):
    """Bytes that cannot be had: what was found, what was allowed. Travels to the reader, which knows the row."""


def kind(path: Path, name: str) -> str:
    """What the rows of a file are: JSON lines, CSV or Parquet; an error where the first bytes say other than the name.

    No byte tells CSV from JSON lines, so there the name decides, by its ending: `.csv`, `.csv.gz` and `.csv.zst` are
    CSV, every other one is not.
    """
    packed, plain = _packed(path, name), "CSV" if name.endswith(_COMMAS) else "JSON lines"
    found = packed or plain
    promised = next((kind for ending, kind in _PROMISES.items() if name.endswith(ending)), found)
    if promised != found:
        told = f"a file that is {packed}" if packed else "a file that is neither gzip, zstd nor Parquet"
        raise BadInput(name, "row 1", told, f"{promised}, as its name says")
    return "Parquet" if packed == "Parquet" else plain


def _packed(path: Path, name: str) -> str:
    """What the first bytes say; empty where they say nothing."""
    if not path.is_file():
        raise BadInput(name, "file", "no regular file", "a file that can be opened")
    with path.open("rb") as raw:
        head = raw.read(4)
    return next((kind for magic, kind in _MAGICS.items() if head.startswith(magic)), "")


def place(row: int) -> str:
    """What a row is called in an error; 0 is the header."""
    return f"row {row}" if row else "header"


def blocks(path: Path, name: str, *, header: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """Whole lines without their line feeds, in order: how many rows came before them, and up to `ROWS` of them.

    A block is cut earlier where more than 8 MiB are held. A header comes first and alone, with -1 rows before it.
    Raises `BadInput` where the bytes cannot be had, or a line is longer than `LINE`.
    """
    held: list[bytes] = []
    tail, size, done = b"", 0, -1 if header else 0
    try:
        for chunk in chunks(path):
            *whole, tail = (tail + chunk).split(b"\n")
            if max(map(len, whole), default=0) > LINE or len(tail) > LINE:
                row = done + len(held) + next(n for n, line in enumerate((*whole, tail), 1) if len(line) > LINE)
                raise BadInput(name, place(row), "a line of more than 1 MiB", "at most 1 MiB a line")
            held += whole
            size += len(chunk)
            if done < 0 and held:
                yield done, [held.pop(0)]
                done = 0
            full = len(held) if size > HELD else len(held) - len(held) % ROWS
            for start in range(0, full, ROWS):
                yield done + start, held[start : min(start + ROWS, full)]
            if full:
                del held[:full]
                done, size = done + full, sum(map(len, held))
    except Broken as why:
        raise BadInput(name, place(done + len(held) + 1), *why.args) from None
    if tail:
        held.append(tail)
    if held:
        yield done, held


def chunks(path: Path) -> Iterator[bytes]:
    """The plain bytes of a file, at most a MiB at a time and never empty."""
    packed = _packed(path, path.name)
    with path.open("rb") as raw:
        if packed == "gzip":
            yield from _inflate(raw)
        elif packed == "zstd":
            yield from _unpack(raw)
        else:
            while chunk := raw.read(_CHUNK):
                yield chunk


def _inflate(raw: BinaryIO) -> Iterator[bytes]:
    """RFC 1952: one member or several, and nothing else."""
    engine = zlib.decompressobj(wbits=31)
    while data := raw.read(1 << 16):
        while data:
            if engine.eof:
                engine = zlib.decompressobj(wbits=31)
            try:
                out = engine.decompress(data, _CHUNK)
            except zlib.error:
                raise Broken("damaged gzip data, or bytes after its end", "a whole gzip file") from None
            data = engine.unused_data if engine.eof else engine.unconsumed_tail
            if out:
                yield out
    while not engine.eof:
        # The last of the input may have been taken in while the output was full.
        out = engine.decompress(b"", _CHUNK)
        if not out:
            raise Broken("a gzip file that is cut off", "a whole gzip file")
        yield out


def _unpack(raw: BinaryIO) -> Iterator[bytes]:
    """RFC 8878: one frame or several, skippable ones among them, and nothing else."""
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW}
    engine = zstd.ZstdDecompressor(options=options)
    while data := raw.read(1 << 16):
        while data or not (engine.eof or engine.needs_input):
            if engine.eof:
                engine = zstd.ZstdDecompressor(options=options)
            try:
                out = engine.decompress(data, _CHUNK)
            except zstd.ZstdError:
                found = f"damaged zstd data, bytes after its end, or a window of more than {1 << WINDOW >> 20} MiB"
                raise Broken(found, "a whole zstd file") from None
            # What is not used yet the engine keeps itself, until its frame has ended.
            data = engine.unused_data if engine.eof else b""
            if out:
                yield out
    if not engine.eof:
        raise Broken("a zstd file that is cut off", "a whole zstd file")
