"""pip-audit, asked about a lock in a process of its own, against a service in OSV's form.

Its command runs as anybody would run it, from its own entry point, with an environment that says nothing: variables
such as `PIP_AUDIT_OSV_URL` would change what it does, and the service is on the loopback, where no proxy and no
certificate is needed. One process imports it, once, and forks for each question: a gate asks three times, and most of
what a question costs is the import. Neither the exit code nor the words are the answer, only the report: a service that
is down ends with the same code as a vulnerability.
"""

import atexit
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from packaging.utils import canonicalize_name
from pydantic import BaseModel, Field, ValidationError

from security.engines import auditor
from security.errors import CannotTell
from security.verdict import Frozen

NAME = auditor.NAME
CAUSE = "engine"
"""Why nobody can tell: the engine gave no report."""
SECONDS = 300.0
LARGEST = 64 << 20
"""Bytes of a report."""
_OPTIONS = ("--require-hashes", "--disable-pip", "-s", "osv", "-f", "json", "--progress-spinner", "off")
_START = "import sys; sys.path[:0] = {path!r}; from security.engines.auditor import serve; serve()"


class Known(Frozen):
    """A vulnerability that the engine reports: every id that it has, in order, and the versions that fix it."""

    ids: tuple[str, ...]
    fixes: tuple[str, ...]


class Audited(Frozen):
    """A package at a version, and what is known of it."""

    name: str
    version: str
    known: tuple[Known, ...]


class Report(Frozen):
    """What the engine says of each package: looked up, or skipped (name, or line, -> reason)."""

    audited: tuple[Audited, ...]
    skipped: dict[str, str]


class _Vulnerability(BaseModel):
    id: Annotated[str, Field(min_length=1)]
    aliases: list[str]
    fix_versions: list[str]


class _Dependency(BaseModel):
    name: str
    version: str = ""
    vulns: list[_Vulnerability] | None = None
    skip_reason: str = ""


class _Told(BaseModel):
    dependencies: list[_Dependency]


def engine_version() -> str:
    """The version of the engine that is installed."""
    return version(NAME)


def start() -> None:
    """Have the process begin to import, for who has other things to do before a question. `CannotTell` where it cannot
    be started."""
    _worker().start()


def audit(lock: str, url: str, seconds: float = SECONDS) -> Report:
    """The engine's report about a lock. `CannotTell` where it gives none, or none that can be read, or not in time."""
    with tempfile.TemporaryDirectory(prefix="sluice-") as folder:
        asked, told, said = (Path(folder) / name for name in ("requirements.txt", "report.json", "said"))
        asked.write_text(lock)
        arguments = ["-r", str(asked), *_OPTIONS, "--osv-url", url, "-o", str(told), "--cache-dir", folder]
        code = _worker().ask({"arguments": arguments, "said": str(said)}, seconds)
        if not told.is_file() or not 0 < told.stat().st_size <= LARGEST:
            raise CannotTell(f"{NAME} gave no report about its service ({_last(said)}; it ended with {code})", CAUSE)
        return _read(told.read_bytes())


def _read(told: bytes) -> Report:
    try:
        found = _Told.model_validate_json(told)
    except ValidationError as why:
        first = why.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise CannotTell(f"{NAME}'s report, {place}: found {first['type']}; allowed: its own form", CAUSE) from None
    audited, skipped = list[Audited](), dict[str, str]()
    for each in found.dependencies:
        if each.skip_reason or not each.version or each.vulns is None:
            skipped[each.name] = each.skip_reason or "without a version, or without a word on it"
            continue
        known = tuple(
            Known(ids=tuple(sorted({one.id, *one.aliases})), fixes=tuple(one.fix_versions)) for one in each.vulns
        )
        audited.append(Audited(name=canonicalize_name(each.name), version=each.version, known=known))
    return Report(audited=tuple(audited), skipped=skipped)


def _last(said: Path) -> str:
    """The type of the error that ended it, from what it said: no word of it could be a secret."""
    lines = said.read_text(errors="replace").strip().splitlines() if said.is_file() else []
    kind = lines[-1].split(":")[0].split(".")[-1].strip() if lines else ""
    return kind if kind.isidentifier() else "it did not say why"


class _Worker:
    """The process that has imported the engine. One question at a time."""

    def __init__(self) -> None:
        self.lock, self.owner = threading.Lock(), os.getpid()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, if it does not run."""
        with self.lock:
            try:
                self._running()
            except OSError as why:
                raise CannotTell(f"{NAME} cannot be started ({type(why).__name__})", CAUSE) from None

    def ask(self, question: Mapping[str, Any], seconds: float) -> int:
        with self.lock:
            process = self._running()
            assert process.stdin is not None  # noqa: S101 - a pipe
            try:
                process.stdin.write(json.dumps(question).encode() + b"\n")
                process.stdin.flush()
                answer = _answer(process, time.monotonic() + seconds)
            except OSError as why:
                self.stop()
                raise CannotTell(f"{NAME} cannot be asked ({type(why).__name__})", CAUSE) from None
            except BaseException:
                self.stop()
                raise
            return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            own = {"PATH": os.defpath, "HOME": tempfile.gettempdir(), "LANG": "C.UTF-8"}
            start = _START.format(path=[str(Path(__file__).parent.parent.parent)])
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                [sys.executable, "-I", "-c", start],
                env=own,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return self.process

    def stop(self) -> None:
        """End it, and whatever it has forked; not from a process that was forked from its owner."""
        if self.process is not None and self.owner == os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
            self.process = None


@cache
def _worker() -> _Worker:
    made = _Worker()
    atexit.register(made.stop)
    return made


# Two processes on one pipe would take each other's answers; a lock that was held at the fork stays held for ever.
os.register_at_fork(after_in_child=_worker.cache_clear)


def _answer(process: subprocess.Popen[bytes], until: float) -> int:
    assert process.stdout  # noqa: S101 - a pipe
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        if not ready.select(max(until - time.monotonic(), 0)):
            raise CannotTell(f"{NAME} was still looking when its time was up", "timeout")
    line = process.stdout.readline()
    if not line.strip().lstrip(b"-").isdigit():
        raise CannotTell(f"{NAME} cannot be started, or was ended", CAUSE)
    return int(line)
