"""Unpacks a stream of bytes as it comes: no more of it is held than one piece."""

import gzip
import zlib
from collections.abc import Iterator
from typing import Any

BROKEN = (zlib.error, EOFError, OSError)
"""What a stream raises that is not what it should be."""


class _Stream:
    """Pieces as a file that a decompressor reads."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def seekable(self) -> bool:
        """It is not."""
        return False

    def readable(self) -> bool:
        """It is."""
        return True


def plain(pieces: Iterator[bytes], how: str, size: int) -> Iterator[bytes]:
    """What pieces are when they are unpacked: `gzip`, `zstd`, or nothing, which takes them as they are. One of `BROKEN`
    where they are something else."""
    if not how:
        yield from pieces
        return
    stream: Any = _Stream(pieces)
    if how == "gzip":
        with gzip.GzipFile(fileobj=stream) as source:
            yield from iter(lambda: source.read(size), b"")
        return
    from backports import zstd

    try:
        with zstd.open(stream) as opened:
            yield from iter(lambda: opened.read(size), b"")
    except zstd.ZstdError:
        raise OSError from None
