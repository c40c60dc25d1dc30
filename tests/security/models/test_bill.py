"""The model's bill of materials: valid by the published schema, true of the model, and complete or told not to be."""

import contextlib
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import load
from configs.card import card as declared
from configs.load import ConfigError
from security.errors import LogBroken
from security.keys import UnsafeLocalKeys
from security.models import bill, statement
from security.models.bill import Metric, check
from security.models.complete import invalid, missing
from security.models.statement import Claim
from security.verdict import canonical
from tests.security.models.making import DATASETS, METRICS, Model, model, terms


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> UnsafeLocalKeys:
    return UnsafeLocalKeys(tmp_path_factory.mktemp("bills") / "keys")


@pytest.fixture(scope="module")
def made(local: UnsafeLocalKeys, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model(tmp_path_factory.mktemp("model") / "model", local)


@pytest.fixture(scope="module")
def claim(made: Model, local: UnsafeLocalKeys) -> Claim:
    return statement.check(made.attached["statement.dsse"], made.files, made.without, local.public("producer"))


@pytest.fixture
def told(made: Model) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made.attached["bill.cdx.json"])
    return found


def test_it_is_valid_by_the_published_schema_and_complete(made: Model, told: dict[str, Any]) -> None:
    body = made.attached["bill.cdx.json"]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(body.decode()) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(body.decode().replace('"task"', '"tusk"')) is not None
    assert missing(body) == []
    card = told["metadata"]["component"]["modelCard"]
    assert card["modelParameters"]["task"].startswith("recommendation")
    assert card["quantitativeAnalysis"]["performanceMetrics"][0] == {
        "type": "precision@10",
        "value": "0.31",
        "slice": "test, all users",
        "confidenceInterval": {"lowerBound": "0.3", "upperBound": "0.32"},
    }
    refs = {each["bom-ref"] for each in told["components"]}
    assert {each["ref"] for each in card["modelParameters"]["datasets"]} <= refs
    assert {each["ref"] for each in told["dependencies"]} == {"model", *refs}


def test_what_the_schema_refuses_is_told(told: dict[str, Any]) -> None:
    assert invalid(canonical(told)) == ""
    told["metadata"]["component"]["modelCard"]["tusk"] = 1
    assert "'tusk' was unexpected" in invalid(canonical(told))
    with pytest.raises(LogBroken, match="not a model's bill"):
        invalid(b"{")


def test_every_part_says_its_basis(told: dict[str, Any]) -> None:
    card = told["metadata"]["component"]["modelCard"]
    basis = {each["name"]: each["value"] for each in card["properties"]}
    assert basis["sluice:basis:quantitativeAnalysis.performanceMetrics"] == "observed"
    assert basis["sluice:basis:modelParameters.datasets"] == "observed"
    assert basis["sluice:basis:considerations.fairnessAssessments"] == "declared"
    assert {f"sluice:basis:{part}" for part in bill.parts(card)} <= basis.keys()


def test_the_same_model_has_the_same_bill(made: Model) -> None:
    turned, back = (dict(reversed(each.items())) for each in (made.files, DATASETS))
    assert list(turned) != list(made.files)
    again = bill.made(turned, back, terms(), METRICS, seconds=12.5, frameworks={"tensorflow": "2.20.0"})
    assert again == made.attached["bill.cdx.json"]
    other = bill.made(made.files, DATASETS, terms(), METRICS, seconds=12.6, frameworks={"tensorflow": "2.20.0"})
    assert json.loads(other)["serialNumber"] != json.loads(again)["serialNumber"]


def test_it_is_held_against_the_statement(made: Model, claim: Claim, told: dict[str, Any]) -> None:
    assert check(canonical(told), made.files, claim) == told

    def refused(change: Any) -> None:
        spoiled = copy.deepcopy(told)
        change(spoiled)
        with pytest.raises(LogBroken):
            check(canonical(spoiled), made.files, claim)

    about = ("metadata", "component")
    refused(lambda t: t[about[0]][about[1]].update(name="other"))
    refused(lambda t: t[about[0]][about[1]].update(version="4"))
    refused(lambda t: t[about[0]][about[1]].update(type="library"))
    refused(lambda t: t.update(specVersion="1.5"))
    refused(lambda t: t.pop("metadata"))
    refused(lambda t: t.update(components=[]))
    for number, each in enumerate(told["metadata"]["component"]["properties"]):
        refused(lambda t, n=number: t[about[0]][about[1]]["properties"].pop(n))
        if each["name"] != "sluice:declared":
            refused(lambda t, n=number: t[about[0]][about[1]]["properties"][n].update(value="0" * 64))
    for number, each in enumerate(told["components"]):
        if "hashes" in each:
            refused(lambda t, n=number: t["components"].pop(n))
            refused(lambda t, n=number: t["components"][n].update(name="other"))
            refused(lambda t, n=number: t["components"][n]["hashes"][0].update(content="0" * 64))
            refused(lambda t, n=number: t["components"][n]["hashes"][0].update(alg="MD5"))
            refused(lambda t, n=number: t["components"].append(t["components"][n]))
    for body in (b"", b"[]", b"{}", json.dumps(told).encode()):
        with pytest.raises(LogBroken, match="not a model's bill"):
            check(body, made.files, claim)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, (*path, number))
    else:
        yield path


