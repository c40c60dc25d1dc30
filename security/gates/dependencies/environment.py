"""What is installed: every distribution on the paths that Python imports from, as its own metadata says.

The metadata is declared by whoever built the package; it is read, and nothing of it is run. How many there are is
counted apart, from the names of the folders alone.
"""

import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from security.errors import BadInput
from security.gates.dependencies.facts import Dist
from security.gates.dependencies.licence import licence
from security.memo import Memo

_KINDS = (".dist-info", ".egg-info", ".egg-link")


def paths() -> list[Path]:
    """The folders that this process imports from, each once. Python also imports from archives, in which nobody here
    looks: one on its path is an error."""
    found = list(dict.fromkeys(path for each in sys.path if (path := Path(each or ".").resolve()).exists()))
    for path in found:
        if not path.is_dir():
            raise BadInput("sys.path", path.name, "a file that Python imports from", "folders")
    return found


def installed(where: Iterable[Path]) -> list[Dist]:
    """The distributions in these folders, by name; one that is there twice is there twice."""
    return sorted((dist for dist, _ in every(where)), key=lambda dist: (dist.name, dist.version))


def every(where: Iterable[Path]) -> Iterator[tuple[Dist, metadata.Distribution]]:
    """The distributions in these folders, in their order, each with where its files are told."""
    for path in where:
        for each in _every(path):
            yield _dist(each), each


def _every(path: Path) -> Iterable[metadata.Distribution]:
    # Python's own finder by name: another that a package has put before it may find less, or find it otherwise.
    context = metadata.DistributionFinder.Context(path=[str(path)])
    return metadata.MetadataPathFinder.find_distributions(context)


def counted(where: Iterable[Path]) -> int:
    """How many there are, by the names of what lies in the folders."""
    return sum(each.name.endswith(_KINDS) for path in where for each in path.iterdir())


def needs(where: Iterable[Path]) -> dict[str, set[str]]:
    """Package -> the packages that it says it needs here, extras left out; what cannot be read needs nothing."""
    told: dict[str, set[str]] = {}
    for each in (each for path in where for each in _every(path)):
        try:
            name, _, _, needed = _TOLD(_text(each).encode())
            if each.read_text("requires.txt"):  # of an older kind, which has them there
                needed = frozenset(map(_needed, each.requires or ()))
        except (OSError, UnicodeDecodeError):
            continue
        told.setdefault(canonicalize_name(name), set()).update(needed - {""})
    return told


def _needed(text: str) -> str:
    try:
        asked = Requirement(text)
        return canonicalize_name(asked.name) if asked.marker is None or asked.marker.evaluate({"extra": ""}) else ""
    except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
        return ""


def _dist(found: metadata.Distribution) -> Dist:
    try:
        name, version, declared, _ = _TOLD(_text(found).encode())
    except (OSError, UnicodeDecodeError) as why:
        raise BadInput("METADATA", "a package", type(why).__name__, "text in UTF-8") from None
    try:
        at = str(Version(version))
    except (InvalidVersion, TypeError):
        raise BadInput("METADATA", str(name or "a package without a name"), "no version", "one of PEP 440") from None
    if not name:
        raise BadInput("METADATA", "Name", "none", "the name of a package")
    return Dist(
        name=canonicalize_name(name),
        version=at,
        direct=_direct(found),
        licence=declared,
    )


def _text(found: metadata.Distribution) -> str:
    """Where it tells of itself: as `metadata.Distribution.metadata` looks for it."""
    return found.read_text("METADATA") or found.read_text("PKG-INFO") or found.read_text("") or ""


class _Said(metadata.Distribution):
    """Metadata as it was read: Python parses it as it does that of any package."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read_text(self, filename: str) -> str:
        """The metadata."""
        return self._text

    def locate_file(self, path: object) -> Path:
        """It lies nowhere."""
        raise FileNotFoundError(str(path))


def _told(text: bytes) -> tuple[str, str, str, frozenset[str]]:
    """The name, the version and the licence that metadata declares, and the packages that it says it needs here."""
    told = _Said(text.decode()).metadata
    classifiers = [str(each) for each in told.get_all("Classifier") or []]
    name, version, expression, free = (
        _one(told, each) for each in ("Name", "Version", "License-Expression", "License")
    )
    needed = frozenset(map(_needed, map(str, told.get_all("Requires-Dist") or [])))
    return name, version, licence(expression, classifiers, free), needed


_TOLD = Memo(_told, 1024)
"""What metadata declares: the same bytes declare the same."""


def _one(told: "metadata.PackageMetadata", name: str) -> str:
    return str((told.get_all(name) or [""])[0])


def _direct(found: metadata.Distribution) -> bool:
    """Whether it came from a URL or a folder: only then is this file there, whatever it says (PEP 610)."""
    return found.read_text("direct_url.json") is not None
