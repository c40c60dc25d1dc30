"""detect-secrets, asked line by line in a process of its own.

Its command is of no use here: `scan` ends with 0 whatever it finds, obeys `pragma: allowlist secret`, passes over files
by their names, takes a file that is not in the locale's encoding for none, and reads a baseline's settings. So its
detectors are called, all but those that take every random-looking string for a secret (a lock file has hundreds of
hashes) or any address for one. Its settings are global to a process, and it can ask services whether a secret is
valid: there, nothing of ours runs and nothing can connect. What it says of a secret that merely has a telling name is
held against its own heuristics; which of them said no is told.
"""

import atexit
import contextlib
import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from security.engines.placeholder import placeholder, words
from security.engines.tokens import BINARY, CONFIG, Hit, Line
from security.errors import CannotTell

NAME = "detect-secrets"
CAUSE = "engine"
"""Why nobody can tell: an engine gave no answer, or did not find what it was shown."""
SECONDS = 120.0
"""For one question."""
PART = 512
_NOT = frozenset({"Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector"})
_NAMED = "Secret Keyword"
_START = "import sys; sys.path[:0] = {path!r}; from security.engines.detect import _serve; _serve()"


def engine_version() -> str:
    """The version of the engine that is installed."""
    return version(NAME)


class Detector:
    """The process that has imported the engine; to be closed."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        start = _START.format(path=[str(Path(__file__).parent.parent.parent)])
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                [sys.executable, "-I", "-c", start],
                env={"PATH": os.defpath, "HOME": tempfile.gettempdir(), "LANG": "C.UTF-8"},
                cwd=tempfile.gettempdir(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as why:
            raise CannotTell(f"{NAME} cannot be started ({type(why).__name__})", CAUSE) from None

    def send(self, lines: Sequence[Line]) -> None:
        """Put a question: what stands in these lines. Its answer is to be taken before the next."""
        assert self._process.stdin  # noqa: S101 - a pipe
        try:
            self._process.stdin.write(json.dumps(lines).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as why:
            raise CannotTell(f"{NAME} cannot be asked ({type(why).__name__})", CAUSE) from None

    def take(self, seconds: float = SECONDS) -> tuple[int, list[Hit]]:
        """How many lines the engine took, and what stands in them."""
        told = self._line(time.monotonic() + seconds)
        try:
            taken, hits = json.loads(told)
            return int(taken), [
                Hit(int(line), str(rule), str(value), str(excuse)) for line, rule, value, excuse in hits
            ]
        except (ValueError, TypeError):
            raise CannotTell(f"{NAME} gave no answer that can be read", CAUSE) from None

    def _line(self, until: float) -> bytes:
        out, parts = self._process.stdout, list[bytes]()
        assert out  # noqa: S101 - a pipe
        with selectors.DefaultSelector() as ready:
            ready.register(out, selectors.EVENT_READ)
            while not parts or not parts[-1].endswith(b"\n"):
                if not ready.select(max(until - time.monotonic(), 0)):
                    self.close()
                    raise CannotTell(f"{NAME} was still looking when its time was up", "timeout")
                parts.append(os.read(out.fileno(), 1 << 20))
                if not parts[-1]:
                    raise CannotTell(f"{NAME} ended before it gave an answer", CAUSE)
        return b"".join(parts)

    def close(self) -> None:
        """End the process; not from one that was forked from its owner."""
        if self._owner == os.getpid():
            self._process.kill()
            with contextlib.suppress(OSError):
                self._process.communicate()

    @property
    def runs(self) -> bool:
        """Whether it can still be asked."""
        return self._owner == os.getpid() and self._process.poll() is None


class _Kept:
    """The process that is asked, one look at a time: most of what a small look costs is its start."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.detector: Detector | None = None

    def stop(self) -> None:
        if self.detector is not None:
            self.detector.close()
            self.detector = None


@cache
def _kept() -> _Kept:
    made = _Kept()
    atexit.register(made.stop)
    return made


# A lock that was held at a fork stays held for ever.
os.register_at_fork(after_in_child=_kept.cache_clear)


@contextlib.contextmanager
def detecting() -> Iterator[Detector]:
    """The engine, for one look. A look that breaks ends it: its next answer would be to another question."""
    kept = _kept()
    with kept.lock:
        if kept.detector is None or not kept.detector.runs:
            kept.detector = Detector()
        try:
            yield kept.detector
        except BaseException:
            kept.stop()
            raise


def _alone(event: str, _: Any) -> None:
    if event.startswith(
        ("socket.connect", "socket.getaddrinfo", "socket.gethost", "socket.send", "subprocess.", "os.exec")
    ):
        raise PermissionError(f"{event}: nothing here may ask anybody")


def _serve() -> None:
    """The process itself: answers each question on its input."""
    sys.addaudithook(_alone)
    detectors = _detectors()
    for line in sys.stdin.buffer:
        lines = [Line(*each) for each in json.loads(line)]
        some = _some(detectors, lines)
        hits = [hit for number, each in enumerate(lines) for hit in _hits(some, number, each)]
        told = json.dumps([len(lines), hits])
        sys.stdout.write(told + "\n")
        sys.stdout.flush()


def _detectors() -> list[Any]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    every: list[Any] = [*get_mapping_from_secret_type_to_class().values()]
    return sorted((each() for each in every if each.__name__ not in _NOT), key=lambda each: str(each.secret_type))


def _some(detectors: Sequence[Any], lines: Sequence[Line]) -> list[Any]:
    """Detectors that may find something in any of these lines: most find nothing, and each takes its time for it.

    What one of their patterns finds in a line it finds in all of them as one text: where it asks for the begin or end
    of a line it takes a space as well.
    """
    text = "\n".join(("", *(each.text for each in lines), ""))
    kept = [each for each in detectors if each.secret_type != _NAMED]
    some = [each for each in kept if any(pattern.search(text) for pattern in each.denylist)]
    return some + [each for each in detectors if each.secret_type == _NAMED and _names().search(text)]


@cache
def _names() -> re.Pattern[str]:
    """The names that a telling name is made of."""
    from detect_secrets.plugins.keyword import DENYLIST

    return re.compile("|".join(DENYLIST), re.IGNORECASE)


def _hits(detectors: Sequence[Any], number: int, line: Line) -> list[Hit]:
    # The name decides whether a value needs quotes; that of the file would decide more.
    name = "x.ini" if line.flavour == CONFIG else "x.py"
    found = []
    for each in detectors:
        named = each.secret_type == _NAMED
        if named and (line.flavour == BINARY or not _names().search(line.text)):
            continue
        parts = _parts(line.text) if named else [line.text]
        secrets = [one for part in parts for one in each.analyze_line(filename=name, line=part, line_number=number)]
        for secret in secrets:
            value = secret.secret_value or ""
            excuse = _excuse(value, line.text) if named else placeholder(value)
            found.append(Hit(number, "-".join(str(each.secret_type).lower().split()), value, excuse))
    return sorted(found)


def _parts(text: str) -> list[str]:
    """A line in windows: the patterns of names take time by the cube of its length."""
    return [text[at : at + PART] for at in range(0, max(len(text) - PART // 4, 1), PART * 3 // 4)]


def _excuse(value: str, line: str) -> str:
    from detect_secrets.filters import heuristic

    if told := placeholder(value):
        return told
    if words(value) or len(value) < 5:
        return "words"
    if heuristic.is_sequential_string(value):
        return "sequence"
    if heuristic.is_potential_uuid(value):
        return "uuid"
    if heuristic.is_not_alphanumeric_string(value):
        return "no letter"
    return "expression" if heuristic.is_indirect_reference(line) else ""
