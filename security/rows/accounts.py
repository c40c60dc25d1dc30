"""How accounts behave: for each the pace, evenness, length and breadth of what it did, in steps that a person can read.

A session is a run of events without a pause of 30 minutes. `measure` knows no limit: it says between which steps of a
scale an account lies, and `signs` says what that means under given settings, so that accounts can be counted by kind
where the settings are not known yet, and judged later. A kind holds nothing of a person.

What this cannot see: whoever keeps a person's pace, pauses, hours and tastes. One account is looked at at a time, so a
crowd of accounts that each behave, and push one item together, is not seen here either.
"""

from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from security.verdict import Frozen

Ints = NDArray[np.signedinteger]
PAUSE = 1800
"""Seconds without an event that end a session."""
GAPS = 30
"""The fewest gaps within sessions that say how even they are."""
HOURLY = (300, 600, 1200, 2400)
EVEN = (15, 30, 45, 60)
AWAKE = (4, 8, 12, 24)
HOURS = (12, 14, 16, 18, 20, 22)
REPEATS = (5, 10, 20, 50, 100)
BREADTH = (10, 20, 30, 50, 75)
ITEMS = 200
"""The fewest items in a catalogue of which a share says anything."""
_HOUR, _DAY = 3600, 86_400


class Bots(Frozen):
    """From when on an account is taken for a bot: any one sign is enough. Each setting is a step of its scale."""

    hourly: Literal[300, 600, 1200, 2400] = 1200
    """Nobody does more within 60 minutes."""
    even: Literal[15, 30, 45, 60] = 45
    """Nobody's gaps within sessions are more even: the standard deviation of their logarithms, in hundredths."""
    awake: Literal[4, 8, 12, 24] = 8
    """Nobody goes on for more hours without a pause."""
    hours: Literal[12, 14, 16, 18, 20, 22] = 16
    """Nobody is there in more different hours of one day (UTC)."""
    repeats: Literal[5, 10, 20, 50, 100] = 10
    """Nobody takes one item more often in one day (UTC)."""
    breadth: Literal[10, 20, 30, 50, 75] = 30
    """Nobody takes more of the catalogue in one day (UTC), in percent."""
    most: float = Field(default=0.05, ge=0, le=0.5)
    """The share of rows that may be of suspects; above it the run stops."""


class Account(NamedTuple):
    """Of an account, for each scale how many of its steps lie below what was measured; `even` likewise, or all."""

    hourly: int
    even: int
    awake: int
    hours: int
    repeats: int
    breadth: int


SCALES: tuple[tuple[int, ...], ...] = (HOURLY, EVEN, AWAKE, HOURS, REPEATS, BREADTH)
_SIZES = tuple(len(scale) + 1 for scale in SCALES)
_QUIET = Account(0, len(EVEN), 0, 0, 0, 0)
_FEW = 5


def signs(account: Account, bots: Bots) -> tuple[str, ...]:
    """The signs of a bot that an account of this kind shows, by the names of the settings."""
    found = []
    for name, step, scale in zip(Account._fields, account, SCALES, strict=True):
        at = scale.index(getattr(bots, name))
        if step <= at if name == "even" else step > at:
            found.append(name)
    return tuple(found)


class Measured(NamedTuple):
    """Accounts in the order of their rows: who, how many rows, and `which` of `kinds` each is."""

    users: NDArray[np.integer]
    rows: Ints
    kinds: list[Account]
    which: Ints
    broad: Ints
    """The most different items of one day; 0 for whoever did little."""


def measure(user: NDArray[np.integer], item: pa.Array, time: Ints, catalogue: int) -> Measured:
    """The accounts among rows, and the kind of each.

    Columns of equal length in order of user, then time (microseconds since 1970), of whole accounts; items are texts
    or numbers. Repeated rows should be gone: they look like an item taken twice. `catalogue` is how many items there
    are in all.
    """
    first = np.flatnonzero(np.r_[True, user[1:] != user[:-1]]) if len(user) else np.zeros(0, np.int64)
    rows = np.diff(np.r_[first, len(user)])
    busy, broad = _busy(user, time, first, rows), np.zeros(len(first), np.int64)
    code = np.full(len(first), np.ravel_multi_index(_QUIET, _SIZES))
    if busy.any():
        some = np.repeat(busy, rows)
        codes = item.filter(pa.array(some)).dictionary_encode().indices.to_numpy().astype(np.int64)
        code[busy], broad[busy] = _measured(rows[busy], codes, time[some], catalogue)
    coded = pa.array(code).dictionary_encode()
    kinds = np.transpose(np.unravel_index(coded.dictionary.to_numpy(), _SIZES)).tolist()
    return Measured(user[first], rows, [Account(*kind) for kind in kinds], coded.indices.to_numpy(), broad)


