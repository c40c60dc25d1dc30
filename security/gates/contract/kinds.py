"""What kind of row a row is: its interaction type by vocabulary, the class of its ids, its day, and its faults.

Rows are counted by kind where the limits that they will be judged by are not known. A kind holds nothing of a person:
no id, and no time finer than a day or the minutes next to midnight.
"""

import secrets
from collections import Counter
from datetime import date, timedelta
from typing import Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator

from security.errors import CannotTell
from security.rows.columns import COLUMNS, SCHEMA, Fault, Mask
from security.verdict import Frozen

VOCABULARY = ("view", "click", "purchase", "rating")
LENGTHS = (0, 8, 16, 32, 64, 128, 256)
LETTERS = ("plain", "printable", "odd")
"""Of ids: ASCII letters, digits and `_.:-` only; others too; spaces or control characters among them."""
FLOOR, CEILING = date(1990, 1, 1), date(2100, 1, 1)
"""Days outside are counted as `before` and `after`, and are in no window."""
SKEW = 5
"""Minutes next to midnight that are counted apart, so that a policy can forgive clocks that differ by as much."""
_DAY, _FIRST = 86_400_000_000, FLOOR.toordinal() - date(1970, 1, 1).toordinal()
_DAYS = (CEILING - FLOOR).days
MOST_KINDS = 20_000
"""More kinds of rows than this are not counted: the facts would be as large as the rows."""
RECENT, HIGHEST = 90, 100
"""The most partitions that one is compared with, and the highest share of their median that can be asked for."""
SHOWN = 3
"""Places that are kept of a kind, and told of a rule."""
_EMPTY, _PARTITION = b"empty", b"partition"
_EDGES = ("", "first", "last")
_SIDES = ("", "in", "before", "after", "apart")
_TIMES = int(Fault.MISSING | Fault.NULL | Fault.TYPE | Fault.TIME)
_TEXTS = int(Fault.MISSING | Fault.NULL | Fault.TYPE | Fault.EMPTY | Fault.LONG | Fault.KIND)

Ints = NDArray[np.int64]
Place = tuple[int, int]
"""Index of a file in the facts' list, and row in it."""


class Kind(NamedTuple):
    """What a look keeps of a row. `length` is an upper bound of both ids'; `edge` is the minutes next to midnight."""

    type: Literal["view", "click", "purchase", "rating", "other", ""]
    length: int
    letters: Literal["plain", "printable", "odd"]
    day: str
    edge: Literal["", "first", "last"]
    side: Literal["", "in", "before", "after", "apart"]
    """Of the partition that its file lies in: inside, on the day before or after, or further; empty without either."""
    faults: int


class Cell(NamedTuple):
    """A kind, how many rows are of it, and the first of them."""

    kind: Kind
    rows: int
    first: tuple[Place, ...]


class Counts(Frozen):
    """Rows by kind, files by name (those without rows apart), and exact repetitions of rows without faults."""

    rows: int = Field(ge=0)
    files: tuple[str, ...]
    empty: tuple[str, ...]
    cells: tuple[Cell, ...]
    partitions: dict[str, int]
    """Partition -> rows of its files, faulty ones too; empty where files lie in none."""
    duplicates: int = Field(ge=0)
    doubled: tuple[Place, ...]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if sum(cell.rows for cell in self.cells) != self.rows:
            raise ValueError("counts by kind that are not the number of rows")
        return self


def kinds(batch: pa.RecordBatch) -> tuple[list[Kind], Ints]:
    """The kinds of a batch of `SCHEMA`, and for each row the index of its kind."""
    known = pc.index_in(batch.column("interaction_type"), pa.array(VOCABULARY)).fill_null(len(VOCABULARY))
    named = np.where(_nulls(batch, "interaction_type"), len(VOCABULARY) + 1, known.to_numpy().astype(np.int64))
    length, letters = np.zeros(len(batch), np.int64), np.zeros(len(batch), np.int64)
    for name in ("user_id", "item_id"):
        ids = batch.column(name)
        length = np.maximum(length, pc.utf8_length(ids).fill_null(0).to_numpy())
        for level, pattern in enumerate((r"[^A-Za-z0-9_.:\-]", r"[\pC\pZ\s]"), 1):
            found = pc.match_substring_regex(ids, pattern).fill_null(False).to_numpy(zero_copy_only=False)
            if not found.any():
                break
            letters[found] = np.maximum(letters[found], level)
    size = np.searchsorted(np.array(LENGTHS[:-1]), length)
    lacks = _nulls(batch, "timestamp")
    stamp = batch.column("timestamp").fill_null(0).to_numpy()
    day, rest = np.divmod(stamp, _DAY)
    day = np.where(lacks, 0, np.clip(day - _FIRST, -1, _DAYS) + 2)
    margin = SKEW * 60_000_000
    edge = np.where(lacks, 0, np.where(rest < margin, 1, np.where(rest >= _DAY - margin, 2, 0)))
    side = np.where(lacks, 0, _sides(batch, np.floor_divide(stamp, _DAY)))
    faults = batch.column("faults").to_numpy().astype(np.int64)
    for name in COLUMNS:
        unmarked = _nulls(batch, name) & ((faults & (_TIMES if name == "timestamp" else _TEXTS)) == 0)
        faults[unmarked] |= int(Fault.NULL)
    sizes = (len(VOCABULARY) + 2, len(LENGTHS), len(LETTERS), _DAYS + 3, len(_EDGES), len(_SIDES), int(sum(Fault)) + 1)
    codes = np.ravel_multi_index((named, size, letters, day, edge, side, faults), sizes)
    unique, index = np.unique(codes, return_inverse=True)
    parts = np.transpose(np.unravel_index(unique, sizes)).tolist()
    return [_kind(*part) for part in parts], index.astype(np.int64)


