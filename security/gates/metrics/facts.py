"""What an evaluation shows: every metric of every system with its interval, and what is odd about its rows."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from security.bootstrap import PART, Estimate, estimate
from security.gates.metrics.looks import MOST, Attempts, counted
from security.gates.metrics.names import AVERAGED, LIFT, Metric, Threshold, parsed
from security.gates.metrics.tally import APPROVED, UNIT, Baseline, System, Tally
from security.verdict import Frozen


class Limits(Frozen):
    """The lowest that each metric may be; what the model must beat, and how far the control may lie over popularity, at
    every k of a threshold; and how far it may be behind the approved model, where there is one.

    A threshold is met when the lower end of the metric's interval meets it. The control keeps how often each item
    occurs and nothing else, so it can learn popularity and no more. One that reaches further has been told something by
    the evaluation. `min_users`: below it nobody can tell.
    """

    thresholds: dict[Threshold, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    beats: frozenset[Baseline] = Field(default=frozenset({"popularity", "random"}), min_length=1)
    control_over: float = Field(default=1.25, ge=1, le=2)
    """Largest precision of the control, in those of popularity."""
    margin: float = Field(default=0.01, ge=0, lt=1)
    """By how much a metric of a threshold may be lower than the approved model's, of the same users: the lower end of
    what the model has more may not lie below this."""
    first: Literal["establish", "fail"] = "fail"
    """What becomes of a model where none is approved: whether it may be the first."""
    min_users: int = Field(default=100, ge=1)
    attempts: int = Field(ge=1, le=MOST, strict=True)
    """Runs that may look at one test slice."""
    bare_share: float = Field(default=0.0, ge=0, lt=1)
    """Largest share of users without held-out items."""

    @model_validator(mode="after")
    def _reachable(self) -> "Limits":
        if any(lowest > 1 for name, lowest in self.thresholds.items() if parsed(name)[0] != LIFT):
            raise ValueError("a threshold above 1 of a metric that is a share")
        return self


class Scores(Frozen):
    """One system: its metrics over the users with held-out items, and counts over all of its lists."""

    metrics: dict[Metric, Estimate]
    leaks: int
    """Items that the user has in the training part."""
    repeated: int
    foreign: int
    """Items outside the catalogue."""
    odd: int
    """Lists that do not have k items."""


class Compared(Frozen):
    """The model beside the approved one, of those users of whose held-out items that one never learned any."""

    model: str = Field(pattern="^[0-9a-f]{64}$")
    """The approved model's digest."""
    users: int
    scores: Scores
    over: dict[Metric, Estimate]
    """Metric -> what the model has more than it."""


class Facts(Frozen):
    """Counts, and the scores of each system."""

    attempts: Attempts
    users: int
    again: int
    """Rows of a user that has another row."""
    bare: int
    """Users without held-out items."""
    overlap: int
    """Held-out items that are also in the training part."""
    early: int
    """Users with a held-out item that is older than one of their training part."""
    held_repeated: int
    held_foreign: int
    items: int
    cuts: tuple[int, ...]
    """Every k, ascending; the last is the length of each list."""
    systems: dict[System, Scores]
    over: dict[System, dict[Metric, Estimate]]
    """System -> metric -> what the model has more than it, of the same users."""
    lift: dict[Annotated[str, Field(pattern=f"^{LIFT}@")], Estimate | None]
    """The model's precision in those of popularity; none where that hits nothing."""
    approved: Compared | None
    """Beside the approved model; none where no model is."""
    interval: Literal["95 %, Poisson bootstrap of users"]
    """What the intervals are."""


def _whole(told: Tally, count: int) -> Iterable[tuple[System, str, Estimate]]:
    """Coverage and novelty of each system at each k, which are of all lists together."""
    assert told.frame is not None  # noqa: S101
    rarity = -np.log2(np.maximum(told.popular, 1) / count)
    for number, system in enumerate(told.frame.systems):
        for cut, k in enumerate(told.frame.cuts):
            listed = told.listed[number, cut]
            covered = float((listed > 0).sum() / told.frame.items)
            rare = float((listed * rarity).sum() / max(int(listed.sum()), 1)) + 0.0
            for name, value in (("coverage", covered), ("novelty", rare)):
                yield system, f"{name}@{k}", Estimate(value=value, low=value, high=value)


