"""prefect.yaml: what it names, that it loads, that it runs no step, and who holds a parameter to its bounds."""

import importlib
import re
from typing import Any

import httpx
import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.exceptions import ParameterTypeError
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from tests.integration.conftest import FILE, ROOT, Server

DATA: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
DEPLOYMENTS: dict[str, dict[str, Any]] = {each["name"]: each for each in DATA["deployments"]}
LIMIT = {"limit": 1, "collision_strategy": "ENQUEUE"}
SNAPSHOT = {
    "daily": {
        "entrypoint": "flows.pipeline.pipeline",
        "schedules": [{"cron": "15 2 * * *", "timezone": "UTC", "active": True, "slug": "nightly"}],
        "parameters": {"document": "sample", "policy": "local", "partition": "latest", "requested_by": "schedule"},
        "concurrency_limit": LIMIT,
        "work_pool": {"name": "sluice", "work_queue_name": "default"},
    },
    "manual": {
        "entrypoint": "flows.pipeline.pipeline",
        "schedules": None,
        "parameters": {"document": "sample", "policy": "local", "partition": "latest"},
        "concurrency_limit": LIMIT,
        "work_pool": {"name": "sluice", "work_queue_name": "default"},
    },
    "backfill": {
        "entrypoint": "flows.backfill.backfill",
        "schedules": None,
        "parameters": {"document": "sample", "policy": "local"},
        "concurrency_limit": LIMIT,
        "work_pool": {"name": "sluice", "work_queue_name": "backfill"},
    },
    "lease": {
        "entrypoint": "flows.lease.lease",
        "schedules": [{"cron": "*/10 * * * *", "timezone": "UTC", "active": False, "slug": "renewal"}],
        "parameters": {"document": "recommendation_engine_v2", "policy": "kubernetes_prod"},
        "concurrency_limit": LIMIT | {"collision_strategy": "CANCEL_NEW"},
        "work_pool": {"name": "sluice", "work_queue_name": "lease"},
    },
}
SECRET = re.compile(r"secret|password|passwd|token|credential|api_?key|private|access_?key", re.IGNORECASE)
BAD = [
    {"window": 0},
    {"window": 3_661},
    {"window": "many"},
    {"partition": "yesterday"},
    {"partition": "2023-10-27/../.."},
    {"after": "../../evidence"},
    {"deploy": "perhaps"},
    {"document": "../documents/mine.json"},
    {"policy": "/tmp/weaker.yaml"},
    {"unknown": 1},
]
"""Parameters of the pipeline that are out of its bounds."""


def loaded(name: str) -> Flow[Any, Any]:
    flow: Flow[Any, Any] = load_flow_from_entrypoint(DEPLOYMENTS[name]["entrypoint"])
    return flow


def words(data: Any) -> list[str]:
    """Every key and text of a structure."""
    if isinstance(data, dict):
        return [word for pair in data.items() for part in pair for word in words(part)]
    return [word for each in data for word in words(each)] if isinstance(data, list) else [str(data)]


def test_it_is_what_prefect_reads_and_nothing_of_it_is_overlooked() -> None:
    """Prefect's reader drops keys that it does not know: here every key must be one that it has."""
    model = PrefectYamlModel.model_validate(DATA)
    assert [each.name for each in model.deployments] == list(DEPLOYMENTS)
    known = {field.alias or name for name, field in PrefectYamlModel.model_fields.items()} | {"definitions"}
    assert set(DATA) <= known
    for given, read in zip(DATA["deployments"], model.deployments, strict=True):
        assert set(given) <= set(type(read).model_fields)
        assert set(given["work_pool"]) <= {"name", "work_queue_name"}, "no job variable: it would be code on the worker"


def test_the_deployments_are_these() -> None:
    found = {name: {key: each.get(key) for key in SNAPSHOT["daily"]} for name, each in DEPLOYMENTS.items()}
    assert found == SNAPSHOT


def test_no_step_is_run() -> None:
    assert (DATA["build"], DATA["push"], DATA["pull"]) == (None, None, [])
    assert not [each for each in DEPLOYMENTS.values() if {"build", "push", "pull", "triggers"} & set(each)]
    said = "\n".join(words(DATA))
    assert not re.search(r"run_shell_script|pip_install|git_clone|prefect\.deployments\.steps|\{\{|requires", said)


