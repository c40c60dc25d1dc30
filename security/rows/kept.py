"""Rows that are read once, however often they are gone through: what was handed out first is what comes again.

The first to go through all of them has them written as an Arrow stream to a file without a name, like rows put aside
(`security.rows.buckets`); everybody later gets them from there. So every gate looks at the same rows, and a task works
on what was looked at, though the files that they came from be gone or others meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from threading import Lock
from typing import IO

import pyarrow as pa

from security.errors import CannotTell
from security.rows.ahead import ended
from security.rows.buckets import nameless
from security.rows.columns import SCHEMA


class Kept:
    """Rows of `security.rows.columns.SCHEMA`, by batch, each with the metadata of its schema.

    `source` opens them anew. Whoever stops early has kept nothing, and the next one reads them again.
    """

    def __init__(self, source: Callable[[], Iterable[pa.RecordBatch]]) -> None:
        self.source = source
        self.file: IO[bytes] | None = None
        self._closed = False
        self._lock = Lock()

    def __call__(self) -> Iterator[pa.RecordBatch]:
        """All batches, in order."""
        with self._lock:
            if self._closed:
                raise CannotTell("rows that were kept are asked for after their stage has ended", "unreadable")
            # Opened here: once the file is closed, its number may be another's.
            return self._again(pa.OSFile(_path(self.file), "rb")) if self.file is not None else self._first()

    def close(self) -> None:
        """Forget the rows, also those that somebody still goes through."""
        with self._lock:
            self._closed, file, self.file = True, self.file, None
        if file is not None:
            file.close()

    def _first(self) -> Iterator[pa.RecordBatch]:
        with ExitStack() as unless:
            file = unless.enter_context(nameless())
            with (
                pa.OSFile(_path(file), "wb") as sink,
                pa.ipc.new_stream(sink, SCHEMA) as stream,
                ended(iter(self.source())) as batches,
            ):
                for batch in batches:
                    stream.write_batch(batch, custom_metadata=batch.schema.metadata)
                    yield batch
            with self._lock:
                if self.file is None and not self._closed:
                    self.file = file
                    unless.pop_all()

    @staticmethod
    def _again(raw: pa.NativeFile) -> Iterator[pa.RecordBatch]:
        with raw, pa.ipc.open_stream(raw) as stream:
            while True:
                try:
                    batch, metadata = stream.read_next_batch_with_custom_metadata()
                except StopIteration:
                    return
                yield batch.replace_schema_metadata(metadata)


def _path(file: IO[bytes]) -> str:
    """The name under which the kernel lets this process open the file once more, with a place in it of its own."""
    return f"/proc/self/fd/{file.fileno()}"