def facts(told: Tally, again: int) -> Facts:
    """The facts of a tally of at least one user with a held-out item. `again`: rows of a user that has another."""
    assert told.frame is not None  # noqa: S101
    users, bare, overlap, repeated, foreign, early = told.counts
    count = users - bare
    point: dict[tuple[System, str], float] = {}
    drawn: dict[tuple[System, str], Any] = {}
    some = told.weight[:, None] > 0
    means = np.divide(
        told.replicates, told.weight[:, None] * PART, out=np.full_like(told.replicates, np.nan), where=some
    )
    metrics: dict[System, dict[str, Estimate]] = {system: {} for system in told.frame.systems}
    for number, (system, name, k) in enumerate(told.frame.columns):
        at = (system, f"{name}@{k}")
        point[at], drawn[at] = told.sums[number] / (UNIT * count), means[:, number]
        metrics[system][at[1]] = estimate(point[at], drawn[at], count)
    for system, name, found in _whole(told, count):
        metrics[system][name] = found
    names = [f"{name}@{k}" for k in told.frame.cuts for name in AVERAGED]
    others = [system for system in told.frame.systems if system != "model"]
    return Facts(
        attempts=counted(told.frame.looks),
        users=users,
        again=again,
        bare=bare,
        overlap=overlap,
        early=early,
        held_repeated=repeated,
        held_foreign=foreign,
        interval="95 %, Poisson bootstrap of users",
        items=told.frame.items,
        cuts=told.frame.cuts,
        systems={system: Scores(metrics=metrics[system], **_faults(told, system)) for system in told.frame.systems},
        approved=_compared(told),
        over={
            other: {
                name: estimate(
                    point["model", name] - point[other, name],
                    drawn["model", name] - drawn[other, name],
                    count,
                    (-1.0, 1.0),
                )
                for name in names
            }
            for other in others
        },
        lift={f"{LIFT}@{k}": _lift(k, point, drawn, count) for k in told.frame.cuts},
    )


def _faults(told: Tally, system: str) -> dict[str, int]:
    return dict(zip(("leaks", "repeated", "foreign", "odd"), told.faults[system], strict=True))


def _compared(told: Tally) -> Compared | None:
    """The model beside the approved one. Where no user can be asked, every difference is anything."""
    assert told.frame is not None  # noqa: S101
    if not told.frame.approved:
        return None
    users = int(told.beside[-1]) // UNIT
    mean = {at: int(told.beside[n]) / UNIT / max(users, 1) for n, at in enumerate(told.frame.beside)}
    count = told.drawn[:, -1]
    drawn = np.divide(told.drawn, count[:, None], out=np.full_like(told.drawn, np.nan), where=count[:, None] > 0)
    metrics, over = {}, {}
    for at, (system, name, k) in enumerate(told.frame.beside[:-1]):
        if system != APPROVED:
            continue
        key, own = f"{name}@{k}", told.frame.beside.index(("model", name, k))
        metrics[key] = estimate(mean[APPROVED, name, k], drawn[:, at], max(users, 1))
        more = mean["model", name, k] - mean[APPROVED, name, k]
        over[key] = estimate(more, drawn[:, own] - drawn[:, at], max(users, 1), (-1.0, 1.0))
    scores = Scores(metrics=metrics, **_faults(told, APPROVED))
    return Compared(model=told.frame.approved, users=users, scores=scores, over=over)


def _lift(k: int, point: dict[Any, float], drawn: dict[Any, Any], users: int) -> Estimate | None:
    """The model's precision as a multiple of popularity's, which in a replicate hits once at least."""
    name = f"precision@{k}"
    if not point["popularity", name]:
        return None
    value = point["model", name] / point["popularity", name]
    replicates = drawn["model", name] / np.maximum(drawn["popularity", name], 1 / (k * users))
    return estimate(value, replicates, users, (0.0, 1 / point["popularity", name]))
