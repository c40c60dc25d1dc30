"""The distribution's own security updates, as apt keeps their lists: what is newer than what is installed.

A list is two files: `Release`, which says of which suite it is, when it was made and until when it counts, and the
digests of the others; and `Packages`, which names the newest version of each package. The second is unpacked and held
against the first, whose signature apt verified when it fetched it; here it is not verified again.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from security.errors import BadInput
from security.inventory import order, stanzas
from security.inventory.record import Package
from security.verdict import Frozen

LISTS = Path("var/lib/apt/lists")
LARGEST = 1 << 30
"""Bytes of an unpacked list."""
SUITE = "-security"
"""How the codename of a suite of security updates ends."""


class Feed(NamedTuple):
    """The two files of one list: `file` is the name of the second, whose ending says how it is packed."""

    release: bytes
    file: str
    packages: bytes


class Told(Frozen):
    """What a list says of itself; times in UTC as OSV writes them, `until` empty where it counts for ever. `whole`:
    whether it is what its release names; `count`: how many packages it has."""

    codename: str
    date: str
    until: str
    whole: bool
    count: int


class Update(Frozen):
    """A package for which there is a newer version."""

    package: str
    version: str
    newer: str


def _lz4(file: IO[bytes]) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(file, "lz4")


def _zstd(file: IO[bytes]) -> Any:
    from backports import zstd

    return zstd.open(file)


_PACKED: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".xz": lzma.open,
    ".bz2": bz2.open,
    ".lz4": _lz4,
    ".zst": _zstd,
    "": lambda file: file,
}


def there(root: Path) -> Iterator[Feed]:
    """The lists of security updates that a system keeps, in the order of their names."""
    folder = root / LISTS
    for path in sorted(folder.glob("*_Packages*")) if folder.is_dir() else ():
        start = path.name.partition("_dists_")
        suite = start[2].partition("_")[0]
        releases = [folder / f"{start[0]}_dists_{suite}_{name}" for name in ("InRelease", "Release")]
        release = next((each for each in releases if each.is_file()), None)
        if suite.endswith(SUITE) and release is not None:
            yield Feed(release.read_bytes(), path.name, path.read_bytes())


def read(feed: Feed) -> tuple[Told, dict[tuple[str, str], str]]:
    """What a list says of itself; and package and architecture -> the newest version. `BadInput` for no list."""
    fields, sums = _release(feed.release)
    text = _unpacked(feed)
    sha = hashlib.sha256(text).hexdigest()
    newest: dict[tuple[str, str], str] = {}
    count = 0
    try:
        for each in stanzas.paragraphs(text.decode("utf-8"), feed.file):
            count += 1
            at, version = (each["Package"], each["Architecture"]), each["Version"]
            if at not in newest or order.older(newest[at], version):
                newest[at] = version
    except (KeyError, ValueError):
        raise BadInput(feed.file, f"stanza {count}", "no package, architecture or version", "all of them") from None
    told = Told(
        codename=fields.get("Codename", "")[:64],
        date=_moment(fields.get("Date", ""), "Date"),
        until=_moment(fields["Valid-Until"], "Valid-Until") if "Valid-Until" in fields else "",
        whole=(sha, len(text)) in sums,
        count=count,
    )
    return told, newest


def updates(packages: Iterable[Package], newest: dict[tuple[str, str], str]) -> Iterator[Update]:
    """Installed packages that are older than what the list has. `ValueError` for a version that has no order."""
    for each in packages:
        newer = newest.get((each.name, each.arch)) if each.kind == "deb" else None
        if newer is not None and order.older(each.version, newer):
            yield Update(package=f"{each.name}:{each.arch}", version=each.version, newer=newer)


def _release(data: bytes) -> tuple[dict[str, str], set[tuple[str, int]]]:
    """Fields of a release, its signature left out, and the digests and sizes that it names."""
    fields: dict[str, str] = {}
    sums = set[tuple[str, int]]()
    field = ""
    text = data.decode("utf-8", "replace")
    if text.startswith("-----BEGIN PGP SIGNED MESSAGE-----"):
        text = text.partition("\n\n")[2].partition("\n-----BEGIN PGP SIGNATURE-----")[0]
    for line in text.splitlines():
        if line.startswith(" "):
            parts = line.split()
            if field == "SHA256" and len(parts) == 3 and parts[1].isdecimal():
                sums.add((parts[0], int(parts[1])))
            continue
        field, mark, value = line.partition(":")
        if mark:
            fields.setdefault(field, value.strip())
    return fields, sums


def _moment(told: str, name: str) -> str:
    try:
        at = parsedate_to_datetime(told)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, TypeError, OverflowError):
        raise BadInput("Release", name, "no time", "Thu, 26 Nov 2026 21:03:35 UTC") from None


def _unpacked(feed: Feed) -> bytes:
    end = Path(feed.file).suffix if not feed.file.endswith("_Packages") else ""
    if end not in _PACKED:
        raise BadInput(feed.file, "the whole", "packed in another way", ", ".join(sorted(_PACKED)))
    try:
        with _PACKED[end](io.BytesIO(feed.packages)) as source:
            data = source.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as why:
        raise BadInput(feed.file, "the whole", f"what breaks off ({type(why).__name__})", "a whole one") from None
    if len(data) > LARGEST:
        raise BadInput(feed.file, "the whole", "more bytes than that", f"{LARGEST:,}")
    return bytes(data)


def spelled(moment: datetime) -> str:
    """A moment as a release has it."""
    return moment.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
