"""Known-bad rows: the sample's, with one rule broken so far that no policy allows it.

A sample may be a handful of rows, of which nothing could be told: it is repeated until the change is beyond chance.
Whether it is, is tried under the loosest levels that a policy may set; if a change of the drawn kind is not, all values
of the column are gone instead. Where no baseline is given, one is made of the sample, under the same secret.
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from security.drift.profile import read
from security.gate import Violation
from security.gates.drift.copies import (
    DAY,
    HOUR,
    IDS,
    MANY,
    TIMES,
    Batches,
    begun,
    beside,
    drifted,
    own,
    parted,
    profile,
    put,
    table,
    word,
)
from security.gates.drift.fresh import another, resized, strangers

Change = Callable[[pa.Table, str, random.Random], pa.Table]


def _one(rows: pa.Table, column: str, draw: random.Random) -> pa.Table:
    """Most rows of one id, or all of one kind."""
    made, share = word(draw), draw.uniform(0.9, 1)
    mask = pa.array(np.random.default_rng(draw.getrandbits(32)).random(rows.num_rows) < share)
    return put(rows, column, pc.if_else(mask, pa.scalar(made), rows[column].combine_chunks()))


def _night(rows: pa.Table, column: str, draw: random.Random) -> pa.Table:
    """All rows within one hour of their days: one in which few were."""
    since = rows[column].combine_chunks().fill_null(0).to_numpy()
    busy = np.bincount(since // HOUR % 24, minlength=24)
    hour = int(draw.choice(np.flatnonzero(busy == busy.min()).tolist()))
    return put(rows, column, since // DAY * DAY + hour * HOUR + since % HOUR)


def _gone(rows: pa.Table, column: str, _: random.Random) -> pa.Table:
    """No values at all."""
    return put(rows, column, pa.nulls(rows.num_rows, rows.schema.field(column).type))


WAYS: dict[str, tuple[Change, ...]] = {
    "user_id": (_one, own, _gone),
    "item_id": (_one, own, _gone),
    "interaction_type": (_one, _one, _gone),
    "timestamp": (_night, _night, _gone),
}


def _moved(sample: Batches, draw: random.Random) -> Batches:
    """One column's values are others."""
    given, rows = begun(sample)
    column = draw.choice(given.columns)
    ways = draw.sample(WAYS[column], len(WAYS[column]))
    for way in (*ways, _gone):
        items = beside(given, way(rows, column, draw), rows)
        if drifted(items, column):
            return items
    # The few rows of the newest partition that are as before may be one user's: beside none they say nothing.
    return beside(given, _gone(rows, column, draw), rows.slice(0, 0))


def _unlike(sample: Batches, draw: random.Random) -> Batches:
    """One column is of another type or in another unit, or gone; or there is one more."""
    given, rows = begun(sample)
    column = draw.choice(given.columns)
    place, values = rows.schema.get_field_index(column), rows[column].combine_chunks()
    how = draw.choice(("type", "type", "gone", "unit" if column == "timestamp" else "new"))
    if how == "gone":
        return beside(given, rows.remove_column(place), rows)
    if how == "new":
        return beside(given, rows.append_column(word(draw), pa.nulls(rows.num_rows, pa.string())), rows)
    if how == "unit":
        items = beside(given, put(rows, column, pc.divide(values, draw.choice((1_000, 1_000_000)))), rows)
        if "unit" in drifted(items, column):
            return items
    other = pa.timestamp("us") if column == "timestamp" else pa.binary()
    return beside(given, rows.set_column(place, column, values.cast(other)), rows)


def _swollen(sample: Batches, draw: random.Random) -> Batches:
    """Many times the rows, of as many more users and items; or none at all."""
    given, rows = begun(sample)
    times = -(-TIMES * read(given.baseline).rows // rows.num_rows)
    if rows.num_rows * times <= MANY and draw.random() < 0.7:
        parts = [rows]
        for number in range(1, times):
            part = rows
            for column in IDS:
                part = put(part, column, pc.binary_join_element_wise(part[column], f"{word(draw)}{number}", "-"))
            parts.append(part)
        items = beside(given, pa.concat_tables(parts), rows, whole=False)
        if drifted(items, ""):
            return items
    return beside(given, rows.slice(0, 0), rows)


def _another(sample: Batches, draw: random.Random) -> Batches:
    """The rows as they are, against a baseline of them and one row more."""
    given, rows = begun(sample)
    more = rows.slice(draw.randrange(rows.num_rows), 1)
    other = profile(given, pa.concat_tables([rows, *[more] * draw.randint(1, 3)]))
    older, last = parted(given._replace(baseline=other.bytes), rows)
    return [*older, *last]


def _alone(sample: Batches, draw: random.Random) -> Batches:
    """The rows as they are, and no baseline."""
    first, rows = sample[0], table(sample)
    return first.of(rows.slice(draw.randrange(-(-rows.num_rows // 2))).combine_chunks().to_batches(), b"")


VIOLATIONS: dict[str, Violation[Any]] = {
    "DRIFT-BASELINE": _another,
    "DRIFT-COLUMN": _moved,
    "DRIFT-SCHEMA": _unlike,
    "DRIFT-VOLUME": _swollen,
    "DRIFT-FIRST": _alone,
    "DRIFT-NEWEST": another,
    "DRIFT-NEWEST-ROWS": resized,
    "DRIFT-NEWEST-IDS": strangers,
}
"""Rule id -> maker."""
