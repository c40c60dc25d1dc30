"""The sample lake: 120 days of interactions of made-up people, drawn from a seed.

It is synthetic by construction and says nothing about any real person, shop or catalogue.

Humans: each of 1,000 has a taste for one to three of twelve communities of items, and takes item i with the
independent probability sigmoid(clarity * [i in taste] + quality of i + activity of the user + base). Communities differ
in appeal and items in quality, so popularity is skewed. When a pair happens is independent of taste.

Why a good model scores high here: inside a taste nearly every item is taken sooner or later, so what a user has not
yet taken of it is mostly what comes next. With the last fifth of each user's pairs held out, an item that is not in
the first four fifths is held out with probability .2p / (1 - .8p), near one where p is near one. A precision at 10 of
.8 on this data is therefore a check that the machinery works, and no promise for any other data. `oracle_scores` gives
the generator's own probabilities, whose precision is the ceiling.

Noise: bots of three habits make about 3 % of the events (a scraper reads fast and evenly, a click farm hammers a few
items, a stealthy one never sleeps); about 2 % of the rows are repeated exactly; some comments hold personal data,
equally made up (`users`). What was planted is told by `truth`, never by the data.

The bytes depend on the seed only. `days=N` is the last N partitions of the same 120.
"""

from __future__ import annotations

import functools
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deployments.lake import users as people

DAYS: Final = 120
LAST: Final = date(2023, 10, 27)
SEED: Final = 7
PREFIX: Final = "user_interactions/"
KINDS: Final = ("view", "click", "purchase")
HABITS: Final = ("scraper", "clickfarm", "stealth")

_HUMANS, _ITEMS, _COMMUNITIES = 1000, 800, 12
_BASE, _CLARITY, _QUALITY_SD, _ACTIVITY_SD, _APPEAL_SLOPE = -5.5, 9.5, 0.9, 0.5, 0.35
_KIND_RATE, _KIND_DELAY = (1.0, 0.45, 0.15), (0.0, 6.0, 150.0)
_BOT_RATE, _DUPLICATE_RATE, _COMMENT_RATE, _PERSONAL_RATE = 0.03, 0.02, 0.06, 0.10
_DAY = 86_400
_EPOCH = (LAST - timedelta(days=DAYS - 1) - date(1970, 1, 1)).days * _DAY
_END = _EPOCH + DAYS * _DAY

Ints = NDArray[np.int64]
Events = tuple[Ints, Ints, Ints, Ints]
"""Columns of equal length: user, item, kind (index into KINDS), time (seconds since 1970 UTC)."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What was planted: bots by user id with their habit, repeated rows, rows whose comment is personal."""

    bots: Mapping[str, str]
    rows: int
    duplicates: int
    personal: int


@dataclass(frozen=True, eq=False)
class _Draw:
    """The whole data set as integers, in time order."""

    events: Events
    comment: Ints
    comments: list[str]
    table: bytes
    names: list[str]
    humans: Ints
    probability: NDArray[np.float32]
    truth: Truth


def partitions(days: int = DAYS, seed: int = SEED) -> Iterator[tuple[str, bytes]]:
    """Keys and gzip JSON-lines bodies: the users table, then the last `days` daily partitions, oldest first.

    A row is {"user_id", "item_id", "interaction_type", "timestamp" (RFC 3339, UTC), "comment" (text or null)}.
    Raises ValueError unless 1 <= days <= 120.
    """
    if not 1 <= days <= DAYS:
        raise ValueError(f"the sample has 1 to {DAYS} days, not {days}")
    draw = _draw(seed)
    yield people.KEY, _gzip(draw.table)
    items = [f'","item_id":"i{item:04d}","interaction_type":"' for item in range(_ITEMS)]
    names = [f'{{"user_id":"{name}' for name in draw.names]
    kinds = [f'{kind}","timestamp":"' for kind in KINDS]
    texts = [*(f'Z","comment":{json.dumps(text)}}}\n' for text in draw.comments), 'Z","comment":null}\n']
    user, item, kind, time = draw.events
    edges = np.searchsorted(time, _END - _DAY * np.arange(days, -1, -1))
    for offset, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        stamps = np.datetime_as_string(time[low:high].astype("datetime64[s]"), unit="s").tolist()
        columns = (part[low:high].tolist() for part in (user, item, kind))
        rows = zip(*columns, stamps, draw.comment[low:high].tolist(), strict=True)
        body = "".join([names[u] + items[i] + kinds[k] + stamp + texts[c] for u, i, k, stamp, c in rows])
        day = LAST - timedelta(days=days - 1 - offset)
        yield f"{PREFIX}{day.isoformat()}/part-000.jsonl.gz", _gzip(body.encode("ascii"))


