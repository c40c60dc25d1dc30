"""A data contract: what of the standard is read, what it becomes for the gate, and what is refused by file and key."""

import copy
from typing import Any

import pytest

from configs import load
from configs.contract import contract
from configs.load import ConfigError
from security.gates.contract import ContractLimits

SHIPPED = ("events", "interactions")
WHOLE = load.text(load.find("interactions", "contracts"))
COLUMNS = ("schema", 0, "properties")
QUALITY = ("schema", 0, "quality")


def test_every_shipped_contract_is_read_and_is_limits_of_the_gate() -> None:
    names = sorted(path.name.removesuffix(".odcs.yaml") for path in (load.ROOT / "contracts").iterdir())
    assert names == list(SHIPPED)
    for name in names:
        path = load.find(name, "contracts")
        limits = contract(load.text(path), path.name).limits()
        assert ContractLimits.model_validate(limits | {"since": "", "until": "2023-10-27"})


def test_what_it_promises_becomes_limits() -> None:
    assert contract(WHOLE).limits() == {
        "types": ["view", "click", "purchase"],
        "longest_id": 64,
        "letters": "plain",
        "skew": 0,
        "min_rows": 1,
        "groups": [],
        "volume": {"recent": 28, "fewest": 7, "lowest": 0.3, "highest": 3.0},
    }


def test_what_columns_are_is_told_by_name() -> None:
    pseudonyms = {"user_id": "id", "item_id": "id", "timestamp": "time"}
    assert contract(WHOLE).roles() == {**pseudonyms, "comment": "text", "user_agent": "agent"}
    assert contract(load.text(load.find("events", "contracts"))).roles() == pseudonyms


def changed(*place: str | int, to: Any = None) -> dict[str, Any]:
    """The contract with one member changed, or left out."""
    told = copy.deepcopy(WHOLE)
    owner: Any = told
    for step in place[:-1]:
        owner = owner[step]
    if to is None:
        del owner[place[-1]]
    else:
        owner[place[-1]] = to
    return told


def test_the_widest_promise_is_one_that_the_gate_can_hold() -> None:
    wide = {"rule": "rowsAgainstRecent", "recent": 90, "atLeast": 90, "lowest": 0, "highest": 100}
    limits = contract(changed(*QUALITY, 2, "implementation", to=wide)).limits()
    assert ContractLimits.model_validate(limits | {"since": "", "until": "2023-10-27"})


def test_what_may_be_left_out_is_the_strictest_or_not_promised() -> None:
    assert contract(changed(*QUALITY, 2)).limits()["volume"] is None
    assert contract(changed(*COLUMNS, 3, "quality")).limits()["skew"] == 0
    wide = changed(*COLUMNS, 0, "logicalTypeOptions", to={"minLength": 1, "maxLength": 8})
    wide["schema"][0]["properties"][1]["logicalTypeOptions"] = {"minLength": 1, "maxLength": 8}
    limits = contract(wide).limits()
    assert (limits["letters"], limits["longest_id"]) == ("printable", 8)


def group(name: str = "team", of: str = "user", values: Any = ("red", "blue"), **more: Any) -> dict[str, Any]:
    """A column of groups."""
    named = {"type": "library", "metric": "invalidValues", "arguments": {"validValues": list(values)}, "mustBe": 0}
    role = {"property": "sluiceRole", "value": f"{of}_group"}
    return {"name": name, "required": False, "customProperties": [role], "quality": [named]} | more


def grouped(*columns: dict[str, Any]) -> dict[str, Any]:
    """The contract with columns of groups."""
    told = copy.deepcopy(WHOLE)
    told["schema"][0]["properties"] += columns
    return told


def test_columns_of_groups_are_limits_by_name_and_are_kept() -> None:
    found = contract(grouped(group(), group("shelf", "item", ["top", "low"])))
    assert found.limits()["groups"] == [
        {"name": "team", "values": ["red", "blue"]},
        {"name": "shelf", "values": ["top", "low"]},
    ]
    assert found.groups("user") == {"team": ["red", "blue"]}
    assert found.groups("item") == {"shelf": ["top", "low"]}
    assert found.others() == {"comment": "text", "user_agent": "agent"}, "those that are not kept"
    assert found.roles() == contract(WHOLE).roles() | {"team": "text", "shelf": "text"}
    assert ContractLimits.model_validate(found.limits() | {"since": "", "until": "2023-10-27"})


