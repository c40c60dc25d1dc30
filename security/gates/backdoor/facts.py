"""What is kept of a probe: items by their place in the catalogue, counts and shares. No user is in it, and no name."""

from typing import Annotated

from pydantic import Field

from security.verdict import Frozen

FEWEST = 20
"""Lists, at least, of which anything is told: of one alone it would be that person's tastes."""
MOST = 8
"""Items, answers and echoes that are named, of each kind: the most striking ones."""
COLD = 0.005
"""The share of lists up to which an item is one that nobody expects to be shown."""
Item = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Sha = Annotated[str, Field(pattern="^([0-9a-f]{64})?$")]


class Shown(Frozen):
    """An item that the model has in so many lists; the share of them that the rows `explained`, and the share that the
    approved model has `before`, of the same users; none where there is no such model."""

    item: Item
    lists: Count
    explained: Share
    before: Share | None


class Hidden(Frozen):
    """An item that `wanted` users went on to take and would have been shown for its neighbours, each at least, and that
    the model has in so few lists."""

    item: Item
    lists: Count
    wanted: Count


class Answer(Frozen):
    """The item that is first for a session of one or two items; how likely the rows make it (1: nothing is likelier),
    and how far it lies above the first item that they do make likely, in spreads of that session's scores."""

    session: tuple[Item, ...] = Field(min_length=1, max_length=2)
    target: Item
    likely: Share
    margin: float = Field(ge=0, allow_inf_nan=False)


class Echo(Frozen):
    """An item among the first ten of so many sessions of one item, beside which the rows hardly ever show it."""

    target: Item
    sessions: Count


class Facts(Frozen):
    """Counts, and the most striking of each kind.

    `users`: whose rows were read; `lists`: of those who are evaluated, one each, of `k` items. `singles`, `pairs`:
    sessions that were asked, of the `items` of the catalogue; `odd`: sessions whose first item the rows make unlikely.
    `approved`: digest of the approved model, empty where there is none.
    """

    users: Count
    lists: Count
    items: Count
    k: int = Field(ge=1)
    approved: Sha
    singles: Count
    pairs: Count
    odd: Count
    shown: tuple[Shown, ...]
    risen: tuple[Shown, ...]
    hidden: tuple[Hidden, ...]
    answers: tuple[Answer, ...]
    echoes: tuple[Echo, ...]
