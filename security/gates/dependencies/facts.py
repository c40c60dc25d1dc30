"""What a look at dependencies shows: what is locked, installed and known of it, and how old that knowledge is."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from security.advisories.live import Dated
from security.advisories.mirror import Head, Mirror
from security.advisories.severity import Level
from security.engines.index import Listing
from security.gates.dependencies.lock import Odd, lines
from security.material import Material
from security.verdict import Frozen, Subject

ANY = "UnsafeAnyName"
FREE = "UnsafeAnyLicence"
UNASKED = "nobody asked it"
MANY = ("line", "also", "part", "dist")
"""Kinds of item of which there are any number; of the others there is one each."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


Beside = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Package(Frozen):
    """A package that is locked. `hashes`: how many; `audited`: whether the engine reported on it; `listing`: what the
    index says of it, none where it was not asked."""

    line: int
    name: str
    version: str
    hashes: int
    marker: str
    applies: bool
    audited: bool
    listing: Listing | None


class Dist(Frozen):
    """A package that is installed. `direct`: from a URL or a folder, not from an index; `licence`: an SPDX expression,
    as its metadata declares it, or empty; `audited`: whether the engine reported on it, which a look finds out."""

    name: str
    version: str
    direct: bool
    licence: str
    audited: bool = False


class Bill(Frozen):
    """A bill of materials, as it was read. `read`: whether it could be; `listed`: how many packages it names;
    `missing`, `strange`: what is here and not in it, and the other way round, as `name version`."""

    sha256: str
    read: bool
    listed: int
    missing: tuple[str, ...]
    strange: tuple[str, ...]


class Hit(Frozen):
    """A vulnerability of a locked package, and which of the two found it."""

    name: str
    version: str
    ids: tuple[str, ...]
    level: Level
    fixes: tuple[str, ...]
    engine: bool
    matcher: bool


class Part(Frozen):
    """A lock that is to be a part of this one. `sha256`: of its text; `pins`: how many of its lines pin a package here;
    `odd`: those that pin none, or one once more; `strange`: those that do not stand in this lock too, with these hashes
    at least, and here wherever they do there, and why."""

    sha256: str
    pins: int
    odd: tuple[str, ...]
    strange: tuple[str, ...]


class Facts(Frozen):
    """`advisories`: of the mirror, or of what a live service answered; `dated`: what their age counts from; `service`:
    why the live service gave no answers, or not all, empty where it did or was not asked; `unanswered`: packages, as
    `name version`, that it was not asked about, or gave no answer on; `failed`: why the engine gave no report.

    `also`: name of a lock beside it -> package -> version that it pins; `beside`: its name -> its SHA-256; `parts`:
    its name -> what of it stands here too; `index`: which was asked, empty where none was; `unlisted`: why it gave no
    word on some, empty where it did; `unclear`: name and id of advisories that do not say which versions they affect;
    `forgotten`: those of versions that everybody knows to be bad and that one of the two does not know.
    """

    packages: tuple[Package, ...]
    odd: tuple[Odd, ...]
    also: dict[str, dict[str, str]]
    beside: dict[str, str]
    parts: dict[str, Part]
    index: str
    unlisted: str
    bill: Bill | None
    installed: tuple[Dist, ...] | None
    advisories: Head | None
    dated: Dated
    now: str
    service: str
    unanswered: tuple[str, ...]
    engine: str
    failed: str
    skipped: dict[str, str]
    hits: tuple[Hit, ...]
    unclear: tuple[tuple[str, str], ...]
    forgotten: tuple[tuple[str, str], ...]

    @property
    def looked(self) -> bool:
        """Whether the engine was asked, and gave a report."""
        return not (self.failed or self.service or self.unanswered) and self.advisories is not None

    @property
    def live(self) -> bool:
        """Whether a live service was asked."""
        return self.dated != "newest" or bool(self.service)


class Limits(Frozen):
    """What a policy allows. `worst`: from which level on a vulnerability stops; `days`: the age of the newest advisory,
    or of a live service's answers; `service`: whether the mirror is asked, or a live service.

    `allowed`: the names that may be locked; `besides`: what may be installed and is not locked; `also`: the names of
    locks beside it: what they pin may be installed too, at that version; `within`: those whose every line has to stand
    here too, with no other hashes; `installed`: whether the lock is held against an environment; `bill`: whether its
    bill of materials is to be written; `least`: how many advisories there must be; `licences`: SPDX ids; `licensed`:
    name -> the licence that somebody read where the metadata says none; `index`: whether the index is to be asked;
    `sealed`: name -> SHA-256 of the locks beside it, as the plan has them, none where there is no plan; `UnsafeClock`:
    a moment that counts for now.
    """

    service: Literal["mirror", "live"] = "mirror"
    worst: Literal["low", "medium", "high", "critical"] = "high"
    days: float = Field(default=7.0, gt=0)
    allowed: tuple[Name, ...] | Literal["UnsafeAnyName"]
    licences: tuple[str, ...] | Literal["UnsafeAnyLicence"]
    licensed: dict[Name, str] = {}
    index: bool = True
    besides: tuple[Name, ...] = ()
    also: tuple[Beside, ...] = ()
    within: tuple[Beside, ...] = ()
    sealed: dict[str, str] | None = None
    bill: bool = True
    least: int = Field(default=0, ge=0)
    installed: bool = True
    UnsafeClock: str = ""


class Item(NamedTuple):
    """`advisories`: a `Mirror`, `Live` where a service was asked, or none; `service`: why that gave no answers, or not
    all, or empty; `now`; `line`: a `Line`; `also`, `part`: name and text of a lock beside it; `dist`: a `Dist`;
    `environment`: whether dists are handed out at all; `index`: a URL, or empty; `listings`: its word on each line that
    is a pin, or why there is none; `bill`: the bytes of a bill of materials, or none."""

    kind: str
    value: Any


def material(
    subject: Subject,
    text: str,
    mirror: Mirror | None,
    now: str,
    *,
    dists: Iterable[Dist] | None,
    expected: int,
    service: str = "",
    index: str = "",
    listings: Iterable[Listing | str] | str = UNASKED,
    also: Mapping[str, str] | None = None,
    parts: Mapping[str, str] | None = None,
    bill: bytes | None = None,
) -> Material[Item]:
    """A lock and the environment it should be. `expected`: lines and installed packages, counted by somebody else;
    `also`, `parts`: name -> text of locks beside it: of what may be installed too, of what has to stand here too."""
    items = [Item("advisories", mirror), Item("service", service), Item("now", now)]
    items.append(Item("environment", dists is not None))
    items.append(Item("index", index))
    items.append(Item("listings", listings if isinstance(listings, str) else tuple(listings)))
    items.append(Item("bill", bill))
    items += [Item("also", other) for other in (also or {}).items()]
    items += [Item("part", other) for other in (parts or {}).items()]
    items += [Item("line", line) for line in lines(text)]
    items += [Item("dist", dist) for dist in dists or ()]
    return Material(subject, lambda: items, expected=expected, unit="packages", weigh=weight)


def weight(item: Item) -> int:
    """What counts as looked at: lines, also of locks that are to be a part, and packages that are installed."""
    return len([*lines(item.value[1])]) if item.kind == "part" else int(item.kind in ("line", "dist"))
