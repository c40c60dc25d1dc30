"""What stands out of pairs that were counted, most surprising first."""

from typing import Any

import numpy as np

from security.gates.poisoning.chance import likely, odds
from security.gates.poisoning.facts import (
    CHANCE,
    DAYS,
    FLOOR,
    LISTED,
    ODDS,
    Brief,
    Burst,
    Facts,
    Fashions,
)
from security.gates.poisoning.sets import copies
from security.gates.poisoning.tally import Tally, slid, tested
from security.gates.poisoning.trials import trials


def found(total: Tally) -> Facts:
    """The facts of a look."""
    bursts, fashions = _bursts(total)
    briefs = _briefs(total)
    same = [each for each in copies(total) if each.chance(total.accounts) <= CHANCE]
    more = {"bursts": len(bursts), "briefs": len(briefs), "copies": len(same)}
    return Facts(
        pairs=len(total.user),
        accounts=total.accounts,
        early=total.accounts - total.came,
        items=total.items,
        days=total.days,
        windows=tested(total.newly),
        support=int(np.median(total.support[total.support > 0])),
        bursts=tuple(bursts[:LISTED]),
        briefs=tuple(briefs[:LISTED]),
        copies=tuple(same[:LISTED]),
        more={name: max(0, count - LISTED) for name, count in more.items()},
        standing=fashions.of,
        fashions=fashions.fashions,
        trials=tuple(trials(total, fashions)),
    )


def _windows(total: Tally) -> tuple[Any, Any, Any]:
    """Item, window from `1 - DAYS` up, and how many new accounts took it, where these are enough."""
    item, day = np.divmod(total.keys, total.days)
    width = total.days + DAYS - 1
    keys = (item[:, None] * width + day[:, None] + np.arange(DAYS)).ravel()
    some, place = np.unique(keys, return_inverse=True)
    took = np.bincount(place, weights=np.repeat(total.fresh, DAYS)).astype(np.int64)
    enough = took >= FLOOR
    return some[enough] // width, some[enough] % width + 1 - DAYS, took[enough]


def _bursts(total: Tally) -> tuple[list[Burst], Fashions]:
    """Of each item the windows that are the least likely by chance and share no days; which items are fashions."""
    item, window, took = _windows(total)
    tests, whole = tested(total.newly) * total.items, int(total.brought.sum())
    new, pairs = (slid(each)[window + DAYS - 1] for each in (total.newly, total.brought))
    rest_took = total.took[item] - took
    some = likely(total.came, total.took[item], new, took) & likely(whole, total.took[item], pairs, took)
    some &= odds(new, took, total.came - new, rest_took) >= ODDS
    some &= odds(pairs, took, whole - pairs, rest_took) >= ODDS
    told = list[tuple[float, int, Burst]]()
    for at in np.flatnonzero(some).tolist():
        each = Burst(
            item=int(item[at]),
            since=total.named(int(window[at])),
            new=int(new[at]),
            took=int(took[at]),
            rest=total.came - int(new[at]),
            rest_took=int(rest_took[at]),
            pairs=int(pairs[at]),
            rest_pairs=whole - int(pairs[at]),
            seasoned=0,
            seasoned_took=0,
            seasoned_pairs=0,
        )
        if (chance := each.chance(tests)) <= CHANCE:
            told.append((chance, int(window[at]), each))
    told = [(chance, at, total.asked(each, at)) for chance, at, each in sorted(told, key=lambda each: each[1])]
    told.sort(key=lambda each: (each[0], each[2].item, each[1]))
    standing = {each.item for _, _, each in told}
    sure = [each.fashion(Fashions(0, len(standing)), ODDS) for _, _, each in told]
    seen = Fashions(len(standing - {told[at][2].item for at, it in enumerate(sure) if not it}), len(standing))
    bursts, near = list[Burst](), dict[int, list[int]]()
    for _, begun, each in told:
        of_item = near.setdefault(each.item, [])
        if not each.fashion(seen, ODDS) and all(abs(begun - other) >= DAYS for other in of_item):
            bursts.append(each)
            of_item.append(begun)
    return bursts, Fashions(sum(not each for each in near.values()), len(standing))


def _briefs(total: Tally) -> list[Brief]:
    """Items that brief accounts took, beyond chance."""
    if not total.short:
        return []
    accounts, brief = total.settled, total.brief
    some = (brief >= FLOOR) & likely(total.whole, total.short, accounts, brief)
    some &= odds(accounts, brief, total.whole - accounts, total.short - brief) >= ODDS
    told = {"whole": total.whole, "short": total.short}
    items = np.flatnonzero(some).tolist()
    made = [Brief(item=at, accounts=int(accounts[at]), brief=int(brief[at]), **told) for at in items]
    listed = sorted((each.chance(total.items), each.item, each) for each in made)
    return [each for chance, _, each in listed if chance <= CHANCE]