def test_no_deployment_names_a_secret() -> None:
    for each in DEPLOYMENTS.values():
        assert not [word for word in words(each["parameters"]) if SECRET.search(word)]
        assert not [name for name in loaded(each["name"]).parameters.properties if SECRET.search(name)]
    assert SECRET.search("aws_secret_access_key")


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_it_loads_is_never_tried_again_and_takes_its_parameters(name: str) -> None:
    flow = loaded(name)
    given = DEPLOYMENTS[name]["parameters"]
    assert (flow.retries, flow.should_validate_parameters, flow.persist_result) == (0, True, None)
    assert DEPLOYMENTS[name]["enforce_parameter_schema"] is True
    required = {"start": "2023-10-25", "end": "2023-10-27"} if name == "backfill" else {}
    assert set(parameter_schema(flow).required or []) == set(required)
    told = flow.validate_parameters({**given, **required})
    assert {key: told[key] for key in given} == given


def test_an_entrypoint_is_found_wherever_a_worker_starts(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process worker without a pull step works in an empty folder of its own: a path would not be found there."""
    monkeypatch.chdir(tmp_path)
    for each in DEPLOYMENTS.values():
        module, _, name = each["entrypoint"].rpartition(".")
        assert loaded(each["name"]) is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: next(f"{key}={value}" for key, value in bad.items()))
def test_the_flow_itself_holds_its_bounds(bad: dict[str, Any]) -> None:
    flow = loaded("manual")
    with pytest.raises((ParameterTypeError, TypeError)) as why:
        flow.validate_parameters({**DEPLOYMENTS["manual"]["parameters"], **bad})
    assert next(iter(bad)) in str(why.value)


@pytest.mark.parametrize("bad", [{"start": "2023-10-25"}, {"start": "25.10.2023", "end": "2023-10-27"}])
def test_a_backfill_needs_two_days(bad: dict[str, Any]) -> None:
    with pytest.raises((ParameterTypeError, TypeError), match="end|start"):
        loaded("backfill").validate_parameters(bad)


def test_the_server_has_them_as_they_are_written(deployed: Server) -> None:
    for name, wanted in SNAPSHOT.items():
        flow = name if name in ("backfill", "lease") else "pipeline"
        found = deployed.deployment(f"{flow}/{name}")
        assert (found["entrypoint"], found["parameters"]) == (wanted["entrypoint"], wanted["parameters"])
        assert (found["work_pool_name"], found["work_queue_name"]) == tuple(wanted["work_pool"].values())
        assert (found["enforce_parameter_schema"], found["paused"], found["job_variables"]) == (True, False, {})
        assert found["pull_steps"] in (None, [])
        assert found["global_concurrency_limit"]["limit"] == 1
        assert found["concurrency_options"]["collision_strategy"] == wanted["concurrency_limit"]["collision_strategy"]
    assert deployed.deployment("pipeline/manual")["schedules"] == []
    schedules = deployed.deployment("pipeline/daily")["schedules"]
    assert [each["slug"] for each in schedules] == ["nightly"]
    assert [each["active"] for each in deployed.deployment("lease/lease")["schedules"]] == [False]


@pytest.mark.parametrize("bad", [{"window": 0}, {"partition": "yesterday"}, {"after": "../.."}])
def test_the_server_refuses_what_is_out_of_bounds(deployed: Server, bad: dict[str, Any]) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        deployed.start("pipeline/manual", parameters=bad)


def test_a_caller_who_switches_the_schema_off_is_refused_by_the_flow(worker: Server) -> None:
    """Anybody may: the form in the UI has a switch for it."""
    bad = {"window": 0, "partition": "yesterday"}
    made = worker.start("pipeline/manual", parameters=bad, enforce_parameter_schema=False)
    ended = worker.ended(made["id"])
    assert ended["state_type"] == "FAILED"
    assert [name for name in bad if f"- {name}: " not in ended["state"]["message"]] == []
    assert worker.children(made["id"]) == []


def test_the_file_says_how_it_is_deployed() -> None:
    said = FILE.read_text(encoding="utf-8").splitlines()[:4]
    assert f"#   prefect --no-prompt deploy --all --prefect-file {FILE.relative_to(ROOT)}" in said