def _sides(batch: pa.RecordBatch, day: Ints) -> Ints:
    """For each row on which side of its partition its day lies, as an index into `_SIDES`; days since 1970."""
    name = partition(batch)
    if not name:
        return np.zeros(len(day), np.int64)
    first, last = span(name)
    sides = [(day < first - 1, 4), (day > last + 1, 4), (day < first, 2), (day > last, 3)]
    return np.select([where for where, _ in sides], [code for _, code in sides], 1)


def span(name: str) -> tuple[int, int]:
    """First and last day of a partition, a day or a month, in days since 1970."""
    year, month, *rest = map(int, name.split("-"))
    first = date(year, month, rest[0] if rest else 1)
    last = first if rest else (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return first.toordinal() - date(1970, 1, 1).toordinal(), last.toordinal() - date(1970, 1, 1).toordinal()


def calendar(first: str, last: str) -> list[str]:
    """Every partition from one to another, both included: days, or months."""
    if len(first) == len("2000-01"):
        (year, month), (years, months) = (map(int, name.split("-")) for name in (first, last))
        return [f"{n // 12:04d}-{n % 12 + 1:02d}" for n in range(year * 12 + month - 1, years * 12 + months)]
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [str(start + timedelta(days=n)) for n in range((end - start).days + 1)]


def placed(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    """The batch, marked with the partition that its file lies in."""
    return (
        batch.replace_schema_metadata({**(batch.schema.metadata or {}), _PARTITION: name.encode()}) if name else batch
    )


def partition(batch: pa.RecordBatch) -> str:
    """The partition that the file of a batch lies in; empty where it is marked with none."""
    return str((batch.schema.metadata or {}).get(_PARTITION, b"").decode())


def _kind(named: int, size: int, letters: int, day: int, edge: int, side: int, faults: int) -> Kind:
    days = {0: "", 1: "before", _DAYS + 2: "after"}
    told = days[day] if day in days else (FLOOR + timedelta(days=day - 2)).isoformat()
    kind = (*VOCABULARY, "other", "")[named]
    return Kind._make((kind, LENGTHS[size], LETTERS[letters], told, _EDGES[edge], _SIDES[side], faults))


def _nulls(batch: pa.RecordBatch, name: str) -> NDArray[np.bool_]:
    nulls: NDArray[np.bool_] = batch.column(name).is_null().to_numpy(zero_copy_only=False)
    return nulls


def empty(name: str) -> pa.RecordBatch:
    """A batch that says of a file that it has no rows."""
    return pa.RecordBatch.from_pylist([], schema=SCHEMA.with_metadata({_EMPTY: name.encode()}))


class Tally:
    """Counts while looking: batches in, facts out."""

    def __init__(self) -> None:
        self.files, self.empty, self.partitions = dict[str, int](), list[str](), Counter[str]()
        self.factors = np.array([secrets.randbits(64) | 1 for _ in COLUMNS], np.uint64)
        self.counts, self.first = Counter[Kind](), dict[Kind, list[Place]]()
        self.hashes, self.files_of, self.rows_of = list[NDArray[np.uint64]](), list[Mask](), list[Mask]()

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch, or note the file that it stands for."""
        name = (batch.schema.metadata or {}).get(_EMPTY)
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
        sound = np.flatnonzero(np.array([kind.faults == 0 for kind in found])[index])
        self.hashes.append(self._hashed(batch)[sound])
        self.files_of.append(file[sound].astype(np.uint32))
        self.rows_of.append(row[sound].astype(np.uint32))

    def _hashed(self, batch: pa.RecordBatch) -> NDArray[np.uint64]:
        """64 bits for each whole row. Rows that collide would be a finding too many, never one too few."""
        total = batch.column("timestamp").fill_null(0).to_numpy().astype(np.uint64) * self.factors[0]
        for name, factor in zip(COLUMNS[:3], self.factors[1:], strict=True):
            coded = batch.column(name).fill_null("").dictionary_encode()
            hashed = np.fromiter(map(hash, coded.dictionary.to_pylist()), np.int64)
            total = total + (hashed.astype(np.uint64) * factor)[coded.indices.to_numpy()]
        return np.asarray(total, np.uint64)

    def facts(self) -> Counts:
        """Everything that was counted."""
        hashes = np.concatenate([*self.hashes, np.zeros(0, np.uint64)])
        again = np.ones(len(hashes), bool)
        again[np.unique(hashes, return_index=True)[1]] = False
        where = np.flatnonzero(again)
        file, row = (np.concatenate([*held, np.zeros(0, np.uint32)])[where] for held in (self.files_of, self.rows_of))
        return Counts(
            rows=self.counts.total(),
            files=tuple(self.files),
            empty=tuple(self.empty),
            cells=tuple(Cell(kind, self.counts[kind], tuple(self.first[kind])) for kind in sorted(self.counts)),
            partitions=dict(sorted(self.partitions.items())),
            duplicates=len(where),
            doubled=tuple(zip(file[:SHOWN].tolist(), row[:SHOWN].tolist(), strict=True)),
        )
