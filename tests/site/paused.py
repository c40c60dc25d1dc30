"""A run that waits for a person in Prefect, as who looks at its pages finds it, and resumes it."""

import json
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import httpx

LIMIT = 600.0


class Paused(NamedTuple):
    """The flow run that waits, at this server."""

    server: str
    id: str

    def resume(self) -> None:
        """Fill in the form, and go on."""
        told = {"run_input": {"note": "looked at the card"}}
        answer = httpx.post(f"{self.server}/api/flow_runs/{self.id}/resume", json=told, timeout=30)
        assert answer.json()["status"] == "ACCEPT", answer.text


def paused(home: Path, going: "Future[Any]") -> Paused:
    """The only run of a home that waits; `going` is the command that began it, and goes on meanwhile."""
    server = str(json.loads((home / "prefect" / "process.json").read_text())["url"])
    wanted = {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}}
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found = httpx.post(f"{server}/api/flow_runs/filter", json=wanted, timeout=30).json()
        if found:
            (only,) = found
            return Paused(server, only["id"])
        assert not going.done(), going.result()
        time.sleep(1)
    raise AssertionError("no run was paused")
