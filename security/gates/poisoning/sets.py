"""Sets of items that several accounts have, and whether that is a wonder.

Accounts of a small catalogue have the same items because there are no others, and of a large one because items are
taken together (an album, a season): then most who have them all have others besides. Neither is a copy.
"""

import math
from typing import Any

import numpy as np

from security.gates.poisoning.facts import SAME, SHORT, Copies
from security.gates.poisoning.tally import Tally, mixed

BESIDE = 300
"""Items beside those of a set that it is weighed against: with fewer, a set is the likelier."""


def copies(total: Tally) -> list[Copies]:
    """Sets that enough accounts have, most accounts first.

    Sets are told apart by the sum of a number of 64 bits for each item.
    """
    sizes = np.bincount(total.user, minlength=len(total.first))
    sums = np.zeros(len(sizes), np.uint64)
    np.add.at(sums, total.user, mixed(total.item.astype(np.uint64)))
    there = np.flatnonzero(sizes >= SHORT)
    _, at, counts = np.unique(sums[there], return_index=True, return_counts=True)
    whose, counts = there[at][counts >= SAME], counts[counts >= SAME]
    mine = np.isin(total.user, whose)
    user, item = total.user[mine], total.item[mine]
    order = np.argsort(user, kind="stable")
    user, item = user[order], item[order]
    like = np.bincount(sizes)
    made = list[Copies]()
    for place in np.lexsort((-sizes[whose], -counts)).tolist():
        low, high = np.searchsorted(user, np.array([whose[place], whose[place] + 1], user.dtype))
        have, count = item[low:high], int(counts[place])
        told = {"accounts": count, "items": len(have), "like": int(like[len(have)])}
        made.append(Copies(**told, beside=holders(total, have) - count, share=share(total, have, count)))
    return made


def holders(total: Tally, have: Any) -> int:
    """Accounts that have all of these items."""
    first, *others = have[np.argsort(total.support[have], kind="stable")].tolist()
    left = total.takers(first)[0]
    for each in others:
        left = left[np.isin(left, total.takers(each)[0])]
    return len(left)


def share(total: Tally, have: Any, count: int) -> float:
    """log10 of the chance, at the most, that an account of as many items has just these; `count` that do are not asked.

    Of all sets of the size (conditional Bernoulli; Chen, Dempster and Liu 1994, Biometrika) those within these items
    and the most popular others are added up: the true sum is larger.
    """
    popular = np.argsort(-total.support, kind="stable")[: BESIDE + len(have)]
    beside = popular[~np.isin(popular, have) & (total.support[popular] > 0)][:BESIDE]
    whole = total.accounts - count + 1
    took = np.concatenate([np.maximum(total.support[have] - count, 0), total.support[beside]]) + 0.5
    took = np.minimum(took, whole - 0.5)
    weight = np.log(took / (whole - took))
    sums = np.full(len(have) + 1, -np.inf)
    sums[0] = 0
    for each in weight:
        sums[1:] = np.logaddexp(sums[1:], sums[:-1] + each)
    return min(0.0, float(weight[: len(have)].sum() - sums[-1]) / math.log(10))
