"""A strict reader of data contracts: a part of the Open Data Contract Standard v3.1.0, and nothing beyond it.

A contract is what a data owner promises of the rows; a policy says how much may break it before a run stops. Whatever
is not declared below is an error that names file and key: a promise that nobody checks has no place in a contract.
Source: Open Data Contract Standard 3.1.0 (Bitol, LF AI & Data), sections "Schema" and "Data quality".
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from configs.columns import COLUMNS, RESERVED, Column, Group, Id, Other, Time, Type
from configs.files import ConfigError
from configs.load import Strict, parse

Text = Annotated[str, Field(min_length=1)]


class Description(Strict):
    """For people."""

    purpose: Text
    limitations: str = ""
    usage: str = ""


class Rows(Strict):
    """The fewest rows of a set."""

    type: Literal["library"]
    metric: Literal["rowCount"]
    mustBeGreaterOrEqualTo: int = Field(ge=1)  # noqa: N815


class Together(Strict):
    """The columns that make a row the same as another."""

    properties: tuple[Literal["user_id"], Literal["item_id"], Literal["interaction_type"], Literal["timestamp"]]


class Unique(Strict):
    """No row is there twice."""

    type: Literal["library"]
    metric: Literal["duplicateValues"]
    arguments: Together
    mustBe: Literal[0]  # noqa: N815


class Volume(Strict):
    """Rows of a partition against the median of up to `recent` before it, wherever there are `atLeast`."""

    rule: Literal["rowsAgainstRecent"]
    recent: int = Field(ge=1, le=90)
    atLeast: int = Field(ge=1, le=90)  # noqa: N815
    lowest: float = Field(ge=0, le=1)
    highest: float = Field(ge=1, le=100)

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.atLeast > self.recent:
            raise ValueError(f"atLeast {self.atLeast}: allowed: at most {self.recent}, as recent")
        return self


class Measured(Strict):
    """A check of ours on how many rows there are."""

    type: Literal["custom"]
    engine: Literal["sluice"]
    implementation: Volume


def _metric(told: Any) -> str:
    """Which check a member of `quality` is."""
    return str(told.get("metric") or told.get("type")) if isinstance(told, dict) else ""


Check = Annotated[
    Annotated[Rows, Tag("rowCount")] | Annotated[Unique, Tag("duplicateValues")] | Annotated[Measured, Tag("custom")],
    Discriminator(_metric),
]


class Table(Strict):
    """The rows: four columns, each once, in any order, and others that are known and not needed."""

    name: Text
    logicalType: Literal["object"]  # noqa: N815
    description: str = ""
    properties: list[Column]
    quality: list[Check] = Field(min_length=2)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [column.name for column in self.properties if not isinstance(column, Other | Group)]
        others = [column.name for column in self.properties if isinstance(column, Other | Group)]
        grouped = [column.name for column in self.properties if isinstance(column, Group)]
        if odd := sorted({*grouped} & {*COLUMNS, *RESERVED}):
            raise ValueError(f"properties: {odd[0]}: no column of groups may be called so")
        if twice := sorted({name for name in others if others.count(name) > 1}):
            raise ValueError(f"properties: {twice[0]} is there {others.count(twice[0])} times; allowed: once")
        if sorted(names) != sorted(COLUMNS):
            raise ValueError(
                f"properties: found {', '.join(names) or 'none'}; allowed: {', '.join(COLUMNS)}, each once"
            )
        kinds = [type(each) for each in self.quality]
        if kinds.count(Rows) != 1 or kinds.count(Unique) != 1 or kinds.count(Measured) > 1:
            raise ValueError(
                "quality: allowed: rowCount and duplicateValues, each once, and at most one rowsAgainstRecent"
            )
        lengths = {column.logicalTypeOptions for column in self.properties if isinstance(column, Id)}
        if len(lengths) != 1:
            raise ValueError(
                "properties: user_id and item_id have other logicalTypeOptions; allowed: the same for both"
            )
        return self


class Contract(Strict):
    """What is promised of a set of rows."""

    apiVersion: Literal["v3.1.0"]  # noqa: N815
    kind: Literal["DataContract"]
    id: Text
    name: str = Field(pattern=r"^[a-z0-9_]+$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    status: Literal["active"]
    description: Description
    schema_: list[Table] = Field(alias="schema", min_length=1, max_length=1)

    def limits(self) -> dict[str, Any]:
        """The limits that the gate `data_contract` gets from it."""
        (table,) = self.schema_
        listed = [{"name": name, "values": values} for name, values in self.groups().items()]
        found: dict[str, Any] = {"skew": 0, "volume": None, "groups": listed}
        for column in table.properties:
            if isinstance(column, Id):
                options = column.logicalTypeOptions
                found |= {"longest_id": options.maxLength, "letters": "plain" if options.pattern else "printable"}
            elif isinstance(column, Type):
                found["types"] = list(column.quality[0].arguments.validValues)
            elif isinstance(column, Time) and column.quality:
                found["skew"] = column.quality[0].implementation.minutes
        for each in table.quality:
            if isinstance(each, Rows):
                found["min_rows"] = each.mustBeGreaterOrEqualTo
            elif isinstance(each, Measured):
                told = each.implementation
                found["volume"] = {
                    "recent": told.recent,
                    "fewest": told.atLeast,
                    "lowest": told.lowest,
                    "highest": told.highest,
                }
        return found

    def roles(self) -> dict[str, str]:
        """What columns are, for the gate `PII_detection`."""
        ours = {"user_id": "id", "item_id": "id", "timestamp": "time"} | dict.fromkeys(self.groups(), "text")
        return ours | self.others()

    def groups(self, of: Literal["user", "item", ""] = "") -> dict[str, list[str]]:
        """Columns of groups, of users or of items where it is said which, and the names that each may have."""
        columns = [e for e in self.schema_[0].properties if isinstance(e, Group)]
        wanted = [e for e in columns if not of or e.customProperties[0].value == f"{of}_group"]
        return {e.name: list(e.quality[0].arguments.validValues) for e in wanted}

    def others(self) -> dict[str, str]:
        """Columns that may be there and are not kept, and what they are."""
        return {e.name: e.customProperties[0].value for e in self.schema_[0].properties if isinstance(e, Other)}


def contract(data: Any, name: str = "contract") -> Contract:
    """A contract from what a file holds."""
    found = parse(data, Contract, name)
    wanted = name.partition(".")[0]
    if name.endswith(".odcs.yaml") and found.name != wanted:
        raise ConfigError(f"{name}: name: found {found.name!r}; allowed: {wanted!r}, as the file is called")
    return found
