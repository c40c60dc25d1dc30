"""The sample, of whose last days more can be told: there people come for one thing at a time, and no bots.

In the sample a visit is of eight items, so that a day has few people in it, and its bots are there to the end: the rows
of one day then say less than fifty would of strangers, and nobody can tell how that day differs from others. Here, in
the days that drift is looked at over, each pair of a person and an item is a visit of its own, on a day of these and at
an hour drawn from a seed; who took what is as it was, and so is how long a click or a purchase came after. Earlier days
are the sample's.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from deployments.lake.sample import DAYS, LAST, PREFIX, partitions, truth

LATE = 28
"""Days at the end that are made anew."""
FORM = "%Y-%m-%dT%H:%M:%SZ"


def visits(seed: int = 7) -> Iterator[tuple[str, bytes]]:
    """Keys and bodies as `deployments.lake.sample.partitions` has them, the users first and the days in order."""
    (users, *days), bots = partitions(), truth().bots
    yield users
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    placed: dict[int, list[tuple[datetime, dict[str, Any]]]] = defaultdict(list)
    for number, (_, body) in enumerate(days):
        for row in map(json.loads, gzip.decompress(body).splitlines()):
            if number < DAYS - LATE:
                placed[number].append((_read(row), row))
            elif row["user_id"] not in bots:
                pairs[row["user_id"], row["item_id"]].append(row)
    rng, first = np.random.default_rng(seed), datetime(LAST.year, LAST.month, LAST.day, tzinfo=UTC)
    first -= timedelta(days=DAYS - 1)
    day, hour = rng.integers(DAYS - LATE, DAYS, len(pairs)), np.clip(rng.normal(15, 3.5, len(pairs)), 6, 23.5)
    for rows, at, clock in zip(pairs.values(), day.tolist(), hour.tolist(), strict=True):
        times = [_read(row) for row in rows]
        moved = first + timedelta(days=at, seconds=int(clock * 3600)) - min(times)
        if max(times) + moved >= first + timedelta(days=DAYS):  # as in the sample: it was a day earlier
            moved -= timedelta(days=1)
        for row, time in zip(rows, times, strict=True):
            placed[(time + moved - first).days].append((time + moved, row))
    for number in range(DAYS):
        lines = [
            json.dumps(row | {"timestamp": time.strftime(FORM)}, separators=(",", ":"))
            for time, row in sorted(placed[number], key=lambda each: each[0])
        ]
        name = f"{PREFIX}{(first + timedelta(days=number)).date().isoformat()}/part-000.jsonl.gz"
        yield name, gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)


def _read(row: dict[str, Any]) -> datetime:
    return datetime.strptime(row["timestamp"], FORM).replace(tzinfo=UTC)
