"""The pairs of a look, counted: who came when, what new accounts took, who was brief, who has the same items.

It keeps 16 bytes a pair, and while it is counted about twice that: the tasks that make the pairs and train on them have
several times as much in memory.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from security.errors import CannotTell
from security.gates.poisoning.facts import DAYS, FLOOR, TENTH, WARM, Burst
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

    `user`, `item`, `day` of each pair, by item. `first`, `last` [users]: days from the first one; `came`: accounts that
    came from day `warm` on; `fresh`: how many of them that came on a day took an item within their first days,
    sorted by `keys`, item * days + day; `newly` [days]: accounts that came, and `brought` what they took in these;
    `took`, `support`, `settled`, `brief` [items]: new accounts, all, those whose stay is known, and the brief ones
    among these.
    """

    def __init__(self, batches: Iterable[Any]) -> None:
        user, item, time = columns(batches)
        day = time // DAY
        self.start = int(day.min())
        day = (day - self.start).astype(np.int64)
        self.days, users, self.items = int(day.max()) + 1, int(user.max()) + 1, int(item.max()) + 1
        if min(int(user.min()), int(item.min())) < 0 or max(self.days, users, self.items) > MOST:
            raise CannotTell(f"pairs of {users:,} users and {self.items:,} items over {self.days:,} days are none")
        pairs = user.astype(np.int64) * self.items + item
        pairs.sort()
        if bool((pairs[1:] == pairs[:-1]).any()):
            raise CannotTell("a pair of user and item is there twice")
        del pairs
        order = np.argsort(item, kind="stable")
        self.user, self.item, self.day = user[order], item[order], day[order].astype(np.int32)
        user, item = self.user, self.item
        self._by_day = np.argsort(self.day, kind="stable").astype(np.int32)
        self._until = np.concatenate([[0], np.cumsum(np.bincount(self.day, minlength=self.days))])
        self.first, self.last = np.full(users, self.days, np.int32), np.full(users, -1, np.int32)
        np.minimum.at(self.first, user, self.day)
        np.maximum.at(self.last, user, self.day)
        there = self.last >= 0
        self.accounts = int(there.sum())
        self.warm = warm(self.first[there])
        known = there & (self.first >= self.warm)
        self.came = int(known.sum())
        self.newly = np.bincount(self.first[known], minlength=self.days)
        came = self.first[user]
        new = known[user] & (self.day - came < DAYS)
        self.keys, self.fresh = np.unique(item[new] * np.int64(self.days) + came[new], return_counts=True)
        self.brought = np.bincount(came[new], minlength=self.days)
        self.took = np.bincount(item[new], minlength=self.items)
        self.support = np.bincount(item, minlength=self.items)
        self._from = np.concatenate([[0], np.cumsum(self.support)])
        known = there & (self.first < self.days - DAYS) & (self.last >= DAYS)
        short = known & (self.last - self.first < DAYS)
        self.whole, self.short = int(known.sum()), int(short.sum())
        self.settled = np.bincount(item[known[user]], minlength=self.items)
        self.brief = np.bincount(item[short[user]], minlength=self.items)
        self._had = np.zeros(users, bool)
        self._about = lru_cache(maxsize=32)(self._active)

    def takers(self, item: int) -> tuple[Any, Any]:
        """Who took an item, and on which day each."""
        rows = slice(self._from[item], self._from[item + 1])
        return self.user[rows], self.day[rows]

    def _active(self, window: int, before: int) -> tuple[Any, Any]:
        """Accounts that came before a day and did something in a window's days, sorted, and how many pairs each."""
        low, high = np.clip([window, window + 2 * DAYS - 1], 0, self.days)
        user = self.user[self._by_day[self._until[low] : self._until[high]]]
        users, pairs = np.unique(user[self.first[user] < before], return_counts=True)
        return users, pairs

    def seasoned(self, item: int, window: int, before: int) -> tuple[int, int, int]:
        """Of the accounts that came before a day, did something in a window's days and had not taken an item until
        then: how many they are, how many took it in these days, and all the pairs that they took in these."""
        (users, pairs), (who, when) = self._about(window, before), self.takers(item)
        until = who[when < window]
        self._had[until] = True
        had = self._had[users]
        self._had[until] = False
        then = (when >= window) & (when < window + 2 * DAYS - 1) & (self.first[who] < before)
        return int((~had).sum()), int(then.sum()), int(pairs[~had].sum())

    def asked(self, burst: Burst, window: int) -> Burst:
        """A burst, with what accounts from before did in its days; or in those of a window that shares days with it,
        where more of them took the item: a fashion does not end where few are about."""
        best = self.seasoned(burst.item, window, window)
        for other in range(window - 2 * DAYS + 2, window + 2 * DAYS - 1):
            best = max(best, self.seasoned(burst.item, other, min(window, other)), key=lambda each: each[1])
        told = dict(zip(("seasoned", "seasoned_took", "seasoned_pairs"), best, strict=True))
        return burst.model_copy(update=told)

    def arrivals(self, item: int) -> Any:
        """Of each day, how many of the accounts that came then took an item within their first days."""
        low, high = np.searchsorted(self.keys, [item * self.days, (item + 1) * self.days])
        found = np.zeros(self.days, np.int64)
        found[self.keys[low:high] - item * self.days] = self.fresh[low:high]
        return found

    def named(self, window: int) -> str:
        """The first day of a window, as people write it."""
        return str(np.datetime64(self.start + window, "D"))


def warm(first: Any) -> int:
    """The day from which on accounts can be new, by the days on which each is first seen, counted from 0."""
    return max(WARM, int(np.quantile(first, TENTH, method="higher")))


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