def _busy(user: NDArray[np.integer], time: Ints, first: Ints, rows: Ints) -> NDArray[np.bool_]:
    """Who may be of another kind than `_QUIET`: whoever has more than `GAPS` rows, or `_FEW` in one day.

    Each first step but that of evenness needs so many in a day. An hour lies in at most two days, so that more than 300
    events in one are more than 150 in a day; a session of more than 4 hours with pauses below 30 minutes has at least
    10 events, and whatever part of it first passes 4 hours lies in two days; more than 12 hours, 5 times one item and
    a tenth of `ITEMS` are of one day.
    """
    busy = rows > GAPS
    step = _FEW - 1
    near = np.flatnonzero((user[step:] == user[:-step]) & (time[step:] - time[:-step] < _DAY * 1_000_000))
    near = near[time[near] // (_DAY * 1_000_000) == time[near + step] // (_DAY * 1_000_000)]
    busy[np.searchsorted(first, near, side="right") - 1] = True
    return busy


def _measured(rows: Ints, item: Ints, time: Ints, catalogue: int) -> tuple[Ints, Ints]:
    """For accounts of so many rows each, in order: the code of the kind, and the most different items of one day."""
    owner, start = np.repeat(np.arange(len(rows)), rows), np.cumsum(rows) - rows
    second = time // 1_000_000
    day = second // _DAY
    begun = np.flatnonzero(np.r_[True, (owner[1:] != owner[:-1]) | (day[1:] != day[:-1])])
    daily = owner[begun]
    often, broad = _taken(np.repeat(np.arange(len(begun)), np.diff(np.r_[begun, len(day)])), item, len(begun))
    most = _most(daily, broad, len(rows))
    measured = (
        _step(_hourly(owner, second, start), HOURLY),
        _even(owner, time),
        _step(_awake(owner, time), AWAKE),
        _step(_most(daily, _there(second // _HOUR, begun), len(rows)), HOURS),
        _step(_most(daily, often, len(rows)), REPEATS),
        _step(most * 100 / catalogue * (catalogue >= ITEMS), BREADTH),
    )
    return np.ravel_multi_index(measured, _SIZES), most


def _step(value: NDArray[np.float64] | Ints, scale: tuple[int, ...]) -> NDArray[np.int64]:
    """How many steps of a scale lie below a value."""
    return np.searchsorted(np.array(scale, float), np.asarray(value, float), side="left")


def _hourly(owner: Ints, second: Ints, start: Ints) -> Ints:
    """The most events of each account within 60 minutes."""
    since = second - second.min()
    span = int(since.max()) + 1
    if (int(owner[-1]) + 1) * span >= 1 << 62:
        raise OverflowError(f"{int(owner[-1]) + 1:,} accounts over {span:,} s are more than one look can tell apart")
    key = owner.astype(np.int64) * span + since
    first = np.searchsorted(key, np.maximum(key - _HOUR + 1, owner * span), side="left")
    return np.asarray(np.maximum.reduceat(np.arange(len(key)) - first + 1, start), np.int64)


def _even(owner: Ints, time: Ints) -> NDArray[np.int64]:
    """The step of each account on the scale of evenness; above all of them where there are too few gaps."""
    gap = np.diff(time) / 1e6
    near = (owner[1:] == owner[:-1]) & (gap < PAUSE)
    who, logs = owner[1:][near], np.log(np.maximum(gap[near], 1.0))
    count = np.bincount(who, minlength=int(owner[-1]) + 1)
    mean = np.bincount(who, logs, len(count)) / np.maximum(count, 1)
    deviation = np.sqrt(np.bincount(who, (logs - mean[who]) ** 2, len(count)) / np.maximum(count, 1))
    step = np.searchsorted(np.array(EVEN) / 100, deviation, side="right")
    return np.where(count >= GAPS, step, len(EVEN))


def _awake(owner: Ints, time: Ints) -> NDArray[np.float64]:
    """The longest session of each account, in hours."""
    first = np.flatnonzero(np.r_[True, (owner[1:] != owner[:-1]) | (np.diff(time) >= PAUSE * 1_000_000)])
    last = np.r_[first[1:] - 1, len(time) - 1]
    longest = np.zeros(int(owner[-1]) + 1)
    np.maximum.at(longest, owner[first], (time[last] - time[first]) / (_HOUR * 1e6))
    return longest


def _taken(day: Ints, item: Ints, days: int) -> tuple[Ints, Ints]:
    """Of each day of an account: how often the item was taken that was taken most, and how many different ones were."""
    width = int(item.max()) + 1
    pair = np.sort(day * width + item)
    first = np.flatnonzero(np.r_[True, pair[1:] != pair[:-1]])
    of = pair[first] // width
    often = np.zeros(days, np.int64)
    np.maximum.at(often, of, np.diff(np.r_[first, len(pair)]))
    return often, np.bincount(of, minlength=days)


def _there(hour: Ints, begun: Ints) -> Ints:
    """In how many different hours each day of an account had events; hours are in order."""
    fresh = np.r_[True, hour[1:] != hour[:-1]].astype(np.int64)
    fresh[begun] = 1
    return np.asarray(np.add.reduceat(fresh, begun), np.int64)


def _most(owner: Ints, value: Ints, accounts: int) -> Ints:
    """The highest value of each account."""
    most = np.zeros(accounts, np.int64)
    np.maximum.at(most, owner, value)
    return most
