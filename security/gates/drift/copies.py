"""What known-bad rows are made of: the sample's, over and over until a change is beyond chance; a baseline always."""

import math
import random
import string
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from security.drift.compare import compare
from security.drift.levels import Score
from security.drift.profile import Reference, read
from security.drift.side import Part
from security.gates.drift.facts import COLUMNS, ROLES, Given, found, like
from security.gates.drift.limits import LOOSEST
from security.rows.columns import SCHEMA

LEAST, MOST = 400, 20_000
"""Rows of a known-bad copy, unless there are to be many."""
MANY = 160_000
"""Rows of one in which there are too many, at most."""
TIMES = 13
"""How many times more rows than any policy allows."""
HOUR, DAY = 3_600_000_000, 86_400_000_000
"""Microseconds."""
IDS = tuple(name for name in COLUMNS if ROLES[name] == "id")
Batches = Sequence[Given]


def table(sample: Batches) -> pa.Table:
    """Rows of the sample, or one made-up row where it has none. Batches of other columns are of no use for it."""
    taken, count = list[pa.RecordBatch](), 0
    for each in sample:
        if each.batch.schema != SCHEMA:
            continue
        taken.append(each.batch.slice(0, MOST - count))
        count += taken[-1].num_rows
    if count:
        return pa.Table.from_batches(taken).combine_chunks()
    row = dict.fromkeys(SCHEMA.names, "view") | {"timestamp": 20_000 * DAY, "row": 1, "file": "made up", "faults": 0}
    return pa.Table.from_pylist([row | {"beside": None}], schema=SCHEMA)


def repeated(rows: pa.Table, size: int) -> pa.Table:
    """So many rows, those of the sample over and over."""
    return rows.take(pa.array(np.arange(size) % rows.num_rows))


def begun(sample: Batches) -> tuple[Given, pa.Table]:
    """How batches are to be given, with a baseline in any case; and rows, about as many as the baseline has."""
    first, rows = sample[0], table(sample)
    if not first.baseline or not like(read(first.baseline), first):
        rows = repeated(rows, max(rows.num_rows, LEAST))
        return first._replace(baseline=profile(first, rows).bytes), rows
    then = read(first.baseline).rows
    return first, repeated(rows, min(max(then, LEAST), MOST)) if then != rows.num_rows else rows


def profile(given: Given, rows: pa.Table) -> Reference:
    """The profile of rows: what a baseline of them is."""
    return found(given.of(rows.to_batches(), b"")).profile


def beside(given: Given, rows: pa.Table, like: pa.Table, whole: bool = True) -> list[Given]:
    """Changed rows, and beside them those of a newest partition that are `like` before."""
    batches = rows.combine_chunks().to_batches() if whole else rows.to_batches()
    first = given._replace(newest=False).of(batches or [pa.RecordBatch.from_pylist([], schema=rows.schema)])
    return first + (parted(given, like)[1] if given.part < 1 and rows.num_rows else [])


def parted(given: Given, rows: pa.Table) -> tuple[list[Given], list[Given]]:
    """Rows as they are: those of earlier partitions, and the first ones, taken for those of the newest."""
    many = math.ceil(rows.num_rows * given.part) if given.part < 1 else 0
    return dated(given, rows.slice(many), False), dated(given, rows.slice(0, many), True)


def dated(given: Given, rows: pa.Table, newest: bool) -> list[Given]:
    """Rows as those of the newest partition, or of earlier ones."""
    return given._replace(newest=newest).of(rows.combine_chunks().to_batches())


def drifted(items: Batches, column: str, newest: bool = False, most: float = 1.0) -> set[str]:
    """The scores of a column that drift whatever the policy: in all rows, or in those of the newest partition, which
    may be held to have up to `most` times the rows of one of many."""
    seen = found(items)
    rows = seen.newest if newest else seen.seen
    if seen.baseline is None or rows is None or not rows.profile.rows or not seen.baseline.rows:
        return set()
    scores, part = list[Score](), Part(items[0].part * most, seen.newest.fresh) if newest and seen.newest else None
    for each in compare(seen.baseline, rows, LOOSEST, part=part).columns:
        scores += each.scores if each.column == column else ()
    return {score.name for score in scores if score.drifted}


def word(draw: random.Random) -> str:
    """Small letters that no vocabulary starts with."""
    return "zq" + "".join(draw.choices(string.ascii_lowercase, k=draw.randint(8, 12)))


def put(rows: pa.Table, column: str, values: Any) -> pa.Table:
    """Rows with other values in a column."""
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    return rows.set_column(rows.schema.get_field_index(column), column, array)


def own(rows: pa.Table, column: str, draw: random.Random) -> pa.Table:
    """Each row of an id of its own."""
    made = word(draw)
    return put(rows, column, [f"{made}{row}" for row in range(rows.num_rows)])
