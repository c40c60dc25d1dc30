"""Attacks on the pairs of a look, made up: what would have been seen of them.

Nothing of this is drawn: the rare item is the least popular but for a tenth, the popular one the most popular; bursts
come on days that lie evenly among the accounts by when they came, each tried: of one account that came long before
nothing follows. Of the spread accounts one comes every so many days. Each takes as many items at once as other accounts
do when they are new, by the mean. Only what is counted of the item is made anew, which is what counting all pairs
again, with those of the attack, would give.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from security.gates.poisoning.chance import likely
from security.gates.poisoning.facts import (
    BUDGETS,
    DAYS,
    FLOOR,
    NUMBER,
    ODDS,
    SHORT,
    STARTS,
    Attack,
    Brief,
    Budget,
    Burst,
    Copies,
    Fashions,
    Trial,
)
from security.gates.poisoning.sets import holders, share
from security.gates.poisoning.tally import Tally, slid, tested

AT = tuple((2 * place + 1) / (2 * STARTS) for place in range(STARTS))
"""Days that bursts come on: when such a share of the accounts had come."""
NEAREST = 12
"""Windows of a spread attack that are counted exactly."""
COPIED = 20
"""Items that copies have in common."""


def trials(total: Tally, seen: Fashions) -> Iterator[Trial]:
    """Every attack at every budget, smallest first, where such fashions were seen."""
    order = np.lexsort((np.arange(total.items), total.support))
    order = order[total.support[order] > 0]
    rare, popular = int(order[len(order) // 10]), int(order[-1])
    sizes: list[tuple[int, Budget | None]] = [(NUMBER, None)]
    sizes += [(-(-percent * total.accounts // 100), percent) for percent in BUDGETS]
    new = total.first[(total.first >= total.warm) & (total.last >= 0)]
    starts = np.unique(np.quantile(new, AT, method="nearest")).tolist() if total.came else [total.days - 1]
    for count, percent in sizes:
        for start in starts:
            came = np.minimum(start + np.arange(count) % 2, total.days - 1)
            yield tried(total, seen, "burst, rare item", rare, came, percent, brief=True)
            yield tried(total, seen, "burst that stays, rare item", rare, came, percent, brief=False)
            yield tried(total, seen, "burst, popular item", popular, came, percent, brief=True)
        low, high = min(DAYS, total.days - 1), max(total.days - DAYS - 1, 0)
        spread = np.linspace(min(low, high), high, count).astype(np.int64)
        yield tried(total, seen, "spread, rare item", rare, spread, percent, brief=True)
        yield tried(total, seen, "spread that stays, rare item", rare, spread, percent, brief=False)
        same = _copied(total, order, count) if len(order) >= SHORT else None
        slow = tried(total, seen, "copies that stay", rare, spread, percent, brief=False)
        yield slow.model_copy(update={"copies": same})


def tried(
    total: Tally,
    seen: Fashions,
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
    taken = round(int(total.brought.sum()) / max(total.came, 1)) if others is None else others + 1
    fakes = np.bincount(came[came >= total.warm], minlength=total.days)
    settled = int(((came < total.days - DAYS) & ((came >= DAYS) | (not brief))).sum())
    told = {"whole": total.whole + settled, "short": total.short + settled * brief}
    held = {"accounts": int(total.settled[item]) + settled, "brief": int(total.brief[item]) + settled * brief}
    return Trial(
        attack=attack,
        accounts=len(came),
        percent=percent,
        windows=tested(total.newly + fakes),
        burst=_best(total, seen, item, fakes, min(taken, total.items)),
        brief=Brief(item=item, **held, **told),
        copies=None,
    )


def _copied(total: Tally, order: Any, count: int) -> Copies:
    """So many accounts with the same items, which lie evenly from the least popular to the most."""
    have = order[np.linspace(0, len(order) - 1, min(COPIED, len(order))).astype(np.int64)]
    like = int((np.bincount(total.user) == len(have)).sum()) + count
    return Copies(
        accounts=count, items=len(have), like=like, beside=holders(total, have), share=share(total, have, 0)
    )


def _best(total: Tally, seen: Fashions, item: int, fakes: Any, taken: int) -> Burst | None:
    """The window of the item that is the least likely by chance and no fashion; None where too few took it in any."""
    whole, marked = total.came + int(fakes.sum()), int(total.took[item] + fakes.sum())
    if not fakes.any():
        return None
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
            seasoned_pairs=0,
        )
        each = total.asked(each, at + 1 - DAYS)
        if not each.fashion(seen, ODDS):
            made.append((each.chance(1), each))
    return min(made, key=lambda pair: pair[0])[1] if made else None
