"""Known-bad evaluations: for each rule a maker that takes rows and breaks that rule."""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from security.errors import CannotTell
from security.gate import Violation
from security.gates.metrics.looks import KEY, MOST, Look, read
from security.gates.metrics.tally import APPROVED, GROUP, LEARNED, frame

Row = dict[str, Any]
Change = Callable[[list[Row], list[str], int, random.Random], None]


def edited(change: Change, approved: bytes | None = None) -> Violation[Any]:
    """Makes a copy of the sample with its rows changed. `change` gets the rows, the systems' columns, the items.
    `approved`: another word for which model is, empty for none."""

    def make(sample: Sequence[Any], draw: random.Random) -> list[Any]:
        told = frame(sample[0].schema)
        rows = [row for batch in sample for row in batch.to_pylist()]
        looked = [name for name in sample[0].schema.names if not name.startswith(GROUP)]
        if any(row[name] is None for row in rows for name in looked) or not rows:
            raise CannotTell("the evaluation has empty cells or no rows")
        change(rows, [f"top_{system}" for system in told.systems], told.items, draw)
        schema = sample[0].schema if approved is None else _schema(sample[0].schema, approved)
        made = pa.RecordBatch.from_pylist(rows, schema=schema)
        # In two parts: an engine that looks at the first alone may miss what is wrong.
        cut = draw.randrange(1, len(rows)) if len(rows) > 1 else 0
        return [made.slice(0, cut), made.slice(cut)] if cut else [made]

    return make


def _schema(given: Any, approved: bytes) -> Any:
    """The schema of an evaluation beside another approved model, or none."""
    names = (f"top_{APPROVED}", LEARNED)
    plain = pa.schema([each for each in given if each.name not in names], metadata=given.metadata)
    for name in names if approved else ():
        plain = plain.append(pa.field(name, pa.list_(pa.int32())))
    return plain.with_metadata({**(given.metadata or {}), b"approved": approved})


def _others(row: Row, items: int, draw: random.Random) -> Iterator[int]:
    """Items that a user has neither taken nor held out."""
    mine, start = {*row["seen"], *row["held"]}, draw.randrange(items)
    return ((start + item) % items for item in range(items) if (start + item) % items not in mine)


def _fall(rows: list[Row], tops: list[str], items: int, draw: random.Random) -> None:
    """Nobody hits anything that is listed."""
    kept = []
    for row in rows:
        listed = {item for top in tops for item in row[top]}
        others = (item for item in range(items) if item not in listed and item not in row["seen"])
        row["held"] = [item for item in row["held"] if item not in listed] or list(islice(others, 1))
        if row["held"]:
            kept.append(row)
    rows[:] = kept or rows


def _match(rows: list[Row], tops: list[str], items: int, draw: random.Random) -> None:
    """Every baseline has the model's items, but for one hit of one user: by so little nobody is ahead for sure."""
    for row in rows:
        for top in ("top_popularity", "top_random", "top_knn"):
            row[top] = list(row["top_model"])
    hit = [(row, at) for row in rows for at, item in enumerate(row["top_model"]) if item in row["held"]]
    if hit:
        row, at = draw.choice(hit)
        other = next((item for item in _others(row, items, draw) if item not in row["top_model"]), None)
        for top in ("top_popularity", "top_random", "top_knn") if other is not None else ():
            row[top][at] = other


def _learn(rows: list[Row], tops: list[str], items: int, draw: random.Random) -> None:
    """The control has everything that is held out, and first."""
    for row in rows:
        long = len(row["top_shuffled"])
        told = dict.fromkeys(item for item in row["held"] if item not in row["seen"])
        row["top_shuffled"] = [*told, *islice(_others(row, items, draw), long)][:long]


def _behind(rows: list[Row], tops: list[str], items: int, draw: random.Random) -> None:
    """The approved model has everything that is held out, and first; of the model's lists nothing hits."""
    _fall(rows, ["top_model"], items, draw)
    for row in rows:
        long = len(row["top_model"])
        told = dict.fromkeys(item for item in row["held"] if item not in row["seen"])
        row[f"top_{APPROVED}"] = [*told, *islice(_others(row, items, draw), long)][:long]
        row[LEARNED] = []


def _alone(rows: list[Row], tops: list[str], items: int, draw: random.Random) -> None:
    """No model is approved."""


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


def _early(rows: list[Row], tops: list[str], items: int, draw: random.Random) -> None:
    """What is held out of some users is older than what was trained on."""
    for row in draw.sample(rows, min(len(rows), draw.randint(1, 3))):
        row["held_from"], row["seen_until"] = 0, draw.randint(1, 10**9)
        row["held"] = row["held"] or [next(item for item in range(items + 1) if item not in row["seen"])]


def _looked(*, beside: bool) -> Violation[Any]:
    """Makes a copy of the sample that more runs looked at than any policy lets; or that has them beside it."""

    def make(sample: Sequence[Any], draw: random.Random) -> list[Any]:
        told = read(sample[0].schema.metadata)
        data = f"{draw.randrange(16**64):064x}" if beside else told.data
        more = [
            Look(run=f"{draw.randrange(16**6):06x}", at=told.looks[-1].at - draw.random() * 1e6, data=data)
            for _ in range(MOST + draw.randint(1, 9))
        ]
        looks = told.model_copy(update={"looks": (*sorted(more, key=lambda each: each.at), *told.looks)})
        metadata = sample[0].schema.metadata | {KEY: looks.model_dump_json().encode()}
        return [batch.replace_schema_metadata(metadata) for batch in sample]

    return make


VIOLATIONS: dict[str, Violation[Any]] = {
    "MET-THRESHOLD": edited(_fall),
    "MET-BASELINE": edited(_match),
    "MET-REGRESSION": edited(_behind, b"c" * 64),
    "MET-FIRST": edited(_alone, b""),
    "MET-CONTROL": edited(_learn),
    "MET-LEAK": edited(_leak),
    "MET-TIME": edited(_early),
    "MET-LIST": edited(_spoil),
    "MET-USERS": edited(_twice),
    "MET-ATTEMPTS": _looked(beside=False),
    "MET-PARTITION": _looked(beside=True),
}
