"""Known-bad evaluations: for each rule a maker that takes rows and breaks that rule.

Users are made up, so many that no policy calls their groups too few: what is left of the sample is its form, its
catalogue, its groupings and names. So no person is in the facts of a canary, and nobody can take the figures of a
sample from those of the whole to have those of the few users that the two differ by.
"""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from security.errors import CannotTell
from security.gate import Violation
from security.gates.fairness.facts import DEPTH
from security.gates.fairness.limits import LEAST
from security.gates.fairness.tally import PREFIX, told

Change = Callable[[Any, random.Random], Any]
MADE = ("made", "planted")
"""What groupings are called where the sample has too few."""
SIDES = ("one", "other")


def changed(change: Change) -> Violation[Any]:
    """Makes a copy of the sample with its rows changed. `change` gets them as one batch."""

    def make(sample: Sequence[Any], draw: random.Random) -> list[Any]:
        rows = pa.Table.from_batches(sample, sample[0].schema).combine_chunks().to_batches()
        told(sample[0].schema)
        if not rows:
            raise CannotTell("the evaluation has no rows")
        return [change(rows[0], draw)]

    return make


def _said(rows: Any, **changes: Any) -> Any:
    """The rows with other metadata."""
    metadata = dict(rows.schema.metadata)
    metadata |= {name.encode(): json.dumps(value).encode() for name, value in changes.items()}
    return rows.replace_schema_metadata(metadata)


def _groupings(rows: Any, least: int) -> tuple[Any, list[str]]:
    """The rows with so many groupings, and their names."""
    groups = dict(told(rows.schema).groups)
    for name in MADE:
        if len(groups) < least and name not in groups:
            groups[name] = "declared"
            rows = rows.append_column(f"{PREFIX}{name}", pa.nulls(rows.num_rows, pa.string()))
    return _said(rows, groups=groups), sorted(groups)


def _names(rows: Any, grouping: str, draw: random.Random) -> list[str]:
    """Two groups of a grouping: its own, where it has two."""
    names = sorted({each for each in rows.column(f"{PREFIX}{grouping}").to_pylist() if each})
    return draw.sample(names, 2) if len(names) > 1 else list(SIDES)


def _lists(parts: Sequence[Sequence[int]], which: Any) -> Any:
    """A column of lists: `which` of the `parts` each row has."""
    offsets = np.concatenate(([0], np.cumsum(np.array([len(part) for part in parts])[which])))
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.array(np.concatenate([np.array(parts[each]) for each in which]), pa.int32())
    )


