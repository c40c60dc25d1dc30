"""The files of a folder of code, as they are: no link is followed, and what is no file is never opened.

They are walked, and counted by other code. What a policy leaves out is left out by both, and told; what is signed is
looked at even there.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from security.errors import CannotTell
from security.gates.code import Found, matches, parents, spelled
from security.gates.code.facts import FILE, LINK, MODULE, RUNS

GIT = ".git"
PIECE = 1 << 20


class Places:
    """What of a folder is looked at: all but the repository itself, and what the policy leaves out."""

    def __init__(
        self, modules: Mapping[str, str], listed: Iterable[str], besides: tuple[str, ...], own: Iterable[str] = (GIT,)
    ) -> None:
        self.modules, self.files, self.besides = modules, {*listed}, besides
        self.own = {*own, *(f"{path}/{GIT}" for path in modules)}
        self.folders = parents(self.files)

    def pattern(self, path: str) -> str:
        """The pattern of the policy by which a path is left out; empty where it is not. What is signed never is."""
        if not self.besides or path in self.files or path in self.folders:
            return ""
        above = [path, *(parent.as_posix() for parent in PurePosixPath(path).parents)]
        return next((each for each in self.besides for one in above if matches(one, each)), "")

    def taken(self, path: str) -> bool:
        """Whether a path is looked at."""
        return path not in self.own and not self.pattern(path)


def walk(root: Path, places: Places) -> tuple[list[Found], dict[str, int]]:
    """The files of a folder, and what was left out of it: pattern -> how many entries."""
    found, left, todo = list[Found](), dict[str, int](), [""]
    while todo:
        at = todo.pop()
        try:
            with os.scandir(root / at) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as why:
            raise CannotTell(f"{spelled(at) or 'the folder'}: {type(why).__name__}") from None
        for entry in inside:
            path = f"{at}{entry.name}"
            if path in places.own:
                continue
            if pattern := places.pattern(path):
                left[pattern] = left.get(pattern, 0) + 1
                continue
            if entry.is_dir(follow_symlinks=False):
                todo.append(f"{path}/")
            if told := _found(root, path, entry, places.modules):
                found.append(told)
    return sorted(found, key=lambda each: each.path), left


def _found(root: Path, path: str, entry: os.DirEntry[str], modules: Mapping[str, str]) -> Found | None:
    """A file, link, repository or other thing; nothing where it is a folder."""
    try:
        told = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(told.st_mode):
            target = os.fsencode(os.readlink(root / path))
            return Found(path, LINK, len(target), lambda: iter((target,)))
    except OSError as why:
        raise CannotTell(f"{spelled(path)}: {type(why).__name__}") from None
    if stat.S_ISDIR(told.st_mode):
        return Found(path, MODULE, 0, lambda: iter(()), modules[path]) if path in modules else None
    mode = (RUNS if told.st_mode & 0o111 else FILE) if stat.S_ISREG(told.st_mode) else 0
    if mode and told.st_mode & 0o7000:
        mode = told.st_mode
    return Found(path, mode, told.st_size, partial(content, root, path))


def counted(root: Path, places: Places) -> int:
    """How many files there are, by other code than walks them."""

    def failed(why: OSError) -> None:
        raise CannotTell(f"a folder that cannot be counted: {type(why).__name__}") from why

    total = len(places.modules)
    for above, folders, files in os.walk(root, onerror=failed):
        at = os.path.relpath(above, root)
        here = "" if at == "." else f"{at}/"
        links = [name for name in folders if os.path.islink(os.path.join(above, name))]
        folders[:] = [name for name in folders if name not in links and places.taken(f"{here}{name}")]
        total += sum(places.taken(f"{here}{name}") for name in (*files, *links))
    return total


def content(root: Path, path: str) -> Iterator[bytes]:
    """A file's content, in pieces. No link is followed on the way to it, and nothing is opened that is no file."""
    plain = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            *above, name = path.split("/")
            for part in above:
                inner = os.open(part, plain | os.O_DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = inner
            file = os.open(name, plain | os.O_NONBLOCK, dir_fd=folder)
        finally:
            os.close(folder)
        with open(file, "rb") as data:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise CannotTell(f"{spelled(path)} is no file any more")
            while piece := data.read(PIECE):
                yield piece
    except OSError as why:
        raise CannotTell(f"{spelled(path)}: {type(why).__name__}") from None
