"""What kind of row a row is: its interaction type by vocabulary, the class of its ids, its day, and its faults.

Rows are counted by kind where the limits that they will be judged by are not known. A kind holds nothing of a person:
no id, and no time finer than a day or the minutes next to midnight.
"""

from collections import Counter
from datetime import date, timedelta
from functools import lru_cache
from string import ascii_letters, digits
from typing import Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator

from security.errors import CannotTell
from security.rows.columns import COLUMNS, SCHEMA, Fault, Mask
from security.rows.repeats import Place, Repeats
from security.rows.scan import Profile
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
_PLAIN = np.isin(np.arange(256), np.frombuffer(f"{ascii_letters}{digits}_.:-".encode(), np.uint8))
"""Of each byte, whether it is a plain character."""
MOST_KINDS = 20_000
"""More kinds of rows than this are not counted: the facts would be as large as the rows."""
SHOWN = 3
"""Places that are kept of a kind, and told of a rule."""
_EMPTY = b"empty"
_EDGES = ("", "first", "last")
_TIMES = int(Fault.MISSING | Fault.NULL | Fault.TYPE | Fault.TIME)
_TEXTS = int(Fault.MISSING | Fault.NULL | Fault.TYPE | Fault.EMPTY | Fault.LONG | Fault.KIND)

Ints = NDArray[np.int64]


class Kind(NamedTuple):
    """What a look keeps of a row. `length` is an upper bound of both ids'; `edge` is the minutes next to midnight."""

    type: Literal["view", "click", "purchase", "rating", "other", ""]
    length: int
    letters: Literal["plain", "printable", "odd"]
    day: str
    edge: Literal["", "first", "last"]
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
        if _plain(ids):
            continue
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
    faults = batch.column("faults").to_numpy().astype(np.int64)
    for name in COLUMNS:
        unmarked = _nulls(batch, name) & ((faults & (_TIMES if name == "timestamp" else _TEXTS)) == 0)
        faults[unmarked] |= int(Fault.NULL)
    sizes = (len(VOCABULARY) + 2, len(LENGTHS), len(LETTERS), _DAYS + 3, len(_EDGES), int(sum(Fault)) + 1)
    codes = np.ravel_multi_index((named, size, letters, day, edge, faults), sizes)
    coded = pa.array(codes).dictionary_encode()
    parts = np.transpose(np.unravel_index(coded.dictionary.to_numpy(), sizes)).tolist()
    return [_kind(*part) for part in parts], coded.indices.to_numpy().astype(np.int64)


def _plain(ids: pa.StringArray) -> bool:
    """Whether no byte of these texts is other than plain: what the first pattern would find, without looking apart."""
    if not len(ids):
        return True
    ends = np.frombuffer(ids.buffers()[1], np.int32)[[ids.offset, ids.offset + len(ids)]]
    body = np.frombuffer(ids.buffers()[2] or b"", np.uint8)[ends[0] : ends[1]]
    return bool(_PLAIN[body].all())


@lru_cache(1 << 15)
def _kind(named: int, size: int, letters: int, day: int, edge: int, faults: int) -> Kind:
    days = {0: "", 1: "before", _DAYS + 2: "after"}
    told = days[day] if day in days else (FLOOR + timedelta(days=day - 2)).isoformat()
    kind = (*VOCABULARY, "other", "")[named]
    return Kind._make((kind, LENGTHS[size], LETTERS[letters], told, _EDGES[edge], faults))


def _nulls(batch: pa.RecordBatch, name: str) -> NDArray[np.bool_]:
    nulls: NDArray[np.bool_] = batch.column(name).is_null().to_numpy(zero_copy_only=False)
    return nulls


def empty(name: str) -> pa.RecordBatch:
    """A batch that says of a file that it has no rows."""
    return pa.RecordBatch.from_pylist([], schema=SCHEMA.with_metadata({_EMPTY: name.encode()}))


class Tally(Profile):
    """The profile of the contract: rows by kind, the places of the first, and repetitions."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self.files, self.empty = dict[str, int](), list[str]()
        self.counts, self.first = Counter[Kind](), dict[Kind, list[Place]]()
        self.repeats = Repeats(secret)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch, or note the file that it stands for."""
        name = (batch.schema.metadata or {}).get(_EMPTY)
        if name is not None:
            self.empty.append(name.decode())
        if not batch.num_rows:
            return
        column = batch.column("file")
        known = self._known(column.dictionary.to_pylist())
        file, row = known[column.indices.to_numpy()], batch.column("row").to_numpy()
        found, index = kinds(batch)
        for place, (kind, count) in enumerate(zip(found, np.bincount(index).tolist(), strict=True)):
            self.counts[kind] += count
            first = self.first.setdefault(kind, [])
            if len(first) < SHOWN:
                where = np.flatnonzero(index == place)[: SHOWN - len(first)]
                first += zip(file[where].tolist(), row[where].tolist(), strict=True)
        self._few()
        sound = np.array([kind.faults == 0 for kind in found])[index]
        if sound.all():
            self.repeats.add(batch, file)
        else:
            self.repeats.add(batch.filter(pa.array(sound)), file[sound])

    def merge(self, other: Self) -> None:
        """Add up."""
        known = self._known(list(other.files))
        self.empty += other.empty
        for kind, count in other.counts.items():
            self.counts[kind] += count
            first = self.first.setdefault(kind, [])
            first += [(int(known[file]), row) for file, row in other.first[kind][: SHOWN - len(first)]]
        self._few()
        self.repeats.merge(other.repeats, known)

    def facts(self) -> Counts:
        """Everything that was counted."""
        duplicates, doubled = self.repeats.found(SHOWN)
        return Counts(
            rows=self.counts.total(),
            files=tuple(self.files),
            empty=tuple(self.empty),
            cells=tuple(Cell(kind, self.counts[kind], tuple(self.first[kind])) for kind in sorted(self.counts)),
            duplicates=duplicates,
            doubled=tuple(doubled),
        )

    def _known(self, names: list[str]) -> Mask:
        """The indices of files, new ones at the end."""
        return np.array([self.files.setdefault(name, len(self.files)) for name in names], np.uint32)

    def _few(self) -> None:
        if len(self.counts) > MOST_KINDS:
            raise CannotTell(f"more than {MOST_KINDS:,} kinds of rows", "facts")
