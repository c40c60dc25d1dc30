"""What a policy may ask of groups. None of it has a default that lets a group go."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from security.gates.fairness.facts import DEPTH, Grouping, Measure, Metric, Name
from security.verdict import Frozen

FAR = {"exposure": 1.0}
"""The largest gap that may be allowed, in bits; of metrics that are shares 0.1."""
LEAST = 1_000
"""The highest that `least` and `k` may be: so many users are enough to see what is grossly wrong."""


class Limits(Frozen):
    """How far a group may lie below the whole.

    `groupings`: those that the document declares, and whether they are declared or behavioural: each must be there and
    labelled so; others that are there are judged too. `ratio`: metric -> lowest that the mean of a group may be, in
    those of the whole; `gap`: metric -> how far it may be below it; one of them at least. Because a group is part of
    the whole, a gap of 20 % to the others is one of 19 % to the whole in a group of 5 %: a ratio of 0.8 lets it go.
    `behavioural`: metric -> ratio in place of that of `ratio`, for groupings that are not declared, and for those with
    a part that is not. Who is seen to do little is known little of, and has little held out to be hit: a random order
    serves such users worse than the whole. A policy may ask less of what is so, of what people are it may not.

    `error`: chance that any group at all is called too low, though none is; and that a group which is too low passes.
    `k`: groups below it are suppressed for privacy; `least`: groups below it tell too little. `suppressed`, `unknown`:
    largest shares of users in suppressed groups, and of those whose group nobody knows; `bare`: of those without
    held-out items. `depth` 2 crosses each two groupings. `proxy`: measure -> highest at which embeddings may predict a
    declared group: what a model makes of behaviour tells behaviour. `UnsafeUndecided`: share of a grouping's users that
    may be in groups of which nothing could be decided.
    """

    groupings: dict[Name, Grouping] = Field(min_length=1)
    ratio: dict[Metric, Annotated[float, Field(ge=0.5, lt=1)]] = {}
    behavioural: dict[Metric, Annotated[float, Field(ge=0.5, lt=1)]] = {}
    gap: dict[Metric, Annotated[float, Field(gt=0)]] = {}
    error: float = Field(default=0.05, ge=0.0001, le=0.05)
    k: int = Field(default=50, ge=2, le=LEAST)
    least: int = Field(default=50, ge=10, le=LEAST)
    suppressed: float = Field(default=0.0, ge=0, le=0.5)
    unknown: float = Field(default=0.0, ge=0, le=0.5)
    bare: float = Field(default=0.0, ge=0, lt=1)
    depth: int = Field(default=DEPTH, ge=1, le=DEPTH)
    proxy: dict[Measure, Annotated[float, Field(ge=0.1, le=0.95)]] = {}
    UnsafeUndecided: float = Field(default=0.0, ge=0, lt=1)

    def lowest(self, kind: str) -> dict[Metric, float]:
        """Metric -> lowest ratio of a grouping of this kind: declared, behavioural or mixed."""
        return self.ratio if kind == "declared" else self.ratio | self.behavioural

    @model_validator(mode="after")
    def _meant(self) -> Self:
        if not (self.ratio or self.gap):
            raise ValueError("neither ratio nor gap: nothing would be too low")
        if odd := sorted(self.behavioural.keys() - self.ratio):
            raise ValueError(f"behavioural.{odd[0]}: there is no ratio that it is in place of")
        for metric, limit in self.gap.items():
            if limit > (most := FAR.get(metric, 0.1)):
                raise ValueError(f"gap.{metric} is {limit:g}: nothing would be too low; at most {most:g}")
        return self
