"""Local processes of a home: started detached, known by a ready file, stopped by their pid and only if it is them.

A pid alone may belong to somebody else by now, so the start time of the process (field 22 of `/proc/PID/stat`, in clock
ticks since boot) is kept beside it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from security.errors import CannotTell
from tasks.home import born

ROOT = Path(__file__).resolve().parents[1]
"""Where this pipeline's code lies."""


def packages() -> list[str]:
    """The folders that this process imports packages from, for one that is begun without `site`."""
    found = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages") and Path(path).is_dir()]
    return list(dict.fromkeys(found))


def bare(
    code: str,
    root: Path,
    *told: str,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stderr: int | None = None,
    pass_fds: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """A process of this interpreter in a session of its own, begun without `site`, whose files run code, and with few
    variables: those here and `env`. `code` is what it runs, and is given `root`, `told` and `packages()`."""
    return subprocess.Popen(  # noqa: S603 - this interpreter, and code of this pipeline
        [sys.executable, "-I", "-S", "-B", "-c", code, str(root), *told, *packages()],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=pass_fds,
        env={name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | dict(env or {}),
        start_new_session=True,
    )


def end(bare: "subprocess.Popen[bytes]") -> None:
    """End such a process and its session, which hold nothing that could be lost."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(bare.pid, signal.SIGKILL)
    bare.wait()


def start(argv: Sequence[str], record: Path, log: Path, env: Mapping[str, str] | None = None, **told: Any) -> int:
    """Start a process of its own session; its pid. `record` says which it is, `log` gets what it prints."""
    record.parent.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        dict(os.environ if env is None else env),
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


def told(record: Path) -> tuple[list[str], dict[str, str]]:
    """Command and variables of the process of a record, as the kernel has them; `CannotTell` where it has ended, or the
    kernel does not say."""
    if not (known := alive(record)):
        raise CannotTell("the process has ended")
    try:
        argv, env = ((Path("/proc") / str(known["pid"]) / name).read_bytes() for name in ("cmdline", "environ"))
    except OSError as why:
        raise CannotTell(f"what the process was told is not known ({type(why).__name__})") from None
    pairs = (each.decode("utf-8", "replace").partition("=") for each in env.split(b"\0") if each)
    return [each.decode("utf-8", "replace") for each in argv.split(b"\0")[:-1]], {name: at for name, _, at in pairs}


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
