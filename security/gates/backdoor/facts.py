"""What is kept of a probe: items by their place in the catalogue, counts and shares. No user is in it, and no name."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from security.verdict import Frozen

FEWEST = 20
"""Lists, at least, of which anything is told: of one alone it would be that person's tastes."""
MOST = 8
"""Items, answers and echoes that are named, of each kind: the most striking ones."""
COMMON = 5
"""So many times the margin is allowed where the answer is common, one of the tenth of items that most took: honest
models give it to sessions of which they know little."""
COLD = 0.005
"""The share of lists up to which an item is one that nobody expects to be shown."""
Item = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Sha = Annotated[str, Field(pattern="^([0-9a-f]{64})?$")]


class Shown(Frozen):
    """An item that the model has in so many lists; the share of them that the rows `explained`, and the share that the
    approved model has `before`, of the same users; none where there is no such model, or none that knows the item."""

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
    """An item among the first ten for a session of one or two items; how likely the rows make it (1: nothing is
    likelier), and how far it lies above the tenth item that they do make likely, in spreads of the median session's
    scores; and whether it is one of the tenth of items that most took."""

    session: tuple[Item, ...] = Field(min_length=1, max_length=2)
    target: Item
    likely: Share
    margin: float = Field(gt=0, allow_inf_nan=False)
    common: bool

    @property
    def weight(self) -> float:
        """The margin, in those that are allowed of any item."""
        return self.margin / (COMMON if self.common else 1)


class Echo(Frozen):
    """An item surely among the first ten of so many sessions of one item, beside which the rows hardly ever show it:
    what is level with the eleventh is not."""

    target: Item
    sessions: Count


class Facts(Frozen):
    """Counts, and the most striking of each kind.

    `users`: whose rows were read; `lists`: of those who are evaluated, one each, of `k` items. `singles`, `pairs`:
    sessions that were asked, of the `items` of the catalogue; `odd`: sessions that have an unlikely item above the
    tenth likely one. `approved`: digest of the approved model, empty where there is none.
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

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Each count within its whole, and nothing told of what there is not."""
        rows: list[Shown | Hidden] = [*self.shown, *self.risen, *self.hidden]
        called: list[Answer | Echo] = [*self.answers, *self.echoes]
        asked = self.singles + self.pairs
        if not FEWEST <= self.lists <= self.users:
            raise ValueError(f"lists: found {self.lists} of {self.users} users; allowed: {FEWEST} or more, one each")
        if self.k > self.items or self.singles > self.items:
            raise ValueError(f"items: found {self.items}; allowed: {max(self.k, self.singles)} or more, as were asked")
        if any(each.lists > self.lists for each in rows) or any(each.wanted > self.lists for each in self.hidden):
            raise ValueError(f"an item: found in more lists than there are; allowed: {self.lists}")
        if any(each.sessions > self.singles for each in self.echoes):
            raise ValueError(f"echoes: found more sessions than were asked; allowed: {self.singles}")
        places = [each.item for each in rows] + [each.target for each in called]
        places += [item for each in self.answers for item in each.session]
        if max(places, default=0) >= self.items:
            raise ValueError(f"an item: found place {max(places)}; allowed: below {self.items}")
        if not self.shown:
            raise ValueError("shown: found no item; allowed: those that are most beyond what is explained")
        told = any(each.before is not None for each in self.shown) or bool(self.risen)
        if told != bool(self.approved) or any(each.before is None for each in self.risen):
            raise ValueError("risen, before: allowed where, and only where, there is an approved model")
        if self.odd > asked or bool(self.odd) != bool(self.answers) or len(self.answers) > self.odd:
            raise ValueError(f"odd: found {self.odd}, and {len(self.answers)} answers; allowed: answers of those alone")
        return self
