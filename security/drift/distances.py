"""How far two distributions lie apart: over the same cells, in shares; over the same cuts, in shares below them."""

import numpy as np

from security.drift.cells import Floats


def shares(counts: Floats) -> Floats:
    """Counts as shares of their sum; zeros where there are none."""
    total = counts.sum()
    return counts / total if total else np.zeros(len(counts))


def kolmogorov(one: Floats, other: Floats) -> float:
    """The largest difference of the shares below a cut (Kolmogorov-Smirnov's D, at these cuts)."""
    return float(np.abs(np.cumsum(one) - np.cumsum(other)).max(initial=0))


def variation(one: Floats, other: Floats) -> float:
    """Total variation: the share of rows that would have to move."""
    return float(np.abs(one - other).sum() / 2)


def jensen(one: Floats, other: Floats) -> float:
    """Jensen-Shannon divergence to base e: the square of the distance, 0 to ln 2 (Lin 1991)."""
    middle = (one + other) / 2
    return max(0.0, (_relative(one, middle) + _relative(other, middle)) / 2)


def stability(one: Floats, other: Floats, least: float) -> float:
    """Population stability index: the symmetric Kullback-Leibler divergence; shares are raised by `least` first."""
    one, other = shares(one + least), shares(other + least)
    return float(((one - other) * np.log(one / other)).sum())


def _relative(one: Floats, middle: Floats) -> float:
    some = one > 0
    return float((one[some] * np.log(one[some] / middle[some])).sum())


def wasserstein(one: Floats, other: Floats, ends: Floats) -> float:
    """The mean way that rows would have to move, in the columns's unit, within the range (Wasserstein-1).

    `one` and `other` are the shares below each of `ends`; between two ends both are taken for straight.
    """
    off, width = one - other, np.diff(ends)
    left, right = np.abs(off[:-1]), np.abs(off[1:])
    crossed = off[:-1] * off[1:] < 0
    both = np.where(left + right > 0, left + right, 1)
    return float((np.where(crossed, (left**2 + right**2) / both, left + right) / 2 * width).sum())


def doubt(below: Floats, ends: Floats) -> float:
    """The integral of the standard deviation of the share below each point, of one row, over the range."""
    each = np.sqrt(np.clip(below * (1 - below), 0, None))
    return float(((each[:-1] + each[1:]) / 2 * np.diff(ends)).sum())


def quantile(below: Floats, ends: Floats, share: float) -> float:
    """The number below which such a share lies, with straight lines between the ends."""
    return float(np.interp(share, below, ends))


def deviation(below: Floats, ends: Floats) -> float:
    """The standard deviation of what lies within the range, evenly spread in each bin."""
    weight, low, high = np.diff(below), ends[:-1], ends[1:]
    if not weight.sum():
        return 0.0
    weight = weight / weight.sum()
    scale = float(np.abs(ends).max()) or 1.0
    low, high = low / scale, high / scale
    mean = (weight * (low + high) / 2).sum()
    square = (weight * (low**2 + low * high + high**2) / 3).sum()
    return float(np.sqrt(max(0.0, square - mean**2)) * scale)