def _served(rows: Any, badly: Any, groups: dict[str, Any], draw: random.Random) -> Any:
    """Made-up users, of whom some (a mask) are shown nothing that they hold, and only what all others hold."""
    about, size = told(rows.schema), len(badly)
    order = draw.sample(range(min(about.items, 1 << 16)), 2 * about.k)
    liked, odd = order[: about.k], order[about.k :]
    some = max(about.k // 2, 1)
    which = badly.astype(np.int64)
    columns = {
        "user": pa.array(np.arange(size) + draw.randrange(1, 10**6), pa.int32()),
        "held": _lists([liked, [odd[-1]]], which),
        "top_model": _lists([liked[:some] + odd[: about.k - some], liked], which),
    }
    columns |= {f"{PREFIX}{name}": pa.array(each, pa.string()) for name, each in groups.items()}
    arrays = [columns.get(each.name, None) for each in rows.schema]
    filled = [
        pa.nulls(size, field.type) if array is None else array.cast(field.type)
        for array, field in zip(arrays, rows.schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(filled, schema=rows.schema)


def _size(rows: Any) -> int:
    """Users of a group that is no small one under any policy."""
    return 2 * max(LEAST, told(rows.schema).floor)


def _group(rows: Any, draw: random.Random) -> Any:
    """One group of one grouping is served badly; of the others there is one group alone."""
    rows, groupings = _groupings(rows, 1)
    chosen, size = draw.choice(groupings), _size(rows)
    bad, fine = _names(rows, chosen, draw)
    badly = np.arange(draw.randint(3, 5) * size) < size
    same = {name: [_names(rows, name, draw)[0]] * len(badly) for name in groupings}
    return _served(rows, badly, same | {chosen: np.where(badly, bad, fine).tolist()}, draw)


def _cross(rows: Any, draw: random.Random) -> Any:
    """Two groupings, of which each group is served as all are, and two of the four intersections badly."""
    rows, groupings = _groupings(rows, 2)
    chosen = sorted(draw.sample(groupings, 2))
    place = np.arange(4 * _size(rows)) % 4
    groups = {name: [_names(rows, name, draw)[0]] * len(place) for name in groupings}
    for name, half in zip(chosen, (place // 2, place % 2), strict=True):
        groups[name] = np.array(_names(rows, name, draw))[half].tolist()
    return _said(_served(rows, (place == 0) | (place == 3), groups, draw), depth=DEPTH)


def _plain(rows: Any, draw: random.Random) -> tuple[Any, list[str]]:
    """Made-up users in two groups of each grouping, all served alike; and the groupings."""
    rows, groupings = _groupings(rows, 1)
    at = np.arange(2 * _size(rows)) % 2
    groups = {name: np.array(_names(rows, name, draw))[at].tolist() for name in groupings}
    return _served(rows, np.zeros(len(at), dtype=bool), groups, draw), groupings


def _fed(rows: Any, draw: random.Random) -> Any:
    """The model is fed a grouping."""
    rows, groupings = _plain(rows, draw)
    name = draw.choice(groupings)
    given = list(told(rows.schema).inputs or ("user_id",))
    given.insert(draw.randint(0, len(given)), draw.choice([name, f"{PREFIX}{name}", name.upper()]))
    return _said(rows, inputs=given)


def _tells(rows: Any, draw: random.Random) -> Any:
    """Embeddings tell a group nearly always."""
    rows, groupings = _plain(rows, draw)
    kinds = dict(told(rows.schema).groups)
    # Of behaviour a policy lets embeddings tell.
    groupings = [name for name in groupings if kinds[name] == "declared"] or groupings[:1]
    rows = _said(rows, groups=kinds | dict.fromkeys(groupings, "declared"))
    proxy = {name: each.model_dump(exclude_none=True) for name, each in told(rows.schema).proxy.items()}
    certain = {"auc": draw.uniform(0.96, 1), "balanced_accuracy": draw.uniform(0.96, 1), "users": 10 * LEAST}
    return _said(rows, proxy=proxy | {draw.choice(groupings): certain})


def _shown(rows: Any, draw: random.Random) -> Any:
    """Figures of groups of one user."""
    return _said(_plain(rows, draw)[0], floor=1)


def _twice(rows: Any, draw: random.Random) -> Any:
    """A user counts twice."""
    rows, _ = _plain(rows, draw)
    some = [draw.randrange(rows.num_rows) for _ in range(draw.randint(1, 3))]
    order = [*range(rows.num_rows), *some]
    return rows.take(pa.array(order))


def _spoil(rows: Any, draw: random.Random) -> Any:
    """A list is short, repeats an item, or has one from outside the catalogue."""
    rows, _ = _plain(rows, draw)
    about, at = told(rows.schema), draw.randrange(rows.num_rows)
    column = rows.column("top_model")
    shown = list(column[at].as_py() or [0])
    place, odd = draw.randrange(len(shown)), draw.choice(["short", "repeated", "foreign"])
    if odd == "short" or len(shown) == 1:
        del shown[place]
    else:
        others = shown[:place] + shown[place + 1 :]
        shown[place] = draw.choice(others if odd == "repeated" else [-1, about.items, about.items + 7])
    parts = [column.slice(0, at), pa.array([shown], column.type), column.slice(at + 1)]
    return rows.set_column(rows.schema.get_field_index("top_model"), "top_model", pa.concat_arrays(parts))


VIOLATIONS: dict[str, Violation[Any]] = {
    "FAIR-GROUP": changed(_group),
    "FAIR-CROSS": changed(_cross),
    "FAIR-INPUT": changed(_fed),
    "FAIR-PROXY": changed(_tells),
    "FAIR-PRIVACY": changed(_shown),
    "FAIR-USERS": changed(_twice),
    "FAIR-LIST": changed(_spoil),
}
