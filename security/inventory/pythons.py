"""Python in a tree: interpreters by their names, distributions by their metadata, and what no record lists."""

import csv
import re
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Iterator

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from security.inventory.record import Dist, Interpreter
from security.inventory.tree import EXECUTES, Tree

FOLDERS = ("site-packages", "dist-packages")
_INTERPRETER = re.compile(r"(?:.*/)?bin/(python|pypy)(\d+\.\d+)")
_CALLED = {"python": "CPython", "pypy": "PyPy"}
_IMPORTED = (".py", ".so", ".pyd", ".pyc", ".pth", ".egg", ".egg-link", ".whl")
_RECORD = ".dist-info/RECORD"
_DECLARES = re.compile(r"(.+)/([^/]+)\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)")


def interpreters(tree: Tree, owners: dict[str, str]) -> tuple[Interpreter, ...]:
    """The interpreters that can be started. `owners`: path -> the package that has it."""
    found = set()
    for path, node in tree.files():
        if node.mode & EXECUTES and (told := _INTERPRETER.fullmatch(path)):
            found.add((_CALLED[told[1]], told[2], owners.get(path, "")))
    return tuple(Interpreter(implementation=kind, version=at, owner=of) for kind, at, of in sorted(found))


def dists(tree: Tree) -> Iterator[Dist | str]:
    """The distributions of every folder; a sentence of one whose metadata cannot be read, or is not there: by its
    record its files would seem to be somebody's."""
    declared = {path for path, _ in tree.files() if _DECLARES.fullmatch(path)}
    for path, node in tree.files():
        if path.endswith(_RECORD) and f"{path.removesuffix(_RECORD)}.dist-info/METADATA" not in declared:
            yield f"{path}: a record of what has no metadata"
        if (told := _DECLARES.fullmatch(path)) is None:
            continue
        name, version = _declared(node.data or b"")
        try:
            at = str(Version(version))
            if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
                raise InvalidVersion
        except InvalidVersion:
            yield f"{path}: no name or version"
            continue
        yield Dist(name=canonicalize_name(name), version=at, folder=told[1])


def _declared(data: bytes) -> tuple[str, str]:
    """Name and version in the headers, which end at an empty line; of one that is there twice the first."""
    told: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        if not line.strip():
            break
        name, mark, value = line.partition(":")
        if mark and not line.startswith((" ", "\t")):
            told.setdefault(name.lower(), value.strip())
    return told.get("name", ""), told.get("version", "")


def altered(tree: Tree, listed: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A sentence of each file that is not as the record of its distribution says, as far as its bytes were read."""
    for at, told in listed:
        found = tree.nodes.get(at)
        if told.startswith("sha256=") and found and found.sha256 and spelled(found.sha256) != told:
            yield f"{at}: found other bytes than its record has; allowed: those that were installed"


def recorded(tree: Tree) -> Iterator[tuple[str, str]]:
    """Each path that a record lists, links followed, and what it says of its bytes."""
    for path, node in tree.files():
        if path.endswith(_RECORD):
            root = "/".join(path.split("/")[:-2])
            for row in csv.reader((node.data or b"").decode("utf-8", "replace").splitlines()):
                if row and (at := tree.resolve(f"{root}/{row[0]}")) is not None:
                    yield at, row[1] if len(row) > 1 else ""


def spelled(sha: str) -> str:
    """A SHA-256 in hexadecimal digits as records spell it (PEP 376, PEP 427)."""
    return "sha256=" + urlsafe_b64encode(bytes.fromhex(sha)).decode().rstrip("=")


def folders(tree: Tree) -> set[str]:
    """The folders that hold distributions: by their names, or since there is one in them."""
    found = set()
    for path in tree.nodes:
        parts = path.split("/")
        found |= {"/".join(parts[: at + 1]) for at, part in enumerate(parts) if part in FOLDERS}
        if told := _DECLARES.fullmatch(path):
            found.add(told[1])
    return found


def loose(tree: Tree, known: Collection[str]) -> list[str]:
    """What can be imported from those folders, and is not known to any record or package."""
    roots = tuple(f"{each}/" for each in sorted(folders(tree)))
    if not roots:
        return []
    return [
        path
        for path, _ in tree.files()
        if path not in known and path.startswith(roots) and path.endswith(_IMPORTED) and "/__pycache__/" not in path
    ]
