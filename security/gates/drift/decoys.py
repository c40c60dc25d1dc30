"""Known-bad rows: the sample's, with one rule broken so far that no policy allows it.

A sample may be a handful of rows, of which nothing could be told: it is repeated until the change is beyond chance.
Whether it is, is tried under the loosest levels that a policy may set; if a change of the drawn kind is not, all values
of the column are gone instead. Where no baseline is given, one is made of the sample, under the same secret.
"""

import math
import random
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from security.drift.compare import compare
from security.drift.levels import Score
from security.drift.profile import Reference, read
from security.drift.side import Part
from security.gate import Violation
from security.gates.drift.facts import Given, found, like
from security.gates.drift.limits import LOOSEST
from security.rows.columns import SCHEMA

LEAST, MOST = 400, 20_000
"""Rows of a known-bad copy, unless there are to be many."""
MANY = 160_000
"""Rows of one in which there are too many, at most."""
TIMES = 13
"""How many times more rows than any policy allows."""
_HOUR, _DAY = 3_600_000_000, 86_400_000_000
Batches = Sequence[Given]
Change = Callable[[pa.Table, str, random.Random], pa.Table]


def _rows(sample: Batches) -> pa.Table:
    """Rows of the sample, or one made-up row where it has none. Batches of other columns are of no use for it."""
    taken, count = list[pa.RecordBatch](), 0
    for each in sample:
        if each.batch.schema != SCHEMA:
            continue
        taken.append(each.batch.slice(0, MOST - count))
        count += taken[-1].num_rows
    if count:
        return pa.Table.from_batches(taken).combine_chunks()
    row = dict.fromkeys(SCHEMA.names, "view") | {"timestamp": 20_000 * _DAY, "row": 1, "file": "made up", "faults": 0}
    return pa.Table.from_pylist([row | {"beside": None}], schema=SCHEMA)


def _repeated(rows: pa.Table, size: int) -> pa.Table:
    """So many rows, those of the sample over and over."""
    return rows.take(pa.array(np.arange(size) % rows.num_rows))


def _begun(sample: Batches) -> tuple[Given, pa.Table]:
    """How batches are to be given, with a baseline in any case; and rows, about as many as the baseline has."""
    first, rows = sample[0], _rows(sample)
    if not first.baseline or not like(read(first.baseline), first):
        rows = _repeated(rows, max(rows.num_rows, LEAST))
        return first._replace(baseline=_profile(first, rows).bytes), rows
    then = read(first.baseline).rows
    return first, _repeated(rows, min(max(then, LEAST), MOST)) if then != rows.num_rows else rows


def _profile(given: Given, rows: pa.Table) -> Reference:
    return found(given.of(rows.to_batches(), b"")).profile


def _given(given: Given, rows: pa.Table, like: pa.Table, whole: bool = True) -> list[Given]:
    """Changed rows, and beside them those of a newest partition that are `like` before."""
    batches = rows.combine_chunks().to_batches() if whole else rows.to_batches()
    first = given._replace(newest=False).of(batches or [pa.RecordBatch.from_pylist([], schema=rows.schema)])
    return first + (_parted(given, like)[1] if given.part < 1 and rows.num_rows else [])


def _parted(given: Given, rows: pa.Table) -> tuple[list[Given], list[Given]]:
    """Rows as they are: those of earlier partitions, and the first ones, taken for those of the newest."""
    many = math.ceil(rows.num_rows * given.part) if given.part < 1 else 0
    older, last = (given.of(part.combine_chunks().to_batches()) for part in (rows.slice(many), rows.slice(0, many)))
    return [each._replace(newest=False) for each in older], [each._replace(newest=True) for each in last]


def _drifted(items: Batches, column: str, newest: bool = False) -> set[str]:
    """The scores of a column that drift whatever the policy: in all rows, or in those of the newest partition."""
    seen = found(items)
    rows = seen.newest if newest else seen.seen
    if seen.baseline is None or rows is None or not rows.profile.rows or not seen.baseline.rows:
        return set()
    scores, part = list[Score](), Part(items[0].part, seen.newest.fresh) if newest and seen.newest else None
    for each in compare(seen.baseline, rows, LOOSEST, part=part).columns:
        scores += each.scores if each.column == column else ()
    return {score.name for score in scores if score.drifted}


def word(draw: random.Random) -> str:
    """Small letters that no vocabulary starts with."""
    return "zq" + "".join(draw.choices(string.ascii_lowercase, k=draw.randint(8, 12)))


def _put(rows: pa.Table, column: str, values: Any) -> pa.Table:
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    return rows.set_column(rows.schema.get_field_index(column), column, array)


def _one(rows: pa.Table, column: str, draw: random.Random) -> pa.Table:
    """Most rows of one id, or all of one kind."""
    made, share = word(draw), draw.uniform(0.9, 1)
    mask = pa.array(np.random.default_rng(draw.getrandbits(32)).random(rows.num_rows) < share)
    return _put(rows, column, pc.if_else(mask, pa.scalar(made), rows[column].combine_chunks()))


def _own(rows: pa.Table, column: str, draw: random.Random) -> pa.Table:
    """Each row of an id of its own."""
    made = word(draw)
    return _put(rows, column, [f"{made}{row}" for row in range(rows.num_rows)])


