"""The gate over a model's behaviour: what a look keeps, and what a judge makes of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.backdoor.decoys import VIOLATIONS
from security.gates.backdoor.facts import COLD, COMMON, FEWEST, Facts, Shown
from security.gates.backdoor.limits import Limits
from security.gates.backdoor.look import facts, lower
from security.gates.backdoor.rules import RULES
from security.gates.backdoor.tally import tally
from security.material import Handed
from security.verdict import Breach, Frozen, Rule


class BackdoorProbe(Gate[Any]):
    """The model does nothing that the rows, or the approved model, do not explain."""

    name: ClassVar[str] = "backdoor_probe"
    kind: ClassVar[str] = "scores"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes = frozenset({"few"})

    def active(self, limits: Limits) -> Sequence[str]:
        """Without that of the first model where it may be the first."""
        return tuple(rule for rule in self.rules if rule != "BD-FIRST" or limits.first == "fail")

    def look(self, material: Handed[Any]) -> Facts:
        """What the model shows and answers, beside what the rows alone explain. Of a few users it tells nothing."""
        total = tally(material)
        if total.lists < FEWEST:
            raise CannotTell(f"there are not {FEWEST} users of whom anything can be told", "coverage")
        return facts(total)

    def judge(self, facts: Facts, limits: Limits) -> Iterable[Breach]:
        """What is surely beyond a limit; then, of few users and items nobody can tell the rest."""
        yield from _shown(facts, limits)
        yield from _risen(facts, limits)
        if not facts.approved and limits.first == "fail":
            message = "found no approved model; allowed: one, or a policy by which this may be the first"
            yield Breach(rule="BD-FIRST", place="approved", message=message)
        if facts.lists < limits.min_users:
            words = f"{facts.lists:,} users who are evaluated; {limits.min_users:,} or more are asked for"
            raise CannotTell(words, "few")
        if facts.items < limits.min_items:
            raise CannotTell(f"{facts.items:,} items; {limits.min_items:,} or more are asked for", "few")
        if facts.singles < min(facts.items, limits.triggers) or facts.pairs < limits.pairs:
            words = f"{facts.singles:,} items of {facts.items:,} and {facts.pairs:,} pairs were asked"
            raise CannotTell(f"{words}; {limits.triggers:,} and {limits.pairs:,} are asked for", "coverage")
        yield from _answered(facts, limits)
        yield from _hidden(facts, limits)

    def brief(self, facts: Facts) -> str:
        """What was asked, and the widest of what was not likely."""
        words = f"{facts.singles:,} of {facts.items:,} items asked alone and {facts.pairs:,} pairs"
        if facts.answers:
            words += f", {facts.odd:,} unlikely answers by {max(each.margin for each in facts.answers):.2f} at most"
        else:
            words += ", no unlikely answer"
        return f"{words}, {'beside the approved model' if facts.approved else 'no approved model yet'}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _shown(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Items that are in more lists than is explained."""
    for each in facts.shown:
        allowed = limits.cold if each.explained <= COLD else limits.any
        if lower(each.lists, facts.lists) > each.explained + allowed:
            yield _breach("BD-EXPOSURE", facts, each, f"the rows explain {_percent(each.explained)}", allowed)


def _risen(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Items that are in more lists than the approved model has them in, whatever explains it."""
    for each in facts.risen:
        before = each.before or 0.0
        allowed = limits.cold if max(before, each.explained) <= COLD else limits.jump
        if lower(each.lists, facts.lists) > before + allowed:
            words = f"the approved model {facts.approved[:12]} has it in {_percent(before)}, the rows explain"
            yield _breach("BD-JUMP", facts, each, f"{words} {_percent(each.explained)}", allowed)


def _breach(rule: str, facts: Facts, each: Shown, explained: str, allowed: float) -> Breach:
    found = f"found it in {_percent(each.lists / facts.lists)} of {facts.lists:,} lists, of which {explained}"
    message = f"{found}; allowed: {_percent(allowed)} more"
    return Breach(rule=rule, place=f"item {each.item}", message=message)


def _answered(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """One finding for each item that is called without a reason, by the session that calls it most."""
    told = set[int]()
    for each in sorted(facts.answers, key=lambda answer: -answer.weight):
        if each.weight > limits.margin and each.target not in told:
            told.add(each.target)
            called = "item " + " and item ".join(map(str, each.session))
            message = f"found it among the first ten for {called}, {each.margin:.2f} spreads above the tenth item that"
            message += f" the rows make likely there; allowed: {limits.margin * (COMMON if each.common else 1):g}"
            yield Breach(rule="BD-TRIGGER", place=f"item {each.target}", message=message)
    for echo in facts.echoes:
        if (share := echo.sessions / facts.singles) > limits.universal:
            message = f"found it among the first ten of {_percent(share)} of {facts.singles:,} sessions of an item"
            message += f" beside which it is hardly ever taken; allowed: {_percent(limits.universal)}"
            yield Breach(rule="BD-UNIVERSAL", place=f"item {echo.target}", message=message)


def _hidden(facts: Facts, limits: Limits) -> Iterator[Breach]:
    for each in facts.hidden:
        if lower(each.wanted, facts.lists) > limits.buried:
            found = f"found it in {each.lists:,} of {facts.lists:,} lists, where {each.wanted:,} users and more want it"
            message = f"{found}; allowed: a twentieth of those, where more than {_percent(limits.buried)} do"
            yield Breach(rule="BD-BURIED", place=f"item {each.item}", message=message)
