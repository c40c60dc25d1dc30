"""Counts rows while they are looked at: by kind, by partition, by account; and finds rows that are there twice.

Memory is bounded as rows grow: 40 bytes of each row without faults are put aside by account (`security.rows.buckets`),
and one bucket is held at a time; ids are there as keyed hashes. What grows is the list of distinct items, 8 bytes each.

A tally of some rows, merged with one of others, is the tally of all of them, wherever they were cut.
"""

from collections import Counter

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
from security.rows.accounts import Account, measure
from security.rows.buckets import Buckets, Rows
from security.rows.columns import COLUMNS
from security.rows.hashes import Words, hashed, key
from security.rows.scan import Profile

ROW = np.dtype([("user", "u8"), ("item", "u8"), ("type", "i4"), ("time", "i8"), ("file", "i4"), ("row", "i8")])
KEPT = 1 << 20
"""Hashes of items that are kept before they are counted once each."""


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
        self.items = np.unique(np.concatenate([self.items, *self.more]))
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
        self._items(np.unique(np.concatenate([other.items, *other.more])))
        for rows in other.rows:
            moved = rows.copy()
            moved["type"], moved["file"] = types[rows["type"]], np.array(files)[rows["file"]]
            self.rows.add(moved["user"], moved)

    def facts(self) -> Counts:
        """Everything that was counted; it can go on."""
        self._settle()
        doubled, duplicates, groups = list[Place](), 0, dict[Account, list[int]]()
        for rows in self.rows:
            again, once = _again(rows)
            duplicates += len(again)
            doubled = sorted([*doubled, *_places(again)])[:SHOWN]
            _group(once, len(self.items), groups)
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


def _again(rows: Rows) -> tuple[Rows, Rows]:
    """The rows that are there already, and the others in order of user and time."""
    user = pa.array(rows["user"]).dictionary_encode().indices.to_numpy().astype(np.int64)
    order = _ordered(user, rows["time"])
    same = np.r_[False, _alike(rows, order, "user", "time")]
    tied = np.flatnonzero(same | np.r_[same[1:], False])
    if len(tied):  # of one moment: brought together by item and type, each in the order in which they came
        some = order[tied]
        keys = [rows[name][some] for name in ("row", "file", "type", "item", "time")]
        order[tied] = some[np.lexsort([*keys, user[some]])]  # by users in the same order as above
    twice = np.r_[False, _alike(rows, order, "user", "time", "item", "type")]
    return rows[order[twice]], rows[order[~twice]]


def _ordered(user: Ints, time: Ints) -> Ints:
    """The order of rows by user, a number from 0 on, then by time; rows that agree in both in any order."""
    since = time - time.min()
    span = int(since.max()) + 1
    if (int(user.max()) + 1) * span < 1 << 63:
        return np.argsort(user * span + since)
    return np.lexsort((time, user))


def _alike(rows: Rows, order: Ints, *names: str) -> NDArray[np.bool_]:
    """Whether a row has the same values as the one before it."""
    columns = [rows[name][order] for name in names]
    return np.asarray(np.logical_and.reduce([column[1:] == column[:-1] for column in columns]))


def _places(rows: Rows) -> list[Place]:
    """The first few places of rows."""
    order = np.lexsort((rows["row"], rows["file"]))[:SHOWN]
    return [(int(file), int(row)) for file, row in zip(rows["file"][order], rows["row"][order], strict=True)]


def _group(rows: Rows, catalogue: int, groups: dict[Account, list[int]]) -> None:
    """Count accounts by kind."""
    user, time = (np.ascontiguousarray(rows[name]) for name in ("user", "time"))
    seen = measure(user, pa.array(rows["item"]), time, catalogue)
    accounts = np.bincount(seen.which, minlength=len(seen.kinds)).tolist()
    sizes = np.bincount(seen.which, seen.rows, len(seen.kinds)).astype(np.int64).tolist()
    for kind, *more in zip(seen.kinds, accounts, sizes, strict=True):
        groups[kind] = [sum(pair) for pair in zip(groups.get(kind, (0, 0)), more, strict=True)]
