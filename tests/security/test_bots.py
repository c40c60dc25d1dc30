"""The rule of `filter_bots`, judged on a labelled crowd that shares no code with it, and on real people."""

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from security.rows.accounts import Bots, measure, signs
from tests.security.swarm import HABITS, crowd

SEEDS = (101, 102, 103)
"""Of crowds that were not looked at while the settings were chosen."""
PEOPLE, EACH = 1_200, 50


def suspects(rows: Iterable[tuple[str, str | int, float]]) -> set[str]:
    """The accounts that show a sign; `rows` is who took which item when (seconds since 1970)."""
    who, what, when = zip(*rows, strict=True)
    names, user = np.unique(np.array(who), return_inverse=True)
    items, item = np.unique(np.array(what), return_inverse=True)
    time = (np.array(when) * 1e6).astype(np.int64)
    order = np.lexsort((time, user))
    seen = measure(user[order], pa.array(item[order]), time[order], len(items))
    bad = [bool(signs(kind, Bots())) for kind in seen.kinds]
    return {str(names[at]) for at, which in zip(seen.users, seen.which, strict=True) if bad[which]}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_crowd_is_told_apart(seed: int, record_property: object) -> None:
    made = crowd(seed, PEOPLE, EACH)
    found = suspects(made.rows())
    hits = Counter(made.habits[name] for name in found if name in made.habits)
    recall = {habit: hits[habit] / EACH for habit in HABITS}
    precision = hits.total() / len(found)
    assert callable(record_property)
    record_property("bots", f"precision {precision:.3f}, recall {recall}")
    assert precision >= 0.98
    assert sum(hits[habit] for habit in list(HABITS)[:3]) / (3 * EACH) >= 0.95
    # What the rule cannot see, and says so: were it found, the words about it would be wrong.
    assert recall["human-paced"] <= 0.05


def test_no_member_of_movielens_is_taken_for_a_bot(shared: Path) -> None:
    with (shared / "ml-latest-small" / "ratings.csv").open(newline="") as file:
        rows = [(row["userId"], row["movieId"], float(row["timestamp"])) for row in csv.DictReader(file)]
    assert len({who for who, _, _ in rows}) == 671
    assert suspects(rows) == set()
