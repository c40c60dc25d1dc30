"""A lock file in the format of pip's requirements: a package a line, its exact version, the SHA-256 of its files.

Lines are joined as pip joins them. Whatever else a line is (an option, a URL, a folder, a range, no hash) is
told apart by a word, and nothing is left out: each line is a pin or odd. So is what pip reads as something else than it
looks like: a file named like a pin, a variable of its environment, a remark that declares another encoding.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from security.verdict import Frozen

What = Literal["option", "url", "editable", "path", "unpinned", "unhashed", "weak hash", "unreadable"]
ELSEWHERE: frozenset[What] = frozenset({"option", "url", "editable", "path"})
"""What takes a package, or other lines, from somewhere else than the index."""
# Both begin where a run begins: at every place of it they would take the square of its length, under the GIL.
_COMMENT = re.compile(r"(^|(?<!\s)\s+)#.*$")
_HASH = re.compile(r"\s--hash[=\s]\s*(\S+)")
_SHA = re.compile(r"sha256:[0-9a-f]{64}")
_EDITABLE = re.compile(r"(-e|--editable)([=\s]|$)")
_PLACE = re.compile(r"[./~]|[A-Za-z]:\\|file:")
_ARCHIVE = re.compile(r"[^\s;:/]+\.(zip|whl|tgz|tar|tbz|txz|tlz|tar\.(gz|bz2|xz|lz|lzma))\s*(;|$)", re.IGNORECASE)
_CODING = re.compile(r"#.*coding[:=]\s*(?!utf-?8\b)[-\w.]", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(git|hg|svn|bzr)\+|[^\s;@]+\s*@\s*\S*:")
_SECRET = re.compile(r"(?<=://)(?!git@)[^\s/]+(?=@)")
SHOWN = 80
"""Letters of a line that are told, without the password of a URL."""


class Line(NamedTuple):
    """A line as pip joins it, without its comment: the number of the first it is made of, and the text."""

    number: int
    text: str


class Pin(Frozen):
    """A package at a version. `hashes`: SHA-256 of its files; `applies`: whether its marker does, where it was read."""

    line: int
    name: str
    version: str
    hashes: tuple[str, ...]
    marker: str
    applies: bool


def bare(name: str, version: str) -> Pin:
    """A package at a version that stands in no lock, to be looked up beside those that do."""
    return Pin(line=0, name=name, version=version, hashes=("0" * 64,), marker="", applies=True)


class Odd(Frozen):
    """A line that pins nothing: what it is, and how it begins. `name` where one can be read."""

    line: int
    what: What
    name: str
    text: str


def lines(text: str) -> Iterator[Line]:
    """The lines of a lock, empty ones and comments left out, but for one that has pip decode the file otherwise."""
    first, parts, text = 0, list[str](), text.removeprefix("\ufeff")
    for number, line in enumerate(text.split("\n")[:2], 1):
        if _CODING.match(line):
            yield Line(number, line.strip())
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        remark = _COMMENT.match(line) is not None
        if line.endswith("\\") and not remark:
            parts.append(line.removesuffix("\\"))
            continue
        if whole := _bare("".join([*parts, f" {line}" if remark else line])):
            yield Line(first, whole)
        first, parts = 0, []
    if whole := _bare("".join(parts)):
        yield Line(first, whole)


def _bare(text: str) -> str:
    """A line without its comment; most have none, which is soon seen."""
    return (_COMMENT.sub("", text) if "#" in text else text).strip()


@lru_cache(maxsize=4096)
def read(line: Line) -> Pin | Odd:
    """What a line says; of this very line it is said once in a process."""
    told = line.text
    if told.startswith("#") or _VARIABLE.search(told):
        return _odd(line, "unreadable")
    if told.startswith("-"):
        return _odd(line, "editable" if _EDITABLE.match(told) else "option")
    hashes = _HASH.findall(told)
    bare = _HASH.sub("", told).strip()
    if _PLACE.match(bare) or _ARCHIVE.match(bare):
        return _odd(line, "path")
    try:
        asked = Requirement(bare)
    except InvalidRequirement:
        return _odd(line, "url" if _URL.match(bare) else "unreadable")
    name = canonicalize_name(asked.name)
    if asked.url:
        return _odd(line, "url", name)
    version = _exact(asked)
    if version is None:
        return _odd(line, "unpinned", name)
    if not hashes:
        return _odd(line, "unhashed", name)
    if not all(_SHA.fullmatch(each) for each in hashes):
        return _odd(line, "weak hash", name)
    try:
        applies = asked.marker is None or asked.marker.evaluate()
    except (UndefinedComparison, UndefinedEnvironmentName):
        return _odd(line, "unreadable", name)
    return Pin(
        line=line.number,
        name=name,
        version=version,
        hashes=tuple(sorted({each.removeprefix("sha256:") for each in hashes})),
        marker=_spelled(asked.marker),
        applies=applies,
    )


def pinned(text: str) -> Iterator[Pin]:
    """The lines of a lock that pin a package."""
    return (entry for entry in map(read, lines(text)) if isinstance(entry, Pin))


def written(pin: Pin, marker: str = "") -> str:
    """A pin as a line of a lock, under no other marker than this."""
    told = f"{pin.name}=={pin.version}{f' ; {marker}' if marker else ''}"
    return " ".join([told, *(f"--hash=sha256:{each}" for each in pin.hashes)])


def _exact(asked: Requirement) -> str | None:
    found = list(asked.specifier)
    if len(found) != 1 or found[0].operator != "==" or found[0].version.endswith(".*"):
        return None
    try:
        return str(Version(found[0].version))
    except InvalidVersion:
        return None


def _spelled(marker: Marker | None) -> str:
    return "" if marker is None else str(marker)


def _odd(line: Line, what: What, name: str = "") -> Odd:
    return Odd(line=line.number, what=what, name=name, text=_SECRET.sub("***", line.text)[:SHOWN])


def spelled(pins: Iterable[Pin]) -> Iterator[str]:
    """Pins as a lock again, without markers, so that every one counts wherever it is read: as many locks as a package
    has versions, since no engine takes two of one."""
    rounds: list[dict[str, str]] = []
    for pin in pins:
        for taken in rounds:
            if pin.name not in taken:
                taken[pin.name] = written(pin)
                break
        else:
            rounds.append({pin.name: written(pin)})
    for taken in rounds:
        yield "\n".join(taken.values()) + "\n"
