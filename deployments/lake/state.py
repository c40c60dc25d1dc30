"""The folder of one lake: private to its user, held by one process, its files replaced at once."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LakeError(Exception):
    """Why the lake cannot be, in one sentence."""


def private(path: Path) -> None:
    """Refuse a file or folder that another user of the machine owns or may open.

    Raises:
        LakeError: it is not this user's alone.
    """
    found = path.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise LakeError(f"{path} must be this user's alone: chmod {'700' if path.is_dir() else '600'} it first")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a lake's folder, made 0700 where it is absent or empty, against every other lake.

    Raises:
        LakeError: it is not private, is not a folder, or another lake holds it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            folder.chmod(0o700)
        private(folder)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LakeError(f"{folder} cannot be the lake's folder: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LakeError(f"another lake runs in {folder}") from None
        yield
    finally:
        os.close(lock)


def write(path: Path, content: bytes, mode: int) -> None:
    """Replace a file at once, with this mode from its first byte on."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    fresh.replace(path)
