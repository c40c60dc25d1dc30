"""Everything that a repository keeps: each object that lies in it, whether a ref, a tag, a stash, a reflog or nothing
leads there.

What is kept is asked of the store itself, not of the refs: a commit that nobody can reach any more is still handed to
whoever copies the folder. How many objects there are is counted apart, in git's own files and without git.
"""

import hashlib
import re
import struct
import subprocess
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from security.engines.git import Repository
from security.engines.objects import ID
from security.errors import BadInput, CannotTell

CAUSE = "history"
"""Why nobody can tell: a part of the history is not here."""
PIECE = 1 << 18
HELD = 8 << 20
"""Bytes of an object that is kept in memory; larger ones lie in a file meanwhile."""
_LOOSE = re.compile(r"[0-9a-f]{2}")


class Kept(NamedTuple):
    """An object: its kind and its size."""

    id: str
    kind: str
    size: int


class Origin(NamedTuple):
    """Where a blob appeared first: a commit, and the path there."""

    commit: str
    path: str


class Past(Repository):
    """A repository with all that it keeps."""

    def __init__(self, root: Path) -> None:
        super().__init__(root.resolve())
        self._last: tuple[str, bytes | IO[bytes]] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def kept(self) -> list[Kept]:
        """Every object, by id."""
        told = self._git("cat-file", "--batch-all-objects", "--batch-check").decode("ascii", "replace")
        found = []
        for line in told.splitlines():
            id, kind, size = (*line.split(), "", "", "")[:3]
            if not ID.fullmatch(id) or not size.isdigit():
                raise CannotTell(f"the object {id[:12]} cannot be read", CAUSE)
            found.append(Kept(id, kind, int(size)))
        return found

    def counted(self) -> int:
        """How many objects there are, by the files that hold them."""
        store = self.common / "objects"
        found = {
            bytes.fromhex(folder.name + file.name)
            for folder in store.iterdir()
            if _LOOSE.fullmatch(folder.name)
            for file in folder.iterdir()
            if ID.fullmatch(folder.name + file.name)
        }
        for index in sorted((store / "pack").glob("*.idx")):
            found.update(_indexed(index))
        return len(found)

    def origins(self) -> dict[str, Origin]:
        """Where each blob appeared first, oldest commits first; not those that no commit leads to."""
        order = self._git("rev-list", "--all", "--reflog", "--reverse", "--topo-order")
        told = self._git(
            "diff-tree", "--stdin", "-r", "-m", "--root", "--no-renames", "--raw", "--no-abbrev", "-z", into=order
        )
        found: dict[str, Origin] = {}
        commit, fields = "", iter(told.decode("utf-8", "surrogateescape").split("\0"))
        for field in fields:
            if field.startswith(":"):
                path = next(fields, "")
                found.setdefault(field.split(" ")[3], Origin(commit, path))
            else:
                commit = field[:40]
        return found

    def whole(self) -> bool:
        """Whether all that the refs, their logs and the index lead to is here."""
        told = self._git("rev-list", "--objects", "--all", "--reflog", "--indexed-objects", "--missing=print")
        return not any(line.startswith(b"?") for line in told.splitlines())

    def read(self, each: Kept) -> Iterator[bytes]:
        """The content of an object, in pieces, hashed again."""
        if self._last is None or self._last[0] != each.id:
            if self._last and not isinstance(self._last[1], bytes):
                self._last[1].close()
            self._last = (each.id, self._fetched(each))
        held = self._last[1]
        if isinstance(held, bytes):
            yield held
            return
        held.seek(0)
        while piece := held.read(PIECE):
            yield piece

    def _fetched(self, each: Kept) -> bytes | IO[bytes]:
        source = self._source()
        assert source.stdin is not None  # noqa: S101 - a pipe
        assert source.stdout is not None  # noqa: S101 - a pipe
        source.stdin.write(each.id.encode() + b"\n")
        source.stdin.flush()
        head = source.stdout.readline().decode("ascii", "replace").split()
        if head != [each.id, each.kind, str(each.size)]:
            raise CannotTell(f"the object {each.id[:12]} is not there: {' '.join(head[1:2]) or 'no answer'}", CAUSE)
        sum = hashlib.sha1(f"{each.kind} {each.size}\0".encode(), usedforsecurity=False)
        parts, file = list[bytes](), None if each.size <= HELD else tempfile.TemporaryFile()  # noqa: SIM115 - kept
        left = each.size
        while left:
            piece = source.stdout.read(min(left, PIECE))
            if not piece:
                raise CannotTell(f"the object {each.id[:12]} ends before its end", CAUSE)
            left -= len(piece)
            sum.update(piece)
            if file:
                file.write(piece)
            else:
                parts.append(piece)
        source.stdout.read(1)
        if file:
            weakref.finalize(self, file.close)
        if sum.hexdigest() != each.id:
            raise BadInput(each.id[:12], "the object", "other content than its id is of", "what was committed")
        return file or b"".join(parts)

    def _source(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(  # noqa: S603 - as in `_git`
                **self._call("cat-file", "--batch"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            weakref.finalize(self, _ended, self._process)
        return self._process


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _indexed(path: Path) -> Iterator[bytes]:
    """The ids that the index of a pack names."""
    data = path.read_bytes()
    if data[:8] != b"\xfftOc\0\0\0\2":
        raise CannotTell(f"{path.name[:17]}: found an index of another form; allowed: version 2", CAUSE)
    (count,) = struct.unpack(">I", data[8 + 255 * 4 : 8 + 256 * 4])
    start = 8 + 256 * 4
    for number in range(count):
        yield data[start + 20 * number : start + 20 * number + 20]
