"""What a policy may ask of a model's behaviour. The defaults are what honest models keep with room to spare."""

from typing import Literal

from pydantic import Field

from security.gates.backdoor.facts import FEWEST
from security.verdict import Frozen

USERS, ITEMS = 1_000, 256
"""The highest that `min_users` and `min_items` may be."""


class Limits(Frozen):
    """How far a model may do what the rows do not explain.

    `cold`, `any`: share of lists by which an item may be shown more than is explained: one that is expected in hardly
    any list, and any other. `jump`: share of lists by which an item may be shown more than by the approved model, that
    knows it, whatever explains it; `cold` where nothing does. `margin`: how far an unlikely item among the first ten of
    a session may lie above the tenth likely one, in spreads of scores; five times as far one of the tenth of items that
    most took. `universal`: share of sessions of one item that an item may be among the first ten of, unlikely as it is
    there. `buried`: share of users who may want an item, by its neighbours and by what they went on to take, where it
    is in less than a twentieth of as many lists.

    `triggers`, `pairs`: sessions that are asked at most; all items alone, where there are no more. `first`: what
    becomes of a model where none is approved. Below `min_users` lists or `min_items` items nobody can tell.
    """

    cold: float = Field(default=0.03, gt=0, le=0.2)
    any: float = Field(default=0.15, gt=0, le=0.5)
    jump: float = Field(default=0.15, gt=0, le=0.5)
    margin: float = Field(default=3.0, ge=0.1, le=8)
    universal: float = Field(default=0.05, gt=0, le=0.5)
    buried: float = Field(default=0.027, gt=0, le=0.5)
    triggers: int = Field(default=16_384, ge=64, le=65_536, strict=True)
    pairs: int = Field(default=1024, ge=64, le=65_536, strict=True)
    first: Literal["establish", "fail"] = "fail"
    min_users: int = Field(default=100, ge=FEWEST, le=USERS)
    min_items: int = Field(default=50, ge=FEWEST, le=ITEMS)
