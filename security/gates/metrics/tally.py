"""Sums over users, from their lists alone: what every metric is made of. Sums of batches are those of the whole."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from security.errors import CannotTell
from security.material import Material
from security.verdict import Subject

Metric = Literal["precision@10", "recall@10", "ndcg@10", "lift@10"]
Baseline = Literal["popularity", "random", "knn"]
System = Literal["model", "popularity", "random", "knn", "shuffled", "ceiling"]
REQUIRED: tuple[System, ...] = ("model", "popularity", "random", "knn", "shuffled")
OPTIONAL: tuple[System, ...] = ("ceiling",)
K = 10
BATCH = 8192
"""Users that are measured at once: what bounds memory."""
UNIT = 1 << 40
"""Sums are integers of this fraction, so that they do not depend on how rows fall into batches."""
_GAIN = 1 / np.log2(np.arange(2, K + 2))
_BEST = np.concatenate(([1.0], np.cumsum(_GAIN)))


def columns(schema: Any) -> tuple[int, list[System]]:
    """The size of the catalogue and the systems of a schema, or `CannotTell`."""
    systems = [*REQUIRED, *(system for system in OPTIONAL if f"top_{system}" in schema.names)]
    lists = pa.list_(pa.int32())
    expected = {"user": pa.int32(), "held": lists, "seen": lists, **{f"top_{each}": lists for each in systems}}
    # Lists are equal whatever their element field is called, which Parquet files do not agree on.
    if {each.name: each.type for each in schema} != expected or len(schema) != len(expected):
        raise CannotTell(f"the evaluation's columns are not {', '.join(expected)} of int32 and lists of int32")
    items = (schema.metadata or {}).get(b"items", b"")
    if not (items.isdigit() and len(items) < 10 and int(items) > 0):
        raise CannotTell("the evaluation's schema does not say how many items the catalogue has")
    return int(items), systems


def _flat(column: Any) -> tuple[Any, Any, Any]:
    """Row and item of every entry of a list column, and the number of entries of each row."""
    values = column.flatten()
    if column.null_count or values.null_count:
        raise CannotTell("the evaluation has empty cells")
    counts = np.diff(column.offsets.to_numpy()).astype(np.int64)
    return np.repeat(np.arange(len(column)), counts), values.to_numpy().astype(np.int64), counts


def _keys(rows: Any, items: Any) -> Any:
    """One integer for each pair of row and item."""
    return (rows << 32) | (items & 0xFFFFFFFF)


def distinct(keys: Any) -> Any:
    """The keys in order, each once. Sorted, as NumPy's `unique` hashes, many times slower on keys like these."""
    ordered = np.sort(keys)
    return ordered[np.diff(ordered, prepend=ordered[:1] - 1) != 0]


def _within(keys: Any, ordered: Any) -> Any:
    """Which keys are among `ordered` ones."""
    if not len(ordered):
        return np.zeros(len(keys), dtype=bool)
    return ordered[np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)] == keys


def _first(keys: Any) -> Any:
    """Which keys are the first of their kind."""
    order = np.argsort(keys, kind="stable")
    first = np.zeros(len(keys), dtype=bool)
    first[order[np.diff(keys[order], prepend=keys[order][:1] - 1) != 0]] = True
    return first


@dataclass
class Tally:
    """Sums over users; `a + b` is the tally of both."""

    items: int = 0
    counts: Any = field(default_factory=lambda: np.zeros(5, dtype=object))
    """Users, bare, overlap, held repeated, held foreign."""
    ids: list[Any] = field(default_factory=list)
    sums: dict[System, Any] = field(default_factory=dict)
    """System -> hits, recall, nDCG, leaks, repeated, foreign, odd."""

    def __add__(self, other: "Tally") -> "Tally":
        """Sum of two tallies of the same catalogue and systems; that of nothing adds nothing."""
        if not (self.sums and other.sums):
            return other if other.sums else self
        if (self.items, set(self.sums)) != (other.items, set(other.sums)):
            raise CannotTell("the evaluation's batches are of different catalogues or systems")
        sums = {system: self.sums[system] + other.sums[system] for system in self.sums}
        return Tally(self.items, self.counts + other.counts, self.ids + other.ids, sums)


def tally(batch: Any) -> Tally:
    """The tally of one Arrow batch of any size that fits in memory."""
    items, systems = columns(batch.schema)
    if batch.column("user").null_count:
        raise CannotTell("the evaluation has empty cells")
    size = batch.num_rows
    held_rows, held_items, _ = _flat(batch.column("held"))
    seen_rows, seen_items, _ = _flat(batch.column("seen"))
    held = distinct(_keys(held_rows, held_items))
    seen = distinct(_keys(seen_rows, seen_items))
    wanted = np.bincount(held >> 32, minlength=size)
    some = wanted > 0
    sums: dict[System, Any] = {}
    for system in systems:
        rows, found, lengths = _flat(batch.column(f"top_{system}"))
        keys = _keys(rows, found)
        first = _first(keys)
        rank = np.arange(len(keys)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        hit = first & (rank < K) & _within(keys, held)
        hits = np.bincount(rows[hit], minlength=size)[some]
        gain = np.bincount(rows[hit], weights=_GAIN[rank[hit]], minlength=size)[some]
        recall = np.rint(hits / wanted[some] * UNIT).astype(np.int64)
        ndcg = np.rint(gain / _BEST[np.minimum(wanted[some], K)] * UNIT).astype(np.int64)
        foreign = (found < 0) | (found >= items)
        parts = hits, recall, ndcg, _within(keys, seen), ~first, foreign, lengths != K
        sums[system] = np.array([int(part.sum()) for part in parts], dtype=object)
    overlap = int(_within(held, seen).sum())
    outside = int(((held_items < 0) | (held_items >= items)).sum())
    counts = [size, int((~some).sum()), overlap, len(held_items) - len(held), outside]
    return Tally(items, np.array(counts, dtype=object), [batch.column("user").to_numpy()], sums)


def batches(items: Iterable[Any]) -> Iterator[Any]:
    """The same rows in batches of at most `BATCH`."""
    for item in items:
        for start in range(0, item.num_rows, BATCH):
            yield item.slice(start, BATCH)


def material(subject: Subject, files: Sequence[Path], expected: int) -> Material[Any]:
    """The rows of the Parquet `files`, whose bytes the caller has checked; `expected` users as listed elsewhere."""

    def source() -> Iterator[Any]:
        try:
            for path in files:
                with pq.ParquetFile(path) as file:
                    yield from file.iter_batches(batch_size=BATCH)
        except (OSError, pa.ArrowException) as why:
            raise CannotTell(f"the evaluation cannot be read as Parquet ({type(why).__name__})") from None

    # One batch: canaries are made row by row.
    return Material(subject, source, expected=expected, unit="users", weigh=lambda batch: int(batch.num_rows), sample=1)
