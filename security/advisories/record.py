"""One advisory in the OSV format (ossf.github.io/osv-schema, version 1), of which what judging needs is read.

Members that are not known are left alone: the format grows. What is known and malformed is `BadInput`: an advisory that
cannot be read hides a vulnerability.
"""

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
from packaging.utils import canonicalize_name

from security.errors import BadInput

ECOSYSTEM = "PyPI"
MOST = 64
"""Letters of an id."""
_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:-]{{0,{MOST - 1}}}")
_TIME = re.compile(r"\d{1,4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Event(msgspec.Struct, frozen=True):
    """A point on the line of versions: exactly one of them is given."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None

    def told(self) -> list[tuple[str, str]]:
        """The members that are there: kind and version."""
        return [(kind, at) for kind in self.__struct_fields__ if (at := getattr(self, kind)) is not None]


class Range(msgspec.Struct, frozen=True):
    """Versions between events, in one ordering: `ECOSYSTEM`, `SEMVER` or `GIT`."""

    type: str
    events: tuple[Event, ...] = ()


class Package(msgspec.Struct, frozen=True):
    """Whose versions are meant."""

    ecosystem: str
    name: str

    @property
    def ours(self) -> bool:
        """Whether it is of the ecosystem: that of another index (`PyPI:https://...`) has the same name in a lock."""
        return self.ecosystem.partition(":")[0] == ECOSYSTEM


class Score(msgspec.Struct, frozen=True):
    """A severity in a scheme: `CVSS_V3` and a vector."""

    type: str
    score: str


class Affected(msgspec.Struct, frozen=True):
    """Which versions of a package are affected: those that are listed, and those in a range."""

    package: Package | None = None
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()
    severity: tuple[Score, ...] = ()

    def of(self, name: str) -> bool:
        """Whether it speaks of the package of the ecosystem that has this canonical name."""
        told = self.package
        return told is not None and told.ours and canonicalize_name(told.name) == name


class Own(msgspec.Struct, frozen=True):
    """What a database adds of its own; GitHub's says a severity in a word."""

    severity: Any = None


class Advisory(msgspec.Struct, frozen=True):
    """One advisory."""

    id: str
    modified: str
    schema_version: str = "1.0.0"
    published: str | None = None
    withdrawn: str | None = None
    aliases: tuple[str, ...] = ()
    summary: str = ""
    severity: tuple[Score, ...] = ()
    affected: tuple[Affected, ...] = ()
    database_specific: Own | None = None

    @property
    def names(self) -> frozenset[str]:
        """The canonical names (PEP 503) of the ecosystem's packages that it speaks of."""
        told = (each.package for each in self.affected)
        return frozenset(canonicalize_name(each.name) for each in told if each and each.ours)

    @property
    def others(self) -> frozenset[tuple[str, str]]:
        """Ecosystem and name of the packages of other ecosystems, as they are spelled."""
        told = (each.package for each in self.affected)
        return frozenset((each.ecosystem, each.name) for each in told if each and not each.ours)


_DECODER = msgspec.json.Decoder(Advisory)
_NULLABLE = ("aliases", "severity", "affected")
"""Lists that the schema lets be null."""


def _decoded(body: bytes) -> Advisory:
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError:
        told = msgspec.json.decode(body, type=dict[str, Any])
        lists = [told, *(each for each in told.get("affected") or () if isinstance(each, dict))]
        if not any(key in each and each[key] is None for each in lists for key in _NULLABLE):
            raise
        for each in lists:
            each.update({key: [] for key in _NULLABLE if key in each and each[key] is None})
        return msgspec.convert(told, Advisory)


def when(told: str) -> datetime:
    """A moment as OSV writes it, in UTC. `ValueError` for any other spelling.

    The year may lack its zeros: the database has the zero time of its tool in it, as `1-01-01T00:00:00Z`.
    """
    if not _TIME.fullmatch(told):
        raise ValueError("a time")
    year, _, rest = told.partition("-")
    return datetime.fromisoformat(f"{year:0>4}-{rest}").replace(tzinfo=UTC)


def named(id: str) -> bool:
    """Whether it is spelled like an id: one becomes a file's name when it is asked for."""
    return bool(_ID.fullmatch(id))


def read(body: bytes, file: str) -> Advisory:
    """The advisory in a file's bytes."""
    try:
        made = _decoded(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as why:
        place = str(why).rpartition(" - at ")[2] if " - at " in str(why) else "the whole"
        raise BadInput(file, place, "no advisory in the OSV format", "JSON as its schema has it") from None
    if not named(made.id):
        raise BadInput(file, "id", "another spelling", f"up to {MOST} letters, digits, dots, dashes, colons")
    if made.schema_version.partition(".")[0] != "1":
        raise BadInput(file, "schema_version", "another version of the format", "1")
    for name in ("modified", "published", "withdrawn"):
        told = getattr(made, name)
        try:
            if told is not None:
                when(told)
        except ValueError:
            raise BadInput(file, name, "another spelling", "a time in UTC, 2024-10-10T17:22:00Z") from None
    for affected in made.affected:
        for each in affected.ranges:
            if any(len(event.told()) != 1 for event in each.events):
                raise BadInput(file, "affected.ranges.events", "an event of no kind or of two", "exactly one")
    return made
