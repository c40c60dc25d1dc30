"""Known-bad pairs: those of the sample, and beside them accounts that attack an item, by a plan drawn anew each time.

What is made up lies after the sample's last day, so that it is a burst, or none, whatever the sample is. Where the
sample has few accounts, or mostly brief ones, others are made up beside: they take the sample's items, as often as the
sample does, and stay.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from security.gate import Violation
from security.gates.poisoning.facts import DAYS
from security.gates.poisoning.tally import COLUMNS, DAY, TIME, columns

FEWEST = 400
"""Accounts beside an attack, at least: no policy calls what happens among so many a chance."""
APART = 2
"""Days from one account that is made up to the next, unless they come at once: never enough of them for a burst."""


class World:
    """Pairs, to which accounts are added. An account is new, and takes items at once; one that stays takes a last one
    weeks later."""

    def __init__(self, sample: Sequence[Any], draw: random.Random) -> None:
        self.user, self.item, self.time = columns(sample)
        self.chance = np.random.default_rng(draw.getrandbits(64))
        self.users, self.items = int(self.user.max()) + 1, int(self.item.max()) + 1
        self.accounts = len(np.unique(self.user))
        self.sizes = np.bincount(self.user)
        self.taken = self.item
        self.day = int(self.time.max()) // DAY + draw.randint(3, 30) * DAYS

    def brief(self) -> int:
        """How many accounts of the sample are brief, at most."""
        first, last = np.full(self.users, np.iinfo(np.int64).max), np.full(self.users, np.iinfo(np.int64).min)
        np.minimum.at(first, self.user, self.time // DAY)
        np.maximum.at(last, self.user, self.time // DAY)
        return int(((last >= first) & (last - first < DAYS)).sum())

    def new(self) -> int:
        """An item that nobody took."""
        self.items += 1
        return self.items - 1

    def filled(self) -> Any:
        """Items of one account: so many as one of the sample has, each as likely as the sample takes it."""
        size = int(self.chance.choice(self.sizes[self.sizes > 0]))
        return np.unique(self.chance.choice(self.taken, min(size, 200)))

    def add(self, profiles: Sequence[Any], *, apart: int, stays: bool) -> None:
        """Accounts with these items, one after the other, so many days apart."""
        parts = [(self.user, self.item, self.time)]
        for place, items in enumerate(profiles):
            come = (self.day + place * apart) * DAY + int(self.chance.integers(DAY // 2))
            when = come + np.sort(self.chance.integers(0, DAY // 2, len(items)))
            if stays:
                when[-1] += int(self.chance.integers(10, 40)) * DAY
            parts.append((np.full(len(items), self.users), items, when))
            self.users += 1
        self.user, self.item, self.time = (np.concatenate([part[place] for part in parts]) for place in range(3))
        self.day += len(profiles) * apart + 2 * DAYS

    def beside(self, accounts: int) -> None:
        """Accounts like those of the sample, which stay."""
        profiles = [self.chance.permutation(np.append(self.filled(), self.new())) for _ in range(accounts)]
        self.add(profiles, apart=APART, stays=True)

    def batches(self, draw: random.Random) -> list[Any]:
        """All pairs, in two parts: an engine that looks at the first alone may miss what is wrong."""
        time = pa.array(self.time, pa.timestamp("us")).cast(TIME)
        arrays = [pa.array(self.user, pa.int32()), pa.array(self.item, pa.int32()), time]
        rows = pa.RecordBatch.from_arrays(arrays, names=list(COLUMNS))
        mixed = rows.take(pa.array(self.chance.permutation(rows.num_rows)))
        cut = draw.randrange(1, rows.num_rows)
        return [mixed.slice(0, cut), mixed.slice(cut)]


def _pushing(world: World, accounts: int) -> list[Any]:
    """Profiles that have one new item in common, and a last one of their own."""
    target = world.new()
    return [np.concatenate([[target], world.filled()[:9], [world.new()]]) for _ in range(accounts)]


def _burst(world: World, draw: random.Random) -> None:
    """Many accounts on one day, of whom each stays."""
    world.beside(max(0, FEWEST - world.accounts))
    world.add(_pushing(world, max(draw.randint(60, 90), world.accounts // 50)), apart=0, stays=True)


def _brief(world: World, draw: random.Random) -> None:
    """Many accounts, one after the other, of whom none stays."""
    world.beside(max(FEWEST, world.brief()))
    world.add(_pushing(world, draw.randint(80, 110)), apart=APART, stays=False)
    world.beside(DAYS)


def _copies(world: World, draw: random.Random) -> None:
    """Some accounts, one after the other, with the same items, of whom each stays."""
    same = np.unique(np.append(world.filled()[:20], [world.new() for _ in range(12)]))
    world.add([world.chance.permutation(same) for _ in range(draw.randint(21, 30))], apart=APART, stays=True)


def _made(plan: Callable[[World, random.Random], None]) -> Violation[Any]:
    def make(sample: Sequence[Any], draw: random.Random) -> list[Any]:
        world = World(sample, draw)
        plan(world, draw)
        return world.batches(draw)

    return make


VIOLATIONS: dict[str, Violation[Any]] = {
    "POI-BURST": _made(_burst),
    "POI-BRIEF": _made(_brief),
    "POI-COPIES": _made(_copies),
}
"""Rule id -> maker."""
