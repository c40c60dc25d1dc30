"""What this process has imported, and from where it could: each module's file, each `.pth` file, each folder's names.

Modules say of themselves where they are from: code that runs can say otherwise. What packages hold is told by their own
record of what was installed, which nobody signs.
"""

import csv
import os
import sys
import sysconfig
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from importlib import machinery
from pathlib import Path
from types import MappingProxyType

from security.errors import CannotTell
from security.gates.code.facts import Entry, Item, Loaded
from security.gates.code.loaded import UNKNOWN

PIECE = 1 << 20
STANDARD = "the standard library"
PYTHON, MADE = "standard", "made"
"""In place of a module's file: it is a part of Python; it was made without one."""
_PACKAGES = {"site-packages", "dist-packages"}
"""Folders that packages are installed in, also where they lie in that of the library."""
_STARTS = ("sitecustomize.py", "usercustomize.py")
"""Modules that Python imports before any other, whoever put them there."""
_ENDINGS = tuple(machinery.all_suffixes())


def standard() -> list[Path]:
    """The folders of the standard library."""
    names = ("stdlib", "platstdlib")
    found = [Path(sysconfig.get_path(name)).resolve() for name in names]
    return list(dict.fromkeys([*found, *(path / "lib-dynload" for path in found)]))


def folders() -> list[Path]:
    """The folders that this process imports from, in their order, each once."""
    return list(dict.fromkeys(path for each in sys.path if (path := Path(each or ".").resolve()).exists()))


def items(root: Path, others: Mapping[str, str] = MappingProxyType({})) -> Iterator[Item]:
    """What was imported, as a look takes it. `root`: the checkout; `others`: what other processes say of themselves, as
    `modules` does."""
    where, library = folders(), standard()
    records = recorded(where, root.resolve())
    told = partial(known, root=root.resolve(), library=library, records=records)
    yield Item("entry", Entry(STANDARD, tuple(sorted(sys.stdlib_module_names)), True))
    for path in where:
        if path not in library:
            yield Item("entry", Entry(_label(path, root), tuple(names(path)), False))
            yield from (Item("pth", told(each.name, str(each))) for each in sorted(path.glob("*.pth")))
            starts = (path / each for each in _STARTS)
            yield from (Item("loaded", told(file.stem, str(file))) for file in starts if file.exists())
    if sys.pycache_prefix is not None:
        yield Item("loaded", Loaded("sys.pycache_prefix", "elsewhere", Path(sys.pycache_prefix).name, "", _nothing))
    own = modules()
    for name, place in [*own.items(), *(each for each in others.items() if own.get(each[0]) != each[1])]:
        if place == PYTHON:
            yield Item("loaded", Loaded(name, "standard", name, "", _nothing))
        elif place == MADE:
            yield Item("loaded", Loaded(name, "made", "", "", _nothing))
        else:
            yield Item("loaded", told(name, place))


def modules() -> dict[str, str]:
    """What this process has imported: name -> file, or `PYTHON` where it is a part of Python, or `MADE` where it has
    none; without what is but a place for others."""
    found = {}
    for name, module in sorted(sys.modules.copy().items()):
        spec = getattr(module, "__spec__", None)
        loader, origin = getattr(spec, "loader", None), getattr(spec, "origin", None)
        file = origin if isinstance(origin, str) and getattr(spec, "has_location", False) else None
        file = file or getattr(module, "__file__", None)
        if module is None:
            continue
        if loader in (machinery.BuiltinImporter, machinery.FrozenImporter):
            found[name] = PYTHON
        elif isinstance(file, str):
            found[name] = file
        elif not isinstance(loader, machinery.NamespaceLoader):
            found[name] = MADE
    return found


def names(folder: Path) -> list[str]:
    """The modules that a folder holds; folders without `__init__` hide nothing, and are none."""
    if not folder.is_dir():
        return [UNKNOWN]
    found = set[str]()
    for path in folder.iterdir():
        name = path.name.partition(".")[0]
        if (
            name.isidentifier()
            and path.name.removeprefix(name) in _ENDINGS
            or name == path.name
            and name.isidentifier()
            and any((path / f"__init__{end}").exists() for end in _ENDINGS)
        ):
            found.add(name)
    return sorted(found)


