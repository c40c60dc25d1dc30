"""Local processes: started, waited for, and stopped only if they are the ones that were started."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from security.errors import CannotTell
from tasks import process

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Path]:
    """Where a process is recorded; what still runs at the end is ended."""
    path = tmp_path / "service" / "process.json"
    yield path
    process.stop(path, 1.0)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that nobody recorded, leader of a session of its own."""
    with subprocess.Popen(SLEEP, start_new_session=True) as running:
        yield running
        running.kill()


def started(record: Path, code: str = "import time; time.sleep(60)") -> int:
    return process.start([sys.executable, "-c", code], record, record.parent / "log")


def gone(pid: int, seconds: float = 5.0) -> bool:
    """Whether a process ends in time."""
    end = time.monotonic() + seconds
    while process.born(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return process.born(pid) == 0


def test_a_process_is_started_recorded_and_stopped(record: Path) -> None:
    pid = process.start(SLEEP, record, record.parent / "log", url="http://127.0.0.1:1")
    told = process.alive(record)
    assert told == {"pid": pid, "born": process.born(pid), "url": "http://127.0.0.1:1"}
    assert told["born"] > 0
    assert os.getsid(pid) == pid
    assert process.stop(record)
    assert gone(pid)
    assert not record.exists()
    assert not process.stop(record)


def test_what_it_prints_goes_to_its_log_that_is_its_owners_alone(record: Path) -> None:
    before = os.umask(0)
    try:
        pid = started(record, "import sys; print('out'); print('err', file=sys.stderr); print(sys.stdin.read())")
    finally:
        os.umask(before)
    os.waitpid(pid, 0)
    log = record.parent / "log"
    assert sorted(log.read_text().split()) == ["err", "out"]
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_record_with_another_start_time_stops_nobody(record: Path, bystander: subprocess.Popen[bytes]) -> None:
    record.parent.mkdir()
    born = process.born(bystander.pid)
    for other in (born - 1, born + 1, 0, -1, None, str(born)):
        record.write_text(json.dumps({"pid": bystander.pid, "born": other}))
        assert process.alive(record) is None
        assert not process.stop(record)
        assert not record.exists()
        assert bystander.poll() is None
    record.write_text(json.dumps({"pid": bystander.pid, "born": born}))
    assert process.alive(record)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "5", "{}", '{"pid": 1}', '{"born": 5}', '{"pid": "x", "born": 5}', '{"pid": 0, "born": 1}'],
)
def test_a_record_that_says_nothing_stops_nobody(record: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "killpg", lambda pid, sign: sent.append((pid, sign)))
    record.parent.mkdir()
    record.write_text(text)
    assert process.alive(record) is None
    assert not process.stop(record)
    assert sent == []


def test_a_process_that_ended_by_itself_is_not_alive(record: Path) -> None:
    pid = started(record, "")
    os.waitpid(pid, 0)
    assert process.alive(record) is None
    assert not process.stop(record)


def test_a_zombie_is_not_alive(record: Path) -> None:
    pid = started(record, "")
    end = time.monotonic() + 10
    while process.born(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert Path(f"/proc/{pid}/stat").exists(), "nobody waited for it yet"
    assert process.alive(record) is None
    os.waitpid(pid, 0)


def test_its_whole_session_ends_with_it(record: Path, tmp_path: Path) -> None:
    child = tmp_path / "child"
    code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({SLEEP!r})\n"
        f"open({str(child)!r}, 'x').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    started(record, code)
    end = time.monotonic() + 10
    while not (child.exists() and child.read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    assert process.stop(record)
    assert gone(int(child.read_text()))


def test_who_ignores_a_request_is_killed(record: Path, tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    code = (
        "import signal, time\n"
        f"signal.signal(signal.{signal.SIGTERM.name}, signal.SIG_IGN)\n"
        f"open({str(deaf)!r}, 'x')\n"
        "time.sleep(60)"
    )
    pid = started(record, code)
    end = time.monotonic() + 10
    while not deaf.exists() and time.monotonic() < end:
        time.sleep(0.02)
    begun = time.monotonic()
    assert process.stop(record, 0.3)
    assert time.monotonic() - begun > 0.25
    assert gone(pid)


def test_a_ready_file_is_waited_for(record: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    code = (
        "import os, time\n"
        "time.sleep(0.2)\n"
        f"open({str(ready)!r} + '.new', 'x').write('{{\"port\": 5}}')\n"
        f"os.rename({str(ready)!r} + '.new', {str(ready)!r})\n"
        "time.sleep(60)"
    )
    started(record, code)
    assert process.ready(ready, record, record.parent / "log", 20.0, "the thing") == {"port": 5}


def test_who_ends_before_it_is_ready_says_why(record: Path, tmp_path: Path) -> None:
    started(record, "import sys; sys.exit('no such colour')")
    begun = time.monotonic()
    with pytest.raises(CannotTell, match="^the thing did not start: no such colour$"):
        process.ready(tmp_path / "ready.json", record, record.parent / "log", 30.0, "the thing")
    assert time.monotonic() - begun < 20


def test_who_is_late_is_not_ready(record: Path, tmp_path: Path) -> None:
    pid = started(record)
    with pytest.raises(CannotTell, match="^the thing did not start: it said nothing$"):
        process.ready(tmp_path / "ready.json", record, record.parent / "log", 0.1, "the thing")
    assert process.born(pid), "it is its caller who stops it"


def test_nobody_is_born_under_a_pid_that_is_none() -> None:
    assert process.born(0) == 0
    assert process.born(2**30) == 0
    assert process.born(os.getpid()) > 0
