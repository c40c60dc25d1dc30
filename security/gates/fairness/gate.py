"""The gate over an evaluation by groups: what a look keeps, and what a judge makes of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.fairness.cells import told
from security.gates.fairness.decoys import VIOLATIONS
from security.gates.fairness.facts import CROSS, METRICS, POOL, Facts, Group, Metric
from security.gates.fairness.interval import Side, side
from security.gates.fairness.limits import Limits
from security.gates.fairness.rules import RULES
from security.gates.fairness.tally import PREFIX, counted
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

SHOWN = 4
"""Groups that are named in a sentence."""


class _Judged(NamedTuple):
    group: Group
    metric: Metric
    ratio: float
    gap: float
    side: Side


class FairnessMetrics(Gate[Any]):
    """No group of users is served much worse than all are."""

    name: ClassVar[str] = "fairness_metrics"
    kind: ClassVar[str] = "scores"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes = frozenset({"few", "inputs", "missing", "proxy", "suppressed", "undecided", "unknown"})

    def look(self, material: Handed[Any]) -> Facts:
        """Means and variances of every group that is large enough, from the lists alone."""
        total = counted(material)
        about = total.about
        if about is None:
            raise CannotTell("there is no user to look at", "coverage")
        users, ids = total.users(), total.user
        measured = len(users.values["precision"])
        if not measured:
            raise CannotTell("no user has a held-out item", "coverage")
        whole, seen, groups = told(users, about.groups, about.floor, about.depth)
        odd, repeated, foreign = total.faults
        fed = None if about.inputs is None else {each.strip().casefold() for each in about.inputs}
        return Facts(
            users=len(ids),
            again=len(ids) - len(np.unique(ids)),
            bare=len(ids) - measured,
            odd=odd,
            repeated=repeated,
            foreign=foreign,
            items=about.items,
            k=about.k,
            floor=about.floor,
            depth=about.depth,
            inputs=None if fed is None else tuple(sorted(g for g in about.groups if fed & {g, f"{PREFIX}{g}"})),
            proxy=dict(sorted(about.proxy.items())),
            groupings=seen,
            whole=whole,
            groups=groups,
        )

    def active(self, limits: Limits) -> Sequence[str]:
        """Without those that this policy does not have."""
        off = {"FAIR-CROSS"} if limits.depth < 2 else set()
        off |= set() if limits.proxy else {"FAIR-PROXY"}
        return tuple(rule for rule in RULES if rule not in off)

    def judge(self, facts: Facts, limits: Limits) -> Iterable[Breach]:
        """A finding for each group and metric that is surely too low; then whether the rest is surely not."""
        judged = list(_judged(facts, limits))
        breaches = [*_sound(facts, limits), *_inputs(facts, limits)]
        breaches += [_low(each, facts) for each in _lowest(judged)]
        yield from breaches
        open_ = [*_missing(facts, limits), *_undecided(facts, limits, judged)]
        if open_ and not breaches:
            causes = sorted({each.cause for each in open_})
            raise CannotTell("; ".join(map(str, open_)), "+".join(causes))

    def brief(self, facts: Facts) -> str:
        """How many groups, the one that is served worst, and what embeddings tell."""
        kinds = sorted({each.kind for name, each in facts.groupings.items() if CROSS not in name})
        words = f"{len(facts.groups)} {' and '.join(kinds)} groups"
        whole = facts.whole.metrics["precision"].mean
        if facts.groups and whole:
            worst = min(facts.groups, key=lambda each: (each.metrics["precision"].mean, each.grouping, each.name))
            low = worst.metrics["precision"].mean / whole
            words += f", lowest precision {low:.2f} of the whole ({_place(worst)})"
        gone = sum(len(each.suppressed) for each in facts.groupings.values())
        words += f", {gone} suppressed" if gone else ""
        for name, proxy in facts.proxy.items():
            told = {"AUC": proxy.auc, "balanced accuracy": proxy.balanced_accuracy}
            words += "".join(f", embeddings tell {name}: {how} {v:.2f}" for how, v in told.items() if v is not None)
        return words


def _place(group: Group) -> str:
    return f"{group.grouping}: {group.name}"


def _breach(rule: str, place: str, what: str, allowed: str) -> Breach:
    return Breach(rule=rule, place=place, message=f"found {what}; allowed: {allowed}")


def _sound(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Users, lists, and what may be told."""
    if facts.again:
        yield _breach("FAIR-USERS", "user", f"{facts.again:,} rows of a user again", "0")
    if facts.bare > limits.bare * facts.users:
        words = f"{facts.bare:,} of {facts.users:,} users without held-out items"
        yield _breach("FAIR-USERS", "held", words, f"share of {limits.bare:g}")
    if facts.odd or facts.repeated or facts.foreign:
        words = f"{facts.odd:,} lists not of {facts.k}, {facts.repeated:,} repeated items, {facts.foreign:,} foreign"
        yield _breach("FAIR-LIST", "top_model", words, "0")
    if facts.floor < limits.k:
        yield _breach("FAIR-PRIVACY", "k", f"figures of groups from {facts.floor} users on", f"{limits.k} or more")


