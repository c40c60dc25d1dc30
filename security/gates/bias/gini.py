"""How unevenly exposure is shared out: Gini, the Lorenz curve, and an interval by leaving groups of users out.

A bootstrap is of no use here: a resample leaves items out that the sample shows, so its Gini lies above the sample's.
Users lie in drawers by a hash; the Gini is taken again without each drawer, and from how it moves comes its variance
(the delete-m jackknife for drawers of unequal size, Busing, Meijer and van der Leeden 1999, Statistics and Computing),
with Student's t of one degree less than drawers. By Efron and Stein (1981) that variance is rather too large than too
small.

What the interval holds is the Gini that the lists of as many other such users would have, not that of endless users:
with few places in lists for an item both the value and the interval lie above that one, and nothing here corrects it.
So a limit on it is broken too early rather than too late.
"""

from typing import Any

import numpy as np

from security.bootstrap import Estimate
from security.gates.bias.facts import POINTS

_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t, 97.5 %, of 1 to 30 degrees of freedom."""


def student(degrees: int) -> float:
    """Student's t at 97.5 %; above 30 degrees by the first terms of Cornish and Fisher (1937), right to 0.001."""
    if degrees <= len(_T):
        return _T[degrees - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)


def gini(shown: Any) -> float:
    """Gini of what each item has, whole numbers or floats of any scale: 0 where all have the same, (n - 1) / n where
    one has all. 0 where there is nothing to have."""
    ordered = np.sort(shown)
    size, total = len(ordered), float(ordered.sum())
    if not total:
        return 0.0
    places = 2.0 * np.arange(1, size + 1) - size - 1
    return float(max((places @ ordered) / (size * total), 0.0))


def curve(shown: Any) -> tuple[float, ...]:
    """The Lorenz curve: the share of all that the least exposed have, at even steps from none of them to all."""
    ordered = np.cumsum(np.sort(shown), dtype=np.float64)
    if not ordered[-1]:
        return (0.0,)
    steps = min(POINTS, len(ordered))
    at = np.linspace(0, len(ordered), steps + 1)
    shares = np.interp(at, np.arange(len(ordered) + 1), np.concatenate(([0.0], ordered / ordered[-1])))
    return tuple(np.round(shares, 6).tolist())


def estimate(drawers: Any, sizes: Any) -> Estimate:
    """The Gini of all users with its interval. `drawers`: [drawers, items], exposure by each drawer's users; `sizes`:
    users of each. Where no drawer moves it, a share of 3 / users may be otherwise (the rule of three)."""
    whole, users = drawers.sum(axis=0), int(sizes.sum())
    value = gini(whole)
    full = np.flatnonzero(sizes)
    count, factor = len(full), users / sizes[full]
    without = np.array([gini(whole - drawers[at]) for at in full])
    if count < 2 or np.ptp([value, *without]) <= 1e-12:
        missed = min(1.0, 3 / users) if count > 1 else 1.0
        return Estimate(value=value, low=value - missed * value, high=value + missed * (1 - value))
    pseudo = factor * value - (factor - 1) * without
    centre = count * value - float(((1 - 1 / factor) * without).sum())
    spread = float(((pseudo - centre) ** 2 / (factor - 1)).sum() / count)
    reach = student(count - 1) * spread**0.5
    return Estimate(value=value, low=max(value - reach, 0.0), high=min(value + reach, 1.0))
