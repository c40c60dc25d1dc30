"""From when on a difference counts, and what is said of it."""

from typing import Literal

from pydantic import Field

from security.verdict import Frozen


class Levels(Frozen):
    """The limit of each score, in the score's own unit; None: shown, and never a drift. A difference counts where it is
    above its limit and above what chance does."""

    type: float | None = 0.0
    """1 where the type is another, or the column is not there."""
    ks: float | None = Field(default=0.1, ge=0)
    psi: float | None = Field(default=0.2, ge=0)
    js: float | None = Field(default=0.1, ge=0)
    wasserstein: float | None = Field(default=0.2, ge=0)
    """The mean way in standard deviations."""
    spread: float | None = Field(default=0.2, ge=0)
    """The mean way in ranges between the quartiles."""
    scale: float | None = Field(default=1.0, ge=0)
    """Powers of ten between the medians of sizes."""
    variation: float | None = Field(default=0.1, ge=0)
    move: float | None = Field(default=0.015, ge=0)
    """The most that the share of one category changed."""
    fresh: float | None = Field(default=0.01, ge=0)
    """The share of a category that the reference does not list, beyond what it can have had there."""
    other: float | None = Field(default=0.05, ge=0)
    """How much larger the share of all categories that the reference does not list became."""
    missing: float | None = Field(default=0.03, ge=0)
    """The change of the share of nulls."""
    nan: float | None = Field(default=0.01, ge=0)
    infinite: float | None = Field(default=0.01, ge=0)
    unread: float | None = Field(default=0.0, ge=0)
    """The share of rows that cannot be read in the column's role, beyond that of the reference."""
    outside: float | None = Field(default=0.02, ge=0)
    """The share of rows outside the range of the reference."""
    distinct: float | None = Field(default=2.0, ge=1)
    """How many times more, or fewer, different values."""
    unit: float | None = Field(default=0.01, ge=0)
    """The share of times in another unit."""
    hours: float | None = Field(default=0.15, ge=0)
    weekdays: float | None = Field(default=0.15, ge=0)
    """Total variation of hours of the day, and of days of the week."""
    weight: float | None = Field(default=3.0, ge=1)
    """How many times more, or fewer, rows the id of a row has."""
    gone: float | None = Field(default=None, ge=0, le=1)
    """The share of the reference's ids that are not there."""
    new: float | None = Field(default=None, ge=0, le=1)
    """The share of ids that the reference does not have; of a part of the time, that no row before has."""
    jaccard: float | None = Field(default=None, ge=0, le=1)
    """The share of all ids that are not in both: 1 less Jaccard's index."""
    volume: float | None = Field(default=3.0, ge=1)
    """How many times more, or fewer, rows."""
    rows: int = Field(default=200, ge=1)
    """Effective rows of a column, at least; with fewer nothing can be told."""
    blind: float = Field(default=2.0, ge=1)
    """Nothing can be told either where chance alone may reach so many times the limit of any of a column's scores."""


class Score(Frozen):
    """One difference: how large, what chance does not exceed, and from when on it counts. `reason` is a sentence."""

    name: str
    value: float
    floor: float
    limit: float | None
    drifted: bool
    reason: str


class Moved(Frozen):
    """A column, or two together, with all of its scores; `rows` are effective ones, of the smaller side."""

    column: str
    role: Literal["number", "category", "id", "time", "pair", "rows"]
    outcome: Literal["drifted", "steady", "cannot tell"]
    reason: str
    rows: float
    scores: tuple[Score, ...]


class Untested(Frozen):
    """What was not compared, and why."""

    column: str
    reason: str


class Drift(Frozen):
    """Everything that was compared; `reference` is the digest of the profile."""

    reference: str
    rows: int
    columns: tuple[Moved, ...]
    untested: tuple[Untested, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Columns that moved."""
        return tuple(each.column for each in self.columns if each.outcome == "drifted")

    @property
    def unclear(self) -> tuple[str, ...]:
        """Columns of which nothing can be told."""
        return tuple(each.column for each in self.columns if each.outcome == "cannot tell")


def scored(levels: Levels, name: str, value: float, floor: float, reason: str) -> Score:
    """A score under these levels. Equal to a bound is within it."""
    limit: float | None = getattr(levels, name)
    value, floor = _short(value), _short(floor)
    drifted = limit is not None and value > max(limit, floor)
    return Score(name=name, value=value, floor=floor, limit=limit, drifted=drifted, reason=reason)


def _short(value: float) -> float:
    return float(f"{value:.6g}")
