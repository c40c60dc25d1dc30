"""What is kept of data so that other data can be held against it: counts and keyed hashes.

No value is in it: numbers are cut at round numbers between which at least `least` rows lie (`security.drift.edges`);
categories are tokens under a key (`security.drift.tokens`), and only those of at least `least` rows, and of `GROUPS`
groups of users where a user is named; of ids there is a sample of tokens. Names of columns and types are as they are.

Canonical JSON of at most `SIZE` bytes, or `EACH` for each column where that is more, whatever the data: where there is
more to say, it is said with fewer bins.
"""

import json
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from security.drift.cells import Role
from security.errors import CannotTell
from security.verdict import Frozen, canonical, digest

SIZE, EACH = 48_000, 1_500
LIMITS = (256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 4)
"""Bins, categories and ids of a column, at most: the first of these with which the profile is small enough."""
NAME = 128
"""Bytes of a column's name and of a type, at most."""
GROUPS = 8
"""Groups of users, of 32, that a listed category is found in, at least."""
Count = Annotated[int, Field(ge=0, le=2**53)]
Effect = Annotated[float, Field(ge=1)]
Token = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{8}$")]


class Spec(Frozen):
    """What to look at: column -> role; whose equal values are one user, or nobody; pairs of columns to count together;
    and how few rows are never told apart."""

    roles: dict[str, Role]
    user: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    least: int = Field(default=10, ge=10)

    @model_validator(mode="after")
    def _known(self) -> "Spec":
        if self.user and self.roles.get(self.user) != "id":
            raise ValueError(f"the user's column {self.user} has no role of an id")
        for pair in self.pairs:
            if any(self.roles.get(name) not in ("category", "id") for name in pair) or pair[0] == pair[1]:
                raise ValueError(f"the pair {' and '.join(pair)} is not of two columns of categories or ids")
        return self


class Base(Frozen):
    """Of every column. `gaps` is the design effect of nulls (`security.drift.groups`), `effect` that of values;
    `unread` are rows whose type does not fit the role."""

    type: str
    rows: Count
    nulls: Count
    gaps: Effect
    unread: Count
    effect: Effect


class Number(Base):
    """`cuts` part finite values into bins of `counts` rows, each from its lower cut on. `low` and `high` are the range,
    null where there are too few rows. `odd` is the design effect of what is not finite. `distinct` is exact where
    `exact`, and else the number of the finest bins."""

    role: Literal["number"] = "number"
    nan: Count
    infinite: Count
    odd: Effect
    low: float | None
    high: float | None
    cuts: tuple[float, ...]
    counts: tuple[Count, ...]
    distinct: Count
    exact: bool

    @model_validator(mode="after")
    def _sound(self) -> "Number":
        ends = [each for each in (self.low, *self.cuts, self.high) if each is not None]
        if len(self.counts) != len(self.cuts) + 1 or any(a >= b for a, b in zip(ends, ends[1:], strict=False)):
            raise ValueError("cuts out of order, or not one count for each bin")
        if (self.low is None) != (self.high is None) or (self.low is None and self.cuts):
            raise ValueError("cuts without a range")
        return self


class Category(Base):
    """Token -> rows, of the most frequent; `other` are the rows of all others."""

    role: Literal["category"] = "category"
    top: dict[Token, Count]
    other: Count
    distinct: Count


class Id(Base):
    """`weight` is the sum of the squares of the ids' rows over the sum of their rows: the rows of the id that a row is
    of, on average; `doubt` its relative standard error. `spread` is the variance of `distinct` if every id is
    one user's, who brings so many along as one's rows are enough for. `sample` are the smallest tokens of all ids, in
    order."""

    role: Literal["id"] = "id"
    distinct: Count
    spread: Annotated[float, Field(ge=0)]
    weight: Effect
    doubt: Annotated[float, Field(ge=0)]
    sample: tuple[Token, ...]


class Time(Base):
    """Rows by the hour of the day and by the day of the week (UTC, Monday first), and by the unit that their size
    speaks for: `declared` where the type says it. `first` and `last` are days since 1970; fewer than the spec's `least`
    rows lie before, and after."""

    role: Literal["time"] = "time"
    units: tuple[Count, Count, Count, Count, Count]
    hours: Annotated[tuple[Count, ...], Field(min_length=24, max_length=24)]
    weekdays: Annotated[tuple[Count, ...], Field(min_length=7, max_length=7)]
    first: int | None
    last: int | None


Column = Annotated[Number | Category | Id | Time, Field(discriminator="role")]


class Reference(Frozen):
    """The profile of some rows. `mark` tells under which secret; `kish` is the `weight` of users, 1 without any;
    `others` are columns without a role, and their types."""

    kind: Literal["sluice drift profile 2"] = "sluice drift profile 2"
    mark: str
    spec: Spec
    rows: Count
    kish: Effect
    doubt: Annotated[float, Field(ge=0)]
    columns: dict[str, Column]
    pairs: dict[str, Category]
    others: dict[str, str]

    @property
    def bytes(self) -> bytes:
        """The one spelling: canonical JSON (RFC 8785)."""
        return canonical(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """SHA-256 of that spelling."""
        return digest(self.model_dump(mode="json"))


def most(columns: int) -> int:
    """Bytes of a profile of so many columns, pairs counted as columns, at most."""
    return max(SIZE, EACH * columns)


def read(data: bytes) -> Reference:
    """The profile that these bytes spell; `CannotTell` for any others, and for another spelling."""
    try:
        known = json.loads(data)
        if not isinstance(known, dict) or known.get("kind") != "sluice drift profile 2":
            raise CannotTell("the reference is no profile that this version knows", "reference")
        found = Reference.model_validate_json(data)
    except ValidationError as why:
        first = why.errors(include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        wrong = f"{place or 'it'}: {first['msg']}"
        raise CannotTell(f"the reference is not a sound profile: {wrong}", "reference") from None
    except (ValueError, RecursionError):
        raise CannotTell("the reference is not JSON", "reference") from None
    if len(data) > most(len(found.columns) + len(found.others) + len(found.pairs)):
        raise CannotTell(f"the reference has {len(data):,} bytes, more than profiles of so many columns", "reference")
    if found.bytes != data:
        raise CannotTell("the reference is spelled in another way than profiles are", "reference")
    return found