def oracle_scores(seed: int = SEED) -> tuple[NDArray[np.str_], NDArray[np.str_], NDArray[np.float32]]:
    """The ceiling's scores: ids of the humans, ids of the items, and the probability [humans, items] of each pair.

    Both lists of ids are sorted. Ranked with the items of the training part left out, they give the precision that no
    model can be expected to beat, since the time of a pair is independent of its probability.
    """
    draw = _draw(seed)
    order = np.argsort(draw.humans)
    names = np.array(draw.names)[draw.humans[order]]
    return names, np.array([f"i{item:04d}" for item in range(_ITEMS)]), draw.probability[order]


def truth(seed: int = SEED) -> Truth:
    """What was planted in the data set of this seed."""
    return _draw(seed).truth


@functools.lru_cache(maxsize=1)
def _draw(seed: int) -> _Draw:
    human, probability, country = _humans(np.random.default_rng([seed, 1]))
    bots, habits = _bots(np.random.default_rng([seed, 2]), len(human[0]))
    rng = np.random.default_rng([seed, 3])
    user, item, kind, time = (np.concatenate(pair) for pair in zip(human, bots, strict=True))
    total = _HUMANS + len(habits)
    # Bots hide among the ids: an account's number says nothing about who is behind it.
    number = rng.permutation(total)
    user = number[user]
    # A planted repetition is the only kind there is, so that exact deduplication has one right answer.
    packed = ((time - _EPOCH) * total + user) * _ITEMS * len(KINDS) + item * len(KINDS) + kind
    keep = np.unique(packed, return_index=True)[1]
    comment = np.full(len(keep), -1, dtype=np.int64)
    written = rng.random(len(keep)) < _COMMENT_RATE
    private = written & (rng.random(len(keep)) < _PERSONAL_RATE)
    comment[written] = rng.integers(0, len(people.HARMLESS), int(written.sum()))
    comment[private] = len(people.HARMLESS) + np.arange(int(private.sum()))
    repeats = np.ones(len(keep), dtype=np.int64)
    repeats[rng.choice(len(keep), int(len(keep) * _DUPLICATE_RATE), replace=False)] = 2
    rows = np.repeat(np.arange(len(keep)), repeats)
    chosen = keep[rows]
    names = [f"u{index:05d}" for index in range(total)]
    group, bot_country = people.accounts(rng, total)
    placed = bot_country.copy()
    placed[number[:_HUMANS]] = country
    return _Draw(
        events=(user[chosen], item[chosen], kind[chosen], time[chosen]),
        comment=comment[rows],
        comments=[*people.HARMLESS, *people.personal(rng, int(private.sum()))],
        table=people.table(names, group, placed),
        names=names,
        humans=number[:_HUMANS],
        probability=probability,
        truth=Truth(
            bots={names[number[_HUMANS + index]]: habit for index, habit in enumerate(habits)},
            rows=len(rows),
            duplicates=len(rows) - len(keep),
            personal=int(private[rows].sum()),
        ),
    )


