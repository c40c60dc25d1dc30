"""The local processes of a home: the embedded lake, Prefect's server, and where Prefect keeps its own.

Prefect is told everything before it is imported: its home and database are the home's, it sends nothing to anybody,
starts no server by itself, stores no result, and listens on 127.0.0.1 only.
"""

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from security.errors import CannotTell
from tasks import process
from tasks.home import Home

LAKE, SERVER = "lake/process.json", "prefect/process.json"
PUBLIC = "my-data-lake-public"
"""A copy of the sample that anybody may read: what must be refused."""
PATIENCE = 90.0


def settings(home: Home, url: str = "") -> dict[str, str]:
    """Prefect's environment."""
    return {
        "PREFECT_HOME": str(home.folder("prefect", private=True)),
        "PREFECT_PROFILES_PATH": str(home.root / "prefect" / "profiles.toml"),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_LOGGING_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "SLUICE_HOME": str(home.root),
        **({"PREFECT_API_URL": f"{url}/api"} if url else {}),
    }


def free(wanted: int) -> int:
    """A port of 127.0.0.1: the one wanted, or any that is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CannotTell("no port is free on 127.0.0.1")


def lake(home: Home, wanted: int = 7443, *, sample: bool) -> None:
    """Start the embedded lake, unless it runs. `lake_ready` waits for it."""
    if process.alive(home.root / LAKE):
        return
    state = home.folder("lake", private=True)
    (state / "lake.json").unlink(missing_ok=True)
    argv = [sys.executable, "-m", "deployments.lake", str(state), "--port", str(free(wanted))]
    process.start(argv + (["--sample", "--public", PUBLIC] if sample else []), home.root / LAKE, state / "lake.log")


def lake_ready(home: Home) -> dict[str, Any]:
    """What the lake says of itself, once it serves."""
    state = home.root / "lake"
    return process.ready(state / "lake.json", home.root / LAKE, state / "lake.log", PATIENCE, "the embedded lake")


def server(home: Home, wanted: int = 4200) -> str:
    """Start Prefect's server, unless it runs; its address. `server_ready` waits for it."""
    if told := process.alive(home.root / SERVER):
        return str(told["url"])
    port = free(wanted)
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    argv += ["--host", "127.0.0.1", "--port", str(port), "--timeout-keep-alive", "5", "--no-access-log"]
    env = {**os.environ, **settings(home, url), "PREFECT_UI_URL": url, "PREFECT_SERVER_API_HOST": "127.0.0.1"}
    process.start(argv, home.root / SERVER, home.root / "prefect" / "server.log", env, url=url)
    return url


def server_ready(home: Home, url: str) -> None:
    """Wait until Prefect's server answers; `CannotTell` with the end of its log if it does not."""
    end, log = time.monotonic() + PATIENCE, home.root / "prefect" / "server.log"
    while time.monotonic() < end and process.alive(home.root / SERVER):
        try:
            with urllib.request.urlopen(f"{url}/api/health", timeout=2) as reply:  # noqa: S310 - our own loopback address
                if json.load(reply) is True:
                    return
        except (OSError, ValueError):
            time.sleep(0.1)
    last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.is_file() else []
    raise CannotTell(f"Prefect's server did not start: {last[0] if last else 'it said nothing'}")


def stop(home: Home) -> list[str]:
    """End everything that this home started; what there was."""
    records = sorted((home.root / "service").glob("*/process.json"))
    ended = [f"service of run {record.parent.name}" for record in records if process.stop(record)]
    for name, record in (("Prefect server", home.root / SERVER), ("embedded lake", home.root / LAKE)):
        if process.stop(record):
            ended.append(name)
    return ended


def serving(home: Home, run: str) -> Path:
    """The process record of a run's service."""
    return home.root / "service" / run / "process.json"
