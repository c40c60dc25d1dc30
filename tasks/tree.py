"""Opens a folder of code for the gate over its integrity: its files, and who signed which files.

A checkout is read by its objects; a folder that is none by its signed list, where there is one; else every file is
handed out, and that nobody can tell what was signed is the gate's to say. No file is read before the gate reads it.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from security.engines.git import Repository
from security.errors import BadInput, CannotTell
from security.gates import code
from security.gates.code import MANIFEST, Found, Item, Limits, Listed, environment
from security.gates.code.facts import FILE, LINK, MODULE, RUNS
from security.material import Material
from security.verdict import Subject
from tasks.walk import GIT, Places, content, counted, walk

TRIES = 20
"""How often a folder that others write to is listed."""
LONGEST = 64 << 20
"""Bytes of a signed list."""
PIPELINE = Path(__file__).parent.parent
"""The checkout, or folder, that this pipeline runs from."""


def opened(
    root: Path, limits: dict[str, Any], of: str = "", others: Mapping[str, str] = MappingProxyType({})
) -> Material[Any]:
    """The material of a folder of code, for one look under these limits. `of`: what it is about to work on, or made;
    `others`: what other processes of the run have imported."""
    asked, root = Limits.model_validate(limits), root.resolve()
    if not root.is_dir():
        raise BadInput(root.name, "the whole", "no folder", "a checkout of git, or a folder with a signed list")
    given, listed, modules = _source(root, asked)
    own = [MANIFEST] if Item("source", "manifest") in given else [GIT]
    places = Places(modules, listed, asked.besides, own)
    walked, left, expected = _settled(root, places)
    given += [Item("left", each) for each in sorted(left.items())]
    given += [Item("listed", each) for each in listed.values()]
    given += [Item("file", each) for each in walked]
    given += [Item("now", round(time.time(), 3)), Item("imports", asked.imported)]
    given += environment.items(root, others) if asked.imported else []
    told = {item.kind: item.value[0] for item in reversed(given) if item.kind in ("commit", "envelope")}
    named = told["commit"].id.encode() if "commit" in told else told.get("envelope", b"")
    subject = Subject(kind="code", name=root.name, sha256=_named(named), of=of)
    return code.material(subject, given, expected)


def _settled(root: Path, places: Places) -> tuple[list[Found], dict[str, int], int]:
    """The files, what was left out, and how many there are: again, where others write bytecode there meanwhile."""
    for _ in range(TRIES):
        walked, left = walk(root, places)
        expected = counted(root, places)
        if len(walked) == expected:
            break
    return walked, left, expected


def source(root: Path) -> str:
    """Digest of what says which files of a folder were signed; empty where nothing does. A plan seals it."""
    if os.path.lexists(root / GIT):
        return _named(Repository(root).head().encode())
    return _named(_envelope(root)) if os.path.lexists(root / MANIFEST) else ""


def _named(said: bytes) -> str:
    """A commit has an id of SHA-1 alone, and a folder of which nothing says what was signed has none."""
    return hashlib.sha256(said).hexdigest() if said else ""


def _envelope(root: Path) -> bytes:
    size = (root / MANIFEST).lstat().st_size
    if size > LONGEST:
        raise BadInput(MANIFEST, "the whole", f"{size:,} bytes", f"at most {LONGEST:,}")
    return b"".join(content(root, MANIFEST))


def files(root: Path, besides: tuple[str, ...] = ()) -> list[Found]:
    """Every file of a folder, but those that are left out and the list itself: what a list of it would name."""
    return walk(root, Places({}, (), besides, (GIT, MANIFEST)))[0]


def _source(root: Path, asked: Limits) -> tuple[list[Item], dict[str, Listed], dict[str, str]]:
    """What says which files were signed, these files by path, and the commits of submodules that are there."""
    plain = [Item("since", ("", ""))]
    if os.path.lexists(root / GIT):
        return _history(root, asked)
    if os.path.lexists(root / MANIFEST):
        keys = tuple(pem.encode() for pem in asked.manifests)
        return [Item("source", "manifest"), Item("envelope", (_envelope(root), keys)), *plain], {}, {}
    return [Item("source", "none"), *plain], {}, {}


def _history(root: Path, asked: Limits) -> tuple[list[Item], dict[str, Listed], dict[str, str]]:
    """Of a checkout: the commits that have to be signed, what the last one holds, and what tells another story."""
    repository = Repository(root)
    head = repository.head()
    release, ids = _range(repository, head, asked.since)
    commits = {each.id: each for each in repository.commits(ids)}
    given = [Item("source", "commit"), Item("since", (asked.since, release))]
    times = {id: each.committed.timestamp() for id, each in commits.items()}
    above = sorted({parent for each in commits.values() for parent in each.parents} - times.keys())
    try:
        times |= {each.id: each.committed.timestamp() for each in repository.commits(above)}
    except CannotTell:
        given.append(Item("oddity", "a history whose earlier commits are not there"))
    for each in commits.values():
        after = max((times.get(parent, 0.0) for parent in each.parents), default=0.0)
        given.append(Item("commit", (each, after)))
    listed, modules = dict[str, Listed](), dict[str, str]()
    given += _pinned(root, "", repository, commits[head].tree, listed, modules)
    return given, listed, modules


def _range(repository: Repository, head: str, since: str) -> tuple[str, list[str]]:
    """The commit that the policy's range begins after, empty where it is not there, and the range, its end first."""
    if not since:
        return "", [head]
    try:
        release = repository.peeled(since)
    except CannotTell:
        return "", [head]
    return release, list(dict.fromkeys([head, *repository.since(head, release)]))


