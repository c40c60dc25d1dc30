"""How far a group surely lies from a limit: above it, below it, or nobody can tell.

With m the mean of a group of a share s of the users and M that of the whole, a limit asks m - r M + a >= 0 (r the
lowest ratio, a the gap). As M = s m + (1 - s) m', this is (1 - r s) m - r (1 - s) m' + a, of two independent means: its
standard error is that of the user-level bootstrap with endless replicates (Efron 1979), which for means is known
without drawing any. All r that are not refused make Fieller's interval of the ratio (1954).

Too low: with the critical value of Bonferroni over all comparisons, so that the chance to call any group too low though
none is stays below `error`. Not too low: with that of one comparison, as a pass claims it of every group, and a claim
of all that needs each is wrong no more often than one of them (intersection-union test, Berger 1982).

A few users who are all the same are not certain: the variance of a group counts as no less than that of the whole, and
a share of a group that so many users would have missed may lie at the far end (1 - error^(1/n), the rule of three).
"""

import math
from statistics import NormalDist
from typing import NamedTuple

from security.gates.fairness.facts import Moments


class Side(NamedTuple):
    """The distance to a limit, and how far it may be higher or lower."""

    far: float
    up: float
    down: float

    @property
    def below(self) -> bool:
        """Too low even at the favourable end."""
        return self.far + self.up < 0

    @property
    def above(self) -> bool:
        """Not too low even at the unfavourable end."""
        return self.far - self.down >= 0


def side(
    group: tuple[int, Moments],
    whole: tuple[int, Moments],
    *,
    ratio: float,
    gap: float,
    reach: float,
    error: float,
    comparisons: int,
) -> Side:
    """Where a group lies beside one limit. Users and moments of both; `reach` is the largest value of a user."""
    (count, mine), (every, all_) = group, whole
    count, every = max(count, 1), max(every, 1)
    share = min(count / every, 1.0)
    others = max(every - count, 1)
    own, spread = max(mine.variance, all_.variance), all_.variance
    if share < 1:
        middle = (all_.mean - share * mine.mean) / (1 - share)
        inner = (spread + all_.mean**2 - share * (mine.variance + mine.mean**2)) / (1 - share) - middle**2
        spread = max(spread, inner)
    weight = 1 - ratio * share
    deviation = math.sqrt(weight**2 * own / count + (ratio * (1 - share)) ** 2 * spread / others)
    each = error / max(comparisons, 1)
    up = NormalDist().inv_cdf(1 - each) * deviation
    down = NormalDist().inv_cdf(1 - error) * deviation
    down = max(down, weight * mine.mean * (1 - error ** (1 / count)))
    if mine.variance <= 1e-12 * reach**2:
        up = max(up, weight * max(reach - mine.mean, 0.0) * (1 - each ** (1 / count)))
    return Side(mine.mean - ratio * all_.mean + gap, up, down)
