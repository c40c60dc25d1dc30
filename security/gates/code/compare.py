"""Files as they are against files as they were signed, either way: what differs, what is too much, what is missing."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Set
from importlib.machinery import all_suffixes
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

from security.engines import bytecode
from security.errors import CannotTell
from security.gates.code.facts import FILE, LINK, MODULE, RUNS, Bytecode, Change, Extra, Found, Listed
from security.gates.code.links import leads

LARGEST = 32 << 20
"""Bytes of a source that is compiled."""
_RUN = {*all_suffixes(), ".py", ".pyc", ".pyo", ".pyw", ".pyd", ".so", ".dll", ".dylib", ".pth", ".egg", ".whl", ".zip"}
_RUN |= {".sh", ".bash"}
T = TypeVar("T", Listed, Found)


class Compared(NamedTuple):
    """What differs, and how many files of bytecode were compared with their sources."""

    changes: tuple[Change, ...]
    extras: tuple[Extra, ...]
    bytecode: tuple[Bytecode, ...]
    compiled: int


def spelled(path: str) -> str:
    """A path as text: as it is, or as Python would quote its bytes where these are no text that can be printed."""
    return path if path.isprintable() else ascii(path.encode("utf-8", "surrogateescape"))


def digest(found: Found, *, git: bool) -> str:
    """Git's id for a file's content, or the content's SHA-256. It is read once, and in pieces."""
    head = f"blob {found.size}\0".encode() if git else b""
    total = hashlib.sha1(head, usedforsecurity=False) if git else hashlib.sha256()
    size = 0
    for piece in found.read():
        size += len(piece)
        if size > found.size:
            break
        total.update(piece)
    if size != found.size:
        raise CannotTell(f"{spelled(found.path)} changed while it was read")
    return total.hexdigest()


def parents(paths: Iterable[str]) -> set[str]:
    """The folders above these paths, "." at the top: the `parents` of `PurePosixPath`, of a whole tree soon told."""
    found = set[str]()
    for path in paths:
        if path.startswith("/") or not {"", "."}.isdisjoint(path.split("/")):
            found.update(parent.as_posix() for parent in PurePosixPath(path).parents)
            continue
        while (path := path.rpartition("/")[0] or ".") not in found:
            found.add(path)
    return found


def runs(found: Found) -> bool:
    """Whether Python or a shell could run it as it is, or it leads elsewhere."""
    return found.mode != FILE or not _RUN.isdisjoint(each.lower() for each in PurePosixPath(found.path).suffixes)


def compared(listed: Iterable[Listed], found: Iterable[Found], *, git: bool) -> Compared:
    """What differs between the files that were signed and those that are here."""
    want, here = _once(listed), _once(found)
    changes = [told for path in sorted(want) for told in _change(want[path], here.get(path), git=git)]
    changed = {told.path for told in changes}
    changes += _links(want, here, changed)
    odd, more, compiled = list[Bytecode](), list[Found](), 0
    for path in sorted(here.keys() - want.keys()):
        source = bytecode.source(path)
        if source not in want or source not in here or here[path].mode != FILE or want[source].mode == MODULE:
            more.append(here[path])
            continue
        compiled += 1
        if spelled(source) in changed:
            odd.append(Bytecode(path=spelled(path), fault="beside a source that is not as it was signed"))
        elif fault := _fault(here[path], here[source], want[source].id, git=git):
            odd.append(Bytecode(path=spelled(path), fault=fault))
    return Compared(tuple(changes), _extras(more, want), tuple(odd), compiled)


def _once(each: Iterable[T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for one in each:
        if one.path in found:
            raise CannotTell(f"{spelled(one.path)} is handed out twice")
        found[one.path] = one
    return found


def _change(want: Listed, here: Found | None, *, git: bool) -> Iterable[Change]:
    path = spelled(want.path)
    if want.mode == MODULE:
        found = here.head if here and here.mode == MODULE else "none"
        if found != want.id:
            yield Change(path=path, what="submodule", found=found, listed=want.id)
    elif here is None:
        yield Change(path=path, what="missing", found="none", listed=want.id)
    else:
        if here.mode != want.mode:
            yield Change(path=path, what="mode", found=_kind(here.mode), listed=_kind(want.mode))
        if here.mode in (FILE, RUNS, LINK) and (here.mode == LINK) == (want.mode == LINK):
            told = digest(here, git=git)
            if told != want.id:
                yield Change(path=path, what="content", found=told, listed=want.id)


def _links(want: Mapping[str, Listed], here: Mapping[str, Found], changed: Set[str]) -> Iterable[Change]:
    """Links that lead to what was not signed: what is behind them is nobody's."""
    found = [path for path in want if path in here and want[path].mode == here[path].mode == LINK]
    known = {*want, *parents(want)}
    targets = {path: os.fsdecode(b"".join(here[path].read())) for path in found}
    for path in sorted(found):
        if spelled(path) not in changed and not leads(path, targets, known):
            yield Change(path=spelled(path), what="link", found=spelled(targets[path]), listed="")


def _kind(mode: int) -> str:
    kinds = {FILE: "a file", RUNS: "a file that runs", LINK: "a link", MODULE: "a repository"}
    return kinds.get(mode, f"something of mode {mode:o}")


def _fault(found: Found, source: Found, id: str, *, git: bool) -> str:
    if found.size > bytecode.LARGEST or source.size > LARGEST:
        return "too large to be compared"
    data, text = (b"".join(each.read()) for each in (found, source))
    if digest(source._replace(size=len(text), read=lambda: iter((text,))), git=git) != id:
        raise CannotTell(f"{spelled(source.path)} changed while it was read")
    return bytecode.fault(PurePosixPath(found.path).name, data, text)


def _extras(more: Iterable[Found], want: Mapping[str, Listed]) -> tuple[Extra, ...]:
    """What is too much, by the topmost folder in which nothing is signed."""
    signed = parents(want)
    counted: dict[str, list[int]] = {}
    for found in more:
        above = [parent for parent in PurePosixPath(found.path).parents if parent.as_posix() not in signed]
        place = f"{spelled(above[-1].as_posix())}/" if above else spelled(found.path)
        files = counted.setdefault(place, [0, 0])
        files[0] += 1
        files[1] += runs(found)
    return tuple(Extra(path=place, files=files, runs=run) for place, (files, run) in sorted(counted.items()))