def _night(rows: pa.Table, column: str, draw: random.Random) -> pa.Table:
    """All rows within one hour of their days: one in which few were."""
    since = rows[column].combine_chunks().fill_null(0).to_numpy()
    busy = np.bincount(since // _HOUR % 24, minlength=24)
    hour = int(draw.choice(np.flatnonzero(busy == busy.min()).tolist()))
    return _put(rows, column, since // _DAY * _DAY + hour * _HOUR + since % _HOUR)


def _gone(rows: pa.Table, column: str, _: random.Random) -> pa.Table:
    """No values at all."""
    return _put(rows, column, pa.nulls(rows.num_rows, rows.schema.field(column).type))


WAYS: dict[str, tuple[Change, ...]] = {
    "user_id": (_one, _own, _gone),
    "item_id": (_one, _own, _gone),
    "interaction_type": (_one, _one, _gone),
    "timestamp": (_night, _night, _gone),
}


def _moved(sample: Batches, draw: random.Random) -> Batches:
    """One column's values are others."""
    given, rows = _begun(sample)
    column = draw.choice(given.columns)
    ways = draw.sample(WAYS[column], len(WAYS[column]))
    for way in (*ways, _gone):
        items = _given(given, way(rows, column, draw), rows)
        if _drifted(items, column):
            return items
    # The few rows of the newest partition that are as before may be one user's: beside none they say nothing.
    return _given(given, _gone(rows, column, draw), rows.slice(0, 0))


def _unlike(sample: Batches, draw: random.Random) -> Batches:
    """One column is of another type or in another unit, or gone; or there is one more."""
    given, rows = _begun(sample)
    column = draw.choice(given.columns)
    place, values = rows.schema.get_field_index(column), rows[column].combine_chunks()
    how = draw.choice(("type", "type", "gone", "unit" if column == "timestamp" else "new"))
    if how == "gone":
        return _given(given, rows.remove_column(place), rows)
    if how == "new":
        return _given(given, rows.append_column(word(draw), pa.nulls(rows.num_rows, pa.string())), rows)
    if how == "unit":
        items = _given(given, _put(rows, column, pc.divide(values, draw.choice((1_000, 1_000_000)))), rows)
        if "unit" in _drifted(items, column):
            return items
    other = pa.timestamp("us") if column == "timestamp" else pa.binary()
    return _given(given, rows.set_column(place, column, values.cast(other)), rows)


def _swollen(sample: Batches, draw: random.Random) -> Batches:
    """Many times the rows, of as many more users and items; or none at all."""
    given, rows = _begun(sample)
    times = -(-TIMES * read(given.baseline).rows // rows.num_rows)
    if rows.num_rows * times <= MANY and draw.random() < 0.7:
        parts = [rows]
        for number in range(1, times):
            part = rows
            for column in ("user_id", "item_id"):
                part = _put(part, column, pc.binary_join_element_wise(part[column], f"{word(draw)}{number}", "-"))
            parts.append(part)
        items = _given(given, pa.concat_tables(parts), rows, whole=False)
        if _drifted(items, ""):
            return items
    return _given(given, rows.slice(0, 0), rows)


def _newest(sample: Batches, draw: random.Random) -> Batches:
    """Rows as they are, those of a few hours or of the rarest types in the newest partition; or all of it is of one id;
    or none is in it."""
    given, rows = _begun(sample)
    crowds = [name for name in ("user_id", "item_id") if name in given.columns]
    if (kind := draw.random()) < 0.3 and crowds and (items := _crowded(given, rows, draw.choice(crowds), draw)):
        return items
    columns = [name for name in ("interaction_type", "timestamp") if name in given.columns]
    for column in draw.sample(columns, len(columns)) if kind < 0.9 else ():
        values = rows[column].combine_chunks()
        if column == "timestamp":
            coded = values.fill_null(0).to_numpy() // _HOUR % 24
        else:
            coded = values.fill_null("").dictionary_encode().indices.to_numpy()
        order = np.lexsort((coded, np.bincount(coded)[coded]))
        older, last = _parted(given, rows.take(pa.array(order)))
        if last and _drifted([*older, *last], column, newest=True):
            return [*older, *last]
    return given._replace(newest=False).of(rows.to_batches())


def _crowded(given: Given, rows: pa.Table, column: str, draw: random.Random) -> Batches:
    """The newest partition of one id alone; nothing where some policy need not see that."""
    older, last = _parted(given, rows)
    made, at = word(draw), rows.schema.get_field_index(column)
    items = list(older)
    for each in last:
        same = pa.array([made] * each.batch.num_rows)
        items.append(each._replace(batch=each.batch.set_column(at, column, same)))
    return items if _drifted(items, column, newest=True) else []


def _another(sample: Batches, draw: random.Random) -> Batches:
    """The rows as they are, against a baseline of them and one row more."""
    given, rows = _begun(sample)
    more = rows.slice(draw.randrange(rows.num_rows), 1)
    other = _profile(given, pa.concat_tables([rows, *[more] * draw.randint(1, 3)]))
    older, last = _parted(given._replace(baseline=other.bytes), rows)
    return [*older, *last]


def _alone(sample: Batches, draw: random.Random) -> Batches:
    """The rows as they are, and no baseline."""
    first, rows = sample[0], _rows(sample)
    return first.of(rows.slice(draw.randrange(-(-rows.num_rows // 2))).combine_chunks().to_batches(), b"")


VIOLATIONS: dict[str, Violation[Any]] = {
    "DRIFT-BASELINE": _another,
    "DRIFT-COLUMN": _moved,
    "DRIFT-SCHEMA": _unlike,
    "DRIFT-VOLUME": _swollen,
    "DRIFT-FIRST": _alone,
    "DRIFT-NEWEST": _newest,
}
"""Rule id -> maker."""
