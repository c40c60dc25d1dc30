"""The real scheduler and a real process worker run `daily`, and what they leave behind.

SQLAlchemy is held below 2.1 for this: from there on Prefect 3.8's scheduler inserts nothing, and says so in no place
that a person looks at.
"""

from datetime import datetime
from typing import Any

import httpx
import pytest

from configs import load
from tasks import process
from tasks.home import Home
from tasks.store import current
from tests.integration.conftest import Scheduled, Server, evidence, until, verified

Graph = dict[str, dict[str, Any]]
"""Label -> what the graph shows of it. Labels that occur twice are told apart by their edges."""


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_the_scheduler_itself_inserted_the_run(scheduled: Scheduled) -> None:
    run = scheduled.flow_run
    assert run["auto_scheduled"] is True
    assert {"auto-scheduled", "sluice", "daily"} <= set(run["tags"])
    assert (run["created_by"]["type"], run["created_by"]["display_value"]) == ("SCHEDULE", "nightly")
    assert run["idempotency_key"].startswith(f"scheduled {run['deployment_id']}")
    late = moment(run["expected_start_time"]) - scheduled.anchor
    assert late.total_seconds() % 60 == 0
    assert moment(run["start_time"]) >= moment(run["expected_start_time"])


def test_the_worker_ran_it_to_its_end(scheduled: Scheduled) -> None:
    run = scheduled.flow_run
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Completed")
    assert (run["work_pool_name"], run["run_count"]) == ("sluice", 1)
    assert run["labels"]["prefect.worker.type"] == "process"
    assert run["parameters"]["requested_by"] == "schedule"


def test_a_schedule_that_was_switched_off_goes_on_no_more(scheduled: Scheduled, worker: Server) -> None:
    found = worker.ask(
        "POST", "/flow_runs/filter", flow_runs={"deployment_id": {"any_": [scheduled.flow_run["deployment_id"]]}}
    )
    assert [each["id"] for each in found] == [scheduled.flow_run["id"]]


def test_its_evidence_verifies(scheduled: Scheduled, home: Home) -> None:
    (folder,) = evidence(home, "nightly")
    told = verified(home, folder, scheduled.policy)
    wanted = [
        (stage, task, gate)
        for stage, tasks in load.matrix().items()
        for task, sides in tasks.items()
        for gate in [*sides["before"], *sides["after"]]
    ]
    assert sorted((each["stage"], each["task"], each["gate"]) for each in told["held"]) == sorted(wanted)
    assert {each["outcome"] for each in told["held"]} == {"pass"}
    assert set(told["published"]) == set(load.matrix())
    assert told["index"] == []


def test_its_model_serves_after_the_workers_process_is_gone(scheduled: Scheduled, home: Home) -> None:
    (folder,) = evidence(home, "nightly")
    _, serving = current(home, "serving")
    first = (home.root / "service" / folder.name / "endpoint.json").read_text()
    assert (folder / "release.dsse").is_file()
    if serving["run"] != folder.name:
        pytest.fail(f"another run was promoted since: {serving['run']}; {first}")
    assert process.alive(home.root / "service" / folder.name / "process.json")
    assert httpx.get(f"{serving['url']}/api/v1/recommendations?user=u00001").status_code == 401


def labels(nodes: dict[str, Any], edges: list[dict[str, str]]) -> list[str]:
    return sorted(nodes[edge["id"]]["label"] for edge in edges)


def test_every_gate_is_a_node_with_edges_to_and_from_the_work(scheduled: Scheduled, worker: Server) -> None:
    stages = worker.children(scheduled.flow_run["id"])
    matrix = load.matrix()
    assert len(stages) == len(matrix)
    for run, (stage, tasks) in zip(stages, matrix.items(), strict=True):
        count = sum(1 + len(sides["before"]) + len(sides["after"]) for sides in tasks.values())

        def whole(run: str = run["id"], count: int = count) -> dict[str, Any] | None:
            """Task runs reach the database some seconds after the flow run has ended."""
            graph = worker.ask("GET", f"/flow_runs/{run}/graph-v2")
            return dict(graph["nodes"]) if len(graph["nodes"]) == count else None

        nodes = until(whole, 30, f"the graph of {stage} has {count} nodes")
        works = {node["label"]: node for node in nodes.values() if not node["label"].startswith("gate: ")}
        assert set(works) == {f"{stage}: {task}" for task in tasks}
        for task, sides in tasks.items():
            node = works[f"{stage}: {task}"]
            assert labels(nodes, node["parents"]) == sorted(f"gate: {gate}" for gate in sides["before"])
            after = [each for each in labels(nodes, node["children"]) if each.startswith("gate: ")]
            assert after == sorted(f"gate: {gate}" for gate in sides["after"])
        assert {node["state_type"] for node in nodes.values()} == {"COMPLETED"}


def test_every_gates_run_is_tagged_and_was_tried_once(scheduled: Scheduled, worker: Server) -> None:
    ids = [each["id"] for each in worker.children(scheduled.flow_run["id"])]
    found = worker.ask("POST", "/task_runs/filter", flow_runs={"id": {"any_": ids}})
    gates = [each for each in found if each["name"].startswith("gate: ")]
    tagged = [each for each in found if "security-gate" in each["tags"]]
    assert gates
    assert sorted(each["id"] for each in gates) == sorted(each["id"] for each in tagged)
    assert {each["run_count"] for each in found} == {1}
    assert {each["cache_key"] for each in found} == {None}


def test_its_verdicts_are_an_artifact(scheduled: Scheduled, worker: Server) -> None:
    found = worker.artifacts(scheduled.flow_run["id"])
    assert set(found) == {"gate-verdicts"}
    gates = {gate for tasks in load.matrix().values() for sides in tasks.values() for gate in sum(sides.values(), [])}
    assert [gate for gate in gates if gate.replace("_", "\\\\_") not in found["gate-verdicts"]] == []
