"""Local processes of a home: started detached, known by a ready file, stopped by their pid and only if it is them.

A pid alone may belong to somebody else by now, so the start time of the process (field 22 of `/proc/PID/stat`, in clock
ticks since boot) is kept beside it.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from security.errors import CannotTell
from tasks.home import born


def packages() -> list[str]:
    """The folders that this process imports packages from, for one that is begun without `site`."""
    found = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages") and Path(path).is_dir()]
    return list(dict.fromkeys(found))


def start(argv: Sequence[str], record: Path, log: Path, env: Mapping[str, str] | None = None, **told: Any) -> int:
    """Start a process of its own session; its pid. `record` says which it is, `log` gets what it prints."""
    record.parent.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        dict(env or os.environ),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    record.write_text(json.dumps({"pid": pid, "born": born(pid), **told}))
    return pid


def alive(record: Path) -> dict[str, Any] | None:
    """What a record says, if its process still runs."""
    try:
        told: dict[str, Any] = json.loads(record.read_text())
        return told if told["born"] and born(told["pid"]) == told["born"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stop(record: Path, seconds: float = 10.0) -> bool:
    """End the process of a record, and its session; whether there was one."""
    told = alive(record)
    if told:
        for sign, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(told["pid"], sign)
            end = time.monotonic() + patience
            while alive(record) and time.monotonic() < end:
                _reap(told["pid"])
                time.sleep(0.05)
    record.unlink(missing_ok=True)
    return bool(told)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def ready(file: Path, record: Path, log: Path, seconds: float, what: str) -> dict[str, Any]:
    """Wait for a ready file; `CannotTell` with the end of the log if the process ends or is late."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if file.is_file():
            told: dict[str, Any] = json.loads(file.read_text())
            return told
        _reap(json.loads(record.read_text())["pid"])
        if not alive(record):
            break
        time.sleep(0.03)
    last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.is_file() else []
    raise CannotTell(f"{what} did not start: {last[0] if last else 'it said nothing'}")
