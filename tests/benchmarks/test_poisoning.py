"""Attacks injected into clean rows, as rows: how many are found, of which kind and size, and how many clean rows are
refused. What the README says of it is printed here; every attack is on another item and day."""

import csv
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.lake import sample
from security import gate as gates
from security.gates.poisoning import Limits
from security.gates.poisoning.tally import warm
from security.verdict import Outcome
from tests.security.gates.test_poisoning import GATE, START, Pairs, batches, look, opened

pytestmark = [pytest.mark.measure, pytest.mark.timeout(3600)]
TRIES, FILLED = 12, 30
PERCENT = (1, 3, 5, 10)


def numbered(user: Any, item: Any, day: Any) -> Pairs:
    """Unique pairs, at the first day of each."""
    users, user = np.unique(user, return_inverse=True)
    items, item = np.unique(item, return_inverse=True)
    order = np.lexsort((day, item, user))
    user, item, day = user[order], item[order], day[order]
    first = np.r_[True, (user[1:] != user[:-1]) | (item[1:] != item[:-1])]
    return user[first], item[first], day[first] - START


def lake(seed: int) -> Pairs:
    """What people did in the sample lake."""
    drawn = sample._draw(seed)
    user, item, _, moment = drawn.events
    people = np.isin(user, drawn.humans)
    return numbered(user[people], item[people], moment[people] // 86_400)


def ratings(path: Path) -> Pairs:
    """Ratings of MovieLens."""
    with path.open(encoding="utf-8") as file:
        told = [[int(row[name]) for name in ("userId", "movieId", "timestamp")] for row in csv.DictReader(file)]
    user, item, moment = np.array(told).T
    return numbered(user, item, moment // 86_400)


def attack(pairs: Pairs, count: int, draw: Any, *, spread: bool, stays: bool, popular: bool, fill: str) -> Pairs:
    """The pairs, and those of so many accounts on an item. `fill`: what else they take, at `random` or by popularity
    (`average`), or all the `same`."""
    support = np.bincount(pairs[1])
    target = draw.choice(np.argsort(-support)[:20] if popular else np.flatnonzero(support <= np.median(support)))
    share = support / support.sum() if fill == "average" else None
    low, high = int(pairs[2].min()), int(pairs[2].max())
    first = np.full(int(pairs[0].max()) + 1, high)
    np.minimum.at(first, pairs[0], pairs[2])
    known = low + warm(first - low) + 1  # before it nobody is new, and no burst is looked for
    parts, begun, fixed = [pairs], draw.integers(known, high - 3), draw.choice(len(support), FILLED, replace=False)
    for place in range(count):
        others = fixed if fill == "same" else draw.choice(len(support), FILLED, replace=False, p=share)
        items = np.unique(np.r_[target, others])
        come = draw.integers(low, high - 3) if spread else begun + draw.integers(0, 2)
        days = np.full(len(items), come)
        later = items != target
        days[later] = np.minimum(come + (draw.integers(0, 40, later.sum()) if stays else 0), high)
        parts.append((np.full(len(items), pairs[0].max() + 1 + place), items, days))
    user, item, day = (np.concatenate([part[place] for part in parts]) for place in range(3))
    return user, item, day


BURST = {"spread": False, "popular": False}
SLOW = {"spread": True, "popular": False}
ATTACKS: dict[str, Callable[..., Pairs]] = {
    "burst, rare item, random": partial(attack, **BURST, stays=False, fill="random"),
    "burst, rare item, average": partial(attack, **BURST, stays=False, fill="average"),
    "burst that stays, rare item": partial(attack, **BURST, stays=True, fill="average"),
    "burst, one of the 20 most popular": partial(attack, spread=False, popular=True, stays=False, fill="average"),
    "spread, rare item, random": partial(attack, **SLOW, stays=False, fill="random"),
    "spread that stays, rare item": partial(attack, **SLOW, stays=True, fill="average"),
    "spread that stays, the same items": partial(attack, **SLOW, stays=True, fill="same"),
}
KNOWN_NOT = "spread that stays, rare item"


def refused(pairs: Pairs) -> bool:
    """Whether anything is found."""
    try:
        return any(True for _ in GATE.judge(look(pairs), Limits()))
    except gates.CannotTell:
        return False


def test_which_attacks_are_found(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = {"sample lake": lake(sample.SEED), "ml-latest-small": ratings(shared / "ml-latest-small" / "ratings.csv")}
    for name, pairs in sets.items():
        draw, accounts = np.random.default_rng(5), int(pairs[0].max()) + 1
        begun = time.perf_counter()
        verdict = gates.judge(GATE, gates.observe(GATE, opened(batches(pairs)), {}, random.Random(1)), {})
        took = time.perf_counter() - begun
        told = {}
        for kind, made in ATTACKS.items():
            counts = [-(-accounts * percent // 100) for percent in PERCENT]
            told[kind] = [sum(refused(made(pairs, count, draw)) for _ in range(TRIES)) for count in counts]
        with capsys.disabled():
            print(f"\n  {name}: {verdict.reason}; looks and canaries {took:.2f} s; found of {TRIES}, at {PERCENT} %")
            for kind, found in told.items():
                print(f"  {kind:<36}{found}")
        assert verdict.outcome is Outcome.PASS
        assert all(each[2:] == [TRIES, TRIES] for kind, each in told.items() if kind.startswith("burst"))
        assert not any(told[KNOWN_NOT])


def test_clean_rows_of_other_seeds_and_shuffled_ratings_are_not_refused(shared: Path) -> None:
    pairs, draw = ratings(shared / "ml-latest-small" / "ratings.csv"), np.random.default_rng(9)
    begins = np.full(int(pairs[0].max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(begins, pairs[0], pairs[2])
    found = [seed for seed in range(20) if refused(lake(100 + seed))]
    for turn in range(100):
        moved = draw.permutation(begins) - begins
        found += [turn] if refused((pairs[0], pairs[1], pairs[2] + moved[pairs[0]])) else []
    assert found == []
