"""Reads a repository's objects and believes nothing else of it: no index, no configuration, no replacement, no hook.

git itself takes the objects out of their packs; each is hashed again here, so that what was asked for is what came.
What could make git tell another story is switched off by name and, where it is there at all, told: replace refs,
grafts, a history that is cut off, objects borrowed from elsewhere. Ids are SHA-1, as git's are, which is weak against
whoever makes two files of one id at once.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from security.engines.objects import ID, TREE, Commit, Entry, entries, hashed, read
from security.errors import BadInput, CannotTell

SECONDS = 120.0
LARGEST = 1 << 30
"""Bytes of one object."""
CUT = "a history that is cut off"
"""What a shallow clone is told as."""
_OFF = (
    "core.commitGraph=false",
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


class Repository:
    """The objects of a checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.folder = _folder(self.root)
        self.common = _common(self.folder)

    def head(self) -> str:
        """The id of the commit that is checked out."""
        found = (
            self._git("rev-parse", "--verify", "--end-of-options", "HEAD^{commit}").decode("ascii", "replace").strip()
        )
        if not ID.fullmatch(found):
            raise CannotTell("the repository has no commit that is checked out")
        return found

    def commit(self, id: str) -> Commit:
        """A commit, read from its bytes."""
        return next(self.commits([id]))

    def commits(self, ids: Iterable[str]) -> Iterator[Commit]:
        """Commits, read from their bytes."""
        asked = list(ids)
        for id, (kind, body) in zip(asked, self.objects(asked), strict=True):
            if kind != "commit":
                raise BadInput(id[:12], "the object", f"a {kind}", "a commit")
            yield read(id, body)

    def peeled(self, id: str) -> str:
        """The commit that a tag of this id is of; of a commit, itself."""
        ((kind, body),) = self.objects([id])
        if kind != "tag":
            return id
        found = re.match(rb"object ([0-9a-f]{40})\ntype commit\n", body)
        if not found:
            raise BadInput(id[:12], "the tag", "no commit", "a tag of a commit")
        return found[1].decode()

    def since(self, head: str, release: str) -> list[str]:
        """The ids of the commits that lead to `head` and not to `release`, the newest first."""
        told = self._git("rev-list", "--topo-order", "--end-of-options", head, f"^{release}")
        return told.decode("ascii", "replace").split()

    def files(self, tree: str) -> dict[str, Entry]:
        """Every file of a tree by its path, those in folders too."""
        found: dict[str, Entry] = {}
        level = {"": tree}
        while level:
            below: dict[str, str] = {}
            for (path, id), (kind, body) in zip(level.items(), self.objects(level.values()), strict=True):
                if kind != "tree":
                    raise BadInput(id[:12], "the object", f"a {kind}", "a tree")
                for name, entry in entries(id, body):
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

    def hidden(self) -> list[tuple[str, str]]:
        """Files that the index keeps out of what git shows as changed, by path, and by which of its bits."""
        found = []
        for line in self._git("ls-files", "-v", "-z").split(b"\0"):
            mark, path = line[:1], os.fsdecode(line[2:])
            if mark in (b"S", b"s"):
                found.append((path, "skip-worktree"))
            if mark.islower():
                found.append((path, "assume-unchanged"))
        return found

    def oddities(self) -> list[str]:
        """What could make git tell another story than the objects do, by name."""
        found = []
        refs = self._git("for-each-ref", "--format=%(refname)", "refs/replace/").decode("utf-8", "replace").split()
        found += [f"replace ref {name.rpartition('/')[2][:12]}" for name in refs]
        for name, what in (("info/grafts", "grafts"), ("shallow", CUT)):
            if (self.common / name).exists():
                found.append(what)
        for name in ("info/alternates", "info/http-alternates"):
            if (self.common / "objects" / name).exists():
                found.append("objects from elsewhere")
        return found

    def _git(self, *arguments: str, into: bytes = b"") -> bytes:
        try:
            ended: subprocess.CompletedProcess[bytes] = subprocess.run(  # noqa: S603 - no shell, and nothing of the repository names the program
                **self._call(*arguments), input=into, capture_output=True, timeout=SECONDS, check=False
            )
        except FileNotFoundError:
            raise CannotTell("there is no git here to read the repository with") from None
        except subprocess.TimeoutExpired:
            raise CannotTell(f"git was still reading after {SECONDS:g} s", "timeout") from None
        if ended.returncode:
            raise CannotTell(f"git {arguments[0]} ended with {ended.returncode}")
        return ended.stdout

    def _call(self, *arguments: str) -> dict[str, Any]:
        """How git is called: with nothing of the repository's own, nor of whoever runs this, but the path."""
        switched = [part for each in _OFF for part in ("-c", each)]
        env = _QUIET | {"PATH": os.environ.get("PATH", os.defpath), "GIT_DIR": str(self.folder)}
        # Where git stands is all of its work tree: a configuration that names another would narrow what it lists.
        env["GIT_WORK_TREE"] = str(self.folder)
        return {"args": ["git", *switched, *arguments], "env": env, "cwd": self.folder}


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