def _humans(rng: np.random.Generator) -> tuple[Events, NDArray[np.float32], Ints]:
    community = rng.permutation(np.arange(_ITEMS) % _COMMUNITIES)
    quality = rng.normal(0, _QUALITY_SD, _ITEMS)
    activity = rng.normal(0, _ACTIVITY_SD, _HUMANS)
    appeal = -_APPEAL_SLOPE * np.log(np.arange(1, _COMMUNITIES + 1))
    # Gumbel noise on log weights ranks communities as drawing without replacement would (Plackett-Luce).
    rank = (-(appeal + rng.gumbel(size=(_HUMANS, _COMMUNITIES)))).argsort(1).argsort(1)
    taste = rank < rng.integers(1, 4, _HUMANS)[:, None]
    logit = _BASE + _CLARITY * taste[:, community] + quality + activity[:, None]
    probability = 1 / (1 + np.exp(-logit))
    user, item = np.nonzero(rng.random(probability.shape) < probability)
    order = np.lexsort((rng.random(len(user)), user))
    user, item = user[order], item[order]

    starts = np.r_[True, user[1:] != user[:-1]] | (rng.random(len(user)) < 1 / 8)
    session = np.cumsum(starts) - 1
    count = int(session[-1]) + 1
    _, country = people.accounts(rng, _HUMANS)
    hour = np.clip(rng.normal(15, 3.5, count), 6, 23.5) - people.offsets(country)[user[starts]]
    start = rng.integers(0, DAYS, count) * _DAY + (hour % 24) * 3600
    gap = np.where(starts, 0.0, np.exp(rng.normal(np.log(35), 1.0, len(user))))
    elapsed = np.cumsum(gap)
    time = start[session] + elapsed - elapsed[starts][session]

    made = rng.random((len(KINDS), len(user))) < np.array(_KIND_RATE)[:, None]
    delay = np.array(_KIND_DELAY)[:, None] * np.exp(rng.normal(0, 0.7, made.shape))
    when = np.floor(time + delay).astype(np.int64)
    latest = np.maximum.reduceat(np.where(made, when, 0).max(0), np.flatnonzero(starts))
    # A session that would run over the end of the last day was a day earlier.
    when -= _DAY * (latest >= DAYS * _DAY)[session]
    kind, pair = np.nonzero(made)
    events = user[pair], item[pair], kind, when[kind, pair] + _EPOCH
    return events, probability.astype(np.float32), country


def _bots(rng: np.random.Generator, human_events: int) -> tuple[Events, list[str]]:
    wanted, made = int(human_events * _BOT_RATE / (1 - _BOT_RATE)), 0
    habits: list[str] = []
    columns: list[Events] = []
    while made < wanted:
        habit = HABITS[len(habits) % len(HABITS)]
        if habit == "scraper":
            size = int(rng.integers(400, 900))
            item = rng.permutation(_ITEMS)[(rng.integers(_ITEMS) + np.arange(size)) % _ITEMS]
            gap = rng.normal(rng.uniform(0.8, 3), 0.08, size).clip(0.2)
            kind = np.zeros(size, dtype=np.int64)
        elif habit == "clickfarm":
            size = int(rng.integers(150, 400))
            targets = rng.integers(0, _ITEMS, 6)[rng.integers(0, 6, size)]
            item = np.where(rng.random(size) < 0.8, targets, rng.integers(0, _ITEMS, size))
            gap = rng.exponential(4, size)
            kind = (rng.random(size) < 0.8).astype(np.int64)
        else:
            size = int(rng.integers(200, 500))
            item = rng.integers(0, _ITEMS, size)
            gap = np.exp(rng.normal(np.log(400), 0.6, size))
            kind = (rng.random(size) < 0.3).astype(np.int64)
        start = _EPOCH + int(rng.integers(0, (DAYS - 5) * _DAY))
        time = np.minimum(start + np.cumsum(gap), _END - 1).astype(np.int64)
        columns.append((np.full(size, _HUMANS + len(habits)), item, kind, time))
        habits.append(habit)
        made += size
    user, item, kind, time = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    return (user, item, kind, time), habits


def _gzip(body: bytes) -> bytes:
    """RFC 1952 with the time and the operating system left open, which `gzip.compress` sets by version of Python."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
    trailer = struct.pack("<II", zlib.crc32(body), len(body) & 0xFFFFFFFF)
    return header + squeeze.compress(body) + squeeze.flush() + trailer
