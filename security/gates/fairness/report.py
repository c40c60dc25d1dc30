"""The groups as people see them: fairlearn's `MetricFrame`, held against what was judged, and a bootstrap beside it.

`rows` shows no group that the facts do not have. fairlearn is imported where it is used: it brings pandas.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from security.errors import CannotTell
from security.gates.fairness.cells import shown
from security.gates.fairness.facts import CROSS, METRICS, POOL, Facts, Metric
from security.gates.fairness.resample import REPLICATES, intervals
from security.gates.fairness.tally import Tally, Users

SAME = 1e-12
"""How far our figures and fairlearn's may be apart, in those of the larger or of 1."""


class Row(NamedTuple):
    """One group and metric: its mean, its distance to the whole (positive is lower), its ratio to it, with the ends of
    a 95 % interval of this one alone."""

    grouping: str
    kind: str
    group: str
    users: int
    metric: Metric
    value: float
    gap: float
    ratio: float
    low: float
    high: float


def frame(values: Mapping[str, Any], groups: Mapping[str, Any]) -> Any:
    """The `MetricFrame` of per-user values by one or more arrays of group names."""
    from fairlearn.metrics import MetricFrame

    size = len(next(iter(values.values())))
    return MetricFrame(
        metrics=dict.fromkeys(values, _mean),
        y_true=np.zeros(size),
        y_pred=np.zeros(size),
        sensitive_features=dict(groups),
        sample_params={name: {"value": each} for name, each in values.items()},
    )


def _mean(y_true: Any, y_pred: Any, value: Any) -> float:
    return float(np.mean(value))


def rows(total: Tally, facts: Facts, replicates: int = REPLICATES) -> list[Row]:
    """A row for each group of the facts and each metric. `CannotTell` where fairlearn and the facts are apart."""
    return list(_rows(shown(total.users(), facts.floor), facts, replicates))


def _rows(users: Users, facts: Facts, replicates: int) -> Iterator[Row]:
    for grouping, seen in facts.groupings.items():
        mine = {each.name: each for each in facts.groups if each.grouping == grouping and each.name != POOL}
        if not mine:
            continue
        parts = grouping.split(CROSS)
        named = {part: np.array([*users.names[part], ""], dtype=object)[users.codes[part]] for part in parts}
        known = np.logical_and.reduce([users.codes[part] >= 0 for part in parts])
        table = frame({m: v[known] for m, v in users.values.items()}, {p: each[known] for p, each in named.items()})
        joined = np.array(sorted(mine), dtype=object)
        called = named[parts[0]] if len(parts) == 1 else named[parts[0]] + CROSS + named[parts[1]]
        place = np.searchsorted(joined.astype(str), called.astype(str))
        inside = known & (joined[np.minimum(place, len(joined) - 1)] == called)
        # All others are one group, so that the whole of a draw is the whole.
        codes = np.where(inside, place, len(joined))
        ends = intervals(codes, users.values, len(joined) + 1, replicates=replicates)
        for at, name in enumerate(joined):
            key = tuple(name.split(CROSS)) if len(parts) > 1 else name
            for metric in METRICS:
                value, whole = float(table.by_group.loc[key, metric]), facts.whole.metrics[metric].mean
                judged = mine[name].metrics[metric].mean
                if not abs(value - judged) <= SAME * max(abs(value), 1.0):
                    raise CannotTell(f"{grouping}: {name}: {metric}: fairlearn has {value!r}, the facts {judged!r}")
                low, high = (float(end[at]) for end in ends[metric])
                ratio = value / whole if whole else float("nan")
                size = mine[name].users
                yield Row(grouping, seen.kind, name, size, metric, value, whole - value, ratio, low, high)
