"""Rows put aside by bucket, so that memory stays bounded: what is more than fits is written to files without a name.

Rows of one bucket come back together, in the order in which they were put; choose the bucket by what belongs together.
The files are made without a name (`nameless`), mode 0600, in `FOLDER`: none outlives its process, however that ends.
"""

import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

BUCKETS = 64
HELD = 128 << 20
"""Bytes of rows that are kept in memory, over all buckets."""
FOLDER: list[Path] = []
"""Where files are made: a folder of the run's home, or the system's own for temporary files where there is none."""
Rows = NDArray[Any]


def nameless() -> IO[bytes]:
    """A fresh file that has no name, mode 0600, and is gone once it is closed."""
    return tempfile.TemporaryFile(dir=FOLDER[-1] if FOLDER else None)


class Buckets:
    """Rows of one structured type, by bucket."""

    def __init__(self, dtype: DTypeLike, held: int | None = None) -> None:
        self.dtype, self.most = np.dtype(dtype), HELD if held is None else held
        self.held: list[list[Rows]] = [[] for _ in range(BUCKETS)]
        self.size = 0
        self.files: list[IO[bytes] | None] = [None] * BUCKETS

    def add(self, bucket: NDArray[np.integer[Any]], rows: Rows) -> None:
        """Put rows aside; `bucket` says for each where it belongs, any whole number from 0 on."""
        place = (bucket % BUCKETS).astype(np.uint8)
        order = np.argsort(place, kind="stable")
        # As bytes without fields: numpy moves a structure field by field.
        plain = np.ascontiguousarray(rows).view(f"V{self.dtype.itemsize}")
        sorted_, ends = plain[order].view(self.dtype), np.cumsum(np.bincount(place, minlength=BUCKETS))
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
                    file = self.files[number] = nameless()
                    weakref.finalize(self, file.close)
                for part in parts:
                    file.write(part.tobytes())
                parts.clear()
        self.size = 0

    def __iter__(self) -> Iterator[Rows]:
        """Each bucket that has rows, whole."""
        return (rows for _, rows in self.numbered())

    def numbered(self) -> Iterator[tuple[int, Rows]]:
        """Each bucket that has rows, with its number."""
        for number in range(BUCKETS):
            parts = list(self.held[number])
            file = self.files[number]
            if file is not None:
                file.seek(0)
                parts.insert(0, np.frombuffer(file.read(), self.dtype))
            if parts:
                yield number, np.concatenate(parts)

    def __getstate__(self) -> dict[str, Any]:
        """For another process: the rows themselves, since a file without a name cannot travel."""
        return {"dtype": self.dtype, "most": self.most, "rows": list(self.numbered())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Buckets.__init__(self, state["dtype"], state["most"])
        for number, rows in state["rows"]:
            self.add(np.full(len(rows), number, np.uint8), rows)
