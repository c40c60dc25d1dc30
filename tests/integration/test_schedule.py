"""The real scheduler and a real process worker run `daily`, and what they leave behind.

SQLAlchemy is held below 2.1 for this: from there on Prefect 3.8's scheduler inserts nothing, and says so in no place
that a person looks at.
"""

import json
from datetime import datetime, timedelta
from typing import Any

import httpx

from configs import load
from tasks import process
from tasks.home import Home
from tasks.store import current
from tests.integration.conftest import Scheduled, Server, evidence, until, verified

AHEAD = timedelta(seconds=10)
OBSERVED = dict.fromkeys(
    (
        "dependency_scanning",
        "code_integrity_check",
        "registry_authorization",
        "network_policy_enforcement",
        "workload_hardening",
        "image_vulnerability_scanning",
        "deployment_authorization",
    ),
    "inconclusive",
)
RENDERED = ("deploy", "render", "network_policy_enforcement")
"""Of what is only rendered no probe is asked for."""
"""What a machine without advisories, a registry, a cluster or an image cannot tell, and the laptop's policy lets go."""
"""A worker takes a run out of the queue this long before its time."""


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def places() -> list[tuple[str, str, str]]:
    """Stage, task and gate of every verdict that a whole run has, in its order."""
    return [
        (stage, task, gate)
        for stage, tasks in load.matrix().items()
        for task, sides in tasks.items()
        for gate in [*sides["before"], *sides["after"]]
    ]


def test_it_was_every_night_until_it_was_moved_here(scheduled: Scheduled) -> None:
    assert (scheduled.nightly["slug"], scheduled.nightly["active"]) == ("nightly", True)
    assert (scheduled.nightly["schedule"]["cron"], scheduled.nightly["schedule"]["timezone"]) == ("15 2 * * *", "UTC")


def test_the_scheduler_itself_inserted_the_run(scheduled: Scheduled) -> None:
    run = scheduled.flow_run
    assert run["auto_scheduled"] is True
    assert {"auto-scheduled", "sluice", "daily"} <= set(run["tags"])
    assert (run["created_by"]["type"], run["created_by"]["display_value"]) == ("SCHEDULE", "nightly")
    assert run["idempotency_key"].startswith(f"scheduled {run['deployment_id']}")
    late = moment(run["expected_start_time"]) - scheduled.anchor
    assert late.total_seconds() % 60 == 0
    assert moment(run["start_time"]) > moment(run["expected_start_time"]) - AHEAD


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
    assert [(each["stage"], each["task"], each["gate"]) for each in told["held"]] == places()
    assert {each["gate"]: each["outcome"] for each in told["held"] if each["outcome"] != "pass"} == OBSERVED
    assert set(told["published"]) == set(load.matrix())
    assert told["index"] == "opened, ended, and with this log"


def test_its_model_serves_after_the_workers_process_is_gone(scheduled: Scheduled, home: Home) -> None:
    """Until a later run of the session is promoted in its place, and then its service has ended."""
    (folder,) = evidence(home, "nightly")
    moves = [json.loads(path.read_text()) for path in (home.root / "pointers" / "serving").glob("[0-9]*")]
    heads = [move["log"] for move in moves if move["run"] == folder.name]
    assert heads == [verified(home, folder, scheduled.policy)["head"]]
    assert (folder / "release.dsse").is_file()
    _, now = current(home, "serving")
    alive = process.alive(home.root / "service" / folder.name / "process.json")
    assert bool(alive) == (now["run"] == folder.name)
    assert httpx.get(f"{now['url']}/api/v1/recommendations?user=u00001").status_code == 401


def labels(nodes: dict[str, Any], edges: list[dict[str, str]]) -> set[str]:
    """The other ends of edges. The server repeats an edge for each artifact and input, so they are a set."""
    return {nodes[edge["id"]]["label"] for edge in edges}


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
            before, after = ({f"gate: {gate}" for gate in sides[side]} for side in ("before", "after"))
            assert before <= labels(nodes, node["parents"])
            assert after <= labels(nodes, node["children"])
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
    rows = json.loads(found["gate-verdicts"])
    said = [(row["stage"], row["task"], row["gate"].replace("\\", ""), row["outcome"]) for row in rows]
    wanted = OBSERVED.get
    assert said == [(*at, "pass" if at == RENDERED else wanted(at[2], "pass")) for at in places()]
