"""Attacks on the pairs of a look, made up: what would have been seen of them.

Nothing of this is drawn: the rare item is the least popular but for a tenth, the popular one the most popular; bursts
come on days that lie evenly in between, each tried; of the spread accounts one comes every so many days. Each takes as
many items at once as other accounts do when they are new, by the mean. Only what is
counted of the item is made anew, which is what counting all pairs again, with those of the attack, would give.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from security.gates.poisoning.chance import likely
from security.gates.poisoning.facts import BUDGETS, DAYS, FLOOR, SHORT, Attack, Brief, Budget, Burst, Copies, Trial
from security.gates.poisoning.tally import Tally, slid, tested

NUMBER = 10
"""Accounts of the attack that is a number, and no share."""
STARTS = 4
"""Days that bursts come on."""
NEAREST = 12
"""Windows of a spread attack that are counted exactly."""
COPIED = 20
"""Items that copies have in common."""


def trials(total: Tally) -> Iterator[Trial]:
    """Every attack at every budget, smallest first."""
    order = np.lexsort((np.arange(total.items), total.support))
    order = order[total.support[order] > 0]
    rare, popular = int(order[len(order) // 10]), int(order[-1])
    sizes: list[tuple[int, Budget | None]] = [(NUMBER, None)]
    sizes += [(math.ceil(percent * total.accounts / 100), percent) for percent in BUDGETS]
    starts = np.unique(np.linspace(0, total.days - 1, STARTS).astype(np.int64)).tolist()
    for count, percent in sizes:
        for start in starts:
            came = np.minimum(start + np.arange(count) % 2, total.days - 1)
            yield tried(total, "burst, rare item", rare, came, percent, brief=True)
            yield tried(total, "burst that stays, rare item", rare, came, percent, brief=False)
            yield tried(total, "burst, popular item", popular, came, percent, brief=True)
        low, high = min(DAYS, total.days - 1), max(total.days - DAYS - 1, 0)
        spread = np.linspace(min(low, high), high, count).astype(np.int64)
        yield tried(total, "spread, rare item", rare, spread, percent, brief=True)
        yield tried(total, "spread that stays, rare item", rare, spread, percent, brief=False)
        items = min(COPIED, total.items)
        same = Copies(accounts=count, items=items) if items >= SHORT else None
        yield tried(total, "copies that stay", rare, spread, percent, brief=False).model_copy(update={"copies": same})


def tried(
    total: Tally,
    attack: Attack,
    item: int,
    came: Any,
    percent: Budget | None,
    *,
    brief: bool,
    others: int | None = None,
) -> Trial:
    """An attack by accounts that came on these days, each taking the item at once, and so many others (none: as many as
    other new accounts take)."""
    taken = round(int(total.brought.sum()) / total.accounts) if others is None else others + 1
    fakes = np.bincount(came, minlength=total.days)
    settled = int(((came < total.days - DAYS) & ((came >= DAYS) | (not brief))).sum())
    told = {"whole": total.whole + settled, "short": total.short + settled * brief}
    held = {"accounts": int(total.settled[item]) + settled, "brief": int(total.brief[item]) + settled * brief}
    return Trial(
        attack=attack,
        accounts=len(came),
        percent=percent,
        windows=tested(total.newly + fakes),
        burst=_best(total, item, fakes, min(taken, total.items)),
        brief=Brief(item=item, **held, **told),
        copies=None,
    )


def _best(total: Tally, item: int, fakes: Any, taken: int) -> Burst | None:
    """The window of the item that is the least likely by chance and no fashion; None where too few took it in any."""
    whole, marked = total.accounts + int(fakes.sum()), int(total.took[item] + fakes.sum())
    brought = total.brought + fakes * taken
    pairs, every = slid(brought), int(brought.sum())
    new, took = slid(total.newly + fakes), slid(total.arrivals(item) + fakes)
    some = (took >= FLOOR) & (slid(fakes) > 0) & likely(whole, marked, new, took) & likely(every, marked, pairs, took)
    some = np.flatnonzero(some)
    some = some[np.argsort(new[some] * marked / whole - took[some], kind="stable")][:NEAREST]
    made = list[tuple[float, Burst]]()
    for at in some.tolist():
        each = Burst(
            item=item,
            since=total.named(at + 1 - DAYS),
            new=int(new[at]),
            took=int(took[at]),
            rest=whole - int(new[at]),
            rest_took=marked - int(took[at]),
            pairs=int(pairs[at]),
            rest_pairs=every - int(pairs[at]),
            seasoned=0,
            seasoned_took=0,
        )
        each = total.asked(each, at + 1 - DAYS)
        if not each.fashion:
            made.append((each.chance(1), each))
    return min(made, key=lambda pair: pair[0])[1] if made else None
