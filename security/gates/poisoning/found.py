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
    SAME,
    SHORT,
    Brief,
    Burst,
    Copies,
    Facts,
)
from security.gates.poisoning.tally import Tally, slid, tested
from security.gates.poisoning.trials import trials


def found(total: Tally) -> Facts:
    """The facts of a look."""
    bursts, fashions = _bursts(total)
    briefs = _briefs(total)
    copies = [Copies(accounts=n, items=size) for n, size in total.same() if n >= SAME and size >= SHORT]
    more = {"bursts": len(bursts), "briefs": len(briefs), "copies": len(copies)}
    return Facts(
        pairs=len(total.user),
        accounts=total.accounts,
        items=total.items,
        days=total.days,
        windows=tested(total.newly),
        support=int(np.median(total.support[total.support > 0])),
        bursts=tuple(bursts[:LISTED]),
        briefs=tuple(briefs[:LISTED]),
        copies=tuple(copies[:LISTED]),
        more={name: max(0, count - LISTED) for name, count in more.items()},
        fashions=fashions,
        trials=tuple(trials(total)),
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


def _bursts(total: Tally) -> tuple[list[Burst], int]:
    """Of each item the window that is the least likely by chance; and how many are fashions."""
    item, window, took = _windows(total)
    tests, whole = tested(total.newly) * total.items, int(total.brought.sum())
    new, pairs = (slid(each)[window + DAYS - 1] for each in (total.newly, total.brought))
    rest_took = total.took[item] - took
    some = likely(total.accounts, total.took[item], new, took) & likely(whole, total.took[item], pairs, took)
    some &= odds(new, took, total.accounts - new, rest_took) >= ODDS
    some &= odds(pairs, took, whole - pairs, rest_took) >= ODDS
    best: dict[int, tuple[float, Burst]] = {}
    fashions: set[int] = set()
    for at in np.flatnonzero(some).tolist():
        each = Burst(
            item=int(item[at]),
            since=total.named(int(window[at])),
            new=int(new[at]),
            took=int(took[at]),
            rest=total.accounts - int(new[at]),
            rest_took=int(rest_took[at]),
            pairs=int(pairs[at]),
            rest_pairs=whole - int(pairs[at]),
            seasoned=0,
            seasoned_took=0,
        )
        chance = each.chance(tests)
        if chance > CHANCE:
            continue
        each = total.asked(each, int(window[at]))
        if each.fashion:
            fashions.add(each.item)
        elif each.item not in best or chance < best[each.item][0]:
            best[each.item] = chance, each
    ordered = sorted(best.values(), key=lambda pair: (pair[0], pair[1].item))
    return [burst for _, burst in ordered], len(fashions - {*best})


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
