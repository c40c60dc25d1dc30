"""What was imported: each module's file was signed, is the standard library's, or is as its package was recorded."""

import hashlib
import sys
from collections.abc import Collection, Iterable

from security.gates.code.compare import spelled
from security.gates.code.facts import Entry, Foreign, Imported, Loaded, Shadow

UNKNOWN = "*"
"""The name of what is no folder, an archive say: it may hold any."""
LARGEST = 1 << 20
"""Bytes of a `.pth` file."""
_STARTS = (b"import ", b"import\t")
"""How a line of a `.pth` file begins that Python runs."""


def imported(
    modules: Collection[Loaded], pths: Iterable[Loaded], entries: Iterable[Entry], sound: Collection[str]
) -> Imported:
    """What is not as it should be. `sound`: paths of the checkout whose files are as they were signed."""
    foreign = [
        Foreign(name=each.name, kind="module", origin=each.origin, fault=fault)
        for each in modules
        if (fault := _fault(each, sound))
    ]
    for each in pths:
        fault = _fault(each, sound) if _acts(each) else ""
        if fault:
            foreign.append(Foreign(name=each.name, kind="pth", origin=each.origin, fault=fault))
    return Imported(
        modules=len(modules),
        foreign=tuple(sorted(foreign, key=lambda one: (one.kind, one.name, one.fault))),
        shadows=tuple(_shadows(entries)),
    )


def _fault(each: Loaded, sound: Collection[str]) -> str:
    """Nothing where the file is known; else why it is not."""
    if each.origin == "standard":
        return ""
    if each.origin == "made":
        return "it has no file"
    if each.origin == "tree":
        return "" if each.place in sound else f"{spelled(each.place)} is not as it was signed, or not signed"
    if each.origin == "package":
        if not each.sha256:
            return f"{spelled(each.place)} is in no package's record with its hash"
        total = hashlib.sha256()
        for piece in each.read():
            total.update(piece)
        return "" if total.hexdigest() == each.sha256 else f"{spelled(each.place)} is not as it was recorded"
    return f"it is from elsewhere: {spelled(each.place)}"


def _acts(pth: Loaded) -> bool:
    """Whether Python runs a line of it. One that is too large to be read is taken for one."""
    data = b""
    for piece in pth.read():
        data += piece
        if len(data) > LARGEST:
            return True
    return any(line.startswith(_STARTS) for line in data.removeprefix(b"\xef\xbb\xbf").splitlines())


def _shadows(entries: Iterable[Entry]) -> Iterable[Shadow]:
    """Names in more than one folder, and names of the standard library in any other."""
    places: dict[str, list[str]] = {}
    for entry in entries:
        for name in entry.names:
            places.setdefault(name, []).append(entry.place)
        if not entry.standard:
            for name in sys.stdlib_module_names.intersection(entry.names):
                places[name].append("the standard library")
    for name, found in sorted(places.items()):
        told = tuple(dict.fromkeys(found))
        if len(told) > 1 or name == UNKNOWN:
            yield Shadow(name=name, places=told)
