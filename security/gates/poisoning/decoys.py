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
from security.gates.poisoning.tally import COLUMNS, DAY, TIME, columns, warm

FEWEST = 500
"""Accounts beside an attack, at least: no policy calls what happens among so many a chance."""
MOST = 20
"""Items of each of these."""
AGAIN = 5
"""Items that an account takes which comes back."""
APART = 2
"""Days from one account that is made up to the next, unless they come at once: never enough of them for a burst."""


class World:
    """Pairs, to which accounts are added. An account is new, and takes items at once; one that stays takes a last one
    weeks later."""

    def __init__(self, sample: Sequence[Any], draw: random.Random) -> None:
        self.user, self.item, self.time = columns(sample)
        self.chance = np.random.default_rng(draw.getrandbits(64))
        self.users, self.items = int(self.user.max()) + 1, int(self.item.max()) + 1
        self.sizes = np.bincount(self.user)
        self.sizes, there = self.sizes[self.sizes > 0], self.sizes > 0
        self.taken = self.item
        first, last = np.full(self.users, np.iinfo(np.int64).max), np.full(self.users, np.iinfo(np.int64).min)
        np.minimum.at(first, self.user, self.time // DAY)
        np.maximum.at(last, self.user, self.time // DAY)
        self.came = int((first[there] - first.min() >= warm(first[there] - first.min())).sum())
        self.brief = int((there & (last - first < DAYS)).sum())
        self.day = int(last.max()) + draw.randint(3, 30) * DAYS

    def new(self) -> int:
        """An item that nobody took."""
        self.items += 1
        return self.items - 1

    def filled(self) -> Any:
        """Items of one account: so many as one of the sample has, each as likely as the sample takes it."""
        return np.unique(self.chance.choice(self.taken, min(int(self.chance.choice(self.sizes)), 200)))

    def add(self, profiles: Sequence[Any], *, apart: int, stays: bool) -> None:
        """Accounts with these items, one after the other, so many days apart."""
        sizes = np.array([len(items) for items in profiles], np.int64)
        self.joined(np.repeat(np.arange(len(profiles)), sizes), np.concatenate(profiles), sizes, apart, stays)

    def joined(self, place: Any, items: Any, sizes: Any, apart: int, stays: bool) -> None:
        """So many accounts as there are `sizes`, each with its items, by `place` in order; the last one weeks later."""
        count = len(sizes)
        come = (self.day + np.arange(count) * apart) * DAY + self.chance.integers(0, DAY // 2, count)
        when = come[place] + self.chance.integers(0, DAY // 2, len(items))
        if stays:
            when[np.cumsum(sizes) - 1] += self.chance.integers(10, 40, count) * DAY
        self.user = np.concatenate([self.user, self.users + place])
        self.item, self.time = np.concatenate([self.item, items]), np.concatenate([self.time, when])
        self.users += count
        self.day += count * apart + 2 * DAYS

    def beside(self, accounts: int) -> None:
        """Accounts like those of the sample, which stay, and have few items each: they are there to be counted. Each
        has one of its own, and takes that last."""
        sizes = np.minimum(self.chance.choice(self.sizes, accounts), MOST)
        place = np.repeat(np.arange(accounts), sizes)
        pairs = np.unique(place * np.int64(self.items) + self.chance.choice(self.taken, len(place)))
        place, items = np.divmod(pairs, self.items)
        order = np.argsort(np.concatenate([place, np.arange(accounts)]), kind="stable")
        place = np.concatenate([place, np.arange(accounts)])[order]
        items = np.concatenate([items, self.items + np.arange(accounts)])[order]
        self.items += accounts
        self.joined(place, items, np.bincount(place, minlength=accounts), APART, True)

    def again(self) -> None:
        """Some who were there before take items of their own, on the day of those who are added next."""
        who = np.repeat(np.unique(self.user)[:FEWEST], AGAIN)
        self.user, self.item = np.append(self.user, who), np.append(self.item, self.items + np.arange(len(who)))
        self.time = np.append(self.time, self.day * DAY + self.chance.integers(0, DAY, len(who)))
        self.items += len(who)

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
    """Many accounts on one day, of whom each stays; on which others are about, of whom none takes what they push."""
    world.beside(max(0, FEWEST - world.came))
    world.again()
    world.add(_pushing(world, max(draw.randint(60, 90), world.came // 50)), apart=0, stays=True)


def _brief(world: World, draw: random.Random) -> None:
    """Many accounts, one after the other, of whom none stays."""
    world.beside(max(FEWEST, 2 * world.brief - len(world.sizes)))
    world.add(_pushing(world, draw.randint(80, 110)), apart=APART, stays=False)
    world.beside(DAYS)


def _copies(world: World, draw: random.Random) -> None:
    """Some accounts, one after the other, with the same items, of whom each stays."""
    world.beside(max(0, FEWEST - len(world.sizes)))
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
