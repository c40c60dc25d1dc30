"""Who signs for a home: the process that this one starts, or the one that listens at SLUICE_SIGNER.

The first is of this one's user, and isolates nothing by itself: it keeps the keys out of the process that works, and
the code that trains has no way to it.
"""

import atexit
import os
import socket
import subprocess
from pathlib import Path
from threading import Lock
from typing import Final

from security.errors import KeyBroken
from security.keys import PublicKey
from security.signer.ask import Asked, Line, connected
from tasks import process
from tasks.home import Home

LISTENS: Final = "SLUICE_SIGNER"
"""The variable that names the socket of who signs."""
BEGIN: Final = (
    "import sys; sys.path[:0], sys.path[99:] = sys.argv[1:2], sys.argv[3:]; from security.signer.serve import main; "
    "main(int(sys.argv[2]))"
)
"""What it runs."""


class Own:
    """The process that signs for this one, started when it is first asked for."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Line | None = None
        self._lock = Lock()

    def line(self) -> Line:
        """The connection to it."""
        with self._lock:
            if self._line is None or self._process is None or self._process.poll() is not None:
                self._end()
                own, its = socket.socketpair()
                with its:
                    # Of its own session: an interruption is the pipeline's to end, with a signed line.
                    self._process = process.bare(BEGIN, process.ROOT, str(its.fileno()), pass_fds=(its.fileno(),))
                self._line = Line(own)
            return self._line

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            process.end(self._process)
        self._process = self._line = None

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._end()


OWN: Final = Own()
_others: dict[Path, tuple[Asked, bool]] = {}
_lock = Lock()
atexit.register(OWN.close)


def keys(home: Home) -> Asked:
    """The keys of a home, to ask for. Who listens has no owner's key: that is the one in `trust`, where an owner put
    it."""
    if os.environ.get(LISTENS):
        asked, path = _other()[0], home.root / "trust" / "owner.pub"
        return asked.knowing("owner", PublicKey.read(path)) if path.is_file() else asked
    return Asked(OWN.line(), os.fsencode(home.root / "keys") + b"\n")


def isolated() -> bool:
    """Whether the keys are another user's, and this process was seen to have no rights over that one's."""
    return bool(os.environ.get(LISTENS)) and _other()[1]


def _other() -> tuple[Asked, bool]:
    """The connection to who listens, and whether that is another user. It is asked once more, and made anew if that
    one has begun again meanwhile."""
    path = Path(os.environ[LISTENS])
    with _lock:
        if path in _others:
            try:
                _others[path][0].ask("key", "producer")
            except KeyBroken:
                _others.pop(path)[0].close()
        if path not in _others:
            _others[path] = connected(path)
        return _others[path]


def secret(home: Home) -> list[Path]:
    """What the code that trains must not reach: the keys that lie here, and the socket of who signs. `KeyBroken` where
    there is neither: then there is nothing to try."""
    path = os.environ.get(LISTENS)
    found = [*home.secret(), *([Path(path)] if path else [])]
    if not found:
        raise KeyBroken(f"no key lies here, and {LISTENS} names nobody who signs")
    return found