BAD: list[tuple[dict[str, Any], str]] = [
    (grouped(group("Team")), "properties.6.group.name"),
    (grouped(group("popularity")), "popularity: no column of groups may be called so"),
    (grouped(group("activity")), "activity: no column of groups may be called so"),
    (grouped(group(), group()), "team is there 2 times"),
    (grouped(group(values=["red"])), "validValues: List should have at least 2"),
    (grouped(group(values=["red", "red"])), "red is there 2 times"),
    (grouped(group(values=["red", "blue "])), "found 'blue '; allowed: printable characters"),
    (grouped(group(values=["red", "(suppressed, together)"])), "a letter or digit first"),
    (grouped(group(values=["a", "a x b"])), "no ' x '"),
    (grouped(group(values=["re\u0301d", "blue"])), "printable characters in NFC"),
    (grouped(group(values=["red", "Red"])), "red is there 2 times"),
    (grouped(group(values=["red", "b\nlue"])), "allowed: printable characters"),
    (grouped(group(values=["red", "b" * 65])), "at most 64"),
    (grouped(group(of="item", values=[f"s{n}" for n in range(65)])), "team: 65 groups of items; allowed: 64"),
    (grouped(group(required=True)), "required"),
    (grouped(group(quality=[])), "quality"),
    (grouped(group(of="shop")), "value: Input should be 'user_group' or 'item_group'"),
    (changed("apiVersion", to="v2.2.2"), "apiVersion: "),
    (changed("kind"), "kind: missing"),
    (changed("status", to="draft"), "status: "),
    (changed("servers", to=[]), "unknown key 'servers'"),
    (changed("version", to="1"), "version: "),
    (changed("schema", to=[]), "schema: "),
    (changed(*COLUMNS, 0), "properties: found item_id, interaction_type, timestamp; allowed: user_id, item_id,"),
    (changed(*COLUMNS, 0, "name", to="item_id"), "properties: found item_id, item_id,"),
    (changed(*COLUMNS, 0, "name", to="comment"), "properties.0.other.required: "),
    (changed(*COLUMNS, 4, "name", to="user_agent"), "properties: user_agent is there 2 times; allowed: once"),
    (changed(*COLUMNS, 4, "name", to="a + b"), "properties.4.other.name: "),
    (changed(*COLUMNS, 4, "logicalType", to="string"), "unknown key 'logicalType'"),
    (changed(*COLUMNS, 4, "customProperties"), "customProperties: "),
    (changed(*COLUMNS, 4, "customProperties", 0, "value", to="secret"), "value: "),
    (changed(*COLUMNS, 4, "customProperties", 0, "property", to="role"), "property: "),
    (changed(*COLUMNS, 0, "required", to=False), "required: "),
    (changed(*COLUMNS, 0, "unique", to=True), "unknown key 'unique'"),
    (changed(*COLUMNS, 0, "logicalTypeOptions", "pattern", to=".*"), "pattern: "),
    (changed(*COLUMNS, 0, "logicalTypeOptions", "maxLength", to=65), "maxLength: "),
    (changed(*COLUMNS, 0, "logicalTypeOptions", "maxLength", to=32), "allowed: the same for both"),
    (changed(*COLUMNS, 2, "quality"), "quality: missing"),
    (changed(*COLUMNS, 2, "quality", 0, "mustBe", to=1), "mustBe: "),
    (changed(*COLUMNS, 2, "quality", 0, "arguments", "validValues", to=[]), "validValues: "),
    (changed(*COLUMNS, 2, "quality", 0, "arguments", "validValues", to=["view", "hover"]), "validValues.1: "),
    (changed(*COLUMNS, 3, "quality", 0, "implementation", "minutes", to=60), "minutes: "),
    (changed(*COLUMNS, 3, "quality", 0, "engine", to="soda"), "engine: "),
    (changed(*QUALITY, 0), "quality: allowed: rowCount and duplicateValues, each once"),
    (changed(*QUALITY, 1), "quality: allowed: rowCount and duplicateValues, each once"),
    (changed(*QUALITY, 1, "arguments", "properties", to=["user_id"]), "properties"),
    (changed(*QUALITY, 0, "mustBeGreaterOrEqualTo", to=0), "mustBeGreaterOrEqualTo: "),
    (changed(*QUALITY, 2, "implementation", "atLeast", to=29), "atLeast 29: allowed: at most 28"),
    (changed(*QUALITY, 2, "implementation", "recent", to=91), "recent: "),
    (changed(*QUALITY, 2, "type", to="sql"), "sql"),
    (changed(*QUALITY, 2, "implementation", "highest", to=101.0), "highest: "),
]


@pytest.mark.parametrize(("told", "said"), BAD, ids=[said for _, said in BAD])
def test_what_is_not_in_the_part_that_is_read_is_refused(told: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as why:
        contract(told, "interactions.odcs.yaml")
    assert str(why.value).startswith("interactions.odcs.yaml: ")
    assert said in str(why.value)


def test_a_contract_is_called_as_its_file() -> None:
    with pytest.raises(ConfigError, match="other.odcs.yaml: name: found 'interactions'; allowed: 'other'"):
        contract(WHOLE, "other.odcs.yaml")
