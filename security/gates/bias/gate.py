"""The gate over how items are shown: what a look keeps, and what a judge makes of it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.bias.decoys import VIOLATIONS
from security.gates.bias.facts import FEWEST, POPULARITY, Facts
from security.gates.bias.figures import facts
from security.gates.bias.limits import Limits
from security.gates.bias.report import Row, rows
from security.gates.bias.rules import RULES
from security.gates.bias.tally import counted
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

SHOWN = 4
"""Figures that are named in a sentence."""


class BiasDetection(Gate[Any]):
    """Lists do not lean to the popular, or to some groups of items, further than the policy says."""

    name: ClassVar[str] = "bias_detection"
    kind: ClassVar[str] = "scores"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes = frozenset({"few", "missing", "undecided", "unknown", "unprofiled"})

    def look(self, material: Handed[Any]) -> Facts:
        """How exposure is shared out, by the lists alone. Of a few users it tells nothing: it would tell of them."""
        total = counted(material)
        if total.users - total.bare < FEWEST:
            raise CannotTell(f"there are not {FEWEST} users of whom figures can be told", "coverage")
        return facts(total)

    def judge(self, facts: Facts, limits: Limits) -> Iterable[Breach]:
        """A finding for each limit that is surely broken; then whether the others are surely kept."""
        told = rows(facts, limits)
        breaches = [*_sound(facts, limits), *map(_breach, (each for each in told if each.side == "broken"))]
        yield from breaches
        open_ = [*_missing(facts, limits), *_undecided(told)]
        if open_ and not breaches:
            raise CannotTell("; ".join(map(str, open_)), "+".join(sorted({each.cause for each in open_})))

    def brief(self, facts: Facts) -> str:
        """The model beside popularity and random, and how many groups there are."""
        words = [f"Gini {facts.gini.value:.3f}{_beside(facts, 'gini', '.3f')}"]
        if facts.lift:
            words.append(f"popularity lift {facts.lift.value:+.2f}{_beside(facts, 'lift', '+.2f')}")
        if facts.tail:
            words.append(f"long tail {100 * facts.tail.value:.1f} % of exposure")
        for name, each in facts.groupings.items():
            if each.calibration:
                words.append(f"{name} ({each.kind}) {each.calibration.value:.2f} from users' own")
        return ", ".join(words)


def _beside(facts: Facts, figure: str, form: str) -> str:
    there = {name: getattr(facts.beside[name], figure) for name in ("popularity", "random") if name in facts.beside}
    told = [f"{name} {value:{form}}" for name, value in there.items() if value is not None]
    return f" ({', '.join(told)})" if told else ""


def _breach(row: Row) -> Breach:
    return Breach(rule=row.rule, place=row.place, message=f"found {row.found}; allowed: {row.allowed}")


def _sound(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Users and lists."""
    if facts.again:
        message = f"found {facts.again:,} rows of a user again; allowed: 0"
        yield Breach(rule="BIAS-USERS", place="user", message=message)
    if facts.bare > limits.bare * facts.users:
        message = f"found {facts.bare:,} of {facts.users:,} users without; allowed: share of {limits.bare:g}"
        yield Breach(rule="BIAS-USERS", place="held", message=message)
    if facts.odd or facts.repeated or facts.foreign:
        message = f"found {facts.odd:,} lists not of {facts.k}, {facts.repeated:,} repeated items, {facts.foreign:,}"
        yield Breach(rule="BIAS-LIST", place="top_model", message=f"{message} foreign items; allowed: 0")
    for place, odd in (("held", facts.held_odd), ("seen", facts.seen_odd)):
        if odd:
            message = f"found {odd:,} repeated or foreign items; allowed: 0"
            yield Breach(rule="BIAS-LIST", place=place, message=message)


def _missing(facts: Facts, limits: Limits) -> Iterator[CannotTell]:
    """What there is too little of to tell anything by: missing data is never even-handed."""
    measured = facts.users - facts.bare
    if measured < limits.min_users:
        yield CannotTell(f"{measured:,} users with held-out items; {limits.min_users:,} or more are asked for", "few")
    if facts.lift is None or facts.unprofiled > limits.unprofiled * measured:
        words = f"{facts.unprofiled:,} of {measured:,} users have nothing to be compared with"
        yield CannotTell(f"{words}; allowed: share of {limits.unprofiled:g}", "unprofiled")
    if facts.tail is None:
        yield CannotTell("items are too equally popular: there is no tail", "missing")
    for name, bounds in sorted(limits.groupings.items()):
        grouped = facts.groupings.get(name)
        if grouped is None or grouped.kind != bounds.kind:
            there = "there is none" if grouped is None else f"this one is {grouped.kind}"
            yield CannotTell(f"{name}: a {bounds.kind} grouping is asked for, and {there}", "missing")
            continue
        if len(grouped.groups) < 2 and name != POPULARITY:
            yield CannotTell(f"{name}: one group alone can be compared with nothing", "missing")
        if grouped.unknown > limits.unknown:
            words = f"{name}: of {_share(grouped.unknown)} of the catalogue nobody knows the group"
            yield CannotTell(f"{words}; allowed: {_share(limits.unknown)}", "unknown")
        for group in grouped.groups:
            if group.held < limits.least:
                words = f"{name}: {group.name}: {group.held:,} held-out items; {limits.least:,} or more are asked for"
                yield CannotTell(words, "few")
    for name in sorted(set(facts.groupings) - set(limits.groupings)):
        yield CannotTell(f"{name}: a grouping that nobody set limits for", "missing")


def _share(part: float) -> str:
    return f"{100 * part:.1f} %"


def _undecided(told: Iterable[Row]) -> Iterator[CannotTell]:
    """Figures that may break their limits, or not."""
    doubt = [each for each in told if each.side == "open"]
    if doubt:
        named = [
            f"{each.place} {each.value:.3f} ({each.low:.3f} to {each.high:.3f}, limit {each.limit:g})" for each in doubt
        ]
        more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        yield CannotTell(f"{', '.join(named[:SHOWN])}{more}: may be beyond the limit, or not", "undecided")
