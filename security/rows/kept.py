"""Rows that are read once, however often they are gone through: what was handed out first is what comes again.

The first to go through all of them has them written as an Arrow stream to a file without a name, like rows put aside
(`security.rows.buckets`); everybody later gets them from there. So every gate looks at the same rows, and a task works
on what was looked at, though the files that they came from be gone or others meanwhile. The stream is hashed as it is
written, and again whenever it is read to its end: what lies there may be altered, but not unnoticed.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from security.errors import CannotTell, StoreError
from security.rows.ahead import ended
from security.rows.buckets import nameless
from security.rows.columns import SCHEMA

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Kept:
    """Rows of `security.rows.columns.SCHEMA`, by batch, each with the metadata of its schema.

    `source` opens them anew. Whoever stops early has kept nothing, and the next one reads them again.
    """

    def __init__(self, source: Callable[[], Iterable[pa.RecordBatch]]) -> None:
        self.source = source
        self.file: IO[bytes] | None = None
        self._sum: object = None
        self._closed = False
        self._lock = Lock()

    def __call__(self) -> Iterator[pa.RecordBatch]:
        """All batches, in order. At their end, `StoreError` if they are not those that were kept."""
        with self._lock:
            self._open()
            if self.file is None:
                return self._first()
            # Opened here: once the file is closed, its number may be another's.
            return self._again(io.FileIO(f"/proc/self/fd/{self.file.fileno()}"))

    def close(self) -> None:
        """Forget the rows, also for whoever still goes through them."""
        with self._lock:
            self._closed, file, self.file = True, self.file, None
        if file is not None:
            with file:
                file.truncate(0)

    def _open(self) -> None:
        if self._closed:
            raise CannotTell("rows that were kept are asked for after their stage has ended", "unreadable")

    def _first(self) -> Iterator[pa.RecordBatch]:
        with ExitStack() as unless:
            file = unless.enter_context(nameless())
            tap = _Tap(file)
            with pa.ipc.new_stream(tap, SCHEMA) as stream, ended(iter(self.source())) as batches:
                for batch in batches:
                    self._open()
                    stream.write_batch(batch, custom_metadata=batch.schema.metadata)
                    yield batch
            tap.flush()
            with self._lock:
                if self.file is None and not self._closed:
                    self.file, self._sum = file, tap.sum
                    unless.pop_all()

    def _again(self, raw: io.FileIO) -> Iterator[pa.RecordBatch]:
        with raw:
            tap = _Tap(raw)
            try:
                with pa.ipc.open_stream(tap) as stream:
                    while True:
                        self._open()
                        try:
                            batch, metadata = stream.read_next_batch_with_custom_metadata()
                        except StopIteration:
                            break
                        yield batch.replace_schema_metadata(metadata)
                while tap.read(1 << 20):
                    pass
            except (pa.ArrowException, OSError):
                self._open()  # its end is no alteration
                raise StoreError("rows that were kept can no longer be read as they were written") from None
            if tap.sum != self._sum:
                raise StoreError("rows that were kept are others than were looked at: found another SHA-256 or length")


class _Tap(io.RawIOBase):
    """Hashes what goes through."""

    def __init__(self, file: Any) -> None:
        self.file, self.hash, self.size = file, hashlib.sha256(), 0

    @property
    def sum(self) -> tuple[bytes, int]:
        """SHA-256 and length of what went through."""
        return self.hash.digest(), self.size

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer") -> int:
        held = memoryview(data).cast("B")
        self.hash.update(held)
        self.size += len(held)
        with _told():
            self.file.write(held)
        return len(held)

    def flush(self) -> None:
        with _told():
            self.file.flush()

    def read(self, size: int = -1) -> bytes:
        held: bytes = self.file.read(size)
        self.hash.update(held)
        self.size += len(held)
        return held


@contextmanager
def _told() -> Iterator[None]:
    """What kept rows from being written, as a sentence."""
    try:
        yield
    except OSError as why:
        raise CannotTell(f"rows cannot be kept while they are read: {why.strerror or why}", "unreadable") from None
