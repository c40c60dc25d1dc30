"""Which made-up attacks would have been found: the table that stands beside a verdict, for the judge and for people.

That an attack of this table is found says what the rules can do on these rows, and nothing of other attacks.
"""

from collections.abc import Iterable
from typing import NamedTuple

from security.gates.poisoning.facts import PROBE, Attack, Brief, Burst, Copies, Facts, Fashions, Trial
from security.gates.poisoning.limits import Limits


class Row(NamedTuple):
    """An attack by so many accounts, `percent` of all or (none) a number: in how many of the tries it was found."""

    attack: Attack
    percent: int | None
    accounts: int
    found: int
    tried: int


def surely(each: Burst | Brief | Copies, tests: int, limits: Limits, seen: Fashions) -> bool:
    """Whether it is a finding under these limits, where such fashions were `seen`."""
    if isinstance(each, Copies):
        enough = each.accounts >= max(limits.copies, limits.odds * each.beside)
        return enough and each.items >= limits.items and each.chance(tests) <= limits.chance
    took = each.took if isinstance(each, Burst) else each.brief
    if took < limits.least or each.odds < limits.odds or each.chance(tests) > limits.chance:
        return False
    return isinstance(each, Brief) or not each.fashion(seen, limits.odds)


def rows(facts: Facts, limits: Limits) -> tuple[Row, ...]:
    """Every attack and budget that was tried, in the order of the facts."""
    tries = dict[tuple[Attack, int | None, int], list[bool]]()
    for trial in facts.trials:
        tries.setdefault((trial.attack, trial.percent, trial.accounts), []).append(_found(trial, facts, limits))
    return tuple(Row(*of, sum(each), len(each)) for of, each in tries.items())


def _found(trial: Trial, facts: Facts, limits: Limits) -> bool:
    """By any rule."""
    told = ((trial.burst, trial.windows * facts.items), (trial.brief, facts.items), (trial.copies, facts.accounts))
    return any(surely(each, tests, limits, facts.seen) for each, tests in told if each is not None)


def reached(told: Iterable[Row]) -> int:
    """The fewest accounts of whose burst each try was found; 0 where there is no such number."""
    whole = [each.accounts for each in told if each.attack == PROBE and 0 < each.found == each.tried]
    return min(whole, default=0)
