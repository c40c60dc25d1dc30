"""Sums over users, from their lists alone: what every metric is made of. Sums of batches are those of the whole."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from security.bootstrap import PART, REPLICATES, resampled
from security.errors import CannotTell
from security.gates.metrics.looks import KEY, Looks, read
from security.gates.metrics.names import AVERAGED, MOST
from security.material import Material
from security.rows import lists
from security.verdict import Subject

Baseline = Literal["popularity", "random", "knn"]
System = Literal["model", "popularity", "random", "knn", "shuffled", "ceiling"]
REQUIRED: tuple[System, ...] = ("model", "popularity", "random", "knn", "shuffled")
OPTIONAL: tuple[System, ...] = ("ceiling",)
APPROVED, LEARNED = "approved", "learned"
"""The approved model, and the held-out items that it was trained on or stopped by, whose users say nothing of it."""
GROUP = "group_"
"""How the columns begin that say which groups a user is in."""
BATCH = 8192
"""Users that are measured at once: what bounds memory."""
UNIT = PART << 20
"""Sums are integers of this fraction, so that they do not depend on how rows fall into batches."""
_GAIN = 1 / np.log2(np.arange(2, MOST + 2))
_BEST = np.concatenate(([1.0], np.cumsum(_GAIN)))


@dataclass(frozen=True)
class Frame:
    """What an evaluation's schema says: the size of the catalogue, every k, ascending, its systems, and the looks."""

    items: int
    cuts: tuple[int, ...]
    systems: tuple[System, ...]
    looks: Looks
    approved: str = ""
    """Digest of the approved model; empty where there is none."""

    @property
    def k(self) -> int:
        """The length of each list."""
        return self.cuts[-1]

    @property
    def columns(self) -> list[tuple[System, str, int]]:
        """What is averaged over users: system, metric, k."""
        return [(system, name, k) for system in self.systems for k in self.cuts for name in AVERAGED]

    @property
    def beside(self) -> list[tuple[str, str, int]]:
        """What is averaged over the users by whom the approved model can be compared; the last counts them."""
        if not self.approved:
            return []
        names = [(system, name, k) for system in (APPROVED, "model") for k in self.cuts for name in AVERAGED]
        return [*names, ("", "users", 0)]


def frame(schema: Any) -> Frame:
    """What a schema says, or `CannotTell`."""
    systems = [*REQUIRED, *(system for system in OPTIONAL if f"top_{system}" in schema.names)]
    many = pa.list_(pa.int32())
    expected = {"user": pa.int32(), "held": many, "seen": many, "held_from": pa.int64(), "seen_until": pa.int64()}
    expected |= {f"top_{each}": many for each in systems}
    told = schema.metadata or {}
    who = told.get(b"approved", b"-").decode("ascii", "replace")
    if who and not re.fullmatch("[0-9a-f]{64}", who):
        raise CannotTell("the evaluation's schema does not say which model is approved, or that none is")
    expected |= {f"top_{APPROVED}": many, LEARNED: many} if who else {}
    # What users are grouped by is for another gate. Lists are equal whatever their element field is called, which
    # Parquet files do not agree on.
    mine = [each for each in schema if not each.name.startswith(GROUP)]
    if {each.name: each.type for each in mine} != expected or len(mine) != len(expected):
        raise CannotTell(f"the evaluation's columns are not {', '.join(expected)} of integers and lists of int32")
    items, ks = told.get(b"items", b""), told.get(b"k", b"").split(b",")
    if not (items.isdigit() and len(items) < 10 and int(items) > 0):
        raise CannotTell("the evaluation's schema does not say how many items the catalogue has")
    if not all(k.isdigit() and len(k) < 4 and 1 <= int(k) <= MOST for k in ks) or ks != sorted(set(ks), key=int):
        raise CannotTell(f"the evaluation's schema does not say k, ascending, from 1 to {MOST}")
    return Frame(int(items), tuple(map(int, ks)), tuple(systems), read(told), who)


def _averaged(hit: Any, wanted: Any, k: int) -> list[Any]:
    """Of each user the metrics `AVERAGED` at k. `hit`: [users, >= k], which places hit; `wanted`: held-out items."""
    hit = hit[:, :k]
    hits = hit.sum(axis=1)
    gain = (hit * _GAIN[:k]).sum(axis=1)
    precise = (hit * (np.cumsum(hit, axis=1) / np.arange(1, k + 1))).sum(axis=1)
    return [hits / k, hits / wanted, gain / _BEST[np.minimum(wanted, k)], precise / wanted, (hits > 0).astype(float)]


