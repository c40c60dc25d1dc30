"""Metric thresholds: precision@10, recall@10 and nDCG@10, computed again from the lists of each user.

Rows: `user` int32, `held` (held-out items) and `seen` (items of the training part) as lists of int32, and for each
system `top_<system>`, its ten items in order. The schema's metadata `items` is the size of the catalogue: items are 0
to items - 1. precision@10 = hits / 10; recall@10 = hits / held items; nDCG@10 has gains of 0 and 1 and the discount
1 / log2(rank + 1) (Järvelin and Kekäläinen 2002); all are means over the users with held-out items. A repeated item
hits once. The control `shuffled` is the model trained on shuffled data: where it does well too, the test is wrong.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from security.errors import CannotTell
from security.gate import Gate, Material, Violation
from security.verdict import Breach, Frozen, Rule, Subject

Metric = Literal["precision@10", "recall@10", "ndcg@10", "lift@10"]
Baseline = Literal["popularity", "random", "knn"]
System = Literal["model", "popularity", "random", "knn", "shuffled", "ceiling"]
REQUIRED: tuple[System, ...] = ("model", "popularity", "random", "knn", "shuffled")
OPTIONAL: tuple[System, ...] = ("ceiling",)
K = 10
BATCH = 8192
"""Users that are measured at once: what bounds memory."""
_UNIT = 1 << 40
"""Sums are integers of this fraction, so that they do not depend on how rows fall into batches."""
_GAIN = 1 / np.log2(np.arange(2, K + 2))
_BEST = np.concatenate(([1.0], np.cumsum(_GAIN)))


class Limits(Frozen):
    """The lowest that each metric may be; what the model must beat; how far the control may lie over popularity.

    The control keeps how often each item occurs and nothing else, so it can learn popularity and no more. One that
    reaches further has been told something by the evaluation.
    """

    thresholds: dict[Metric, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    beats: frozenset[Baseline] = Field(default=frozenset({"popularity", "random"}), min_length=1)
    control_over: float = Field(default=1.25, ge=1, le=2)
    """Largest precision@10 of the control, in those of popularity."""
    min_users: int = Field(default=100, ge=1)
    bare_share: float = Field(default=0.0, ge=0, lt=1)
    """Largest share of users without held-out items."""

    @model_validator(mode="after")
    def _reachable(self) -> "Limits":
        if any(lowest > 1 for metric, lowest in self.thresholds.items() if metric != "lift@10"):
            raise ValueError("a threshold above 1 of a metric that is a share")
        return self


class Scores(Frozen):
    """One system: means over the users with held-out items, and counts over all of its lists."""

    precision: float
    recall: float
    ndcg: float
    leaks: int
    """Items that the user has in the training part."""
    repeated: int
    foreign: int
    """Items outside the catalogue."""
    odd: int
    """Lists that do not have ten items."""


class Facts(Frozen):
    """Counts, and the scores of each system."""

    users: int
    again: int
    """Rows of a user that has another row."""
    bare: int
    """Users without held-out items."""
    overlap: int
    """Held-out items that are also in the training part."""
    held_repeated: int
    held_foreign: int
    items: int
    systems: dict[System, Scores]


def _columns(schema: Any) -> tuple[int, list[System]]:
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


def _distinct(keys: Any) -> Any:
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
    items, systems = _columns(batch.schema)
    if batch.column("user").null_count:
        raise CannotTell("the evaluation has empty cells")
    size = batch.num_rows
    held_rows, held_items, _ = _flat(batch.column("held"))
    seen_rows, seen_items, _ = _flat(batch.column("seen"))
    held = _distinct(_keys(held_rows, held_items))
    seen = _distinct(_keys(seen_rows, seen_items))
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
        recall = np.rint(hits / wanted[some] * _UNIT).astype(np.int64)
        ndcg = np.rint(gain / _BEST[np.minimum(wanted[some], K)] * _UNIT).astype(np.int64)
        foreign = (found < 0) | (found >= items)
        parts = hits, recall, ndcg, _within(keys, seen), ~first, foreign, lengths != K
        sums[system] = np.array([int(part.sum()) for part in parts], dtype=object)
    overlap = int(_within(held, seen).sum())
    outside = int(((held_items < 0) | (held_items >= items)).sum())
    counts = [size, int((~some).sum()), overlap, len(held_items) - len(held), outside]
    return Tally(items, np.array(counts, dtype=object), [batch.column("user").to_numpy()], sums)


def _batches(items: Iterable[Any]) -> Iterator[Any]:
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


Row = dict[str, Any]
Change = Callable[[list[Row], list[str], int, random.Random], None]


def _edited(change: Change) -> Violation[Any]:
    """Makes a copy of the sample with its rows changed. `change` gets the rows, the systems' columns, the items."""

    def make(sample: Sequence[Any], draw: random.Random) -> list[Any]:
        items, systems = _columns(sample[0].schema)
        rows = [row for batch in sample for row in batch.to_pylist()]
        if any(value is None for row in rows for value in row.values()) or not rows:
            raise CannotTell("the evaluation has empty cells or no rows")
        change(rows, [f"top_{system}" for system in systems], items, draw)
        return [pa.RecordBatch.from_pylist(rows, schema=sample[0].schema)]

    return make


