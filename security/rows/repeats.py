"""Rows that repeat an earlier one, found by hashes that are kept outside of memory.

A row is 64 bits of hash, its file and its number, 16 bytes in all. Whenever a million of them are held they go to a
private file without a name, apart by their highest bits: equal rows lie in one part, and each is looked through alone.
Held at once are those million, and the hashes of one part, a sixty-fourth of all.
"""

import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from security.rows.columns import COLUMNS, LONGEST, Mask

HELD = 1 << 20
"""Most rows in memory, and most that are looked through at once."""
PARTS = 64
_SHIFT = np.uint64(64 - PARTS.bit_length() + 1)
_ENTRY = np.dtype([("hash", "<u8"), ("file", "<u4"), ("row", "<u4")])
_WIDEST = 4 * LONGEST
"""Most bytes of a text that is no fault."""

Hashes = NDArray[np.uint64]
Place = tuple[int, int]
"""Index of a file, and row in it."""


class Repeats:
    """Rows in, the number of those that repeat an earlier one out. Two merge when their secret is the same."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        drawn = hashlib.shake_256(secret).digest(8 * (1 + 3 * _WIDEST))
        keys = np.frombuffer(drawn, "<u8") | np.uint64(1)
        self._time, self._keys = keys[0], keys[1:].reshape(3, _WIDEST)
        self._held, self._count = list[NDArray[Any]](), 0
        self._file: IO[bytes] | None = None
        self._blocks = list[list[tuple[int, int]]]([] for _ in range(PARTS))

    def add(self, batch: pa.RecordBatch, file: Mask) -> None:
        """Keep rows without faults; `file` is the index of each one's file."""
        if not batch.num_rows:
            return
        entries = np.empty(batch.num_rows, _ENTRY)
        entries["hash"], entries["file"] = self._hashed(batch), file
        entries["row"] = batch.column("row").to_numpy()
        self._keep(entries)

    def merge(self, other: "Repeats", files: Mask) -> None:
        """Take in rows that come after; `files` turns the other's index of a file into one of these."""
        if self.secret != other.secret:
            raise ValueError("hashes under different secrets cannot be held against each other")
        for part in other._parts():
            for entries in part:
                mine = entries.copy()
                mine["file"] = files[entries["file"]]
                self._keep(mine)

    def found(self, shown: int) -> tuple[int, list[Place]]:
        """How many rows repeat an earlier one, and the first of them by file and row."""
        count, first = 0, list[Place]()
        for part in self._parts():
            seen = np.zeros(0, np.uint64)
            for number, entries in enumerate(part):
                hashes = entries["hash"]
                again = _again(hashes)
                if number:
                    again |= _inside(hashes, seen)
                count += int(again.sum())
                places = entries[again]
                places = places[np.lexsort((places["row"], places["file"]))][:shown]
                first = sorted([*first, *zip(places["file"].tolist(), places["row"].tolist(), strict=True)])[:shown]
                if len(hashes) >= HELD:
                    # Only a full array has another after it.
                    seen = np.union1d(seen, hashes)
        return count, first

    def _hashed(self, batch: pa.RecordBatch) -> Hashes:
        """64 bits for each whole row. Rows that collide would be a finding too many, never one too few."""
        user, item, kind = (batch.column(name) for name in COLUMNS[:3])
        coded = kind.dictionary_encode()
        total = batch.column("timestamp").to_numpy().astype(np.uint64) * self._time
        total += _texts(user, self._keys[0]) + _texts(item, self._keys[1])
        total += _texts(coded.dictionary, self._keys[2])[coded.indices.to_numpy()]
        return np.asarray(total, np.uint64)

    def _keep(self, entries: NDArray[Any]) -> None:
        self._held.append(entries)
        self._count += len(entries)
        if self._count >= HELD:
            self._spill()

    def _spill(self) -> None:
        """Everything held to the file, each part in one piece and in the order of rows."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="sluice-")  # noqa: SIM115 - lives as long as this
            weakref.finalize(self, self._file.close)
        entries = np.concatenate(self._held)
        parts = (entries["hash"] >> _SHIFT).astype(np.uint8)
        start = self._file.seek(0, os.SEEK_END)
        self._file.write(entries[np.argsort(parts, kind="stable")].tobytes())
        self._file.flush()
        for part, count in enumerate(np.bincount(parts, minlength=PARTS).tolist()):
            if count:
                self._blocks[part].append((start, count))
            start += count * _ENTRY.itemsize
        self._held, self._count = [], 0

    def _parts(self) -> Iterator[Iterator[NDArray[Any]]]:
        """Each part, in arrays of at most about `HELD` rows; equal rows are in one part, in order."""
        if self._file is None:
            yield iter([np.concatenate([*self._held, np.zeros(0, _ENTRY)])])
            return
        if self._held:
            self._spill()
        for blocks in self._blocks:
            yield self._read(self._file.fileno(), blocks)

    @staticmethod
    def _read(file: int, blocks: list[tuple[int, int]]) -> Iterator[NDArray[Any]]:
        held, size = list[NDArray[Any]](), 0
        for start, count in blocks:
            held.append(np.frombuffer(os.pread(file, count * _ENTRY.itemsize, start), _ENTRY))
            size += count
            if size >= HELD:
                yield np.concatenate(held)
                held, size = [], 0
        if held:
            yield np.concatenate(held)

    def __getstate__(self) -> dict[str, Any]:
        """For another process: the rows themselves, since a file without a name cannot travel."""
        return {"secret": self.secret, "rows": [entries for part in self._parts() for entries in part]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Repeats.__init__(self, state["secret"])
        for entries in state["rows"]:
            self._keep(entries)


def _texts(column: pa.StringArray, keys: Hashes) -> Hashes:
    """A multilinear hash of each text, without nulls: the sum of its bytes, each times the key of its place."""
    ends = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    body = np.frombuffer(column.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    ends = ends - ends[0]
    place = np.arange(len(body)) - np.repeat(ends[:-1], np.diff(ends))
    sums = np.zeros(len(body) + 1, np.uint64)
    # One more than the byte, so that a zero at the end is not the same as none.
    np.cumsum((body.astype(np.uint64) + np.uint64(1)) * keys[place], out=sums[1:])
    return np.asarray(sums[ends[1:]] - sums[ends[:-1]], np.uint64)


def _again(hashes: Hashes) -> NDArray[np.bool_]:
    """Which hashes are equal to an earlier one."""
    again = np.zeros(len(hashes), bool)
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        where = np.flatnonzero(_inside(hashes, np.unique(twice)))
        again[where] = True
        again[where[np.unique(hashes[where], return_index=True)[1]]] = False
    return again


def _inside(hashes: Hashes, ordered: Hashes) -> NDArray[np.bool_]:
    """Which hashes are among some that are sorted, at least one of them."""
    place = np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)
    return np.asarray(ordered[place] == hashes, bool)
