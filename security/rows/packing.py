"""How a file of rows is packed, told by its first bytes and held against its name; and its plain bytes, streamed.

Never more than a MiB is handed on at a time, whatever the bytes are. A zstd frame may look back at most 8 MiB, what
RFC 8878 asks of every reader; frames of zstd's levels 20 to 22 and of its long mode look back further.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from backports import zstd

from security.errors import BadInput

_CHUNK = 1 << 20
WINDOW = 23
"""Binary logarithm of the most bytes that a zstd frame may look back: 8 MiB."""
_MAGICS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PAR1": "Parquet"}
_PROMISES = {".gz": "gzip", ".zst": "zstd", ".parquet": "Parquet"}
_PROMISES |= dict.fromkeys((".jsonl", ".json", ".ndjson"), "JSON lines")


class Broken(Exception):
    """Bytes that cannot be had: what was found, what was allowed. Travels to the reader, which knows the row."""


class _Broken(Exception):
    """Bytes that cannot be had: what was found, what was allowed. Travels to the reader, which knows the row."""


def kind(path: Path, name: str) -> str:
    """What the first bytes say that a file is; an error where its name says otherwise."""
    if not path.is_file():
        raise BadInput(name or path.name, "file", "no regular file", "a file that can be opened")
    with path.open("rb") as raw:
        head = raw.read(4)
    found = next((kind for magic, kind in _MAGICS.items() if head.startswith(magic)), "JSON lines")
    promised = _PROMISES.get(Path(name).suffix, found)
    if promised != found:
        told = "a file that is neither gzip, zstd nor Parquet" if found == "JSON lines" else f"a file that is {found}"
        raise BadInput(name, "row 1", told, f"{promised}, as its name says")
    return found


def chunks(path: Path) -> Iterator[bytes]:
    """The plain bytes of a file, at most a MiB at a time and never empty."""
    packing = kind(path, "")
    with path.open("rb") as raw:
        if packing == "gzip":
            yield from _inflate(raw)
        elif packing == "zstd":
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
