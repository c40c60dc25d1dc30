"""What a policy may ask of how items are shown. Nothing that decides has a default."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from security.gates.bias.facts import FEWEST, POPULARITY, Kind, Name
from security.verdict import Frozen

LEAST = 1_000
"""The highest that `min_users` and `least` may be: so many users are enough to see what is grossly wrong."""


class Bounds(Frozen):
    """Limits of one grouping of items, and of each of its groups.

    `catalogue`, `relevance`: lowest exposure of a group in those of its share of the catalogue, and of what users went
    on to take. `calibration`: highest mean divergence in nats of a list from its user's own mix; one wholly of other
    groups is 4.6. Of popularity a low `catalogue` is honest, as most of a catalogue is hardly wanted by anybody.
    """

    kind: Kind
    catalogue: float = Field(ge=0.001, lt=1)
    relevance: float = Field(ge=0.001, lt=1)
    calibration: float = Field(gt=0, le=3)


class Limits(Frozen):
    """How far lists may lean to the popular.

    `lift`: highest popularity lift (0.5: half as popular again as what the same users have); `tail`: lowest share of
    exposure of the least popular items; `gini`: highest of exposure over the catalogue. `groupings`: each must be there
    and of this kind, and none else may be; `popularity`, that is behavioural, is one of them.

    Each limit is broken where the favourable end of its interval breaks it, and kept where the other end keeps it;
    between, nobody can tell. Each interval is of 95 % for itself: a figure that lies at its limit is called broken once
    in forty evaluations, and of twenty such figures one at least in 40 % of them; well within it that hardly happens.

    `min_users`: below it nobody can tell; `least`: the same of a group's held-out items. Largest shares: `bare` of
    users without held-out items, `unprofiled` without training items, `unknown` of items whose group nobody knows.
    """

    lift: float = Field(ge=0, le=2.5)
    tail: float = Field(ge=0.001, le=0.5)
    gini: float = Field(ge=0.1, le=0.99)
    groupings: dict[Name, Bounds] = Field(min_length=1)
    min_users: int = Field(default=100, ge=FEWEST, le=LEAST)
    least: int = Field(default=30, ge=10, le=LEAST)
    bare: Annotated[float, Field(ge=0, lt=1)] = 0.0
    unprofiled: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    unknown: Annotated[float, Field(ge=0, le=0.5)] = 0.0

    @model_validator(mode="after")
    def _popular(self) -> Self:
        mine = self.groupings.get(POPULARITY)
        if mine is None or mine.kind != "behavioural":
            raise ValueError("groupings without popularity, which is behavioural")
        return self
