"""Makers of known-bad rows: a sample of batches in, a copy with one rule of the data contract violated out.

Rules about rows are violated in more than half of them, since a policy may let up to half be rejected. Which rows, in
which column and how is drawn anew each time.
"""

import random
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial

import pyarrow as pa

from security.gates.contract.kinds import CEILING, FLOOR, HIGHEST, RECENT, empty, placed
from security.gates.contract.listed import listed, listing
from security.rows.columns import COLUMNS, SCHEMA, Fault

Batches = Sequence[pa.RecordBatch]
Spoil = Callable[[dict[str, object], random.Random], None]
MOST = 4_096
"""Rows of a batch that are spoiled one by one, at most."""
_LETTERS = bytes(ord("a") + number % 26 for number in range(256))
_DAY = 86_400_000_000
_START, _END = ((day.toordinal() - 719_163) * _DAY for day in (FLOOR, CEILING))


def word(draw: random.Random, least: int = 6, most: int = 12) -> str:
    """Small letters, more of them than any word of a vocabulary that starts so. Drawn at once: there are thousands."""
    size, *letters = draw.randbytes(1 + most)
    return "zq" + bytes(letters[: least + size % (most - least + 1)]).translate(_LETTERS).decode()


def _rows(sample: Batches) -> Batches:
    """The sample, or one made-up row where it has none."""
    if any(batch.num_rows for batch in sample):
        return sample
    row = dict.fromkeys(SCHEMA.names, "view") | {"timestamp": 0, "row": 1, "file": "made up", "faults": 0}
    row["beside"] = None
    groups = {name: names.to_pylist() for batch in sample for name, names in listed(batch).items()}
    return [listing(pa.RecordBatch.from_pylist([row], schema=SCHEMA), groups)]


def _each(spoil: Spoil) -> Callable[[Batches, random.Random], Batches]:
    def made(sample: Batches, draw: random.Random) -> Batches:
        spoiled = []
        for batch in _rows(sample):
            rows = batch.slice(0, MOST).to_pylist()
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


def _strange(sample: Batches, draw: random.Random) -> Batches:
    """Groups that no list has, or two at once, in a column that is listed: the sample's, or one made up."""
    made = []
    for batch in _rows(sample):
        names = sorted(listed(batch)) or [word(draw)]
        marked = batch if listed(batch) else listing(batch, {names[0]: [word(draw), word(draw)]})
        made.append(_each(partial(_grouped, draw.choice(names)))([marked], draw)[0])
    return made


def _grouped(name: str, row: dict[str, object], draw: random.Random) -> None:
    row["beside"] = [(name, word(draw)) for _ in range(draw.randint(1, 2))]


def _window(row: dict[str, object], draw: random.Random) -> None:
    row["timestamp"] = draw.choice((draw.randrange(-_START, _START), draw.randrange(_END, 2 * _END)))


def _apart(sample: Batches, draw: random.Random) -> Batches:
    """The rows as they are, in the files of a partition that none of them is of."""
    batches = _rows(sample)
    days = {row // _DAY for batch in batches for row in batch.column("timestamp").to_pylist() if row is not None}
    day = draw.randrange(_START // _DAY, _END // _DAY)
    while days & {day - 1, day, day + 1}:
        day = draw.randrange(_START // _DAY, _END // _DAY)
    return [placed(batch, str(date(1970, 1, 1) + timedelta(days=day))) for batch in batches]


def _swollen(sample: Batches, draw: random.Random) -> Batches:
    """Partitions of one row, as many as one can be compared with, and then one of more than a hundred."""
    first = _rows(sample)[0]
    (row, *_) = first.slice(0, 1).to_pylist() or _rows([])[0].to_pylist()
    last, who = _last(sample, draw), word(draw)
    made = []
    for number in range(RECENT + 1):
        day = last - RECENT + number
        count = 1 if number < RECENT else HIGHEST + draw.randint(1, 20)
        made_up = (
            {"user_id": f"{who}{place}", "timestamp": day * _DAY + draw.randrange(_DAY)} for place in range(count)
        )
        rows = [row | about | {"row": place} for place, about in enumerate(made_up, 1)]
        name = str(date(1970, 1, 1) + timedelta(days=day))
        made.append(placed(pa.RecordBatch.from_pylist(rows, schema=first.schema), name))
    return made


def _last(sample: Batches, draw: random.Random) -> int:
    """The last day of the sample, in days since 1970; where it tells none, one made up."""
    times = [row for batch in sample for row in batch.column("timestamp").to_pylist() if row is not None]
    day = max(times, default=0) // _DAY
    return day if RECENT < day - _START // _DAY < (_END - _START) // _DAY else draw.randrange(10_000, 20_000)


HABITS: tuple[Callable[[random.Random], list[int]], ...] = (
    lambda draw: [draw.randint(0, 1) for _ in range(2_600)],
    lambda draw: [draw.randint(20, 60)] * 90,
    lambda draw: [draw.randint(1_200, 1_240)] * 68,
)
"""Seconds between events: of one who does more than 2,400 in an hour, of one by a timer, of one who does not sleep."""


def _worked(sample: Batches, draw: random.Random) -> Batches:
    """A few rows of the sample, and as many times more of accounts that no setting takes for people."""
    (batch, *_) = _rows(sample)
    start = _last([batch.slice(0, 1)], draw) * _DAY + 600_000_000
    item = batch.column("item_id").slice(0, 40).drop_null().to_pylist() or [word(draw)]
    rows: list[dict[str, object]] = []
    for _ in range(draw.randint(2, 3)):
        user, moment = word(draw), start
        same = draw.random() < 0.3
        gaps = [draw.randint(100, 600) for _ in range(130)] if same else draw.choice(HABITS)(draw)
        for step, gap in enumerate(gaps):
            moment += gap * 1_000_000 + 1
            what = item[0 if same else step % len(item)]
            made = {"user_id": user, "item_id": what, "interaction_type": "view", "timestamp": moment}
            rows.append(made | {"row": len(rows) + 1, "file": "made up", "faults": 0})
    return [batch.slice(0, 20), pa.RecordBatch.from_pylist(rows, schema=batch.schema)]


def _again(sample: Batches, draw: random.Random) -> Batches:
    """A few rows once more, at any place."""
    batches = [batch.slice(0, MOST) for batch in _rows(sample)]
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
    "CON-GROUP": _strange,
    "CON-WINDOW": _each(_window),
    "CON-PARTITION": _apart,
    "CON-VOLUME": _swollen,
    "CON-BOTS": _worked,
    "CON-DUP": _again,
    "CON-EMPTY": _hollow,
    "CON-ROWS": _nothing,
}
"""Rule id -> maker."""
