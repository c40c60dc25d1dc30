"""What accounts did, put aside while rows are looked at: which rows are there twice, and how the accounts behave.

Memory is bounded as rows grow: 44 bytes of each row are put aside by account (`security.rows.buckets`), and a few of 64
buckets are held at a time; ids and interaction types are there as keyed hashes. What grows is the list of distinct
items: 8 bytes each, and up to 32 while it is sorted.

Rows are put aside in a thread, one batch behind: to hash and to move them lets go of the interpreter.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from security.gates.contract.kinds import SHOWN, Group, Ints, Place
from security.rows.accounts import Account, Measured, measure
from security.rows.buckets import Buckets, Rows
from security.rows.columns import COLUMNS
from security.rows.hashes import Words, hashed, key

ROW = np.dtype([("user", "u8"), ("item", "u8"), ("type", "u8"), ("time", "i8"), ("file", "i4"), ("row", "i8")])
KEPT = 1 << 20
"""Hashes of items that are kept, at least, before they are counted once each."""
WORKERS = 2
"""Buckets that are gone through at the same time."""
Done = tuple[Rows, Measured]


class Found(NamedTuple):
    """Rows that repeat another one: how many, and the first of them; and accounts by kind."""

    duplicates: int
    doubled: tuple[Place, ...]
    groups: tuple[Group, ...]


class Trails:
    """Rows without faults, by account."""

    def __init__(self, secret: bytes) -> None:
        self.key = key(secret)
        self.items, self.more = np.zeros(0, np.uint64), list[Words]()
        self.rows = Buckets(ROW)
        self.behind: Future[None] | None = None
        self.thread: ThreadPoolExecutor | None = None

    def add(self, batch: pa.RecordBatch, file: Ints, row: Ints) -> None:
        """Put rows aside, each with the index of its file and its number there."""
        self.wait()
        self.thread = self.thread or ThreadPoolExecutor(1, "trails")
        self.behind = self.thread.submit(self._keep, batch, file, row)

    def wait(self) -> None:
        """Until everything is put aside; raises what went wrong."""
        if self.behind is not None:
            self.behind.result()
            self.behind = None

    def _keep(self, batch: pa.RecordBatch, file: Ints, row: Ints) -> None:
        kept = np.empty(len(batch), ROW)
        kept["user"], items = (hashed(batch.column(name), self.key) for name in COLUMNS[:2])
        coded = batch.column("interaction_type").dictionary_encode()
        kept["type"] = hashed(coded.dictionary, self.key)[coded.indices.to_numpy()]
        kept["item"], kept["time"], kept["file"], kept["row"] = items, batch.column("timestamp").to_numpy(), file, row
        self._count(items)
        self.rows.add(kept["user"], kept)

    def _count(self, items: Words) -> None:
        self.more.append(items)
        if sum(map(len, self.more)) > max(KEPT, len(self.items)):
            self._settle()

    def _settle(self) -> None:
        items = np.sort(np.concatenate([self.items, *self.more]))
        self.items = items[np.r_[True, items[1:] != items[:-1]]] if len(items) else items
        self.more.clear()

    def merge(self, other: "Trails", files: Sequence[int]) -> None:
        """Put aside what another has put aside; `files` says for each index of a file there which it has here."""
        self.wait()
        other.wait()
        self._count(np.concatenate([other.items, *other.more]))
        for rows in other.rows:
            moved = rows.copy()
            moved["file"] = np.array(files)[rows["file"]]
            self.rows.add(moved["user"], moved)

    def found(self) -> Found:
        """What there is; more can be put aside afterwards."""
        self.wait()
        self._settle()
        doubled, duplicates, groups = list[Place](), 0, dict[Account, list[int]]()
        count = partial(_bucket, catalogue=len(self.items))
        with ThreadPoolExecutor(WORKERS) as pool:
            for again, seen in _few(pool, count, self.rows):
                duplicates += len(again)
                doubled = sorted([*doubled, *_places(again)])[:SHOWN]
                _group(seen, groups)
        return Found(duplicates, tuple(doubled), tuple(Group(kind, *groups[kind]) for kind in sorted(groups)))

    def __getstate__(self) -> dict[str, Any]:
        """For another process, with everything put aside: a thread cannot travel."""
        self.wait()
        return self.__dict__ | {"thread": None}


def _few(pool: ThreadPoolExecutor, work: Callable[[Rows], Done], each: Iterable[Rows]) -> Iterator[Done]:
    """The work on each, in order; no more of them are held at once than there are threads, and one."""
    waiting = deque[Future[Done]]()
    for rows in each:
        waiting.append(pool.submit(work, rows))
        if len(waiting) > WORKERS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _bucket(rows: Rows, catalogue: int) -> Done:
    """The rows of a bucket that are there already, and its accounts."""
    users, time = (np.ascontiguousarray(rows[name]) for name in ("user", "time"))
    user = pa.array(users).dictionary_encode().indices.to_numpy().astype(np.int64)
    order, tied = _ordered(user, time)
    if tied.any():  # of one moment, or nearly: brought in order with items and types, each as they came
        near = np.flatnonzero(np.r_[False, tied] | np.r_[tied, False])
        some = order[near]
        keys = [rows[name][some] for name in ("row", "file", "type", "item", "time")]
        order[near] = some[np.lexsort([*keys, user[some]])]
    user, time = user[order], time[order]
    near = np.flatnonzero((user[1:] == user[:-1]) & (time[1:] == time[:-1])) + 1
    for name in ("item", "type"):
        near = near[rows[name][order[near]] == rows[name][order[near - 1]]]
    again = rows[order[near]]
    if len(near):
        user, time, order = (np.delete(column, near) for column in (user, time, order))
    return again, measure(user, pa.array(np.ascontiguousarray(rows["item"])[order]), time, catalogue)


def _ordered(user: Ints, time: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """The order of rows by user (numbers from 0 on), then time; and which cannot be told from the one before.

    The number of each row is sorted along, in the lowest bits of what it is sorted by: that is many times faster than
    to ask for an order. Where that leaves too few bits for the time, the finest are lost, and more rows are told alike.
    """
    low = len(user).bit_length()
    fine = 63 - low - int(user.max()).bit_length()
    if fine < 1:
        raise OverflowError(f"{len(user):,} rows in a bucket are more than can be told apart")
    since = (time - time.min()).view(np.uint64)
    lost = max(0, int(since.max()).bit_length() - fine)
    key = np.sort((((user << fine) | (since >> np.uint64(lost)).view(np.int64)) << low) | np.arange(len(user)))
    return key & ((1 << low) - 1), (key[1:] >> low) == (key[:-1] >> low)


def _places(rows: Rows) -> list[Place]:
    """The first few places of rows."""
    order = np.lexsort((rows["row"], rows["file"]))[:SHOWN]
    return [(int(file), int(row)) for file, row in zip(rows["file"][order], rows["row"][order], strict=True)]


def _group(seen: Measured, groups: dict[Account, list[int]]) -> None:
    """Count accounts by kind."""
    accounts = np.bincount(seen.which, minlength=len(seen.kinds)).tolist()
    sizes = np.bincount(seen.which, seen.rows, len(seen.kinds)).astype(np.int64).tolist()
    for kind, *more in zip(seen.kinds, accounts, sizes, strict=True):
        groups[kind] = [sum(pair) for pair in zip(groups.get(kind, (0, 0)), more, strict=True)]
