"""Intervals by resampling users: the Poisson bootstrap (Chamandy et al. 2012, after Efron 1979).

In each of 1,000 replicates a user counts as often as a draw of Poisson(1) says, and a mean is over those counts. The
draws are a hash of the user and the replicate: the same for every metric and system, so that differences are paired,
and the same however users are cut into batches and ordered. Sums are of whole numbers, so that they are exact.

The interval is between the 2.5th and the 97.5th percentile, and contains the value itself. Where no replicate differs,
as all users are alike, it reaches as far as a share of 3 / n that is otherwise and was not drawn would have it (the
rule of three, Hanley and Lippman-Hand 1983). It is of users, for one model as it was trained; near what a metric can be
at most or least it is too short with few users: whether there are enough of them is for another rule.
"""

from typing import Any, Final

import numpy as np

from security.memo import Memo
from security.verdict import Frozen

REPLICATES: Final = 1000
PART: Final = 720_720
"""Resampled values are whole numbers of this fraction, which all up to 16 divide: sums stay exact below 2^53, so up to
some 10^9 users."""
BLOCK: Final = 2048
"""Users that are resampled at once: what bounds memory."""
_SEED: Final = 0x736C75696365
_LOW, _HIGH = 24, 975


class Estimate(Frozen):
    """A value, and an interval that, made from such samples of users, holds the mean over all users 95 times in 100."""

    value: float
    low: float
    high: float


def _poisson() -> Any:
    """How often a user counts, for each of 65,536 equally likely numbers."""
    chance, shares = np.exp(-1.0), list[float]()
    for times in range(1, 12):
        shares.append(float(chance))
        chance /= times
    return np.searchsorted(np.cumsum(shares), (np.arange(1 << 16) + 0.5) / (1 << 16)).astype(np.uint8)


_COUNT = _poisson()


def _mixed(users: Any, words: int) -> Any:
    """Words of 64 bits for each user, as SplitMix64 mixes them (Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        start = users.astype(np.int64).view(np.uint64)[:, None] * np.uint64(words) + np.arange(words, dtype=np.uint64)
        mixed = (start + np.uint64(_SEED)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))


def drawers(users: Any, many: int) -> Any:
    """Which of so many drawers each user lies in: a hash of the user alone, so the same for every batch and order."""
    return (_mixed(users, 1)[:, 0] % np.uint64(many)).astype(np.int64)


def _drawn(users: bytes) -> Any:
    drawn = _COUNT[_mixed(np.frombuffer(users, np.int64), REPLICATES // 4).astype("<u8").view("<u2")]
    return np.frombuffer(drawn.tobytes(), np.uint8).reshape(drawn.shape)  # which nobody can make writable


_DRAWN = Memo(_drawn, 16)
"""The same users are drawn for each metric, by each gate: two megabytes a block."""


def counts(users: Any) -> Any:
    """How often each user counts in each replicate: [users, REPLICATES] uint8, to be read only."""
    return _DRAWN(np.asarray(users).astype(np.int64).tobytes())


def resampled(users: Any, values: Any) -> tuple[Any, Any]:
    """For each replicate how many users it has, and the sums of the columns of `values` [users, columns], in parts."""
    weight, sums = np.zeros(REPLICATES), np.zeros((REPLICATES, values.shape[1]))
    parts = np.rint(values * PART)
    for low in range(0, len(users), BLOCK):
        drawn = counts(users[low : low + BLOCK]).astype(np.float64)
        weight += drawn.sum(axis=0)
        sums += drawn.T @ parts[low : low + BLOCK]
    return weight, sums


def estimate(value: float, replicates: Any, users: int, ends: tuple[float, float] = (0.0, 1.0)) -> Estimate:
    """A value with the interval that its replicates span; those that had no user at all count as the value. `ends`: the
    least and the most that a user can have."""
    ordered = np.sort(np.where(np.isfinite(replicates), replicates, value))
    low, high = min(float(ordered[_LOW]), value), max(float(ordered[_HIGH]), value)
    if ordered[-1] - ordered[0] <= 1e-9:
        missed = min(1.0, 3 / users)
        low, high = value - missed * (value - ends[0]), value + missed * (ends[1] - value)
    return Estimate(value=value, low=low, high=high)
