"""How much an interaction says: by its type, and by how long before the user's last one it was.

Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008: what was taken is certain,
and how much it says of a taste is not. A purchase says more than a click, a click more than a view, and last week more
than last year. The weight is one factor of each; that of age falls to half, and no lower, so that nobody's old tastes
are gone.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
TYPES: Final = {"view": 1.0, "click": 1.5, "purchase": 2.0}
"""By name; any other type says what a view does."""
OLD: Final = 0.5
"""What is left of the weight of what was taken long ago."""
HALF: Final = 90 * 86_400.0
"""Seconds in which half of the rest is gone."""


def weights(
    place: Ints, kind: NDArray[np.str_], time: NDArray[np.float64], user: Ints, train: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The weight of each pair; 1 for those that are not trained on.

    A pair weighs what the strongest of its interactions says. Those after the user's last pair to train on say nothing:
    they lie in the time of what is held out.

    Args:
        place: Of each interaction its pair's index [interactions]; the first of a pair comes at its pair's own time.
        kind: Types [interactions].
        time: Seconds [interactions].
        user: Of each pair its user [pairs].
        train: Which pairs are trained on [pairs].
    """
    first = np.full(len(user), np.inf)
    np.minimum.at(first, place, time)
    last = np.full(int(user.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(last, user[train], first[train])
    until = last[user]
    types, which = np.unique(kind, return_inverse=True)
    says = np.array([TYPES.get(str(name), 1.0) for name in types])[which]
    counted = time <= until[place]
    age = np.where(counted, until[place] - time, 0.0)
    says = np.where(counted, says * (OLD + (1 - OLD) * 2 ** (-age / HALF)), 0.0)
    found = np.zeros(len(user))
    np.maximum.at(found, place, says)
    return np.where(train, found, 1.0).astype(np.float32)
