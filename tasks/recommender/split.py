"""The split of interactions in time: each user's last pairs are held out.

It works on pairs (user, item) at the time they first occurred, never on events: an item that a user came back to would
otherwise stand on both sides. Users are split each on their own time line, so every user who is long enough is both
trained on and tested on. Ties in time are broken by item: the masks depend on the set of rows, not on their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST: Final = 5
"""Pairs below which a user is not split: with fewer, a fifth is less than one pair."""

TEST: Final = 0.2
"""The share of each user's pairs that a run holds out for the test."""
VALIDATION: Final = 0.1
"""The share of the others that it holds out for early stopping."""
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Split:
    """Three masks over the same pairs; each pair is in exactly one."""

    train: Mask
    validation: Mask
    test: Mask


def pairs(user: Ints, item: Ints, time: Ints) -> Ints:
    """Indices of the events that are the first of their (user, item), ordered by user, then time, then item.

    Of events of one pair at the same time the first in the input is taken. Raises ValueError on unequal lengths or
    on no event at all.
    """
    _same_length(user, item, time)
    order = np.lexsort((time, item, user))
    sorted_user, sorted_item = user[order], item[order]
    first = order[np.r_[True, (sorted_user[1:] != sorted_user[:-1]) | (sorted_item[1:] != sorted_item[:-1])]]
    by_time: Ints = first[np.lexsort((item[first], time[first], user[first]))]
    return by_time


def temporal(
    user: Ints, item: Ints, time: Ints, *, test: float = 0.2, validation: float = 0.0, least: int = LEAST
) -> Split:
    """The last `test` share of each user's pairs, and of what remains the last `validation` share, held out.

    Shares are rounded down to whole pairs. A user with fewer than `least` pairs is all train.

    Raises:
        ValueError: no pairs, columns of unequal length, a pair that occurs twice, or a share outside [0, 1).
    """
    _same_length(user, item, time)
    if not (0 <= test < 1 and 0 <= validation < 1):
        raise ValueError(f"shares must lie in [0, 1), not test {test} and validation {validation}")
    _refuse_repeats(user, item)
    _, place, count = np.unique(user, return_inverse=True, return_counts=True)
    order = np.lexsort((item, time, place))
    rank = np.empty(len(user), dtype=np.int64)
    rank[order] = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)
    tested: Ints = np.where(count >= least, _whole(count, test), 0)
    validated = np.where(count >= least, _whole(count - tested, validation), 0)
    tests = rank >= (count - tested)[place]
    validates = (rank >= (count - tested - validated)[place]) & ~tests
    return Split(train=~tests & ~validates, validation=validates, test=tests)


def _whole(count: Ints, share: float) -> Ints:
    # The margin is for products such as 15 * .2 in binary, which must not lose a pair to rounding.
    whole: Ints = np.floor(count * share + 1e-9).astype(np.int64)
    return whole


def _same_length(user: Ints, item: Ints, time: Ints) -> None:
    if not len(user) == len(item) == len(time):
        raise ValueError(f"columns differ in length: user {len(user)}, item {len(item)}, time {len(time)}")
    if len(user) == 0:
        raise ValueError("there is nothing to split: no interactions")


def _refuse_repeats(user: Ints, item: Ints) -> None:
    order = np.lexsort((item, user))
    repeated = (user[order][1:] == user[order][:-1]) & (item[order][1:] == item[order][:-1])
    if repeated.any():
        raise ValueError(f"{int(repeated.sum())} pairs occur more than once; split the result of `pairs`, not events")
