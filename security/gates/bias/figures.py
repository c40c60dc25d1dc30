"""From sums to facts: each figure with what resampled users make of it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from security.bootstrap import PART, Estimate
from security.bootstrap import estimate as resampled
from security.gates.bias.facts import POPULARITY, TAIL, Beside, Facts, Group, Grouped
from security.gates.bias.gini import curve, estimate, gini
from security.gates.bias.tally import ALPHA, FIXED, UNIT, Tally
from security.rows import lists

KNOWN, OWN, LISTED = range(FIXED)


class _Figures:
    """Ratios of sums of a tally."""

    def __init__(self, total: Tally) -> None:
        self.total, self.count = total, total.users - total.bare
        self.places = {name: at for at, name in enumerate(total.grouped[POPULARITY].names)}

    def mean(self, at: int) -> float:
        """Of a column, over all users with held-out items."""
        return float(self.total.sums[at] / (UNIT * self.count))

    def ratio(
        self, above: int, below: int | None, ends: tuple[float, float], scale: float = 1.0, less: float = 0.0
    ) -> Estimate | None:
        """`scale` times a column in those of another, or of users, `less` something; none where there is none of it."""
        sums, drawn = self.total.sums, self.total.replicates
        bottom = sums[below] if below is not None else UNIT * self.count
        if not bottom:
            return None
        lower = drawn[:, below] if below is not None else self.total.weight * PART
        with np.errstate(invalid="ignore", divide="ignore"):
            replicates = drawn[:, above] / lower * scale - less
        return resampled(float(sums[above] / bottom) * scale - less, replicates, self.count, ends)


def _sure(found: Estimate | None) -> Estimate:
    assert found is not None  # noqa: S101 - over users, of whom there are some
    return found


def _groups(figures: _Figures, name: str) -> Iterator[Group]:
    total = figures.total
    grouping, start = total.grouped[name], total.starts[name]
    width = len(grouping.names) + 1
    counts = np.bincount(grouping.codes, minlength=width)
    taken = np.bincount(grouping.codes, weights=total.counts, minlength=width) / max(int(total.counts.sum()), 1)
    for at, group in enumerate(grouping.names):
        if not counts[at]:
            continue
        exposed, relevant = start + 1 + at, start + 1 + width + at
        part, relevance = float(counts[at] / total.about.items), figures.mean(relevant)
        yield Group(
            name=group,
            items=int(counts[at]),
            catalogue=part,
            interactions=min(float(taken[at]), 1.0),
            held=int(total.held[name][at]),
            relevance=relevance,
            exposure=_sure(figures.ratio(exposed, None, (0.0, 1.0))),
            by_catalogue=_sure(figures.ratio(exposed, None, (0.0, 1 / part), 1 / part)),
            by_relevance=figures.ratio(exposed, relevant, (0.0, 1 / relevance)) if relevance else None,
        )


def _grouped(figures: _Figures, name: str) -> Grouped:
    total = figures.total
    grouping = total.grouped[name]
    unknown = float((grouping.codes == len(grouping.names)).mean())
    worst = float(-np.log(ALPHA))
    calibration = figures.ratio(total.starts[name], KNOWN, (0.0, worst))
    return Grouped(kind=grouping.kind, unknown=unknown, groups=tuple(_groups(figures, name)), calibration=calibration)


def _beside(figures: _Figures, tail: bool) -> Iterator[tuple[Any, Beside]]:
    """The same figures of other systems."""
    total = figures.total
    own, known = total.sums[OWN], total.sums[KNOWN]
    for system, (popular, exposed, apart) in total.beside.items():
        yield (
            system,
            Beside(
                lift=float(popular / own) - 1 if own else None,
                tail=float(exposed / (UNIT * figures.count)) if tail else None,
                gini=gini(total.shown[system]),
                calibration=float(apart / known) if known else None,
            ),
        )


def facts(total: Tally) -> Facts:
    """The facts of a tally of at least one user with a held-out item."""
    figures, ids = _Figures(total), np.concatenate(total.ids)
    groupings = {name: _grouped(figures, name) for name in total.grouped}
    tail = next((each.exposure for each in groupings[POPULARITY].groups if each.name == TAIL), None)
    scale = total.peak / total.users
    own = figures.mean(OWN)
    odd, repeated, foreign, held, seen = map(int, total.faults)
    whole = total.drawers.sum(axis=0)
    curves = {"model": curve(whole)} | {name: curve(each) for name, each in total.shown.items()}
    most = figures.count / max(float(total.sums[KNOWN] / UNIT), 1.0)
    return Facts(
        users=total.users,
        again=len(ids) - len(lists.distinct(ids.astype(np.int64))),
        bare=total.bare,
        unprofiled=figures.count - int(total.sums[KNOWN] // UNIT),
        odd=odd,
        repeated=repeated,
        foreign=foreign,
        held_odd=held,
        seen_odd=seen,
        items=total.about.items,
        k=total.about.k,
        own=figures.ratio(OWN, KNOWN, (0.0, scale), scale),
        shown=figures.ratio(LISTED, KNOWN, (0.0, scale), scale),
        lift=figures.ratio(LISTED, OWN, (-1.0, most / own - 1), less=1.0) if own else None,
        tail=tail,
        gini=estimate(total.drawers, total.sizes),
        groupings=groupings,
        beside=dict(_beside(figures, tail is not None)),
        curves=curves,
        interval="95 %, bootstrap of users; Gini: jackknife of groups of users",
    )