@dataclass
class Tally:
    """Sums over users; `a + b` is the tally of both."""

    frame: Frame | None = None
    counts: Any = field(default_factory=lambda: np.zeros(6, dtype=object))
    """Users, bare, overlap, held repeated, held foreign, held before something seen."""
    ids: list[Any] = field(default_factory=list)
    faults: dict[str, Any] = field(default_factory=dict)
    """System, and the approved model -> leaks, repeated, foreign, odd."""
    sums: Any = None
    """Of each column of the frame, in units: whole numbers of any size."""
    weight: Any = field(default_factory=lambda: np.zeros(REPLICATES))
    replicates: Any = None
    """[REPLICATES, columns]: the sums of resampled users, in parts."""
    popular: Any = None
    """Of each item, how many users have it in their training part."""
    listed: Any = None
    """[systems, cuts, items]: how many lists have it among their first k."""
    beside: Any = None
    """As `sums`, of the frame's `beside`."""
    drawn: Any = None
    """As `replicates`, likewise."""

    def __add__(self, other: "Tally") -> "Tally":
        """Sum of two tallies of the same frame; that of nothing adds nothing."""
        if self.frame is None or other.frame is None:
            return other if self.frame is None else self
        if self.frame != other.frame:
            raise CannotTell("the evaluation's batches are of different catalogues, k, systems or looks")
        return Tally(
            self.frame,
            self.counts + other.counts,
            self.ids + other.ids,
            {system: self.faults[system] + other.faults[system] for system in self.faults},
            self.sums + other.sums,
            self.weight + other.weight,
            self.replicates + other.replicates,
            self.popular + other.popular,
            self.listed + other.listed,
            self.beside + other.beside,
            self.drawn + other.drawn,
        )


def tally(batch: Any) -> Tally:
    """The tally of one Arrow batch of any size that fits in memory."""
    told, size = frame(batch.schema), batch.num_rows
    if any(batch.column(name).null_count for name in ("user", "held_from", "seen_until")):
        raise CannotTell("the evaluation has empty cells")
    users = batch.column("user").to_numpy()
    held_rows, held_items, _ = lists.flat(batch.column("held"))
    seen_rows, seen_items, _ = lists.flat(batch.column("seen"))
    held = lists.distinct(lists.keys(held_rows, held_items))
    seen = lists.distinct(lists.keys(seen_rows, seen_items))
    wanted = np.bincount(held >> 32, minlength=size)
    some = wanted > 0
    values: list[Any] = []
    faults: dict[str, Any] = {}
    listed = np.zeros((len(told.systems), len(told.cuts), told.items), dtype=np.int64)
    for number, system in enumerate([*told.systems, *([APPROVED] if told.approved else [])]):
        rows, found, lengths = lists.flat(batch.column(f"top_{system}"))
        keys = lists.keys(rows, found)
        first = lists.first(keys)
        rank = lists.ranks(lengths)
        hit = first & (rank < told.k) & lists.within(keys, held)
        places = np.zeros((size, told.k), dtype=np.int64)
        places[rows[hit], rank[hit]] = 1
        foreign = (found < 0) | (found >= told.items)
        for cut, k in enumerate(told.cuts):
            values += _averaged(places[some], wanted[some], k)
            if number < len(told.systems):
                mine = first & ~foreign & (rank < k) & some[rows]
                listed[number, cut] = np.bincount(found[mine], minlength=told.items)
        parts = lists.within(keys, seen), ~first, foreign, lengths != told.k
        faults[system] = np.array([int(part.sum()) for part in parts], dtype=object)
    whole = np.stack(values[: len(told.columns)], axis=1)
    weight, replicates = resampled(users[some], whole)
    beside = _beside(batch, told, some, values)
    taken = seen[some[seen >> 32]] & 0xFFFFFFFF  # one below 0 is above every catalogue's last
    outside = int(((held_items < 0) | (held_items >= told.items)).sum())
    early = batch.column("held_from").to_numpy() < batch.column("seen_until").to_numpy()
    counts = [size, int((~some).sum()), int(lists.within(held, seen).sum()), len(held_items) - len(held), outside]
    return Tally(
        told,
        np.array([*counts, int((early & some).sum())], dtype=object),
        [users],
        faults,
        np.rint(whole * UNIT).astype(np.int64).sum(axis=0).astype(object),
        weight,
        replicates,
        np.bincount(taken[taken < told.items], minlength=told.items),
        listed,
        np.rint(beside * UNIT).astype(np.int64).sum(axis=0).astype(object),
        resampled(users[some], beside)[1],
    )


def _beside(batch: Any, told: Frame, some: Any, values: list[Any]) -> Any:
    """[users, columns]: the metrics of approved and model of each user by whom they can be compared, 0 of the others;
    the last column says who can."""
    if not told.approved:
        return np.zeros((int(some.sum()), 0))
    fair = (lists.flat(batch.column(LEARNED))[2] == 0)[some]
    many = len(AVERAGED) * len(told.cuts)
    own = told.systems.index("model") * many
    both = [*values[len(told.columns) :], *values[own : own + many], np.ones(len(fair))]
    return np.stack(both, axis=1) * fair[:, None]


def batches(items: Iterable[Any]) -> Iterator[Any]:
    """The same rows in batches of at most `BATCH`."""
    for item in items:
        for start in range(0, item.num_rows, BATCH):
            yield item.slice(start, BATCH)


def material(subject: Subject, files: Sequence[Path], expected: int, looks: Looks) -> Material[Any]:
    """The rows of the Parquet `files`, whose bytes the caller has checked; `expected` users as listed elsewhere, and
    the looks that the index of runs has."""
    told = looks.model_dump_json().encode()

    def source() -> Iterator[Any]:
        try:
            for path in files:
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(batch_size=BATCH):
                        yield batch.replace_schema_metadata({**(batch.schema.metadata or {}), KEY: told})
        except (OSError, pa.ArrowException) as why:
            raise CannotTell(f"the evaluation cannot be read as Parquet ({type(why).__name__})") from None

    # One batch: canaries are made row by row.
    return Material(subject, source, expected=expected, unit="users", weigh=lambda batch: int(batch.num_rows), sample=1)
