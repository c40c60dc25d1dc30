"""The columns that a data contract can promise: ids, types and times that each has, and others that there may be."""

import unicodedata
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from configs.load import Strict

COLUMNS = ("user_id", "item_id", "interaction_type", "timestamp")
ITEMS = 64
"""Groups of items of one grouping, at most."""
RESERVED = ("popularity", "activity", "tenure", "user", "item", "row", "file", "faults", "beside", "part", "says")
"""What no column of groups may be called: groupings that are made of behaviour, and what Sluice's own columns are."""


class Length(Strict):
    """Of an id, in characters; of any printable ones where there is no pattern."""

    minLength: Literal[1]  # noqa: N815 - the standard's spelling, as everywhere below
    maxLength: Literal[8, 16, 32, 64, 128, 256]  # noqa: N815
    pattern: Literal["^[A-Za-z0-9_.:-]+$", ""] = ""


class Id(Strict):
    """A column of ids."""

    name: Literal["user_id", "item_id"]
    logicalType: Literal["string"]  # noqa: N815
    required: Literal[True]
    description: str = ""
    logicalTypeOptions: Length  # noqa: N815


class Valid(Strict):
    """The values that there may be."""

    validValues: list[Literal["view", "click", "purchase", "rating"]] = Field(min_length=1)  # noqa: N815


class Invalid(Strict):
    """No value but these."""

    type: Literal["library"]
    metric: Literal["invalidValues"]
    arguments: Valid
    mustBe: Literal[0]  # noqa: N815


class Type(Strict):
    """The column of interaction types."""

    name: Literal["interaction_type"]
    logicalType: Literal["string"]  # noqa: N815
    required: Literal[True]
    description: str = ""
    quality: list[Invalid] = Field(min_length=1, max_length=1)


class Skew(Strict):
    """How many minutes a clock may differ."""

    rule: Literal["clockSkew"]
    minutes: Literal[0, 5]


class Skewed(Strict):
    """A check of ours on times."""

    type: Literal["custom"]
    engine: Literal["sluice"]
    implementation: Skew


class Time(Strict):
    """The column of times: RFC 3339 with a zone, or seconds or milliseconds since 1970."""

    name: Literal["timestamp"]
    logicalType: Literal["timestamp"]  # noqa: N815
    required: Literal[True]
    description: str = ""
    quality: list[Skewed] = Field(default=[], max_length=1)


class Says(Strict):
    """What a column is that nobody needs: pseudonyms, moments, what a browser says of itself, any text."""

    property: Literal["sluiceRole"]
    value: Literal["id", "time", "agent", "text"]


class Other(Strict):
    """A column that may be there. It is looked through for personal data as what it is, and goes no further."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")
    required: Literal[False]
    description: str = ""
    customProperties: list[Says] = Field(min_length=1, max_length=1)  # noqa: N815


class Grouped(Strict):
    """Whether a column says in which group a user is, or an item."""

    property: Literal["sluiceRole"]
    value: Literal["user_group", "item_group"]


class Named(Strict):
    """The names of groups."""

    validValues: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(min_length=2, max_length=1_000)  # noqa: N815

    @model_validator(mode="after")
    def _plain(self) -> Self:
        known = [name.casefold() for name in self.validValues]
        for name in self.validValues:
            plain = name.isprintable() and name == name.strip() and unicodedata.is_normalized("NFC", name)
            if not plain or not name[0].isalnum() or " x " in name:
                allowed = "printable characters in NFC, a letter or digit first, no blank last, and no ' x '"
                raise ValueError(f"validValues: found {name!r}; allowed: {allowed}")
            if known.count(name.casefold()) > 1:
                raise ValueError(f"validValues: {name} is there {known.count(name.casefold())} times; allowed: once")
        return self


class Within(Strict):
    """No group but these."""

    type: Literal["library"]
    metric: Literal["invalidValues"]
    arguments: Named
    mustBe: Literal[0]  # noqa: N815


class Group(Strict):
    """A column that may be there and says a group. It is kept for the evaluation alone; no model is fed it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    required: Literal[False]
    description: str = ""
    customProperties: list[Grouped] = Field(min_length=1, max_length=1)  # noqa: N815
    quality: list[Within] = Field(min_length=1, max_length=1)

    @model_validator(mode="after")
    def _few(self) -> Self:
        found = len(self.quality[0].arguments.validValues)
        if self.customProperties[0].value == "item_group" and found > ITEMS:
            raise ValueError(f"{self.name}: {found} groups of items; allowed: {ITEMS}")
        return self


def _column(told: Any) -> str:
    """Which column a member of `properties` is."""
    name = told.get("name") if isinstance(told, dict) else getattr(told, "name", "")
    known = {"user_id": "id", "item_id": "id", "interaction_type": "type", "timestamp": "time"}
    if isinstance(told, Group) or (isinstance(told, dict) and "group" in str(told.get("customProperties"))):
        return "group"
    return known.get(str(name), "other")


Column = Annotated[
    Annotated[Id, Tag("id")]
    | Annotated[Type, Tag("type")]
    | Annotated[Time, Tag("time")]
    | Annotated[Group, Tag("group")]
    | Annotated[Other, Tag("other")],
    Discriminator(_column),
]