def recorded(where: Iterable[Path], root: Path | None = None) -> dict[str, str]:
    """File -> SHA-256, as the packages in these folders say that they were installed. Records are believed of files
    beside them, and of scripts of this environment; and none that lie in the checkout, unless its environment does."""
    found: dict[str, str] = {}
    scripts = Path(sysconfig.get_path("scripts"))
    for folder in where:
        if folder.name not in _PACKAGES or (
            root and folder.is_relative_to(root) and not folder.is_relative_to(Path(sys.prefix).resolve())
        ):
            continue
        places = (f"{folder}/", f"{scripts}/", f"{scripts.resolve()}/")
        for record in sorted(folder.glob("*.dist-info/RECORD")):
            is_ = record.stat()  # ctime moves whenever a file is written, and nobody can set it back
            for path, sha in _rows(record, places, (is_.st_ino, is_.st_size, is_.st_mtime_ns, is_.st_ctime_ns)):
                # Two packages that claim one file as different ones: then it is nobody's.
                found[path] = sha if found.get(path, sha) == sha else ""
    return found


@lru_cache(maxsize=4096)
def _rows(record: Path, places: tuple[str, ...], state: tuple[int, ...]) -> tuple[tuple[str, str], ...]:
    """Files in some places, and their SHA-256, as a record in this state says."""
    found, folder = [], record.parent.parent
    with record.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
        for row in csv.reader(lines):
            kind, _, told = (row[1] if len(row) > 1 else "").partition("=")
            path = os.path.normpath(f"{folder}/{row[0]}") if kind == "sha256" else ""
            if path.startswith(places):
                found.append((path, urlsafe_b64decode(told + "=" * (-len(told) % 4)).hex()))
    return tuple(found)


def read(path: str | Path) -> Iterator[bytes]:
    """A file's content, in pieces."""
    try:
        with open(path, "rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as why:
        raise CannotTell(f"{os.path.basename(path)}: {type(why).__name__}") from None


@lru_cache(maxsize=4096)
def _resolved(folder: str) -> str:
    return str(Path(folder).resolve())


def _nothing() -> Iterator[bytes]:
    return iter(())


def known(name: str, place: str | Path, *, root: Path, library: list[Path], records: dict[str, str]) -> Loaded:
    """A file that was imported, and where it is from: what packages recorded first, then by the folder it lies in. It
    is text that is taken apart: there are thousands in each look."""
    above, last = os.path.split(place)
    if last in ("", "."):
        above, last = str(Path(place).parent), Path(place).name
    link = path = os.path.join(_resolved(above), last) if last else _resolved(above)
    if os.path.islink(path):
        path = os.path.realpath(path)
    if path in records:
        return Loaded(name, "package", _label(path, root), records[path], partial(read, path))
    folder, last = os.path.split(path)
    within, books = _within(folder, (str(root), *map(str, library))), [str(each) for each in library]
    packed = not _PACKAGES.isdisjoint((*folder.split("/"), last))
    if within and within[0] in books and not packed:
        return Loaded(name, "standard", last, "", partial(read, path))
    if packed:
        return Loaded(name, "package", _label(path, root), "", partial(read, path))
    if str(root) in within:
        return Loaded(name, "tree", Path(path).relative_to(root).as_posix(), "", partial(read, path))
    if link != path and os.path.dirname(link) in books and _as_safe(Path(link)):
        return Loaded(name, "standard", os.path.basename(link), "", partial(read, path))
    return Loaded(name, "elsewhere", last, "", partial(read, path))


@lru_cache(maxsize=4096)
def _within(folder: str, places: tuple[str, ...]) -> tuple[str, ...]:
    """Those of these places that a folder is or lies in, the nearest first."""
    return tuple(each for path in (Path(folder), *Path(folder).parents) if (each := str(path)) in places)


def _as_safe(link: Path) -> bool:
    """Whether nobody may change what a link in the standard library leads to who could not change the library: a
    distribution links what an operator may set from there (Debian's `sitecustomize.py`). One link, and no more."""
    path, owners = link.parent / link.readlink(), {0, link.parent.stat().st_uid}
    if path.resolve() != path or not path.is_file():
        return False
    found = [each.stat() for each in (path, *path.parents)]
    return all(each.st_uid in owners and not each.st_mode & 0o022 for each in found)


def _label(place: str | Path, root: Path) -> str:
    """A path as it may be told: without whose home it is in."""
    text = f"{place}"
    for mark in sorted(_PACKAGES):
        if (at := f"{text}/".find(f"/{mark}/")) >= 0:
            return text[at + 1 :]
    path = Path(place)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
