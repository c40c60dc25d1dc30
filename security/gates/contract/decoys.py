"""Makers of known-bad rows: a sample of batches in, a copy with one rule of the data contract violated out.

Rules about rows are violated in more than half of them, since a policy may let up to half be rejected. Which rows, in
which column and how is drawn anew each time.
"""

import random
import string
from collections.abc import Callable, Sequence

import pyarrow as pa

from security.gates.contract.kinds import CEILING, FLOOR, empty
from security.rows.columns import COLUMNS, SCHEMA, Fault

Batches = Sequence[pa.RecordBatch]
Spoil = Callable[[dict[str, object], random.Random], None]
_DAY = 86_400_000_000
_START, _END = ((day.toordinal() - 719_163) * _DAY for day in (FLOOR, CEILING))


def word(draw: random.Random, least: int = 6, most: int = 12) -> str:
    """Small letters, more of them than any word of a vocabulary that starts so."""
    return "zq" + "".join(draw.choices(string.ascii_lowercase, k=draw.randint(least, most)))


def _rows(sample: Batches) -> Batches:
    """The sample, or one made-up row where it has none."""
    if any(batch.num_rows for batch in sample):
        return sample
    row = dict.fromkeys(SCHEMA.names, "view") | {"timestamp": 0, "row": 1, "file": "made up", "faults": 0}
    return [pa.RecordBatch.from_pylist([row], schema=SCHEMA)]


def _each(spoil: Spoil) -> Callable[[Batches, random.Random], Batches]:
    def made(sample: Batches, draw: random.Random) -> Batches:
        spoiled = []
        for batch in _rows(sample):
            rows = batch.to_pylist()
            half = len(rows) // 2
            for row in draw.sample(rows, draw.randint(half + 1, len(rows)) if rows else 0):
                spoil(row, draw)
            spoiled.append(pa.RecordBatch.from_pylist(rows, schema=batch.schema))
        return spoiled

    return made


def _null(row: dict[str, object], draw: random.Random) -> None:
    row[draw.choice(COLUMNS)] = None
    row["faults"] = int(draw.choice((Fault.MISSING, Fault.NULL, Fault.TYPE)))


def _type(row: dict[str, object], draw: random.Random) -> None:
    row["interaction_type"] = word(draw)


def _id(row: dict[str, object], draw: random.Random) -> None:
    fault = draw.choice((0, int(Fault.EMPTY), int(Fault.LONG)))
    odd = word(draw) + draw.choice("\x00\n\t \u2028\u00a0") + word(draw)
    row[draw.choice(COLUMNS[:2])] = None if fault else odd
    row["faults"] = fault


def _time(row: dict[str, object], draw: random.Random) -> None:
    row["timestamp"], row["faults"] = None, int(Fault.TIME)


def _window(row: dict[str, object], draw: random.Random) -> None:
    row["timestamp"] = draw.choice((draw.randrange(-_START, _START), draw.randrange(_END, 2 * _END)))


def _again(sample: Batches, draw: random.Random) -> Batches:
    """A few rows once more, at any place."""
    batches = list(_rows(sample))
    rows = [batch.slice(row, 1) for batch in batches for row in range(batch.num_rows)]
    sound = [row for row in rows if row.column("faults")[0].as_py() == 0] or rows
    for row in draw.sample(sound, min(len(sound), draw.randint(1, 3))):
        batches.insert(draw.randint(0, len(batches)), row)
    return batches


def _nothing(sample: Batches, draw: random.Random) -> Batches:
    return [batch.slice(draw.randint(0, batch.num_rows), 0) for batch in sample]


def _hollow(sample: Batches, draw: random.Random) -> Batches:
    batches = list(_rows(sample))
    batches.insert(draw.randint(0, len(batches)), empty(f"{word(draw)}.jsonl.gz"))
    return batches


VIOLATIONS = {
    "CON-NULL": _each(_null),
    "CON-TYPE": _each(_type),
    "CON-ID": _each(_id),
    "CON-TIME": _each(_time),
    "CON-WINDOW": _each(_window),
    "CON-DUP": _again,
    "CON-EMPTY": _hollow,
    "CON-ROWS": _nothing,
}
"""Rule id -> maker."""
