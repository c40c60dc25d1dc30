"""The gate over an evaluation: what is wrong with it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from security.bootstrap import Estimate
from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.metrics.decoys import VIOLATIONS
from security.gates.metrics.facts import Facts, Limits, Scores, facts
from security.gates.metrics.looks import Attempts
from security.gates.metrics.names import LIFT, cuts, parsed
from security.gates.metrics.tally import APPROVED, Tally, batches, tally
from security.material import Handed
from security.rows import lists
from security.verdict import Breach, Frozen, Rule
from security.words import day

_VALID = ("NIST AI RMF MEASURE 2.3", "NIST AI RMF MEASURE 2.5")


class MetricThresholds(Gate[Any]):
    """The model is as good as was asked, better than what needs no model, and so by a test that can fail."""

    name: ClassVar[str] = "metric_thresholds"
    kind: ClassVar[str] = "scores"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        id: Rule(id=id, title=title, severity="high", remedy=remedy, controls=_VALID)
        for id, title, remedy in (
            ("MET-THRESHOLD", "a metric that may be below its threshold", "train a better model, or test more users"),
            ("MET-BASELINE", "a model no better than a baseline", "train a better model, or ship the baseline"),
            ("MET-REGRESSION", "a model that may be worse than the approved one", "find what was lost; train again"),
            ("MET-FIRST", "no approved model to compare with", "approve one, or let the policy say `first: establish`"),
            ("MET-CONTROL", "a control that does well", "find what the test gives away: a split, a list, a leak"),
            ("MET-LEAK", "a training item in the test", "split on pairs of user and item; mask seen items"),
            ("MET-TIME", "a test on what came before", "hold out the last interactions of each user"),
            ("MET-LIST", "a list not of k items of the catalogue", "rank the whole catalogue, each item once"),
            ("MET-USERS", "users that are doubled or without held-out items", "evaluate every user once"),
            ("MET-ATTEMPTS", "a test slice that too many runs looked at", "test on new data"),
        )
    } | {
        "MET-PARTITION": Rule(
            id="MET-PARTITION",
            title="a partition that too many runs looked at, on other data each time",
            severity="low",
            remedy="find out why the rows of a partition change",
            controls=_VALID,
            advisory=True,
        )
    }
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS

    causes = frozenset({"approved"})

    def active(self, limits: Limits) -> Sequence[str]:
        """Without that of the first model where it may be the first."""
        return tuple(rule for rule in self.rules if rule != "MET-FIRST" or limits.first == "fail")

    def look(self, material: Handed[Any]) -> Facts:
        """Every metric of every system, from the lists alone."""
        total = sum(map(tally, batches(material)), Tally())
        if total.frame is None or total.counts[0] == total.counts[1]:
            raise CannotTell("no user has a held-out item", "coverage")
        return facts(total, int(total.counts[0]) - len(lists.distinct(np.concatenate(total.ids).astype(np.int64))))

    def judge(self, facts: Facts, limits: Limits) -> Iterable[Breach]:
        """Breaches of the thresholds, of the comparison, and of what makes both mean something; then, that of few
        users nobody can tell."""
        yield from _thresholds(facts, limits)
        ks = [k for k in cuts(*limits.thresholds) if k in facts.cuts]
        for name in sorted(limits.beats):
            for metric in (f"precision@{k}" for k in ks):
                more = facts.over[name][metric]
                if more.low <= 0:
                    message = f"found {_said(more)} more than {name}; allowed: more than 0 at the lower end"
                    yield Breach(rule="MET-BASELINE", place=f"{name} {metric}", message=message)
        yield from _control(facts, limits, ks)
        yield from _approved(facts, limits)
        yield from _rows(facts, limits)
        yield from _attempts(facts.attempts, limits.attempts)
        if lost := sorted(name for name in limits.thresholds if parsed(name)[1] not in facts.cuts):
            raise CannotTell(f"{lost[0]} was not measured: the lists were cut at {facts.cuts}", "facts")
        if (count := facts.users - facts.bare) < limits.min_users:
            allowed = f"{limits.min_users:,} or more"
            raise CannotTell(f"found {count:,} users with held-out items; allowed: {allowed}", "coverage")
        if facts.approved and facts.approved.users < limits.min_users:
            found = f"{facts.approved.users:,} users of whose held-out items the approved model learned none"
            raise CannotTell(f"found {found}; allowed: {limits.min_users:,} or more", "approved")

    def brief(self, facts: Facts) -> str:
        """Precision of the model, and of popularity, and which attempt it was."""
        best = f"precision@{facts.cuts[-1]}"
        model, popularity = (facts.systems[system].metrics[best] for system in ("model", "popularity"))
        words = f"{best} {_said(model, 3)}, popularity {popularity.value:.3f}"
        if facts.approved:
            more = facts.approved.over[best]
            words += f", {more.value:+.3f} ({more.low:+.3f} to {more.high:+.3f}) to the approved model"
        return f"{words}, attempt {facts.attempts.count:,} on this data"


def _said(found: Estimate, digits: int = 4) -> str:
    """A value with its interval, where that is more than the value."""
    value, low, high = (f"{end:.{digits}f}" for end in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})" if low != high else value


def _thresholds(facts: Facts, limits: Limits) -> Iterable[Breach]:
    model = facts.systems["model"].metrics
    for metric, lowest in sorted(limits.thresholds.items()):
        if parsed(metric)[1] not in facts.cuts:
            continue
        value = facts.lift[metric] if parsed(metric)[0] == LIFT else model[metric]
        if value is None:
            message = f"found no value, as popularity hits nothing; allowed: {lowest:g} or more"
            yield Breach(rule="MET-THRESHOLD", place=metric, message=message)
        elif value.low < lowest:
            message = f"found {_said(value)}; allowed: {lowest:g} or more at the lower end"
            yield Breach(rule="MET-THRESHOLD", place=metric, message=message)


def _control(facts: Facts, limits: Limits, ks: list[int]) -> Iterable[Breach]:
    """The control at each k, beside popularity; and every threshold, none of which it may meet."""
    control, popularity = (facts.systems[name].metrics for name in ("shuffled", "popularity"))
    for metric in (f"precision@{k}" for k in ks):
        highest = limits.control_over * popularity[metric].value
        if control[metric].value > highest:
            message = f"found {_said(control[metric])} on shuffled data; allowed: no more than {highest:.4f}"
            yield Breach(rule="MET-CONTROL", place=f"shuffled {metric}", message=message)
    for metric, lowest in sorted(limits.thresholds.items()):
        name, k = parsed(metric)
        if k not in facts.cuts:
            continue
        told = control[f"precision@{k}" if name == LIFT else metric].value
        lowest = lowest * popularity[f"precision@{k}"].value if name == LIFT else lowest
        if told >= lowest and told > 0:
            message = f"found {told:.4f} on shuffled data; allowed: less than {lowest:.4f}, the threshold of {metric}"
            yield Breach(rule="MET-CONTROL", place=f"shuffled {metric}, threshold", message=message)


def _approved(facts: Facts, limits: Limits) -> Iterable[Breach]:
    """The model at every metric of a threshold, beside the approved one; lift is precision here."""
    if facts.approved is None:
        if limits.first == "fail":
            message = "found no approved model; allowed: one, or a policy by which this may be the first"
            yield Breach(rule="MET-FIRST", place="approved", message=message)
        return
    if facts.approved.users < min(limits.min_users, facts.users - facts.bare):
        return  # by so few nobody can tell, and is told so
    asked = {("precision" if name == LIFT else name, k) for name, k in map(parsed, limits.thresholds)}
    for metric in (f"{name}@{k}" for name, k in sorted(asked) if k in facts.cuts):
        more = facts.approved.over[metric]
        if more.low < -limits.margin:
            message = f"found {_said(more)} more than the approved model {facts.approved.model[:12]}, of the same users"
            allowed = f"{-limits.margin:g} or more at the lower end"
            yield Breach(rule="MET-REGRESSION", place=metric, message=f"{message}; allowed: {allowed}")


def _attempts(told: Attempts, most: int) -> Iterable[Breach]:
    """Too many looks at one slice; and too many at others that the partition had."""
    if told.count > most:
        newest = ", ".join(f"{each.run} on {day(each.at)}" for each in told.newest)
        first = "the newest " if told.count > len(told.newest) else ""
        message = f"found {told.count:,} runs that looked at this test slice, {first}{newest}; allowed: {most:,}"
        yield Breach(rule="MET-ATTEMPTS", place="test", message=message)
    if told.beside > most:
        message = f"found {told.beside:,} runs that looked at other data of this partition; allowed: {most:,}"
        yield Breach(rule="MET-PARTITION", place="partition", message=message)


def _rows(facts: Facts, limits: Limits) -> Iterable[Breach]:
    systems: dict[str, Scores] = {str(system): scores for system, scores in facts.systems.items()}
    if facts.approved:
        systems[APPROVED] = facts.approved.scores
    leaks = {f"top_{system}": scores.leaks for system, scores in systems.items()} | {"held": facts.overlap}
    for place, count in leaks.items():
        if count:
            message = f"found {count:,} items that their users have in the training part; allowed: 0"
            yield Breach(rule="MET-LEAK", place=place, message=message)
    if facts.early:
        message = f"found {facts.early:,} users with a held-out item older than one of their training part; allowed: 0"
        yield Breach(rule="MET-TIME", place="held", message=message)
    lists = {f"top_{system}": (each.odd, each.repeated, each.foreign) for system, each in systems.items()}
    for place, (odd, repeated, foreign) in (lists | {"held": (0, facts.held_repeated, facts.held_foreign)}).items():
        if odd or repeated or foreign:
            message = f"found {odd:,} lists not of {facts.cuts[-1]}, {repeated:,} repeated items, {foreign:,} foreign"
            yield Breach(rule="MET-LIST", place=place, message=f"{message} items; allowed: 0")
    if facts.again:
        message = f"found {facts.again:,} rows of a user again; allowed: 0"
        yield Breach(rule="MET-USERS", place="user", message=message)
    if facts.bare > limits.bare_share * facts.users:
        message = f"found {facts.bare:,} of {facts.users:,} users without; allowed: share of {limits.bare_share:g}"
        yield Breach(rule="MET-USERS", place="held", message=message)
