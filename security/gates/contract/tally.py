"""Counts rows while they are looked at: by kind, by partition, by account; and finds rows that are there twice.

Memory is bounded as rows grow: 40 bytes of each row without faults are put aside by account (`security.rows.buckets`),
and one bucket is held at a time; ids are there as keyed hashes. What grows is the list of distinct items, 8 bytes each.

A tally of some rows, merged with one of others, is the tally of all of them, wherever they were cut.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from security.errors import CannotTell
from security.gates.contract.kinds import (
    EMPTY,
    MOST_KINDS,
    SHOWN,
    Cell,
    Counts,
    Group,
    Ints,
    Kind,
    Place,
    kinds,
    partition,
)
from security.rows.accounts import Account, Measured, measure
from security.rows.buckets import Buckets, Rows
from security.rows.columns import COLUMNS
from security.rows.hashes import Words, hashed, key
from security.rows.scan import Profile

ROW = np.dtype([("user", "u8"), ("item", "u8"), ("type", "i4"), ("time", "i8"), ("file", "i4"), ("row", "i8")])
KEPT = 1 << 20
"""Hashes of items that are kept before they are counted once each."""
WORKERS = 2
"""Buckets that are counted at the same time."""
Done = tuple[Rows, Measured]


class Tally(Profile):
    """The profile of the data contract."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self.key = key(secret)
        self.files, self.empty, self.partitions = dict[str, int](), list[str](), Counter[str]()
        self.counts, self.first = Counter[Kind](), dict[Kind, list[Place]]()
        self.types, self.items, self.more = dict[str, int](), np.zeros(0, np.uint64), list[Words]()
        self.rows = Buckets(ROW)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch, or note the file that it stands for."""
        name = (batch.schema.metadata or {}).get(EMPTY)
        if name is not None:
            self.empty.append(name.decode())
        if lies := partition(batch):
            self.partitions[lies] += batch.num_rows
        if not batch.num_rows:
            return
        column = batch.column("file")
        known = [self.files.setdefault(each, len(self.files)) for each in column.dictionary.to_pylist()]
        file, row = np.array(known)[column.indices.to_numpy()], batch.column("row").to_numpy()
        found, index = kinds(batch)
        for place, (kind, count) in enumerate(zip(found, np.bincount(index).tolist(), strict=True)):
            self.counts[kind] += count
            first = self.first.setdefault(kind, [])
            if len(first) < SHOWN:
                where = np.flatnonzero(index == place)[: SHOWN - len(first)]
                first += zip(file[where].tolist(), row[where].tolist(), strict=True)
        if len(self.counts) > MOST_KINDS:
            raise CannotTell(f"more than {MOST_KINDS:,} kinds of rows", "facts")
        sound = np.array([kind.faults == 0 for kind in found])[index]
        if not sound.all():
            batch, file, row = batch.filter(pa.array(sound)), file[sound], row[sound]
        self._keep(batch, file, row)

    def _keep(self, batch: pa.RecordBatch, file: Ints, row: Ints) -> None:
        kept = np.empty(len(batch), ROW)
        kept["user"], kept["item"] = (hashed(batch.column(name), self.key) for name in COLUMNS[:2])
        coded = batch.column("interaction_type").dictionary_encode()
        codes = [self.types.setdefault(value, len(self.types)) for value in coded.dictionary.to_pylist()]
        kept["type"] = np.array(codes, np.int32)[coded.indices.to_numpy()]
        self._items(pc.unique(pa.array(kept["item"])).to_numpy())
        kept["time"], kept["file"], kept["row"] = batch.column("timestamp").to_numpy(), file, row
        self.rows.add(kept["user"], kept)

    def _items(self, fresh: Words) -> None:
        self.more.append(fresh)
        if sum(map(len, self.more)) > KEPT:
            self._settle()

    def _settle(self) -> None:
        items = np.sort(np.concatenate([self.items, *self.more]))
        self.items = items[np.r_[True, items[1:] != items[:-1]]] if len(items) else items
        self.more.clear()

    def merge(self, other: "Tally") -> None:
        """Count what another has counted as well, as if its rows had come after these.

        Both need the same secret: hashes under different ones cannot be held against each other.
        """
        if self.secret != other.secret:
            raise ValueError("profiles under different secrets cannot be merged")
        files = [self.files.setdefault(name, len(self.files)) for name in other.files]
        self.empty += other.empty
        self.partitions.update(other.partitions)  # adds, and keeps those without rows
        self.counts.update(other.counts)
        for kind, places in other.first.items():
            first = self.first.setdefault(kind, [])
            first += [(files[file], row) for file, row in places][: SHOWN - len(first)]
        if len(self.counts) > MOST_KINDS:
            raise CannotTell(f"more than {MOST_KINDS:,} kinds of rows", "facts")
        types = np.array([self.types.setdefault(name, len(self.types)) for name in other.types], np.int32)
        self._items(np.concatenate([other.items, *other.more]))
        for rows in other.rows:
            moved = rows.copy()
            moved["type"], moved["file"] = types[rows["type"]], np.array(files)[rows["file"]]
            self.rows.add(moved["user"], moved)

    def facts(self) -> Counts:
        """Everything that was counted; it can go on."""
        self._settle()
        doubled, duplicates, groups = list[Place](), 0, dict[Account, list[int]]()
        count = partial(_bucket, catalogue=len(self.items))
        with ThreadPoolExecutor(WORKERS) as pool:
            for again, seen in _few(pool, count, self.rows):
                duplicates += len(again)
                doubled = sorted([*doubled, *_places(again)])[:SHOWN]
                _group(seen, groups)
        return Counts(
            rows=self.counts.total(),
            files=tuple(self.files),
            empty=tuple(self.empty),
            cells=tuple(Cell(kind, self.counts[kind], tuple(self.first[kind])) for kind in sorted(self.counts)),
            partitions=dict(sorted(self.partitions.items())),
            duplicates=duplicates,
            doubled=tuple(doubled),
            groups=tuple(Group(kind, *groups[kind]) for kind in sorted(groups)),
        )


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
