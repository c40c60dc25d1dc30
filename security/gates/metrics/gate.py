"""The gate over an evaluation: what it may be held to, what was seen, and what is wrong with it."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.metrics.decoys import VIOLATIONS
from security.gates.metrics.tally import UNIT, Baseline, K, Metric, System, Tally, batches, distinct, tally
from security.material import Handed
from security.verdict import Breach, Frozen, Rule


class Limits(Frozen):
    """The lowest that each metric may be; what the model must beat; how far the control may lie over popularity.

    The control keeps how often each item occurs and nothing else, so it can learn popularity and no more. One that
    reaches further has been told something by the evaluation.
    """

    thresholds: dict[Metric, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    beats: frozenset[Baseline] = Field(default=frozenset({"popularity", "random"}), min_length=1)
    control_over: float = Field(default=1.25, ge=1, le=2)
    """Largest precision@10 of the control, in those of popularity."""
    min_users: int = Field(default=100, ge=1)
    bare_share: float = Field(default=0.0, ge=0, lt=1)
    """Largest share of users without held-out items."""

    @model_validator(mode="after")
    def _reachable(self) -> "Limits":
        if any(lowest > 1 for metric, lowest in self.thresholds.items() if metric != "lift@10"):
            raise ValueError("a threshold above 1 of a metric that is a share")
        return self


class Scores(Frozen):
    """One system: means over the users with held-out items, and counts over all of its lists."""

    precision: float
    recall: float
    ndcg: float
    leaks: int
    """Items that the user has in the training part."""
    repeated: int
    foreign: int
    """Items outside the catalogue."""
    odd: int
    """Lists that do not have ten items."""


class Facts(Frozen):
    """Counts, and the scores of each system."""

    users: int
    again: int
    """Rows of a user that has another row."""
    bare: int
    """Users without held-out items."""
    overlap: int
    """Held-out items that are also in the training part."""
    held_repeated: int
    held_foreign: int
    items: int
    systems: dict[System, Scores]


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
            ("MET-THRESHOLD", "a metric below its threshold", "train a better model; no policy lowers a threshold"),
            ("MET-BASELINE", "a model no better than a baseline", "train a better model, or ship the baseline"),
            ("MET-CONTROL", "a control that does well", "find what the test gives away: a split, a list, a leak"),
            ("MET-LEAK", "a training item in the test", "split on pairs of user and item; mask seen items"),
            ("MET-LIST", "a list not of ten items of the catalogue", "rank the whole catalogue, each item once"),
            ("MET-USERS", "users that are too few, doubled or without held-out items", "evaluate every user once"),
        )
    }
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS

    def look(self, material: Handed[Any]) -> Facts:
        """Every metric of every system, from the lists alone."""
        total = sum(map(tally, batches(material)), Tally())
        users, bare, overlap, repeated, foreign = total.counts
        count = users - bare
        if not count:
            raise CannotTell("no user has a held-out item", "coverage")
        systems: dict[System, Scores] = {}
        for system, (hits, recall, ndcg, leaks, twice, outside, odd) in total.sums.items():
            scores = {"precision": hits / (K * count), "recall": recall / UNIT / count, "ndcg": ndcg / UNIT / count}
            systems[system] = Scores(**scores, leaks=leaks, repeated=twice, foreign=outside, odd=odd)
        return Facts(
            users=users,
            again=users - len(distinct(np.concatenate(total.ids).astype(np.int64))),
            bare=bare,
            overlap=overlap,
            held_repeated=repeated,
            held_foreign=foreign,
            items=total.items,
            systems=systems,
        )

    def judge(self, facts: Facts, limits: Limits) -> Iterable[Breach]:
        """Breaches of the thresholds, of the comparison, and of what makes both mean something."""
        model, popularity = facts.systems["model"], facts.systems["popularity"]
        control = facts.systems["shuffled"].precision
        lift = model.precision / popularity.precision if popularity.precision else None
        found = {"precision@10": model.precision, "recall@10": model.recall, "ndcg@10": model.ndcg, "lift@10": lift}
        for metric, lowest in sorted(limits.thresholds.items()):
            value = found[metric]
            if value is None:
                message = f"found no value, as popularity hits nothing; allowed: {lowest:g} or more"
                yield Breach(rule="MET-THRESHOLD", place=metric, message=message)
            elif value < lowest:
                message = f"found {value:.4f}; allowed: {lowest:g} or more"
                yield Breach(rule="MET-THRESHOLD", place=metric, message=message)
        for name in sorted(limits.beats):
            other = facts.systems[name].precision
            if model.precision <= other:
                message = f"found precision@10 {model.precision:.4f}; allowed: more than {other:.4f}, that of {name}"
                yield Breach(rule="MET-BASELINE", place=name, message=message)
        highest, threshold = limits.control_over * popularity.precision, limits.thresholds.get("precision@10")
        if control > highest or (threshold is not None and control >= threshold):
            allowed = f"no more than {highest:.4f}" + (f", and less than {threshold:.4f}" if threshold else "")
            message = f"found precision@10 {control:.4f} on shuffled data; allowed: {allowed}"
            yield Breach(rule="MET-CONTROL", place="shuffled", message=message)
        yield from self._rows(facts, limits)

    def _rows(self, facts: Facts, limits: Limits) -> Iterable[Breach]:
        leaks = {f"top_{system}": scores.leaks for system, scores in facts.systems.items()} | {"held": facts.overlap}
        for place, count in leaks.items():
            if count:
                message = f"found {count:,} items that their users have in the training part; allowed: 0"
                yield Breach(rule="MET-LEAK", place=place, message=message)
        lists = {f"top_{system}": (each.odd, each.repeated, each.foreign) for system, each in facts.systems.items()}
        for place, (odd, repeated, foreign) in (lists | {"held": (0, facts.held_repeated, facts.held_foreign)}).items():
            if odd or repeated or foreign:
                message = f"found {odd:,} lists not of {K}, {repeated:,} repeated items, {foreign:,} foreign items"
                yield Breach(rule="MET-LIST", place=place, message=f"{message}; allowed: 0")
        count = facts.users - facts.bare
        if count < limits.min_users:
            message = f"found {count:,} users with held-out items; allowed: {limits.min_users:,} or more"
            yield Breach(rule="MET-USERS", place="users", message=message)
        if facts.again:
            message = f"found {facts.again:,} rows of a user again; allowed: 0"
            yield Breach(rule="MET-USERS", place="user", message=message)
        if facts.bare > limits.bare_share * facts.users:
            message = f"found {facts.bare:,} of {facts.users:,} users without; allowed: share of {limits.bare_share:g}"
            yield Breach(rule="MET-USERS", place="held", message=message)

    def brief(self, facts: Facts) -> str:
        """Precision of the model, and of popularity."""
        model, popularity = facts.systems["model"], facts.systems["popularity"]
        return f"precision@10 {model.precision:.3f}, popularity {popularity.precision:.3f}"
