"""What is kept of an evaluation: figures of groups of items, with intervals over users, and how exposure is shared out.

No user is in it, and no item: groups, sums over all users, and a curve of at most 101 points.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from security.bootstrap import Estimate
from security.verdict import Frozen

System = Literal["model", "popularity", "random", "knn", "shuffled", "ceiling", "approved"]
OTHERS: tuple[System, ...] = ("popularity", "random", "knn", "shuffled", "ceiling", "approved")
Kind = Literal["declared", "behavioural"]
"""What somebody said of the items; or what was seen of them."""
Name = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,31}$")]
POPULARITY = "popularity"
"""The grouping that needs nobody's word."""
HEAD, MIDDLE, TAIL = "head", "middle", "tail"
NAMES, LONGEST = 64, 64
"""Groups of a grouping, and letters of a name, at most."""
FEWEST = 20
"""Users, at least, of whom any figure is told: of one alone it would be that person's tastes."""
POINTS = 100
"""Steps of a curve, at most."""
Share = Annotated[float, Field(ge=0, le=1)]


class Group(Frozen):
    """A group of items: how many, their shares of interactions and of the catalogue, and what lists give them.

    `exposure` is a share; `relevance` the share of what users went on to take, each user's own shares averaged, of
    `held` items. `by_catalogue`, `by_relevance`: exposure in those of the two shares, none where there is no relevance.
    """

    name: str
    items: int = Field(ge=1)
    catalogue: Share
    interactions: Share
    held: int = Field(ge=0)
    relevance: float = Field(ge=0)
    exposure: Estimate
    by_catalogue: Estimate
    by_relevance: Estimate | None


class Grouped(Frozen):
    """A grouping of items. `unknown`: share of the catalogue whose group nobody knows; `calibration`: mean divergence
    in nats, none where no user has items of a training part."""

    kind: Kind
    unknown: Share
    groups: tuple[Group, ...]
    calibration: Estimate | None


class Beside(Frozen):
    """The same of another system, without intervals; `calibration` and `tail` by popularity."""

    lift: float | None
    tail: float | None
    gini: float
    calibration: float | None


class Facts(Frozen):
    """Counts, and what is told of the model's lists.

    `again`: rows of a user that has another row; `bare`: users without held-out items, who are left out; `unprofiled`:
    users of the others without training items, who are left out of lift and calibration. `odd`, `repeated`, `foreign`:
    lists that are not of k items, items that are there again, items from outside the catalogue; `held_odd`, `seen_odd`:
    repeated or foreign items of these columns. `own`, `shown`: mean popularity, as a share of all users, of what users
    have and of what they are shown. `tail` is none where all items are equally popular. `curves`: system -> the share
    of all exposure that the least exposed items have, at even steps of their share of the catalogue (Lorenz 1905).
    """

    users: int
    again: int
    bare: int
    unprofiled: int
    odd: int
    repeated: int
    foreign: int
    held_odd: int
    seen_odd: int
    items: int
    k: int
    own: Estimate | None
    shown: Estimate | None
    lift: Estimate | None
    tail: Estimate | None
    gini: Estimate
    groupings: dict[Name, Grouped]
    beside: dict[System, Beside]
    curves: dict[System, tuple[float, ...]]
    interval: Literal["95 %, bootstrap of users; Gini: jackknife of groups of users"]
    """What the intervals are."""