def _pinned(
    root: Path, at: str, repository: Repository, tree: str, listed: dict[str, Listed], modules: dict[str, str]
) -> list[Item]:
    """Adds what a tree holds, those of its submodules too, as the commit that is pinned has it."""
    given = [Item("oddity", f"{each} in {at}" if at else each) for each in repository.oddities()]
    given += [Item("hidden", (f"{at}{path}", bit)) for path, bit in repository.hidden()]
    for name, entry in repository.files(tree).items():
        path, mode = f"{at}{name}", entry.mode
        if mode not in (LINK, MODULE):
            mode = RUNS if mode & 0o111 else FILE
        listed[path] = Listed(path, mode, entry.id)
        if mode == MODULE:
            given += _module(root, path, entry.id, listed, modules)
    return given


def _module(root: Path, path: str, id: str, listed: dict[str, Listed], modules: dict[str, str]) -> list[Item]:
    folder = root
    for part in path.split("/"):
        folder = folder / part
        if folder.is_symlink():
            return []
    try:
        inner = Repository(folder)
        modules[path] = inner.head()
        return _pinned(root, f"{path}/", inner, inner.commit(id).tree, listed, modules)
    except CannotTell:
        # That it is not there is seen by the gate; what lies in it is then nobody's.
        modules.pop(path, None)
        return []


def signed(root: Path) -> tuple[str, list[Listed]]:
    """The commit of a checkout, and its files by their SHA-256; `CannotTell` where one is not as the commit has it."""
    root = root.resolve()
    given, listed, modules = _history(root, Limits(signers=()))
    here = {each.path: each for each in walk(root, Places(modules, listed, ()))[0]}
    made = list[Listed]()
    for path, want in listed.items():
        found, total = here.get(path), hashlib.sha256()
        if want.mode == MODULE:
            continue
        if found is None or found.mode != want.mode:
            raise CannotTell(f"{code.spelled(path)} is not as it was committed")
        if code.digest(found._replace(read=partial(_noted, found.read, total.update)), git=True) != want.id:
            raise CannotTell(f"{code.spelled(path)} is not as it was committed")
        made.append(Listed(path, want.mode, total.hexdigest()))
    return next(item.value[0].id for item in given if item.kind == "commit"), made


def _noted(read: Callable[[], Iterator[bytes]], note: Callable[[bytes], None]) -> Iterator[bytes]:
    for piece in read():
        note(piece)
        yield piece
