"""The gate over coordinated accounts: what a look keeps, and what a judge makes of it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.poisoning.decoys import VIOLATIONS
from security.gates.poisoning.facts import PROBE, Brief, Burst, Copies, Facts
from security.gates.poisoning.found import found
from security.gates.poisoning.limits import Limits
from security.gates.poisoning.report import reached, rows, surely
from security.gates.poisoning.rules import RULES
from security.gates.poisoning.tally import Tally
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

SHOWN = 5
"""Findings of a rule that are told one by one."""


class DataPoisoning(Gate[Any]):
    """No accounts act together on an item further than chance and the policy let."""

    name: ClassVar[str] = "data_poisoning"
    kind: ClassVar[str] = "pairs"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes = frozenset({"few", "crowded"})

    def look(self, material: Handed[Any]) -> Facts:
        """What stands out, and what would, had the rows been attacked."""
        return found(Tally(material))

    def judge(self, facts: Facts, limits: Limits) -> Iterable[Breach]:
        """A finding for each item, or set of items; then whether an attack would have been one."""
        told = {"bursts": [*_bursts(facts, limits)], "briefs": [*_briefs(facts, limits)]}
        told["copies"] = [*_copies(facts, limits)]
        yield from (each for breaches in told.values() for each in breaches)
        if any(told.values()):
            return
        if crowds := [name for name, count in facts.more.items() if count]:
            words = f"more {' and '.join(crowds)} stand out than are listed; of the listed ones none by these limits"
            raise CannotTell(words, "crowded")
        probes = [each for each in rows(facts, limits) if each.attack == PROBE and each.percent == limits.budget]
        found_, tried = sum(each.found for each in probes), sum(each.tried for each in probes)
        if not tried or found_ < limits.power * tried:
            accounts = max((each.accounts for each in probes), default=0)
            tries = f"{accounts:,} accounts would be found in {found_} of {tried} tries" if tried else "no try"
            what = f"a burst of {limits.budget} % of {facts.accounts:,} accounts over {facts.days:,} days"
            raise CannotTell(f"{what}: {tries}; asked for: {limits.power:.0%}", "few")

    def brief(self, facts: Facts) -> str:
        """How many accounts and items there are, and from how many accounts on a burst would be found, by the limits
        that policies have unless they say otherwise."""
        words = f"{facts.accounts:,} accounts, {facts.items:,} items"
        least = reached(rows(facts, Limits()))
        return f"{words}, of made-up bursts those of {least:,} found" if least else f"{words}, no made-up burst found"


def _more(place: str, beyond: int, rule: str) -> Iterator[Breach]:
    if beyond > 0:
        yield Breach(rule=rule, place=place, message=f"{beyond:,} more like these; allowed: none")


def _bursts(facts: Facts, limits: Limits) -> Iterator[Breach]:
    tests = facts.windows * facts.items
    told = {each.item: each for each in reversed(facts.bursts) if surely(each, tests, limits, facts.seen)}
    sure = [each for each in facts.bursts if told.get(each.item) is each]
    for each in sure[:SHOWN]:
        yield Breach(rule="POI-BURST", place=f"item {each.item}", message=_burst(each, tests, limits))
    yield from _more("items", len(sure) - SHOWN, "POI-BURST")


def _burst(each: Burst, tests: int, limits: Limits) -> str:
    what = f"{each.took:,} of {each.new:,} accounts that were new from {each.since} on took it at once"
    what += f" ({each.pairs:,} pairs in all)"
    others = f"{each.rest_took:,} of {each.rest:,} others when they were new ({each.rest_pairs:,})"
    return f"{what}, {others}; {_beyond(each.chance(tests), each.odds, limits)}"


def _briefs(facts: Facts, limits: Limits) -> Iterator[Breach]:
    sure = [each for each in facts.briefs if surely(each, facts.items, limits, facts.seen)]
    for each in sure[:SHOWN]:
        yield Breach(rule="POI-BRIEF", place=f"item {each.item}", message=_brief(each, facts.items, limits))
    yield from _more("items", len(sure) - SHOWN, "POI-BRIEF")


def _brief(each: Brief, tests: int, limits: Limits) -> str:
    what = f"{each.brief:,} of {each.accounts:,} accounts that took it are brief ones"
    others = f"{each.short:,} of all {each.whole:,}"
    return f"{what}, {others}; {_beyond(each.chance(tests), each.odds, limits)}"


def _beyond(chance: float, odds: float, limits: Limits) -> str:
    found_ = f"by chance once in 10^{-chance:.0f}, odds of {odds:,.0f}"
    return f"{found_}; allowed: not beyond once in 10^{-limits.chance:g}, or odds of {limits.odds:g}"


def _copies(facts: Facts, limits: Limits) -> Iterator[Breach]:
    sure: list[Copies] = [each for each in facts.copies if surely(each, facts.accounts, limits, facts.seen)]
    for place, each in enumerate(sure[:SHOWN], 1):
        allowed = f"fewer than {limits.copies}, of {limits.items} items or more"
        words = f"{each.accounts:,} accounts have the very same {each.items:,} items; allowed: {allowed}"
        yield Breach(rule="POI-COPIES", place=f"set {place}", message=words)
    yield from _more("sets", len(sure) - SHOWN, "POI-COPIES")

