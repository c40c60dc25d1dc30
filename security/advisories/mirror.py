"""Advisories on disk: one file of lines, the first of which says what the others are.

The head names the source, when it was last asked, how many advisories follow and their SHA-256; each line is one
advisory as its database spells it, in the order of ids. A file that is not what its head says is damaged: `CannotTell`,
as is none at all. It is read whole, every line, once in a process for as long as it stays the same file.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from packaging.utils import canonicalize_name

from security import whole
from security.advisories.record import Advisory, read, when
from security.errors import BadInput, CannotTell
from security.verdict import Frozen

CAUSE = "advisories"
"""Why nobody can tell: there are none, or they are damaged."""
LONGEST = 8 << 20
"""Bytes of one advisory."""


class Head(Frozen):
    """What the file says of itself; times are UTC, as OSV writes them."""

    source: str
    checked: str
    newest: str
    count: int
    sha256: str


class Kept(NamedTuple):
    """An advisory, and its bytes as its database spells them, on one line."""

    told: Advisory
    body: bytes


@dataclass(frozen=True)
class Mirror:
    """Advisories by the canonical name of their packages; those of other ecosystems by ecosystem and name."""

    head: Head
    known: dict[str, tuple[Advisory, ...]]
    systems: dict[tuple[str, str], tuple[Advisory, ...]] = field(default_factory=dict)

    def of(self, name: str) -> tuple[Advisory, ...]:
        """What is known of a package, withdrawn advisories left out."""
        return tuple(each for each in self.known.get(canonicalize_name(name), ()) if each.withdrawn is None)


def days(told: str, now: datetime) -> float:
    """How long ago a moment was, in days."""
    return (now - when(told)).total_seconds() / 86400


def stamp(moment: datetime) -> str:
    """A moment as OSV writes it, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def later(one: str, other: str) -> str:
    """The later of two moments, of which the first may be empty."""
    return other if not one or when(other) > when(one) else one


def bodies(path: Path) -> Iterator[Kept]:
    """Every advisory in the file, after its head."""
    with path.open("rb") as file:
        _head(path, file.readline(LONGEST))
        for number, line in enumerate(file, 2):
            body = line.rstrip(b"\n")
            yield Kept(read(body, f"{path.name}, line {number}"), body)


def write(path: Path, every: Iterable[Kept], source: str, checked: str) -> Head:
    """Write the file anew, whole or not at all: advisories by id in ascending order, each JSON on one line."""
    total, count, newest, last = hashlib.sha256(), 0, "", ""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent) as lines:
        for told, body in every:
            if told.id <= last:
                raise BadInput(told.id, "id", f"it after {last}", "each once, in order")
            if b"\n" in body or len(body) > LONGEST:
                raise BadInput(told.id, "the whole", "more than one line", f"one line of at most {LONGEST:,} bytes")
            newest = later(newest, told.modified)
            line = body + b"\n"
            total.update(line)
            lines.write(line)
            count, last = count + 1, told.id
        if not count:
            raise BadInput(source, "the whole", "no advisory", "at least one")
        head = Head(source=source, checked=checked, newest=newest, count=count, sha256=total.hexdigest())
        lines.seek(0)
        whole.write(path, chain((head.model_dump_json().encode() + b"\n",), lines))
    return head


def _head(path: Path, line: bytes) -> Head:
    try:
        return Head.model_validate_json(line)
    except ValueError:
        raise CannotTell(
            f"{path.name}, line 1: found no head; allowed: what `sluice advisories` wrote", CAUSE
        ) from None


def load(path: Path) -> Mirror:
    """The advisories of a file, proven against its head. Read once for as long as it stays the same file."""
    try:
        now = path.stat()
    except FileNotFoundError:
        raise CannotTell("there are no advisories here; `sluice advisories update` fetches them", CAUSE) from None
    except OSError as why:
        raise CannotTell(f"{path.name}: cannot be read ({type(why).__name__})", CAUSE) from None
    try:
        return _loaded(path, (now.st_ino, now.st_mtime_ns, now.st_size))
    except OSError as why:
        raise CannotTell(f"{path.name}: cannot be read ({type(why).__name__})", CAUSE) from None


@lru_cache(maxsize=2)
def _loaded(path: Path, _: tuple[int, int, int]) -> Mirror:
    known: dict[str, list[Advisory]] = {}
    systems: dict[tuple[str, str], list[Advisory]] = {}
    total, count, newest = hashlib.sha256(), 0, ""
    with path.open("rb") as file:
        told = _head(path, file.readline(LONGEST))
        for number, line in enumerate(file, 2):
            total.update(line)
            try:
                each = read(line, f"{path.name}, line {number}")
            except BadInput as why:
                raise CannotTell(f"{why}; fetch them anew", CAUSE) from None
            count, newest = count + 1, later(newest, each.modified)
            for name in each.names:
                known.setdefault(name, []).append(each)
            for other in each.others:
                systems.setdefault(other, []).append(each)
    if (count, newest, total.hexdigest()) != (told.count, told.newest, told.sha256):
        raise CannotTell(f"{path.name}: found other advisories than its head names; fetch them anew", CAUSE)
    others = {other: tuple(every) for other, every in systems.items()}
    return Mirror(told, {name: tuple(every) for name, every in known.items()}, others)
