"""One home for the whole session, with a real Prefect server and the embedded lake, each started when first asked for.
Where tests run in several processes, each of them is a session of its own.

Prefect reads its settings when it is imported, so they are set here, before any test module is. A test whose real part
is absent skips; with `SLUICE_NO_SKIP=1` a skip is a failure. The number of skips is printed last.
"""

import gc
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent
HOME = Path(tempfile.mkdtemp(prefix="sluice-test-")) / "home"


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# No test is timed: how long a draw takes is the machine's business.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
PORT = _port()
os.environ["SLUICE_HOME"] = str(HOME)
os.environ["SLUICE_CONFIGS"] = str(HOME.parent / "configs")
os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"})
if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as processors: more threads would only wait for each other
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.pop("SLUICE_LAKE", None)
os.environ.setdefault("SLUICE_PICTURES", "no")  # seconds of Evidently in every run; tests of pictures ask for them

from flows import local  # noqa: E402
from security.gates.code import loaded  # noqa: E402
from security.gates.code.facts import Loaded  # noqa: E402
from tasks import checkout  # noqa: E402
from tasks.home import Home  # noqa: E402

os.environ.update(local.settings(Home(HOME), f"http://127.0.0.1:{PORT}"))


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    """The session's home; everything that was started in it is ended."""
    yield Home(HOME)
    _said()
    local.stop(Home(HOME))
    shutil.rmtree(HOME.parent, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _briefly() -> None:
    """Runs of this process look for secrets in a checkout of one file: in that of the project it takes seconds, and
    there are hundreds of runs. Runs in a process of their own look at the whole."""
    root = HOME.parent / "checkout"
    root.mkdir()
    (root / "README.md").write_text("A checkout of one file.\n")
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for told in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(root), *told], check=True)  # noqa: S603, S607 - as whoever runs tests has it
    checkout.PIPELINE = root


@pytest.fixture(scope="session", autouse=True)
def _hashed() -> Iterator[None]:
    """Runs of this process hash each file of a package once, while it is as it was: 420 MB in each of four looks of a
    run. Runs in a process of their own hash it each time."""
    real, sound = loaded._fault, set[tuple[object, ...]]()

    def fault(each: Loaded, signed: Collection[str]) -> str:
        if each.origin != "package" or not isinstance(each.read, partial):
            return real(each, signed)
        is_ = os.stat(each.read.args[0])
        known = (each.sha256, is_.st_dev, is_.st_ino, is_.st_size, is_.st_mtime_ns, is_.st_ctime_ns)
        if known in sound:
            return ""
        if not (told := real(each, signed)):
            sound.add(known)
        return told

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loaded, "_fault", fault)
        yield


def _said() -> None:
    """Let Prefect's client send what it still has: at exit it would wait a minute for a server that is gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for each in (APILogWorker, EventsWorker):
        each.drain_all(timeout=20)


@pytest.fixture(scope="session")
def prefect(home: Home, lake: Home) -> Iterator[str]:
    """A real Prefect server; its address. Flows of this process send it no heartbeats: at its end each flow waits for
    its own, up to a second, and there are hundreds here. Nor do their gates ask it for a slot of the tag that they all
    have, on which there is no limit: a run would wait for that 45 times."""
    from prefect import task_engine
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    url = local.server(home, PORT)
    local.server_ready(home, url)
    assert url == f"http://127.0.0.1:{PORT}"
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_engine, "_concurrency", lambda **_: nullcontext())
        yield url


@pytest.fixture(scope="session")
def lake(home: Home) -> Home:
    """The embedded lake as a process of its own, with the whole sample."""
    local.server(home, PORT)  # starts meanwhile, if a test needs it
    local.lake(home, _port(), sample=True)
    local.lake_ready(home)
    return home


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data that lies beside the checkout."""
    path = Path(os.environ.get("SLUICE_SHARED") or ROOT.parent / "shared") / "data"
    if not path.is_dir():
        pytest.skip("no real data: set SLUICE_SHARED to the folder that holds it")
    return path


LONGEST = ROOT / "tests" / "conformance" / "test_gates.py"
_ASKING = ("backfill", "browser", "database", "deployments", "schedule")
WORKER = tuple(f"tests/integration/test_{each}.py" for each in _ASKING)
"""Files that ask one worker of Prefect, and of its runs a nightly one: in one process, so that it runs once."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest begins first: the others are spread beside it, and the rest is short."""
    items.sort(key=lambda item: item.path != LONGEST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """By file, and those of the worker as one."""
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return WORKER[0] if file in WORKER else file

    return Together(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """What was imported and collected lives as long as the session: Python need not look through it for garbage, which
    is a tenth of what a run takes."""
    gc.collect()
    gc.freeze()


_RUN = list[str]()
"""The first test that the server was started for."""


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """The same for what the first run of the session has imported."""
    if not _RUN and "prefect" in getattr(item, "fixturenames", ()):
        _RUN.append(item.nodeid)
        gc.collect()
        gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The number of skips, last."""
    skipped = len(terminalreporter.stats.get("skipped", []))
    terminalreporter.write_line(f"skipped: {skipped}")


@pytest.hookimpl(trylast=True)  # what a session that was broken off still has is ended by its fixtures before
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where no skip is allowed, one is a failure. A home that nobody asked for goes too."""
    shutil.rmtree(HOME.parent, ignore_errors=True)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("SLUICE_NO_SKIP") == "1" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
