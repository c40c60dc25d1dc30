"""Known-bad rows of which the newest partition alone is bad: another mix, many more rows or none, or nothing but ids
that no row before has."""

import random

import numpy as np
import pyarrow as pa

from security.drift.profile import read
from security.gates.drift.compared import WEEKS
from security.gates.drift.copies import (
    HOUR,
    IDS,
    MANY,
    TIMES,
    Batches,
    begun,
    dated,
    drifted,
    own,
    parted,
    profile,
    repeated,
    word,
)
from security.gates.drift.facts import Given

STRANGERS = 2_000
"""Rows, each of an id of its own, of which it is beyond chance that more are new than a policy may allow."""


def another(sample: Batches, draw: random.Random) -> Batches:
    """Rows as they are, those of a few hours or of the rarest types in the newest partition; or all of it is of one id;
    or none is in it."""
    given, rows = begun(sample)
    crowds = [name for name in IDS if name in given.columns]
    if (kind := draw.random()) < 0.3 and crowds and (items := _crowded(given, rows, draw.choice(crowds), draw)):
        return items
    columns = [name for name in ("interaction_type", "timestamp") if name in given.columns]
    for column in draw.sample(columns, len(columns)) if kind < 0.9 else ():
        values = rows[column].combine_chunks()
        if column == "timestamp":
            coded = values.fill_null(0).to_numpy() // HOUR % 24
        else:
            coded = values.fill_null("").dictionary_encode().indices.to_numpy()
        order = np.lexsort((coded, np.bincount(coded)[coded]))
        older, last = parted(given, rows.take(pa.array(order)))
        if last and drifted([*older, *last], column, newest=True):
            return [*older, *last]
    return given._replace(newest=False).of(rows.to_batches())


def _crowded(given: Given, rows: pa.Table, column: str, draw: random.Random) -> Batches:
    """The newest partition of one id alone; nothing where some policy need not see that."""
    older, last = parted(given, rows)
    made, at = word(draw), rows.schema.get_field_index(column)
    items = list(older)
    for each in last:
        same = pa.array([made] * each.batch.num_rows)
        items.append(each._replace(batch=each.batch.set_column(at, column, same)))
    return items if drifted(items, column, newest=True) else []


def resized(sample: Batches, draw: random.Random) -> Batches:
    """Many times the rows of one's share of the baseline in the newest partition, or so many times fewer."""
    given, rows = begun(sample)
    for apart in (False, True):
        if items := _sized(given, rows, apart, draw):
            return items
    # Of a few users, nothing is beyond chance: the baseline is one of as many users as rows.
    rows = _strange(repeated(rows, STRANGERS), draw)
    return _sized(given._replace(baseline=profile(given, rows).bytes), rows, True, draw)


def _sized(given: Given, rows: pa.Table, apart: bool, draw: random.Random) -> Batches:
    """The same with the baseline that is given, and in the newest partition each row of ids of its own where
    `apart`; nothing where some policy need not see that. A day may be held against those of its weekday, which can be
    all that the baseline has, or few: then there are many times more rows than that, and never fewer."""
    weekly = given.part <= 1 / (WEEKS * 7)
    most = 7 if weekly else 1
    usual = read(given.baseline).rows * given.part
    sizes = [int(usual * TIMES * most), *([] if weekly else [round(usual / TIMES)])]
    sizes = [size for size in sizes if 0 < size <= MANY]
    for size in draw.sample(sizes, len(sizes)):
        last = repeated(rows, size)
        items = [*dated(given, rows, False), *dated(given, _strange(last, draw) if apart else last, True)]
        if drifted(items, "", newest=True, most=most):
            return items
    return []


def strangers(sample: Batches, draw: random.Random) -> Batches:
    """Rows as they are, and a newest partition in which no id is of one of them."""
    given, rows = begun(sample)
    return [*dated(given, rows, False), *dated(given, _strange(repeated(rows, STRANGERS), draw), True)]


def _strange(rows: pa.Table, draw: random.Random) -> pa.Table:
    """The rows, each of ids of its own."""
    for column in IDS:
        rows = own(rows, column, draw)
    return rows
