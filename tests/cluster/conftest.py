"""The API server of the tests, and what runs on it: by default every rollout ends well, and jobs really run."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deployments.kubernetes import lease, probe
from deployments.kubernetes.client import Client
from deployments.kubernetes.config import Config
from deployments.kubernetes.release import Release
from tests.cluster.server import Cluster, Objects, Told
from tests.security.manifests.given import VALUES

ROOT = Path(__file__).parent.parent.parent
TOKEN = "t" * 24
"""Of who may do everything."""


def lets(client: Client, release: Release) -> None:
    """Lets a model serve, beside others, by nobody's word."""
    lease.renewed(client, release.where, release.name, lambda before: before + f"{release.model}\n".encode())


def rolled(told: Told, look: int) -> tuple[Told, str]:
    """A rollout in three looks: not seen, half done, done."""
    wanted, generation = told["spec"].get("replicas", 1), told["metadata"]["generation"]
    if look == 0:
        return {"observedGeneration": generation - 1, "replicas": wanted, "updatedReplicas": wanted,
                "availableReplicas": wanted, "readyReplicas": wanted}, ""  # fmt: skip
    done = wanted if look > 1 else 1
    going = [{"type": "Progressing", "status": "True", "reason": "x"}]
    return {"observedGeneration": generation, "replicas": wanted, "updatedReplicas": done, "availableReplicas": wanted,
            "readyReplicas": wanted, "conditions": going}, ""  # fmt: skip


def stuck(reason: str, given_up: bool = False) -> Callable[[Told, int], tuple[Told, str]]:
    """A rollout that never ends, though as many replicas as are wanted are available: of the generation before."""

    def rollout(told: Told, look: int) -> tuple[Told, str]:
        status = rolled(told, 1)[0] | {"updatedReplicas": 0}
        if given_up and look > 2:
            condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
            status["conditions"] = [condition]
        return status, reason

    return rollout


class Controllers:
    """What a controller manager does between two looks: rollouts by `rollout` (the status at the n-th look, and what
    the pods wait for), jobs by `job` (exit code and last word)."""

    def __init__(self) -> None:
        self.rollout: Callable[[Told, int], tuple[Told, str]] = rolled
        self.job: Callable[[Told], tuple[int, str]] = lambda told: (1, "")
        self.looks: dict[tuple[str, int], int] = {}

    def step(self, objects: Objects, kind: str) -> None:
        for (found, _, name), told in list(objects.held.items()):
            if found == kind == "Deployment":
                look = (told["metadata"]["uid"], told["metadata"]["generation"])
                self.looks[look] = self.looks.get(look, -1) + 1
                status, waits = self.rollout(told, self.looks[look])
                state: Told = {"waiting": {"reason": waits}} if waits else {"running": {}}
                for number in range(told["spec"].get("replicas", 1) if self.looks[look] else 0):
                    objects.put(self.pod(told, f"{name}-{number}", state, {}))
                if told.get("status") != status:
                    objects.put(told | {"status": status})
            elif found == "Job" and kind in ("Job", "Pod") and "status" not in told:
                code, word = self.job(told)
                uid = told["metadata"]["uid"]
                labels = {"batch.kubernetes.io/job-name": name, "batch.kubernetes.io/controller-uid": uid}
                state = {"exitCode": code, "reason": "Error" if code else "Completed", "message": word}
                objects.put(self.pod(told, f"{name}-0", {"terminated": state}, labels))
                ended = {"type": "Failed" if code else "Complete", "status": "True", "reason": state["reason"]}
                objects.put(told | {"status": {"conditions": [ended]}})

    @staticmethod
    def pod(owner: Told, name: str, state: Told, labels: dict[str, str]) -> Told:
        about, template = owner["metadata"], owner["spec"]["template"]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": about["namespace"],
                "uid": f"{about['uid']}-{name}",
                "creationTimestamp": about["creationTimestamp"],
                "labels": template["metadata"]["labels"] | labels,
                "ownerReferences": [{"uid": about["uid"], "kind": owner["kind"], "name": about["name"]}],
            },
            "spec": template["spec"],
            "status": {"containerStatuses": [{"name": template["spec"]["containers"][0]["name"], "state": state}]},
        }


class Serving:
    """What stands for the pods of a release: it answers as the service does, or otherwise."""

    def __init__(self, model: str, **otherwise: int | str) -> None:
        told: dict[str, Any] = {"ready": 200, "model": model, "bare": 401, "garbage": 401, **otherwise}

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                bearer = self.headers.get("Authorization")
                status = told["ready"] if self.path == "/readyz" else told["garbage" if bearer else "bare"]
                data = json.dumps({"ok": True, "model": told["model"]}).encode()
                self.send_response(int(status))
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = ("127.0.0.1", int(self.http.server_port))
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


class World(Controllers):
    """A cluster with one user, and a network in which names lead to local addresses: `selector` of a Service, by the
    release that it leads to, as `serving` has it. Strangers reach nobody, unless `open`. Jobs run their own command,
    in a process of its own where `processes` says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.serving: dict[str, Serving] = {}
        self.open = self.processes = False
        self.job = self.run
        self.objects = Objects(self.step)
        self.cluster = Cluster(folder, self.objects, {TOKEN: "deployer"}, {"deployer": [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]})  # fmt: skip
        self.said: list[str] = []
        self.paused: list[float] = []

    def client(self, token: str = TOKEN) -> Client:
        config = Config(self.cluster.url, self.cluster.authority, "", token=token)
        return Client(config, seconds=5, sleep=self.paused.append)

    def serve(self, release: str, model: str, **otherwise: int | str) -> None:
        if release in self.serving:
            self.serving.pop(release).close()
        self.serving[release] = Serving(model, **otherwise)

    def address(self, host: str, component: str) -> tuple[str, int]:
        service = self.objects.held.get(("Service", VALUES["namespace"], host))
        found = self.serving.get((service or {}).get("spec", {}).get("selector", {}).get("sluice/release", ""))
        if found and (component == "probe" or self.open):
            return found.address
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            return "127.0.0.1", int(nobody.getsockname()[1])

    def run(self, told: Told) -> tuple[int, str]:
        """The job's own command, as a process here; its exit code and last word."""
        box = told["spec"]["template"]["spec"]["containers"][0]
        args = dict(zip(box["args"][::2], box["args"][1::2], strict=True))
        host, port = self.address(args["--host"], told["metadata"]["labels"]["app.kubernetes.io/component"])
        with tempfile.TemporaryDirectory() as folder:
            word = Path(folder) / "word"
            given = {**args, "--host": host, "--port": str(port), "--told": str(word)}
            flags = [part for pair in given.items() for part in pair]
            if self.processes:
                command = [sys.executable, "-I", box["command"][-1].replace("/srv/code", str(ROOT)), *flags]
                code = subprocess.run(command, timeout=30, check=False, env={"PATH": os.defpath}).returncode
            else:
                code = probe.main(flags)
            said = word.read_text() if word.exists() else ""
        return code, said.replace(f"{host}:{port}", f"{args['--host']}:{args['--port']}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "cluster")
    with made.cluster:
        yield made
    for each in made.serving.values():
        each.close()