def _fall(rows: list[Row], tops: list[str], items: int, draw: random.Random) -> None:
    """Nobody hits anything, and the model one item, so that it still beats everybody."""
    single: list[tuple[Row, int]] = []
    kept = []
    for row in rows:
        listed = {item for top in tops for item in row[top]}
        free = [item for item in row["held"] if item not in listed]
        if not free:
            free = [item for item in row["seen"] if item not in listed][:1]
            row["seen"] = [item for item in row["seen"] if item not in free]
        row["held"] = free
        if free:
            kept.append(row)
            others = {item for top in tops if top != "top_model" for item in row[top]} | set(row["seen"])
            single += [(row, item) for item in row["top_model"] if item not in others]
    if kept:
        rows[:] = kept
    if single:
        row, item = draw.choice(single)
        row["held"].append(item)


def _match(rows: list[Row], tops: list[str], items: int, draw: random.Random) -> None:
    """Every baseline has the model's items."""
    for row in rows:
        for top in ("top_popularity", "top_random", "top_knn"):
            row[top] = draw.sample(row["top_model"], len(row["top_model"]))


def _learn(rows: list[Row], tops: list[str], items: int, draw: random.Random) -> None:
    """The control has the model's items."""
    for row in rows:
        row["top_shuffled"] = draw.sample(row["top_model"], len(row["top_model"]))


def _spot(rows: list[Row], tops: list[str], draw: random.Random) -> tuple[Row, str, int]:
    """A row, a column and a place in its list, where there is no hit if there is such a place."""
    row, top = draw.choice(rows), draw.choice(tops)
    row[top] = row[top] or [0]
    places = [place for place, item in enumerate(row[top]) if item not in row["held"]] or range(len(row[top]))
    return row, top, draw.choice(places)


def _leak(rows: list[Row], tops: list[str], items: int, draw: random.Random) -> None:
    """Items of a list are in the training part."""
    for _ in range(draw.randint(1, 3)):
        row, top, place = _spot(rows, tops, draw)
        row["seen"].append(row[top][place])


def _spoil(rows: list[Row], tops: list[str], items: int, draw: random.Random) -> None:
    """A list is short, repeats an item, or has one from outside the catalogue."""
    row, top, place = _spot(rows, tops, draw)
    odd = draw.choice(["short", "repeated", "foreign"])
    if odd == "short" or len(row[top]) == 1:
        del row[top][place]
    else:
        others = row[top][:place] + row[top][place + 1 :]
        row[top][place] = draw.choice(others if odd == "repeated" else [-1, items, items + draw.randint(1, 999)])


def _twice(rows: list[Row], tops: list[str], items: int, draw: random.Random) -> None:
    """A user counts twice."""
    if len(rows) == 1 or draw.random() < 0.5:
        rows.insert(draw.randrange(len(rows)), dict(draw.choice(rows)))
    else:
        one, other = draw.sample(rows, 2)
        one["user"] = other["user"]


_VALID = ("NIST AI RMF MEASURE 2.3", "NIST AI RMF MEASURE 2.5")


