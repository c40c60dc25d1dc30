"""What chance alone does not exceed, at these sizes and with rows in clusters.

Each floor is a bound that holds with a probability of all but e^-`RARE` for one score, so that of the thousands of
scores of a thousand pairs of looks at the same source none lies above: Bernstein's inequality for shares, Massart's
(1990) for D, Laurent and Massart's (2000) for sums of squares, McDiarmid's (1989) for total variation. Sizes are
effective: rows over the design effect (`security.drift.groups`). `apart` is 1/n + 1/m for effective sizes n and m.
"""

import math

import numpy as np
from scipy.stats import norm

from security.drift.cells import Floats

RARE = 14.0
"""One in 1.2 million."""
SPREAD = math.sqrt(2 * RARE)
"""The same in standard deviations."""


def share(pooled: float, apart: float) -> float:
    """Of the difference of two shares that are one, `pooled`."""
    return math.sqrt(2 * RARE * pooled * (1 - pooled) * apart) + RARE / 3 * apart


def above(limit: float, size: int) -> float:
    """Of a share of so many that are each one by themselves, where the true one is `limit`: Chernoff's bound by the
    relative entropy (Hoeffding 1963). 1 where not even all of them would be beyond chance."""
    if limit <= 0 or limit >= 1:
        return min(max(limit, 0.0), 1.0)
    low, high = limit, 1.0
    if -size * math.log(limit) < RARE:
        return 1.0
    for _ in range(50):
        share = (low + high) / 2
        apart = share * math.log(share / limit) + (1 - share) * math.log((1 - share) / (1 - limit))
        low, high = (share, high) if size * apart < RARE else (low, share)
    return high


def kolmogorov(apart: float) -> float:
    """Of D."""
    return math.sqrt((RARE + math.log(2)) / 2 * apart)


def squares(cells: int, apart: float) -> float:
    """Of the population stability index over so many cells."""
    free = max(cells - 1, 1)
    return apart * (free + 2 * math.sqrt(free * RARE) + 2 * RARE)


def jensen(cells: int, apart: float) -> float:
    """Of the Jensen-Shannon distance from which what is expected of chance was taken away."""
    free = max(cells - 1, 1)
    return math.sqrt(apart / 8 * (2 * math.sqrt(free * RARE) + 2 * RARE))


def expected(cells: int, apart: float) -> float:
    """What chance makes of the Jensen-Shannon divergence on average (Grosse and others 2002)."""
    return max(cells - 1, 0) * apart / 8


def regression(listed: Floats, each: float) -> float:
    """How much the share of those that are listed because they were the most frequent falls short the next time.

    What was chosen for lying above a threshold lies above it in part by chance: by the mean of a normal variable cut
    off there. `each` is one over the effective rows in which they were chosen; distances from the threshold count half.
    """
    if not len(listed):
        return 0.0
    sigma = np.sqrt(np.maximum(listed * (1 - listed), 1e-12) * each)
    off = (listed - listed.min()) / sigma / 2
    return float((sigma * norm.pdf(off) / norm.cdf(off)).sum())


def variation(pooled: Floats, apart: float) -> float:
    """Of total variation."""
    mean = float(np.sqrt(2 / math.pi * pooled * (1 - pooled) * apart).sum()) / 2
    return mean + math.sqrt(RARE / 2 * apart)


def way(spread: float, apart: float) -> float:
    """Of the mean way; `spread` is the integral of one row's deviation (`security.drift.distances.doubt`)."""
    return SPREAD * math.sqrt(apart) * spread
