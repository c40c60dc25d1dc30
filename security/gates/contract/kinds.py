"""What kind of row a row is: its interaction type by vocabulary, the class of its ids, its day, and its faults.

Rows are counted by kind where the limits that they will be judged by are not known. A kind holds nothing of a person:
no id, and no time finer than a day or the minutes next to midnight.
"""

from datetime import date, timedelta
from functools import lru_cache
from string import ascii_letters, digits
from typing import Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator

from security.gates.contract.listed import odd
from security.rows.accounts import Account
from security.rows.columns import COLUMNS, SCHEMA, Fault, content, sizes
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
_PLAIN = f"{ascii_letters}{digits}_.:-".encode()
MOST_KINDS = 20_000
"""More kinds of rows than this are not counted: the facts would be as large as the rows."""
RECENT, HIGHEST = 90, 100
"""The most partitions that one is compared with, and the highest share of their median that can be asked for."""
SHOWN = 3
"""Places that are kept of a kind, and told of a rule."""
EMPTY, PARTITION = b"empty", b"partition"
_EDGES = ("", "first", "last")
_SIDES = ("", "in", "before", "after", "apart")
_STEPS = np.searchsorted(np.array(LENGTHS[:-1]), np.arange(LENGTHS[-2] + 2))
"""Of a number of characters, the index of its bound in `LENGTHS`; whatever is longer is like the last."""
_BASES = (len(VOCABULARY) + 2, len(LENGTHS), len(LETTERS), _DAYS + 3, len(_EDGES), len(_SIDES), int(sum(Fault)) + 1)
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


class Group(NamedTuple):
    """Accounts that behave alike: how many, and how many rows they have, repeated ones once."""

    kind: Account
    accounts: int
    rows: int


class Counts(Frozen):
    """Rows by kind, files by name (those without rows apart), exact repetitions of rows without faults, accounts."""

    rows: int = Field(ge=0)
    files: tuple[str, ...]
    empty: tuple[str, ...]
    cells: tuple[Cell, ...]
    partitions: dict[str, int]
    """Partition -> rows of its files, faulty ones too; empty where files lie in none."""
    duplicates: int = Field(ge=0)
    doubled: tuple[Place, ...]
    groups: tuple[Group, ...]
    """Of the rows without faults."""
    listed: tuple[str, ...]
    """Columns of groups that were looked at, sorted."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if sum(cell.rows for cell in self.cells) != self.rows:
            raise ValueError("counts by kind that are not the number of rows")
        sound = sum(cell.rows for cell in self.cells if not cell.kind.faults)
        if sum(group.rows for group in self.groups) + self.duplicates != sound:
            raise ValueError("rows by account that are not the number of rows without faults")
        return self


def kinds(batch: pa.RecordBatch) -> tuple[list[Kind], Ints]:
    """The kinds of a batch of `SCHEMA`, and for each row the index of its kind."""
    known = _filled(pc.index_in(batch.column("interaction_type"), pa.array(VOCABULARY)), len(VOCABULARY))
    named = _unless(_nulls(batch, "interaction_type"), known, len(VOCABULARY) + 1)
    ids = [_letters(batch.column(name)) for name in ("user_id", "item_id")]
    size = _STEPS[np.minimum(np.maximum(*(length for length, _ in ids)), len(_STEPS) - 1)]
    letters = np.maximum(*(letters for _, letters in ids))
    lacks = _nulls(batch, "timestamp")
    stamp = _filled(batch.column("timestamp"), 0)
    day = stamp // _DAY
    rest, margin = stamp - day * _DAY, SKEW * 60_000_000
    edge = (rest < margin) + 2 * (rest >= _DAY - margin)
    side = _sides(partition(batch), day)
    faults = batch.column("faults").to_numpy()
    for name in COLUMNS:
        nulls = _nulls(batch, name)
        if nulls is not None:
            unmarked = nulls & ((faults & (_TIMES if name == "timestamp" else _TEXTS)) == 0)
            faults = faults | unmarked * np.uint32(Fault.NULL)
    if (strange := odd(batch)) is not None:
        faults = faults | strange * np.uint32(Fault.GROUP)
    if int(faults.max(initial=0)) >= _BASES[-1]:
        raise ValueError(f"a mask of faults of {faults.max()}; there are none above {_BASES[-1] - 1}")
    dated = [_unless(lacks, each, 0) for each in (np.clip(day - _FIRST, -1, _DAYS) + 2, edge, side)]
    codes = np.zeros(len(batch), np.int64)
    for base, digit in zip(_BASES, (named, size, letters, *dated, faults), strict=True):
        codes *= base
        codes += digit
    coded = pa.array(codes).dictionary_encode()
    parts = np.transpose(np.unravel_index(coded.dictionary.to_numpy(), _BASES)).tolist()
    return [_kind(*part) for part in parts], coded.indices.to_numpy().astype(np.int64)


def _letters(ids: pa.StringArray) -> tuple[Ints, Ints]:
    """For each of these texts the number of its characters, and of the letters they are, as an index of `LETTERS`."""
    letters = np.zeros(len(ids), np.int64)
    if _plain(ids):
        return sizes(ids).astype(np.int64), letters
    for level, pattern in enumerate((r"[^A-Za-z0-9_.:\-]", r"[\pC\pZ\s]"), 1):
        found = pc.match_substring_regex(ids, pattern).fill_null(False).to_numpy(zero_copy_only=False)
        if not found.any():
            break
        letters[found] = level
    return pc.utf8_length(ids).fill_null(0).to_numpy(), letters


def _plain(ids: pa.StringArray) -> bool:
    """Whether no byte of these texts is other than plain: what the first pattern would find, without looking apart."""
    return not content(ids).tobytes().translate(None, _PLAIN)


def _sides(name: str, day: Ints) -> Ints | int:
    """For each row on which side of a partition its day lies, as an index into `_SIDES`; days since 1970."""
    if not name:
        return 0
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
    return batch.replace_schema_metadata({**(batch.schema.metadata or {}), PARTITION: name.encode()}) if name else batch


def partition(batch: pa.RecordBatch) -> str:
    """The partition that the file of a batch lies in; empty where it is marked with none."""
    return str((batch.schema.metadata or {}).get(PARTITION, b"").decode())


@lru_cache(1 << 15)
def _kind(named: int, size: int, letters: int, day: int, edge: int, side: int, faults: int) -> Kind:
    days = {0: "", 1: "before", _DAYS + 2: "after"}
    told = days[day] if day in days else (FLOOR + timedelta(days=day - 2)).isoformat()
    kind = (*VOCABULARY, "other", "")[named]
    return Kind._make((kind, LENGTHS[size], LETTERS[letters], told, _EDGES[edge], _SIDES[side], faults))


def _nulls(batch: pa.RecordBatch, name: str) -> NDArray[np.bool_] | None:
    column = batch.column(name)
    return column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None


def _filled(column: pa.Array, value: int) -> Ints:
    filled: Ints = (column.fill_null(value) if column.null_count else column).to_numpy()
    return filled


def _unless(lacks: NDArray[np.bool_] | None, value: Ints | int, other: int) -> Ints | int:
    return value if lacks is None else np.where(lacks, other, value)


def empty(name: str) -> pa.RecordBatch:
    """A batch that says of a file that it has no rows."""
    return pa.RecordBatch.from_pylist([], schema=SCHEMA.with_metadata({EMPTY: name.encode()}))