def _inputs(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """What the model is fed, and what its embeddings tell."""
    for name in facts.inputs or ():
        yield _breach("FAIR-INPUT", name, f"grouping {name} among the model's inputs", "no grouping")
    for name, proxy in facts.proxy.items():
        for measure, most in sorted(limits.proxy.items() if facts.groupings[name].kind == "declared" else ()):
            value = getattr(proxy, measure)
            if value is not None and value > most:
                words = f"{measure} {value:.3f} of {proxy.users:,} users' embeddings for {name}"
                yield _breach("FAIR-PROXY", name, words, f"{most:g} or less")


def _judged(facts: Facts, limits: Limits) -> Iterator[_Judged]:
    """Every group of which something can be told beside every limit."""
    gaps = [(metric, 1.0, limit) for metric, limit in sorted(limits.gap.items())]
    groups = [each for each in facts.groups if each.users >= limits.least]
    groups = [each for each in groups if limits.depth > 1 or CROSS not in each.grouping]
    for group in groups:
        lowest = limits.lowest(facts.groupings[group.grouping].kind)
        asked = [(metric, limit, 0.0) for metric, limit in sorted(lowest.items())]
        asked += gaps
        for metric, ratio, gap in asked:
            place = side(
                (group.users, group.metrics[metric]),
                (facts.whole.users, facts.whole.metrics[metric]),
                ratio=ratio,
                gap=gap,
                reach=facts.reach(metric),
                error=limits.error,
                comparisons=len(groups) * len(asked),
            )
            yield _Judged(group, metric, ratio, gap, place)


def _lowest(judged: Sequence[_Judged]) -> Iterator[_Judged]:
    """Groups that are surely too low; of intersections those of two groups neither of which is."""
    low = [each for each in judged if each.side.below]
    named = {(each.group.grouping, each.group.name, each.metric) for each in low}
    for each in low:
        parts = zip(each.group.grouping.split(CROSS), each.group.name.split(CROSS), strict=False)
        if CROSS not in each.group.grouping or not {(*part, each.metric) for part in parts} & named:
            yield each


def _low(each: _Judged, facts: Facts) -> Breach:
    group, whole = each.group.metrics[each.metric].mean, facts.whole.metrics[each.metric].mean
    end = group + each.side.up
    label = facts.groupings[each.group.grouping].kind
    words = f"{each.metric} {group:.4f} of {each.group.users:,} users ({label}), at best {end:.4f}, of all {whole:.4f}"
    words += f", ratio {group / whole:.3f}" if whole else ""
    allowed = f"{each.gap:g} less" if each.gap else f"{each.ratio:g} of the whole"
    rule = "FAIR-CROSS" if CROSS in each.group.grouping else "FAIR-GROUP"
    return _breach(rule, f"{_place(each.group)}: {each.metric}{' gap' if each.gap else ''}", words, allowed)


def _missing(facts: Facts, limits: Limits) -> Iterator[CannotTell]:
    """Groups that nobody can tell of: missing data is never fair."""
    for name, kind in sorted(limits.groupings.items()):
        seen = facts.groupings.get(name)
        if seen is None or seen.kind != kind:
            there = "there is none" if seen is None else f"this one is {seen.kind}"
            yield CannotTell(f"{name}: a {kind} grouping is asked for, and {there}", "missing")
        elif seen.groups < 2:
            yield CannotTell(f"{name}: one group alone can be compared with nothing", "missing")
    if facts.depth < limits.depth:
        yield CannotTell("no intersections were looked at", "missing")
    for name, seen in sorted(facts.groupings.items()):
        if CROSS in name and limits.depth < 2:
            continue
        if seen.unknown > limits.unknown and CROSS not in name:
            words = f"{name}: of {seen.unknown:.0%} of the users nobody knows the group; allowed: {limits.unknown:.0%}"
            yield CannotTell(words, "unknown")
        if seen.hidden > limits.suppressed:
            named = ", ".join(seen.suppressed[:SHOWN])
            named += f" and {len(seen.suppressed) - SHOWN} more" if len(seen.suppressed) > SHOWN else ""
            words = f"{name}: up to {seen.hidden:.0%} of the users are in suppressed groups ({named})"
            yield CannotTell(f"{words}; allowed: {limits.suppressed:.0%}", "suppressed")
    if facts.inputs is None:
        yield CannotTell("nobody told what the model is fed", "inputs")
    for name in sorted(facts.groupings) if limits.proxy else ():
        if facts.groupings[name].kind != "declared":
            continue
        proxy = facts.proxy.get(name)
        blank = proxy is None or any(getattr(proxy, measure) is None for measure in limits.proxy)
        if CROSS not in name and (blank or (proxy and proxy.users < limits.least)):
            yield CannotTell(f"{name}: nobody told how well embeddings predict it, or of too few users", "proxy")


def _undecided(facts: Facts, limits: Limits, judged: Sequence[_Judged]) -> Iterator[CannotTell]:
    """Groups with too few users, and groups that may be too low or not, where they are too many."""
    counted = [each for each in facts.groups if limits.depth > 1 or CROSS not in each.grouping]
    few = {_place(each): each for each in counted if each.users < limits.least}
    flat = {metric for metric in METRICS if not facts.whole.metrics[metric].mean}
    doubt = {
        _place(each.group): each.group
        for each in judged
        if not each.side.below and (not each.side.above or each.metric in flat)
    }
    size = max(facts.whole.users, 1)
    for name in sorted(facts.groupings):
        open_ = [each for each in {**few, **doubt}.values() if each.grouping == name]
        if not open_ or sum(each.users for each in open_) <= limits.UnsafeUndecided * size and limits.UnsafeUndecided:
            continue
        for cause, groups, why in (("few", few, "too few users"), ("undecided", doubt, "may be too low, or not")):
            if mine := [each.name for each in groups.values() if each.grouping == name]:
                told = ", ".join(mine[:SHOWN]) + (f" and {len(mine) - SHOWN} more" if len(mine) > SHOWN else "")
                yield CannotTell(f"{name}: {told}: {why}", cause)
    if not counted or all(each.name == POOL for each in counted):
        yield CannotTell("there is no group that can be told of", "missing")
