"""Reads a repository's objects and believes nothing else of it: no index, no configuration, no replacement, no hook.

git itself takes the objects out of their packs; each is hashed again here, so that what was asked for is what came.
What could make git tell another story is switched off by name and, where it is there at all, told: replace refs,
grafts, a history that is cut off, objects borrowed from elsewhere. Ids are SHA-1, as git's are, which is weak against
whoever makes two files of one id at once.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from security.errors import BadInput, CannotTell

SECONDS = 120.0
LARGEST = 1 << 30
"""Bytes of one object."""
_ID = re.compile(r"[0-9a-f]{40}")
_WHO = re.compile(rb".* (\d{1,12}) [+-]\d{4}")
_OFF = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.useReplaceRefs=false",
    "extensions.partialClone=",
    "protocol.allow=never",
    "safe.directory=*",
)
_QUIET = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "HOME": os.devnull,
    "LC_ALL": "C",
}
TREE, LINK, MODULE = 0o040000, 0o120000, 0o160000


@dataclass(frozen=True)
class Commit:
    """A commit: `signed` is what its signature is over, `signature` the armour, empty where there is none."""

    id: str
    tree: str
    parents: tuple[str, ...]
    committed: datetime
    signed: bytes
    signature: str


@dataclass(frozen=True)
class Entry:
    """A file of a tree: its mode and the id of its content (of a submodule: of its commit)."""

    mode: int
    id: str


class Repository:
    """The objects of a checkout."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, _folder(root)
        self.common = _common(self.folder)

    def head(self) -> str:
        """The id of the commit that is checked out."""
        found = (
            self._git("rev-parse", "--verify", "--end-of-options", "HEAD^{commit}").decode("ascii", "replace").strip()
        )
        if not _ID.fullmatch(found):
            raise CannotTell("the repository has no commit that is checked out")
        return found

    def commit(self, id: str) -> Commit:
        """A commit, read from its bytes."""
        ((kind, body),) = self.objects([id])
        if kind != "commit":
            raise BadInput(id[:12], "the object", f"a {kind}", "a commit")
        return _commit(id, body)

    def files(self, tree: str) -> dict[str, Entry]:
        """Every file of a tree by its path, those in folders too."""
        found: dict[str, Entry] = {}
        level = {"": tree}
        while level:
            below: dict[str, str] = {}
            for (path, id), (kind, body) in zip(level.items(), self.objects(level.values()), strict=True):
                if kind != "tree":
                    raise BadInput(id[:12], "the object", f"a {kind}", "a tree")
                for name, entry in _tree(body, id):
                    if entry.mode == TREE:
                        below[f"{path}{name}/"] = entry.id
                    else:
                        found[f"{path}{name}"] = entry
            level = below
        return found

    def objects(self, ids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Kind and content of objects, each hashed again."""
        asked = list(ids)
        told = self._git("cat-file", "--batch", "--buffer", into="".join(f"{id}\n" for id in asked).encode())
        at = 0
        for id in asked:
            end = told.find(b"\n", at)
            head = told[at:end].decode("ascii", "replace").split()
            if end < 0 or len(head) != 3 or head[0] != id or not head[2].isdigit():
                raise CannotTell(f"the object {id[:12]} is not there: {' '.join(head[1:2]) or 'no answer'}")
            size = int(head[2])
            body = told[end + 1 : end + 1 + size]
            if size > LARGEST or hashed(head[1], body) != id:
                raise BadInput(id[:12], "the object", "other content than its id is of", "what was committed")
            at = end + size + 2
            yield head[1], body

    def oddities(self) -> list[str]:
        """What could make git tell another story than the objects do, by name."""
        found = []
        refs = self._git("for-each-ref", "--format=%(refname)", "refs/replace/").decode("utf-8", "replace").split()
        found += [f"replace ref {name.rpartition('/')[2][:12]}" for name in refs]
        for name, what in (("info/grafts", "grafts"), ("shallow", "a history that is cut off")):
            if (self.common / name).exists():
                found.append(what)
        for name in ("info/alternates", "info/http-alternates"):
            if (self.common / "objects" / name).exists():
                found.append("objects from elsewhere")
        return found

    def _git(self, *arguments: str, into: bytes = b"") -> bytes:
        switched = [part for each in _OFF for part in ("-c", each)]
        env = _QUIET | {"PATH": os.environ.get("PATH", os.defpath), "GIT_DIR": str(self.folder)}
        try:
            ended = subprocess.run(  # noqa: S603 - no shell, and nothing of the repository names the program
                ["git", *switched, *arguments],  # noqa: S607 - found on the path of whoever runs this
                input=into,
                env=env,
                cwd=self.folder,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise CannotTell("there is no git here to read the repository with") from None
        except subprocess.TimeoutExpired:
            raise CannotTell(f"git was still reading after {SECONDS:g} s", "timeout") from None
        if ended.returncode:
            raise CannotTell(f"git {arguments[0]} ended with {ended.returncode}")
        return ended.stdout


def hashed(kind: str, body: bytes) -> str:
    """The id that an object has: of its kind, its size and its content."""
    return hashlib.sha1(f"{kind} {len(body)}\0".encode() + body, usedforsecurity=False).hexdigest()


def _folder(root: Path) -> Path:
    """The repository's own folder; that of a worktree or a submodule is named by a file."""
    told = root / ".git"
    if told.is_symlink():
        raise CannotTell(".git is a link: what it leads to is nobody's checkout")
    if told.is_dir():
        return told
    if not told.is_file():
        raise CannotTell("this is no checkout of git")
    kind, _, path = told.read_text(errors="replace").partition(":")
    found = (root / path.strip()).resolve()
    if kind != "gitdir" or not found.is_dir():
        raise CannotTell(".git names no repository")
    return found


def _common(folder: Path) -> Path:
    """Where a worktree's repository keeps what all of its worktrees share."""
    told = folder / "commondir"
    return (folder / told.read_text(errors="replace").strip()).resolve() if told.is_file() else folder


def _commit(id: str, body: bytes) -> Commit:
    head, _, _ = body.partition(b"\n\n")
    fields: list[tuple[bytes, bytes]] = []
    for line in head.split(b"\n"):
        if line.startswith(b" ") and fields:
            fields[-1] = (fields[-1][0], fields[-1][1] + b"\n" + line[1:])
        else:
            name, _, value = line.partition(b" ")
            fields.append((name, value))
    told = dict(reversed(fields))
    times = _WHO.fullmatch(told.get(b"committer", b""))
    names = [name for name, _ in fields]
    trees, signatures = names.count(b"tree"), names.count(b"gpgsig")
    if trees != 1 or names[0] != b"tree" or not times or signatures > 1:
        raise BadInput(id[:12], "the commit", "another form", "one tree, one committer, at most one signature")
    parents = tuple(value.decode("ascii", "replace") for name, value in fields if name == b"parent")
    ids = (told[b"tree"].decode("ascii", "replace"), *parents)
    if not all(_ID.fullmatch(each) for each in ids):
        raise BadInput(id[:12], "the commit", "no id", "40 hexadecimal digits")
    return Commit(
        id=id,
        tree=ids[0],
        parents=parents,
        committed=datetime.fromtimestamp(int(times[1]), UTC),
        signed=_unsigned(body),
        signature=told.get(b"gpgsig", b"").decode("ascii", "replace"),
    )


def _unsigned(body: bytes) -> bytes:
    """The commit without its signature: what was signed."""
    head, gap, message = body.partition(b"\n\n")
    kept, inside = [], False
    for line in head.split(b"\n"):
        inside = line.startswith(b"gpgsig ") or (inside and line.startswith(b" "))
        if not inside:
            kept.append(line)
    return b"\n".join(kept) + gap + message


def _tree(body: bytes, id: str) -> Iterator[tuple[str, Entry]]:
    at = 0
    while at < len(body):
        gap, end = body.find(b" ", at), body.find(b"\0", at)
        mode, name = body[at:gap], body[gap + 1 : end]
        if (
            not at < gap < end <= len(body) - 21
            or not mode.isdigit()
            or not name
            or b"/" in name
            or name in (b".", b"..")
        ):
            raise BadInput(id[:12], "the tree", "another form", "mode, name and id")
        yield os.fsdecode(name), Entry(int(mode, 8), body[end + 1 : end + 21].hex())
        at = end + 21
