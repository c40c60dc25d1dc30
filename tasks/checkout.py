"""Opens a checkout for the gate over secrets: every file that lies there, ignored or not, git's own beside its objects,
and every object of its store.

How many there are is counted by other code: files by another walk, objects in the files that hold them. What belongs to
another repository is handed out as one thing that nobody looked into, as is what is no file.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from security.engines.content import Closed
from security.engines.git import CUT
from security.engines.past import Kept, Origin, Past
from security.errors import BadInput
from security.gates import secrets
from security.gates.secrets import About, Item, Limits
from security.gates.secrets.facts import ABOUT, BLOB, FILE, MESSAGE, META, TREE
from security.material import Material
from security.verdict import Subject

PIECE = 1 << 18
PIPELINE = Path(__file__).parent.parent
"""The checkout that this pipeline runs from."""
REPOSITORY = "another repository, or a folder that cannot be read"
_NAME = re.compile(rb"[0-7]{5,6} ([^\0]+)\0.{20}", re.DOTALL)
_STORE = frozenset({"HEAD", "objects", "refs"})
_OWN = re.compile(
    r"(?P<index>(?:worktrees/[^/]+/)?index)|objects/[0-9a-f]{2}/[0-9a-f]{38}"
    r"|(?P<pack>objects/pack/(?:pack-[0-9a-f]{40}\.(?:pack|idx|rev|bitmap|mtimes)|multi-pack-index))"
    r"|(?P<graph>objects/info/(?:commit-graph|commit-graphs/graph-[0-9a-f]{40}\.graph))"
)
"""Where git keeps objects, which are looked at as such, and lists of their ids."""
_MARKS = {
    "index": (b"DIRC",),
    "pack": (b"PACK", b"\xfftOc", b"RIDX", b"BITM", b"MTME", b"MIDX"),
    "graph": (b"CGPH",),
}
"""How such files begin."""
TRIES = 20
"""How often a checkout that others write to is listed."""


def opened(root: Path, limits: dict[str, Any], of: str = "") -> Material[Any]:
    """The material of a checkout, for one look under these limits. `of`: what is about to be worked on from it."""
    asked = Limits.model_validate(limits)
    root = root.resolve()
    past = Past(root)
    for folder in asked.besides:
        parts = Path(folder).parts
        if not parts or parts[0] == ".git" or ".." in parts or folder != Path(*parts).as_posix() or parts[0] == "/":
            raise BadInput("limits", f"besides: {folder}", "no folder of the checkout", "a path below it")
    besides = {folder: _files(root / folder) for folder in sorted(asked.besides) if (root / folder).is_dir()}
    oddities = past.oddities()
    about = About(
        besides=besides,
        oddities=tuple(each for each in oddities if each != CUT),
        whole=CUT not in oddities and past.whole(),
    )
    # All that is looked at is named now: a look may have files written, bytecode of what it imports among them.
    for _ in range(TRIES):
        kept, head, expected = _listed(root, past, about, frozenset(besides))
        if len(head) - 1 + len(kept) == expected:
            break
    subject = Subject(kind="checkout", name=root.name, sha256=_digest(kept), of=of)
    return secrets.material(subject, lambda: chain(head, _kept(past, kept)), expected)


def _listed(root: Path, past: Past, about: About, besides: frozenset[str]) -> tuple[list[Kept], list[Item], int]:
    """Objects, the items of files, and how many both are by other code."""
    ours = [Item(FILE, name, "", partial(_read, path)) for path, name in _below(root, "", besides | {".git"})]
    theirs = [
        Item(META, f".git/{name}", "", partial(_read, path))
        for path, name in _below(past.common, "", frozenset())
        if not _own(past.common, name)
    ]
    kept = past.kept()
    return kept, [Item(ABOUT, "", value=about), *ours, *theirs], counted(root, past, besides) + past.counted()


def _own(store: Path, name: str) -> bool:
    """Whether a file of a repository is where git keeps objects, or a list of their ids: by its name, and by what it
    begins with."""
    if not (found := _OWN.fullmatch(name)):
        return False
    marks = _MARKS.get(found.lastgroup or "", ())
    try:
        with (store / name).open("rb") as file:
            return not marks or file.read(4) in marks
    except OSError:
        return False


def counted(root: Path, past: Past, besides: frozenset[str]) -> int:
    """How many files there are to look at: in the checkout, and of git's own."""
    ours = _count(root, besides | {".git"})
    return sum(1 for _ in ours) + sum(1 for name in _count(past.common, frozenset()) if not _own(past.common, name))


def _count(top: Path, besides: frozenset[str]) -> Iterator[str]:
    for here, folders, files in os.walk(top, followlinks=False):
        place = Path(here).relative_to(top)
        if here != str(top) and {*folders, *files} >= _STORE:
            folders.clear()
            yield place.as_posix()
            continue
        links = [name for name in folders if (Path(here) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links and (place / name).as_posix() not in besides]
        yield from (name for each in (*files, *links) if (name := (place / each).as_posix()) not in besides)


def _digest(kept: list[Kept]) -> str:
    """Of every object's id: what a verdict about a history is about."""
    return hashlib.sha256("\n".join(each.id for each in kept).encode()).hexdigest()


def _files(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def _below(folder: Path, prefix: str, besides: frozenset[str]) -> Iterator[tuple[Path, str]]:
    """Files and links below a folder, by name; a folder that is another repository's store is one of them."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        yield folder, prefix.rstrip("/")
        return
    if prefix and {entry.name for entry in entries} >= _STORE:
        yield folder, prefix.rstrip("/")
        return
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if name in besides:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path), f"{name}/", besides)
        else:
            yield Path(entry.path), name


def _read(path: Path) -> Iterator[bytes]:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        yield os.fsencode(os.readlink(path))
        return
    if not stat.S_ISREG(mode):
        raise Closed(REPOSITORY if stat.S_ISDIR(mode) else "no file")
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _kept(past: Past, every: list[Kept]) -> Iterator[Item]:
    """Objects: blobs in the order in which they appeared, then messages, then names of files."""
    kept = {each.id: each for each in every}
    origins = past.origins()
    order = [id for id in origins if id in kept] + [id for id in kept if id not in origins]
    for each in (kept[id] for id in order):
        if each.kind == "blob":
            at = origins.get(each.id, Origin("-", f"a blob {each.id[:12]}"))
            yield Item(BLOB, at.path, at.commit, partial(past.read, each))
    for each in kept.values():
        if each.kind in ("commit", "tag"):
            yield Item(MESSAGE, "message", each.id, partial(past.read, each))
    for each in kept.values():
        if each.kind == "tree":
            yield Item(TREE, "names of files", each.id, partial(_named, past, each))


def _named(past: Past, tree: Kept) -> Iterable[bytes]:
    body = b"".join(past.read(tree))
    return (b"\n".join(_NAME.findall(body)),)
