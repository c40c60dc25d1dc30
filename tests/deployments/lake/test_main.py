"""The lake as a process: ready, found, stopped, and refusing with one sentence."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.lake.__main__ import main
from tests.deployments.lake.door import fetch

ROOT = Path(__file__).parents[3]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a lake's process; each is stopped, by its pid, when the test ends."""
    running: list[subprocess.Popen[str]] = []

    def go(*args: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "deployments.lake", *map(str, args)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield go
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait(process: subprocess.Popen[str], path: Path) -> dict[str, Any]:
    """What the lake says of itself once it is ready."""
    until = time.monotonic() + 30
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ready_found_and_stopped(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    state = tmp_path / "state"
    process = start(state)
    found = wait(process, state / "lake.json")
    assert found["pid"] == process.pid
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    lake = SimpleNamespace(endpoint=found["endpoint"], ca=found["ca"])
    status, body = fetch(lake, f"/{found['bucket']}")
    assert (status, b"AccessDenied" in body) == (403, True)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert out == f"lake: ready at {found['endpoint']}, see {state / 'lake.json'}\n"
    assert err == ""
    assert sorted(path.name for path in state.iterdir()) == ["ca.pem", "credentials.json", "lock", "server.pem"]


def test_killed_lake_is_followed_by_another(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path / "s")
    old = wait(first, tmp_path / "s" / "lake.json")
    second = start(tmp_path / "s")
    assert second.wait(timeout=30) == 2
    assert json.loads((tmp_path / "s" / "lake.json").read_bytes()) == old
    first.kill()
    first.wait(timeout=10)
    third = start(tmp_path / "s")
    until = time.monotonic() + 30
    while wait(third, tmp_path / "s" / "lake.json")["pid"] != third.pid:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_taken_port_is_one_sentence(start: Start, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start(tmp_path / "s", "--port", port)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert out == ""
    assert err == f"lake: port {port} of 127.0.0.1 cannot be had: Address already in use\n"
    assert not (tmp_path / "s" / "lake.json").exists()


def test_stopped_while_it_starts(start: Start, tmp_path: Path) -> None:
    process = start(tmp_path / "s")
    until = time.monotonic() + 30
    while not (tmp_path / "s" / "lock").exists():
        assert time.monotonic() < until
        time.sleep(0.002)
    process.terminate()
    assert process.communicate(timeout=10)[1] == ""
    assert process.returncode == 0
    assert not (tmp_path / "s" / "lake.json").exists()


@pytest.mark.parametrize(
    "args",
    [[], ["s", "--port", "65536"], ["s", "--port", "-1"], ["s", "--days", "3"], ["s", "--sample", "--days", "0"]],
)
def test_wrong_arguments_refused(args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as refusal:
        main(args)
    assert refusal.value.code == 2
    assert list(tmp_path.iterdir()) == []