class MetricThresholds(Gate[Any]):
    """The model is as good as was asked, better than what needs no model, and so by a test that can fail."""

    name: ClassVar[str] = "metric_thresholds"
    kind: ClassVar[str] = "scores"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        id: Rule(id=id, title=title, severity="high", remedy=remedy, controls=_VALID)
        for id, title, remedy in (
            ("MET-THRESHOLD", "a metric below its threshold", "train a better model; no policy lowers a threshold"),
            ("MET-BASELINE", "a model no better than a baseline", "train a better model, or ship the baseline"),
            ("MET-CONTROL", "a control that does well", "find what the test gives away: a split, a list, a leak"),
            ("MET-LEAK", "a training item in the test", "split on pairs of user and item; mask seen items"),
            ("MET-LIST", "a list not of ten items of the catalogue", "rank the whole catalogue, each item once"),
            ("MET-USERS", "users that are too few, doubled or without held-out items", "evaluate every user once"),
        )
    }
    violations: ClassVar[Mapping[str, Violation[Any]]] = {
        "MET-THRESHOLD": _edited(_fall),
        "MET-BASELINE": _edited(_match),
        "MET-CONTROL": _edited(_learn),
        "MET-LEAK": _edited(_leak),
        "MET-LIST": _edited(_spoil),
        "MET-USERS": _edited(_twice),
    }

    def look(self, material: Material[Any]) -> Facts:
        """Every metric of every system, from the lists alone."""
        total = sum(map(tally, _batches(material)), Tally())
        users, bare, overlap, repeated, foreign = total.counts
        count = users - bare
        if not count:
            raise CannotTell("no user has a held-out item", "coverage")
        systems: dict[System, Scores] = {}
        for system, (hits, recall, ndcg, leaks, twice, outside, odd) in total.sums.items():
            scores = {"precision": hits / (K * count), "recall": recall / _UNIT / count, "ndcg": ndcg / _UNIT / count}
            systems[system] = Scores(**scores, leaks=leaks, repeated=twice, foreign=outside, odd=odd)
        return Facts(
            users=users,
            again=users - len(_distinct(np.concatenate(total.ids).astype(np.int64))),
            bare=bare,
            overlap=overlap,
            held_repeated=repeated,
            held_foreign=foreign,
            items=total.items,
            systems=systems,
        )

    def judge(self, facts: Facts, limits: Limits) -> Iterable[Breach]:
        """Breaches of the thresholds, of the comparison, and of what makes both mean something."""
        model, popularity = facts.systems["model"], facts.systems["popularity"]
        control = facts.systems["shuffled"].precision
        lift = model.precision / popularity.precision if popularity.precision else None
        found = {"precision@10": model.precision, "recall@10": model.recall, "ndcg@10": model.ndcg, "lift@10": lift}
        for metric, lowest in sorted(limits.thresholds.items()):
            value = found[metric]
            if value is None:
                message = f"found no value, as popularity hits nothing; allowed: {lowest:g} or more"
                yield Breach(rule="MET-THRESHOLD", place=metric, message=message)
            elif value < lowest:
                message = f"found {value:.4f}; allowed: {lowest:g} or more"
                yield Breach(rule="MET-THRESHOLD", place=metric, message=message)
        for name in sorted(limits.beats):
            other = facts.systems[name].precision
            if model.precision <= other:
                message = f"found precision@10 {model.precision:.4f}; allowed: more than {other:.4f}, that of {name}"
                yield Breach(rule="MET-BASELINE", place=name, message=message)
        highest, threshold = limits.control_over * popularity.precision, limits.thresholds.get("precision@10")
        if control > highest or (threshold is not None and control >= threshold):
            allowed = f"no more than {highest:.4f}" + (f", and less than {threshold:.4f}" if threshold else "")
            message = f"found precision@10 {control:.4f} on shuffled data; allowed: {allowed}"
            yield Breach(rule="MET-CONTROL", place="shuffled", message=message)
        yield from self._rows(facts, limits)

    def _rows(self, facts: Facts, limits: Limits) -> Iterable[Breach]:
        leaks = {f"top_{system}": scores.leaks for system, scores in facts.systems.items()} | {"held": facts.overlap}
        for place, count in leaks.items():
            if count:
                message = f"found {count:,} items that their users have in the training part; allowed: 0"
                yield Breach(rule="MET-LEAK", place=place, message=message)
        lists = {f"top_{system}": (each.odd, each.repeated, each.foreign) for system, each in facts.systems.items()}
        for place, (odd, repeated, foreign) in (lists | {"held": (0, facts.held_repeated, facts.held_foreign)}).items():
            if odd or repeated or foreign:
                message = f"found {odd:,} lists not of {K}, {repeated:,} repeated items, {foreign:,} foreign items"
                yield Breach(rule="MET-LIST", place=place, message=f"{message}; allowed: 0")
        count = facts.users - facts.bare
        if count < limits.min_users:
            message = f"found {count:,} users with held-out items; allowed: {limits.min_users:,} or more"
            yield Breach(rule="MET-USERS", place="users", message=message)
        if facts.again:
            message = f"found {facts.again:,} rows of a user again; allowed: 0"
            yield Breach(rule="MET-USERS", place="user", message=message)
        if facts.bare > limits.bare_share * facts.users:
            message = f"found {facts.bare:,} of {facts.users:,} users without; allowed: share of {limits.bare_share:g}"
            yield Breach(rule="MET-USERS", place="held", message=message)

    def brief(self, facts: Facts) -> str:
        """Precision of the model, and of popularity."""
        model, popularity = facts.systems["model"], facts.systems["popularity"]
        return f"precision@10 {model.precision:.3f}, popularity {popularity.precision:.3f}"
