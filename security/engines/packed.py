"""Packed files: zip and what is one by another name (a wheel, a document), tar, and single streams.

A member is opened by what it says of itself, and by no more than anybody would look at: what is sealed, broken or too
large is told as `Shut`, never left out.
"""

import bz2
import gzip
import lzma
import re
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple

PIECE = 1 << 18
LARGEST = 1 << 30
"""Bytes that come out of one."""
Chunks = Callable[[], Iterable[bytes]]
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, RuntimeError, ValueError,
)  # fmt: skip


class Broken(OSError):
    """A member that breaks off while it is read."""


class Shut(NamedTuple):
    """A member that cannot be opened, and why."""

    name: str
    kind: str


Members = Iterator[tuple[str, Chunks] | Shut]
Opener = Callable[[str, IO[bytes]], Members]


def opener(head: bytes) -> Opener | None:
    """Who opens a file that begins so, or none where it is not packed."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _zip
    if head[257:262] == b"ustar":
        return _tar
    return next((each for mark, each in _STREAMS if head.startswith(mark)), None)


def members(name: str, chunks: Chunks, opened: Opener) -> Members:
    """What is in a packed file."""
    with tempfile.TemporaryFile() as file:
        for chunk in chunks():
            file.write(chunk)
        file.seek(0)
        try:
            yield from opened(name, file)
        except NotImplementedError:
            yield Shut(name, "packed by an unknown method")
        except _BROKEN:
            yield Shut(name, "broken")


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(PIECE):
        yield chunk


def _member(opened: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    """It is read when `members` has long gone on: what breaks then is of one kind."""
    try:
        yield from _read(opened())
    except (*_BROKEN, NotImplementedError) as why:
        raise Broken(type(why).__name__) from None


def _zip(name: str, file: IO[bytes]) -> Members:
    left = LARGEST
    with zipfile.ZipFile(file) as zipped:

        def read(info: zipfile.ZipInfo) -> Chunks:
            return lambda: _member(lambda: zipped.open(info))

        for info in zipped.infolist():
            member = f"{name}!{info.filename}"
            left -= info.file_size
            if info.is_dir():
                continue
            if info.flag_bits & 1:
                yield Shut(member, "sealed by a password")
            elif left < 0:
                yield Shut(member, "too large")
            else:
                yield member, read(info)


def _tar(name: str, file: IO[bytes]) -> Members:
    with tarfile.open(fileobj=file, mode="r:") as tarred:

        def read(info: tarfile.TarInfo) -> Chunks:
            return lambda: _member(lambda: tarred.extractfile(info) or file)

        for info in tarred:
            if info.isfile():
                yield f"{name}!{info.name}", read(info)


def _stream(unpack: Callable[[IO[bytes]], Any]) -> Opener:
    """A file of one member, whose bytes are kept, since it is read more than once."""

    def opened(name: str, file: IO[bytes]) -> Members:
        with unpack(file) as source, tempfile.TemporaryFile() as plain:
            left = LARGEST
            for chunk in _read(source):
                left -= len(chunk)
                if left < 0:
                    yield Shut(name, "too large")
                    return
                plain.write(chunk)

            def again() -> Iterator[bytes]:
                plain.seek(0)
                yield from _read(plain)

            yield re.sub(r"(?i)(?<=[^/])\.(?:gz|bz2|xz|zst)$", "", name), again

    return opened


def _zstd(file: IO[bytes]) -> Any:
    from backports import zstd

    return zstd.open(file)


_STREAMS: tuple[tuple[bytes, Opener], ...] = (
    (b"\x1f\x8b", _stream(gzip.open)),
    (b"BZh", _stream(bz2.open)),
    (b"\xfd7zXZ", _stream(lzma.open)),
    (b"\x28\xb5\x2f\xfd", _stream(_zstd)),
)
