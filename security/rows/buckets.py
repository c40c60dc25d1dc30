"""Rows put aside by bucket, so that memory stays bounded: what is more than fits is written to files without a name.

Rows of one bucket come back together, in the order in which they were put; choose the bucket by what belongs together.
The files are made without a name, mode 0600, in `FOLDER`: nobody else can open one, and none outlives its process,
however that ends.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

BUCKETS = 64
HELD = 128 << 20
"""Bytes of rows that are kept in memory, over all buckets."""
FOLDER: list[Path] = []
"""Where files are made: the last folder, or the system's own for temporary files where there is none."""
Rows = NDArray[Any]


class Buckets:
    """Rows of one structured type, by bucket."""

    def __init__(self, dtype: DTypeLike, held: int = HELD) -> None:
        self.dtype, self.most = np.dtype(dtype), held
        self.held: list[list[Rows]] = [[] for _ in range(BUCKETS)]
        self.size = 0
        self.files: list[IO[bytes] | None] = [None] * BUCKETS

    def __enter__(self) -> "Buckets":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def add(self, bucket: NDArray[np.integer[Any]], rows: Rows) -> None:
        """Put rows aside; `bucket` says for each where it belongs, any whole number from 0 on."""
        place = (bucket % BUCKETS).astype(np.uint8)
        order = np.argsort(place, kind="stable")
        sorted_, ends = rows[order], np.cumsum(np.bincount(place, minlength=BUCKETS))
        for number, part in enumerate(np.split(sorted_, ends[:-1])):
            if len(part):
                self.held[number].append(part)
        self.size += rows.nbytes
        if self.size > self.most:
            self._write()

    def _write(self) -> None:
        for number, parts in enumerate(self.held):
            if parts:
                file = self.files[number]
                if file is None:
                    file = self.files[number] = tempfile.TemporaryFile(dir=FOLDER[-1] if FOLDER else None)  # noqa: SIM115
                for part in parts:
                    file.write(part.tobytes())
                parts.clear()
        self.size = 0

    def __iter__(self) -> Iterator[Rows]:
        """Each bucket that has rows, whole."""
        for number in range(BUCKETS):
            parts = list(self.held[number])
            file = self.files[number]
            if file is not None:
                file.seek(0)
                parts.insert(0, np.frombuffer(file.read(), self.dtype))
            if parts:
                yield np.concatenate(parts)

    def close(self) -> None:
        """Forget everything."""
        for file in self.files:
            if file is not None:
                file.close()
        self.held, self.files, self.size = [[] for _ in range(BUCKETS)], [None] * BUCKETS, 0
