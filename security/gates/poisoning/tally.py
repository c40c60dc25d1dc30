"""The pairs of a look, counted: who came when, what new accounts took, who was brief, who has the same items.

It keeps 12 bytes a pair, and while it is counted about three times that: the tasks that make the pairs and train on
them have several times as much in memory.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from security.errors import CannotTell
from security.gates.poisoning.facts import DAYS, FLOOR, Burst
from security.material import Material
from security.verdict import Subject

COLUMNS = ("user", "item", "timestamp")
TIME = pa.timestamp("us", "UTC")
DAY = 86_400_000_000
"""Microseconds."""
BATCH = 1 << 16
MOST = 4_000_000
"""Days, accounts and items that one look can have: more are no interactions of people."""


def material(subject: Subject, path: Path, expected: int) -> Material[Any]:
    """The pairs of a Parquet file, whose bytes the caller has checked; `expected` of them as counted elsewhere."""

    def source() -> Iterator[Any]:
        try:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(batch_size=BATCH, columns=list(COLUMNS))
        except (OSError, KeyError, pa.ArrowException) as why:
            raise CannotTell(f"the pairs cannot be read as Parquet ({type(why).__name__})") from None

    return Material(subject, source, expected=expected, unit="pairs", weigh=lambda batch: int(batch.num_rows))


def columns(batches: Iterable[Any]) -> tuple[Any, Any, Any]:
    """User and item by their places in the vocabularies, and microseconds since 1970, of each pair."""
    parts = list[tuple[Any, ...]]()
    for batch in batches:
        if set(batch.schema.names) != set(COLUMNS) or any(batch.column(name).null_count for name in COLUMNS):
            raise CannotTell(f"the pairs have other columns than {', '.join(COLUMNS)}, or empty cells")
        *codes, time = map(batch.column, COLUMNS)
        if any(each.type != pa.int32() for each in codes) or not pa.types.is_timestamp(time.type):
            raise CannotTell("users and items of the pairs are no places in a vocabulary, or their times no times")
        parts.append((*(each.to_numpy() for each in codes), time.cast(TIME).cast(pa.int64()).to_numpy()))
    if not sum(len(part[0]) for part in parts):
        raise CannotTell("there are no pairs to look at", "coverage")
    user, item, moment = (np.concatenate([part[place] for part in parts]) for place in range(3))
    return user, item, moment


class Tally:
    """`CannotTell` for no pair, one that is there twice, or codes that are none.

    `first`, `last` [users]: days from the first one; `fresh`: how many accounts that came on a day took an item within
    their first days, sorted by `keys`, item * days + day; `newly` [days]: accounts that came, and `brought` what they
    took in these; `took`, `support`,
    `settled`, `brief` [items]: new accounts, all, those whose stay is known, and the brief ones among these.
    """

    def __init__(self, batches: Iterable[Any]) -> None:
        user, item, time = columns(batches)
        day = time // DAY
        self.start = int(day.min())
        day = (day - self.start).astype(np.int64)
        self.days, users, self.items = int(day.max()) + 1, int(user.max()) + 1, int(item.max()) + 1
        if min(int(user.min()), int(item.min())) < 0 or max(self.days, users, self.items) > MOST:
            raise CannotTell(f"pairs of {users:,} users and {self.items:,} items over {self.days:,} days are none")
        self.user, self.item, self.day = user, item, day.astype(np.int32)
        pairs = user.astype(np.int64) * self.items + item
        pairs.sort()
        if bool((pairs[1:] == pairs[:-1]).any()):
            raise CannotTell("a pair of user and item is there twice")
        del pairs
        self.first, self.last = np.full(users, self.days, np.int32), np.full(users, -1, np.int32)
        np.minimum.at(self.first, user, self.day)
        np.maximum.at(self.last, user, self.day)
        there = self.last >= 0
        self.accounts = int(there.sum())
        self.newly = np.bincount(self.first[there], minlength=self.days)
        came = self.first[user]
        new = self.day - came < DAYS
        self.keys, self.fresh = np.unique(item[new] * np.int64(self.days) + came[new], return_counts=True)
        self.brought = np.bincount(came[new], minlength=self.days)
        self.took = np.bincount(item[new], minlength=self.items)
        self.support = np.bincount(item, minlength=self.items)
        known = there & (self.first < self.days - DAYS) & (self.last >= DAYS)
        short = known & (self.last - self.first < DAYS)
        self.whole, self.short = int(known.sum()), int(short.sum())
        self.settled = np.bincount(item[known[user]], minlength=self.items)
        self.brief = np.bincount(item[short[user]], minlength=self.items)
        self.seasoned = lru_cache(maxsize=256)(self._seasoned)

    def _seasoned(self, window: int) -> tuple[int, Any]:
        """Accounts from before a window that did something in its days, and what they took, by item."""
        near = (self.day >= window) & (self.day < window + 2 * DAYS - 1)
        near &= self.first[self.user] < window
        return len(np.unique(self.user[near])), np.bincount(self.item[near], minlength=self.items)

    def asked(self, burst: Burst, window: int) -> Burst:
        """A burst, with what accounts from before did in its days."""
        seasoned, took = self.seasoned(window)
        return burst.model_copy(update={"seasoned": seasoned, "seasoned_took": int(took[burst.item])})

    def arrivals(self, item: int) -> Any:
        """Of each day, how many of the accounts that came then took an item within their first days."""
        low, high = np.searchsorted(self.keys, [item * self.days, (item + 1) * self.days])
        found = np.zeros(self.days, np.int64)
        found[self.keys[low:high] - item * self.days] = self.fresh[low:high]
        return found

    def named(self, window: int) -> str:
        """The first day of a window, as people write it."""
        return str(np.datetime64(self.start + window, "D"))

    def same(self) -> list[tuple[int, int]]:
        """Sets of items that several accounts have: how many, and of how many items, most accounts first.

        Sets are told apart by the sum of a number of 64 bits for each item.
        """
        sums, sizes = np.zeros(len(self.first), np.uint64), np.bincount(self.user, minlength=len(self.first))
        np.add.at(sums, self.user, mixed(self.item.astype(np.uint64)))
        _, at, counts = np.unique(sums[sizes > 0], return_index=True, return_counts=True)
        size = sizes[sizes > 0][at]
        return [(int(counts[each]), int(size[each])) for each in np.lexsort((-size, -counts)) if counts[each] > 1]


def mixed(numbers: Any) -> Any:
    """Numbers of 64 bits that look like chance (the finaliser of SplitMix64; Steele, Lea and Flood 2014, OOPSLA)."""
    found = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, times in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found = (found ^ (found >> np.uint64(shift))) * np.uint64(times)
    return found ^ (found >> np.uint64(31))


def slid(by_day: Any) -> Any:
    """Sums over windows of `DAYS` days; the first begins so early that the first day is its last."""
    whole = np.concatenate([[0], np.cumsum(by_day)])
    begin = np.arange(1 - DAYS, len(by_day))
    return whole[np.minimum(begin + DAYS, len(by_day))] - whole[np.maximum(begin, 0)]


def tested(newly: Any) -> int:
    """How many windows have new accounts enough."""
    return int((slid(newly) >= FLOOR).sum())
