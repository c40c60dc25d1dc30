"""The scores that Evidently 0.7 prints for two tables of rows, computed without it: over all rows, in memory.

For whoever shows both on the same bounded sample. The method is Evidently's own choice: by the rows of the reference,
the kind of the column, and how many different values there are on both sides. Up to 1,000 rows a p-value is told, of
the tests of Kolmogorov and Smirnov, chi-squared or z; above that a distance: Wasserstein's in standard deviations of
the reference (of at least 0.001), or Jensen and Shannon's to base e. What is null or not finite is left out first.
Nothing here decides: p-values say how large a sample is, not how far it moved (`security.drift.compare` does).
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import stats

from security.drift import distances
from security.drift.cells import Floats, decoded, floats
from security.errors import CannotTell

SMALL, FEW = 1_000, 5
KS, CHI, Z = "K-S p_value", "chi-square p_value", "Z-test p_value"
JS, WASSERSTEIN = "Jensen-Shannon distance", "Wasserstein distance (normed)"


def scores_on(
    reference: pa.Table, current: pa.Table, numerical: Sequence[str], categorical: Sequence[str]
) -> dict[str, tuple[str, float]]:
    """Column -> method, by the name that Evidently gives it, and score. `CannotTell` for a column without values."""
    found = {}
    for name in (*numerical, *categorical):
        one, other = (_values(side[name], name in numerical) for side in (reference, current))
        if not len(one) or not len(other):
            raise CannotTell(f"column {name} has no values on one side", "rows")
        counts = _counted(one, other)
        values = len(counts[0])
        if name in numerical and values > FEW:
            left, right = floats(one), floats(other)
            found[name] = (KS, _ks(left, right)) if len(one) <= SMALL else (WASSERSTEIN, _way(left, right))
        elif len(one) > SMALL:
            shares = [distances.shares(each.astype(np.float64)) for each in counts]
            found[name] = JS, distances.jensen(*shares) ** 0.5
        else:
            found[name] = (CHI, _chi(*counts)) if values > 2 else (Z, _z(*counts))
    return found


def _values(column: pa.ChunkedArray, numeric: bool) -> pa.Array:
    array = decoded(column.combine_chunks().drop_null())
    if numeric or pa.types.is_floating(array.type):
        values = floats(array)
        return pa.array(values[np.isfinite(values)])
    return array


def _counted(one: pa.Array, other: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each value of both is there, on each side, in order of the values."""
    both = pa.chunked_array([one, other.cast(one.type)]).combine_chunks().dictionary_encode()
    order = np.argsort(pc.sort_indices(both.dictionary).to_numpy())
    codes = order[both.indices.to_numpy()]
    left, right = (np.bincount(part, minlength=len(order)) for part in (codes[: len(one)], codes[len(one) :]))
    return left, right


def _way(one: Floats, other: Floats) -> float:
    return float(stats.wasserstein_distance(one, other)) / max(float(np.std(one)), 0.001)


def _ks(one: Floats, other: Floats) -> float:
    return float(stats.ks_2samp(one, other).pvalue)


def _chi(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    expected = one * (other.sum() / one.sum())
    # What the reference has none of is expected never: a single row of it is infinitely far off.
    if ((expected == 0) & (other > 0)).any():
        return 0.0
    some = expected > 0
    return float(stats.chi2.sf(((other[some] - expected[some]) ** 2 / expected[some]).sum(), len(one) - 1))


def _z(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Of the share of all values but the first; two sides of one value alone are alike."""
    if len(one) == 1:
        return 1.0
    sizes = np.array([one.sum(), other.sum()], np.float64)
    rest = np.array([one[1:].sum(), other[1:].sum()], np.float64)
    pooled = rest.sum() / sizes.sum()
    off = (rest / sizes) @ (1, -1) / np.sqrt(pooled * (1 - pooled) * (1 / sizes).sum())
    return float(2 * (1 - stats.norm.cdf(abs(off))))