def put(told: dict[str, Any], path: tuple[Any, ...], value: Any) -> bytes:
    spoiled: Any = copy.deepcopy(told)
    at = spoiled
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return canonical(spoiled)


SPARE = ("confidenceInterval", "lowerBound", "upperBound")


def test_whatever_is_left_out_is_missed(told: dict[str, Any]) -> None:
    """Every text of the card, and every list and part of it, one by one."""
    card = told["metadata"]["component"]["modelCard"]
    places = [path for path in leaves(card) if path[0] != "properties" and path[-1] not in SPARE]
    assert len(places) > 25
    for path in places:
        for nothing in ("", "  ", "TODO", "n/a", "N/A.", "unknown", None, 7):
            found = missing(put(told, ("metadata", "component", "modelCard", *path), nothing))
            assert found, (path, nothing)
    parts = {path[:depth] for path in places for depth in range(1, len(path))}
    for path in parts:
        for nothing in ([], {}, None, {"some": "words of it"}):
            found = missing(put(told, ("metadata", "component", "modelCard", *path), nothing))
            assert found, (path, nothing)
    assert missing(put(told, ("metadata", "component", "modelCard"), {}))
    assert missing(put(told, ("metadata", "component", "modelCard", "properties"), []))
    for name in ("description", "supplier", "licenses", "hashes"):
        assert any(name in each for each in missing(put(told, ("metadata", "component", name), None))), name


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "ref", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=200)
@given(data=st.data())
def test_whatever_stands_in_a_bill_it_is_told_or_refused(made: Model, claim: Claim, data: st.DataObject) -> None:
    told = json.loads(made.attached["bill.cdx.json"])
    paths = sorted({path[:depth] for path in leaves(told) for depth in range(1, len(path) + 1)}, key=repr)
    spoiled = put(told, data.draw(st.sampled_from(paths)), data.draw(JSON))
    for look in (missing, lambda body: bill.metrics(check(body, made.files, claim))):
        with contextlib.suppress(LogBroken):
            look(spoiled)


@pytest.mark.parametrize("basis", [None, "", "hoped"])
def test_a_basis_is_one(told: dict[str, Any], basis: Any) -> None:
    properties = told["metadata"]["component"]["modelCard"]["properties"]
    for number, each in enumerate(properties):
        if each["name"].startswith("sluice:basis:"):
            path = ("metadata", "component", "modelCard", "properties", number, "value")
            assert missing(put(told, path, basis)) == [each["name"]]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "much", "0,5"])
def test_a_figure_is_a_finite_number(told: dict[str, Any], value: str) -> None:
    path = ("metadata", "component", "modelCard", "quantitativeAnalysis", "performanceMetrics", 1, "value")
    assert missing(put(told, path, value)) == ["quantitativeAnalysis.performanceMetrics[1].value"]


def test_a_dataset_is_a_component_that_says_what_it_is(told: dict[str, Any]) -> None:
    (number,) = (n for n, each in enumerate(told["components"]) if each["bom-ref"] == "data:rows")
    for path in (
        ("hashes",),
        ("data",),
        ("data", 0, "classification"),
        ("data", 0, "sensitiveData"),
        ("data", 0, "governance"),
    ):
        assert any(each.startswith("data:rows.") for each in missing(put(told, ("components", number, *path), None))), (
            path
        )
    del told["components"][number]
    assert any(each.startswith("data:rows.") for each in missing(canonical(told)))


def test_a_bill_without_metrics_is_made_and_told(made: Model) -> None:
    body = bill.made(made.files, DATASETS, terms(), [], seconds=1.0, frameworks={})
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(body.decode()) is None
    assert {each.rpartition(".")[0] for each in missing(body)} == {"quantitativeAnalysis.performanceMetrics[]"}
    with pytest.raises(ValueError, match="value"):
        Metric(type="x", value=float("nan"), slice="all")


def test_a_card_that_is_declared_says_something(made: Model) -> None:
    good = load.text(load.find("recommender", "cards"))
    for path in leaves(good):
        for nothing in ("", "   ", "...", "TODO", "n/a"):
            spoiled: Any = json.loads(put(good, path, nothing))
            with pytest.raises(ConfigError, match="card.yaml: "):
                declared(spoiled, "card.yaml")
    with pytest.raises(ConfigError, match="unknown key 'usecases'"):
        declared(good | {"usecases": []}, "card.yaml")
    with pytest.raises(ConfigError, match="users"):
        declared(good | {"considerations": good["considerations"] | {"users": []}}, "card.yaml")
    odd = declared(good | {"licence": "whatever you like"}, "card.yaml")
    with pytest.raises(LogBroken, match="an id of SPDX"):
        bill.made(made.files, DATASETS, odd, METRICS, seconds=1.0, frameworks={})


def test_it_says_which_declaration_it_was_made_from(made: Model, told: dict[str, Any], tmp_path: Path) -> None:
    facts = {each["name"]: each["value"] for each in told["metadata"]["component"]["properties"]}
    assert facts["sluice:declared"] == load.sha256(terms().model_dump(mode="json"))
