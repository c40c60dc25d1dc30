"""What is kept of an evaluation by groups: means and variances of groups that are large enough, and names of the rest.

No user, and no figure of a group below the floor, is in it, nor can one be had by subtraction (`hide`). Counts of users
in groups are rounded down to tens, so that the size of a group that is left out cannot be had either.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from security.verdict import Frozen

Metric = Literal["precision", "recall", "ndcg", "exposure"]
METRICS: tuple[Metric, ...] = ("precision", "recall", "ndcg", "exposure")
Grouping = Literal["declared", "behavioural"]
"""What people said of themselves; or what was seen of them, such as light and heavy users."""
Measure = Literal["auc", "balanced_accuracy"]
Name = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,31}$")]
DEPTH = 2
"""Groupings that are crossed, at most."""
NAMES, LONGEST = 1_000, 64
"""Groups of a grouping, and letters of a name, at most."""
ROUND = 10
CROSS = " x "
"""Between the names of two groupings, and of two groups."""
POOL = "(suppressed, together)"
"""The groups below the floor as one, where they are two or more and reach it together."""


class Proxy(Frozen):
    """How well the embeddings of so many users predict the group: 0.5 of `auc` is chance."""

    auc: float | None = Field(default=None, ge=0, le=1)
    balanced_accuracy: float | None = Field(default=None, ge=0, le=1)
    users: int = Field(ge=1)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.auc is None and self.balanced_accuracy is None:
            raise ValueError("neither auc nor balanced_accuracy")
        return self


class Moments(Frozen):
    """Mean and variance over users (divided by their number)."""

    mean: float = Field(ge=0)
    variance: float = Field(ge=0)


class Group(Frozen):
    """One group, or the intersection of two. `users` is rounded down to tens."""

    grouping: str
    name: str
    users: int = Field(ge=0)
    metrics: dict[Metric, Moments]

    @model_validator(mode="after")
    def _all(self) -> Self:
        if set(self.metrics) != set(METRICS):
            raise ValueError("a group without all metrics")
        return self


class Seen(Frozen):
    """A grouping, or two crossed. `suppressed` names groups whose figures are not told; `hidden` is the share of users
    in them, `unknown` that of users whose group nobody knows, both rounded up to whole hundredths."""

    kind: Literal["declared", "behavioural", "mixed"]
    groups: int
    suppressed: tuple[str, ...]
    hidden: float = Field(ge=0, le=1)
    unknown: float = Field(ge=0, le=1)


class Facts(Frozen):
    """Counts, the whole, and each group that is large enough.

    `again`: rows of a user that has another row; `bare`: users without held-out items; `odd`, `repeated`, `foreign`:
    lists that are not of k items, items that are there again, items from outside the catalogue; `inputs`: groupings
    that the model is fed, null where nobody told what it is fed.
    """

    users: int
    again: int
    bare: int
    odd: int
    repeated: int
    foreign: int
    items: int
    k: int
    floor: int
    depth: int
    inputs: tuple[str, ...] | None
    proxy: dict[Name, Proxy]
    groupings: dict[str, Seen]
    whole: Group
    groups: tuple[Group, ...]

    @model_validator(mode="after")
    def _known(self) -> Self:
        if len({(each.grouping, each.name) for each in self.groups}) < len(self.groups):
            raise ValueError("a group twice")
        for each in self.groups:
            if each.grouping not in self.groupings or each.name in self.groupings[each.grouping].suppressed:
                raise ValueError("figures of a group that is not there, or suppressed")
        return self

    def reach(self, metric: Metric) -> float:
        """The largest value that a metric can have for a user; the smallest is 0."""
        return max(self.users, 1).bit_length() * 1.0 if metric == "exposure" else 1.0
