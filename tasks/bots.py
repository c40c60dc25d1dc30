"""Accounts that behave like no person: the rule of `filter_bots`.

Measured on 89 made-up bots of three habits and on MovieLens 100k and latest-small: precision 1, recall .989, no person
taken for one. The same hand wrote bots and rules, so that is an upper bound: bots that keep a person's pace and hours
pass. A rate of more than 60 events a minute would find 6 % of those bots, and .45 % of the people.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from security.verdict import Frozen

Ints = NDArray[np.signedinteger[Any]]


class Bots(Frozen):
    """From when on an account is taken for a bot; any one sign is enough."""

    pause: float = Field(default=1800.0, gt=0)
    """Seconds without an event that end a session."""
    spread: float = Field(default=0.45, gt=0)
    """Gaps within sessions are even when their logarithms (of seconds, at least 1) have a lower standard deviation."""
    gaps: int = Field(default=30, ge=2)
    """The fewest gaps within sessions that are enough to say so."""
    awake: float = Field(default=8 * 3600.0, gt=0)
    """Seconds; nobody goes on for longer without a pause."""
    repeats: int = Field(default=20, ge=1)
    """Nobody takes one item more often."""


def suspects(user: Ints, item: Ints, time: Ints, bots: Bots) -> dict[int, tuple[str, ...]]:
    """User -> the signs that it shows, for those that show one: `even_gaps`, `no_pause`, `one_item`.

    Columns of equal length, users and items from 0; `time` in microseconds, in order. Repeated rows should be gone:
    they look like an item taken twice, and a gap of no time.
    """
    if not len(user):
        return {}
    users, items = int(user.max()) + 1, int(item.max()) + 1
    # Rows are in order of time, so a stable sort by user leaves each account's in order.
    order = np.argsort(user, kind="stable")
    owner, when = user[order], time[order]
    gap = np.diff(when) / 1e6
    near = (owner[1:] == owner[:-1]) & (gap <= bots.pause)
    who, logs = owner[1:][near], np.log(np.maximum(gap[near], 1.0))
    count = np.bincount(who, minlength=users)
    mean = np.bincount(who, logs, users) / np.maximum(count, 1)
    spread = np.sqrt(np.bincount(who, (logs - mean[who]) ** 2, users) / np.maximum(count, 1))
    first = np.flatnonzero(np.r_[True, ~near])
    last = np.r_[first[1:] - 1, len(owner) - 1]
    longest = np.zeros(users)
    np.maximum.at(longest, owner[first], (when[last] - when[first]) / 1e6)
    pair, times = np.unique(user.astype(np.int64) * items + item, return_counts=True)
    most = np.zeros(users, np.int64)
    np.maximum.at(most, pair // items, times)
    signs = {
        "even_gaps": (count >= bots.gaps) & (spread < bots.spread),
        "no_pause": longest > bots.awake,
        "one_item": most > bots.repeats,
    }
    taken = np.flatnonzero(np.logical_or.reduce(list(signs.values()))).tolist()
    return {index: tuple(sign for sign, shown in signs.items() if shown[index]) for index in taken}
