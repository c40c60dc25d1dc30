"""A real process worker of the pool `sluice`, and everything of prefect.yaml deployed on the session's server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from security.keys import UnsafeLocalKeys, unseal
from tasks.home import Home
from tests.small import WINDOW, small

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "deployments" / "prefect.yaml"
CLI = [sys.executable, "-m", "prefect", "--no-prompt"]
T = TypeVar("T")


def until(ask: Callable[[], T | None], seconds: float, what: str) -> T:
    """The first answer that is one, asked for twice a second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (found := ask()) is not None:
            return found
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


class Server:
    """Prefect's server, asked as anybody may ask it. A 503 is SQLite being busy: asked again; so is whatever was not
    answered in time and changes nothing the second time."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=f"{url}/api", timeout=30)

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """What the server answers; an error of it is an error here."""
        again = method in ("GET", "PATCH") or path.endswith("/filter")
        for left in reversed(range(10)):
            try:
                reply = self.http.request(method, path, json=body or None)
            except httpx.TimeoutException:
                if not (again and left):
                    raise
            else:
                if reply.status_code != 503:
                    break
            time.sleep(0.5)
        reply.raise_for_status()
        return reply.json() if reply.content else None

    def run(self, run: str) -> dict[str, Any]:
        """A flow run."""
        found: dict[str, Any] = self.ask("GET", f"/flow_runs/{run}")
        return found

    def ended(self, run: str, seconds: float = 400) -> dict[str, Any]:
        """A flow run, once it has ended."""

        def over() -> dict[str, Any] | None:
            found = self.run(run)
            return found if found["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

        return until(over, seconds, f"flow run {run} ended")

    def children(self, run: str) -> list[dict[str, Any]]:
        """The flow runs that a flow run called, in their order."""
        wanted = {"id": {"any_": [run]}}
        found: list[dict[str, Any]] = self.ask(
            "POST", "/flow_runs/filter", flow_runs={"parent_flow_run_id": wanted["id"]}, sort="EXPECTED_START_TIME_ASC"
        )
        return found

    def deployment(self, name: str) -> dict[str, Any]:
        """A deployment, by the name of its flow and its own."""
        found: dict[str, Any] = self.ask("GET", f"/deployments/name/{name}")
        return found

    def start(self, name: str, **body: Any) -> dict[str, Any]:
        """A new run of a deployment."""
        made: dict[str, Any] = self.ask("POST", f"/deployments/{self.deployment(name)['id']}/create_flow_run", **body)
        return made

    def artifacts(self, run: str) -> dict[str, str]:
        """Key -> data of the artifacts of a flow run."""
        found = self.ask("POST", "/artifacts/filter", artifacts={"flow_run_id": {"any_": [run]}})
        return {each["key"]: str(each["data"]) for each in found}


@pytest.fixture(scope="session")
def server(prefect: str) -> Iterator[Server]:
    """The session's server."""
    made = Server(prefect)
    yield made
    made.http.close()


def command(*arguments: str) -> str:
    """What a command of Prefect prints; it must succeed."""
    done = subprocess.run([*CLI, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="session")
def deployed(server: Server) -> Server:
    """The server with the pool and every deployment of prefect.yaml, as its first lines say."""
    server.ask("POST", "/work_pools/", name="sluice", type="process")
    command("deploy", "--all", "--prefect-file", str(FILE.relative_to(ROOT)))
    return server


@pytest.fixture(scope="session")
def worker(deployed: Server, home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, with a worker that polls the pool. It starts where the checkout is, like an operator would."""
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    env = {**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "2", "PREFECT_LOGGING_LEVEL": "INFO"}
    with log.open("w") as out:
        process = subprocess.Popen(
            [*CLI, "worker", "start", "--pool", "sluice", "--type", "process"],
            cwd=ROOT, env=env, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
        yield deployed
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(5)  # it has no run left; what it waits for is its next poll
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@dataclass(frozen=True)
class Scheduled:
    """A run that the scheduler inserted and the worker ran, and the schedule as it was deployed."""

    nightly: dict[str, Any]
    flow_run: dict[str, Any]
    document: str
    policy: str
    anchor: datetime


@pytest.fixture(scope="session")
def scheduled(worker: Server) -> Scheduled:
    """The nightly schedule of `daily`, moved to a few seconds ahead and a small document; what came of it, ended."""
    document, policy = small(name="nightly")
    daily = worker.deployment("pipeline/daily")
    (nightly,) = daily["schedules"]
    path = f"/deployments/{daily['id']}/schedules/{nightly['id']}"
    anchor = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=10)
    every = {"interval": 60, "anchor_date": anchor.isoformat(), "timezone": "UTC"}
    parameters = {"document": document, "policy": policy, "window": WINDOW}
    worker.ask("PATCH", path, schedule=every, parameters=parameters, max_scheduled_runs=1)

    def begun() -> dict[str, Any] | None:
        found = worker.ask("POST", "/flow_runs/filter", flow_runs={"deployment_id": {"any_": [daily["id"]]}})
        begun = [each for each in found if each["state_type"] != "SCHEDULED"]
        return begun[0] if begun else None

    try:
        first = until(begun, 400, "the scheduler inserted a run and the worker took it")
    finally:
        worker.ask("PATCH", path, active=False)  # or it would go on beside the tests that follow
    return Scheduled(nightly, worker.ended(first["id"]), document, policy, anchor)


def evidence(home: Home, pipeline: str) -> list[Path]:
    """The folders of evidence of the runs of one pipeline, oldest first."""
    public = UnsafeLocalKeys(home.root / "keys").public("producer")
    logs = sorted((home.root / "evidence").glob("*/log.jsonl"))
    first = {log.parent: unseal(log.read_bytes().splitlines()[0], public)["predicate"] for log in logs}
    plans = {folder: told["plan"] for folder, told in first.items() if "plan" in told}  # an attacked log may have none
    return [folder for folder, plan in plans.items() if plan["document"]["pipeline_name"] == pipeline]


def verified(home: Home, folder: Path, policy: str) -> dict[str, Any]:
    """What `sluice verify` tells of a run, as anybody with the public key would ask it; it must hold."""
    argv = [sys.executable, "-m", "flows.cli", "verify", str(folder), "--json", "--policy", policy]
    argv += ["--key", str(home.root / "trust" / "producer.pub")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    told: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, told["holds"]) == (0, True), told
    return told
