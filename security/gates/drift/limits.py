"""What a policy may say of drift: against which baseline, from when on a column has moved, and what may stay untested.

No limit can be set so high that a column could never drift: a known-bad copy is always beyond it.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from security.drift.levels import Levels
from security.drift.sketch import paired
from security.gates.drift.facts import COLUMNS
from security.verdict import Frozen

CEILINGS = {"type": 0.5, "unit": 0.5, "missing": 0.5, "variation": 0.6, "hours": 0.6, "weight": 30.0}
"""Levels that count in every policy -> the most that each may be."""
VOLUME = 10.0
"""The most times more, or fewer, rows that a policy may allow; it may also not look at them at all."""
NEW = 0.95
"""The largest share of the newest partition's ids that may be in no row before it; or it is not looked at."""
BLIND = 4.0
"""The most times its limit that chance may reach in a score of which something is told."""

Name = Literal["user_id", "item_id", "interaction_type", "timestamp"]
Pair = Literal["item_id", "interaction_type"]
"""Of a pair with the users' column every value is one user's: none would be listed, and nothing told apart."""


class DriftLimits(Frozen):
    """`against` which baseline: the `pinned` one, or the `rolling` one, the newest of an earlier partition; `baseline`
    is its digest, empty where the plan names none; `first` what becomes of a run without one: it fails, or its rows are
    the first baseline. Compared are the last so many `partitions`, the rows of `since` to `until`.

    `untested` is the share of columns that may stay without a comparison. `columns` are those that are judged: all that
    are given, unless a policy leaves some out; `pairs` of them are compared together too; and those `beside` them that
    the data contract declares: of these one of which nothing can be told is untested. `key` says where the secret is
    that hashes are made under. `by` column or pair some levels may be others.

    The `newest` partition is compared alone too, under the levels that it has besides these: of many days one may be
    wholly another and move none of their shares. Null: it is not looked at alone."""

    against: Literal["pinned", "rolling"] = "pinned"
    baseline: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    first: Literal["fail", "establish"] = "fail"
    partitions: int = Field(default=1, ge=1, le=3_660)
    since: str = ""
    until: str = ""
    key: str = Field(default="", pattern="^(UnsafeLocal|env:.+|file:.+)?$")
    untested: float = Field(default=0.0, ge=0, lt=1)
    columns: Annotated[tuple[Name, ...], Field(min_length=1)] = COLUMNS  # type: ignore[assignment]
    pairs: tuple[tuple[Pair, Pair], ...] = ()
    beside: dict[str, Literal["category", "id"]] = {}
    levels: Levels = Levels()
    by: dict[str, dict[str, float | None]] = {}
    newest: dict[str, float | None] | None = {}

    @model_validator(mode="after")
    def _meant(self) -> Self:
        alone, each = self.alone
        told = [("levels", self.levels), *((f"by.{name}", other) for name, other in self.each.items())]
        newest = [("newest", alone), *((f"newest with by.{name}", other) for name, other in each.items())]
        for where, levels in (*told, *newest):
            for name, ceiling in CEILINGS.items():
                limit = getattr(levels, name)
                if limit is None or limit > ceiling:
                    raise ValueError(f"{where}.{name} is {limit}: nothing would be a drift; at most {ceiling:g}")
            if levels.volume is not None and levels.volume > VOLUME:
                raise ValueError(f"{where}.volume is {levels.volume:g}: nothing would be a drift; at most {VOLUME:g}")
            if levels.blind > BLIND:
                raise ValueError(f"{where}.blind is {levels.blind:g}: chance would be taken for steady; at most 4")
        for where, levels in newest:
            if levels.new is not None and levels.new > NEW:
                raise ValueError(f"{where}.new is {levels.new:g}: strangers would be taken for chance; at most {NEW:g}")
        known = (*self.named, *self.beside)
        if unknown := sorted({*self.by} - {*known}):
            raise ValueError(f"by.{unknown[0]}: no such column here; there are {', '.join(known)}")
        if len(set(self.named)) < len(self.named):
            raise ValueError("a column, or a pair, twice")
        if odd := [pair for pair in self.pairs if pair[0] == pair[1] or not {*pair} <= {*self.columns}]:
            raise ValueError(f"pairs: {' and '.join(odd[0])}; allowed: two of columns")
        return self

    @property
    def each(self) -> dict[str, Levels]:
        """The levels of columns and pairs that have others."""
        told = self.levels.model_dump()
        return {name: Levels.model_validate(told | other) for name, other in self.by.items()}

    @property
    def alone(self) -> tuple[Levels, dict[str, Levels]]:
        """The levels of the newest partition, and those of its columns and pairs that have others wherever it is."""
        told = self.levels.model_dump() | (self.newest or {})
        return Levels.model_validate(told), {n: Levels.model_validate(told | own) for n, own in self.by.items()}

    @property
    def watches(self) -> bool:
        """Whether the newest partition is compared alone: where it is not all that there is."""
        return self.newest is not None and self.partitions > 1

    @property
    def named(self) -> tuple[str, ...]:
        """Columns and pairs that are judged."""
        return (*self.columns, *(paired((min(pair), max(pair))) for pair in self.pairs))


LOOSEST = Levels(**{name: None for name in Levels.model_fields if name not in ("rows", "blind")}).model_copy(
    update={**CEILINGS, "volume": VOLUME}
)
"""What drifts under these levels drifts under those of any policy."""
