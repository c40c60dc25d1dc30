"""Counts rows while they are looked at: by kind, by partition, by account; and finds rows that are there twice.

Memory is bounded as rows grow (`security.gates.contract.trails`). A tally of some rows, merged with one of others, is
the tally of all of them, wherever they were cut.
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from security.errors import CannotTell
from security.gates.contract.kinds import EMPTY, MOST_KINDS, SHOWN, Cell, Counts, Kind, Place, kinds, partition
from security.gates.contract.listed import listed
from security.gates.contract.trails import Trails
from security.rows.scan import Profile


class Tally(Profile):
    """The profile of the data contract."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self.files, self.empty, self.partitions = dict[str, int](), list[str](), Counter[str]()
        self.listed: frozenset[str] | None = None
        """Columns of groups that every batch so far is marked with."""
        self.counts, self.first = Counter[Kind](), dict[Kind, list[Place]]()
        self.trails = Trails(secret)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch, or note the file that it stands for."""
        name = (batch.schema.metadata or {}).get(EMPTY)
        if name is not None:
            self.empty.append(name.decode())
        if lies := partition(batch):
            self.partitions[lies] += batch.num_rows
        if not batch.num_rows:
            return
        self.listed = frozenset(listed(batch)) & (listed(batch).keys() if self.listed is None else self.listed)
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
        self.trails.add(batch, file, row)

    def merge(self, other: "Tally") -> None:
        """Count what another has counted as well, as if its rows had come after these.

        Both need the same secret: hashes under different ones cannot be held against each other.
        """
        if self.secret != other.secret:
            raise ValueError("profiles under different secrets cannot be merged")
        files = [self.files.setdefault(name, len(self.files)) for name in other.files]
        if other.listed is not None:
            self.listed = other.listed & (other.listed if self.listed is None else self.listed)
        self.empty += other.empty
        self.partitions.update(other.partitions)  # adds, and keeps those without rows
        self.counts.update(other.counts)
        for kind, places in other.first.items():
            first = self.first.setdefault(kind, [])
            first += [(files[file], row) for file, row in places][: SHOWN - len(first)]
        if len(self.counts) > MOST_KINDS:
            raise CannotTell(f"more than {MOST_KINDS:,} kinds of rows", "facts")
        self.trails.merge(other.trails, files)

    def facts(self) -> Counts:
        """Everything that was counted; it can go on."""
        return Counts(
            rows=self.counts.total(),
            files=tuple(self.files),
            empty=tuple(self.empty),
            cells=tuple(Cell(kind, self.counts[kind], tuple(self.first[kind])) for kind in sorted(self.counts)),
            partitions=dict(sorted(self.partitions.items())),
            listed=tuple(sorted(self.listed or ())),
            **self.trails.found()._asdict(),
        )
