"""The files of a running system that an inventory is made of, and the interpreter that runs.

How many packages there are is counted apart: by the lists of files that dpkg keeps beside its status, by the versions
of Alpine's database, and by the records of distributions.
"""

import hashlib
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from security.errors import BadInput
from security.inventory.read import APK, EACH, LISTS, RELEASE, STATUS
from security.inventory.record import Interpreter
from security.inventory.tree import Node

SITE = "srv/packages"
"""Where the distributions lie in the tree, whatever folder they are in."""
_DEB, _VERSION, _APK, _NEVER = (
    re.compile(pattern, re.MULTILINE)
    for pattern in (rb"^Package:", rb"^V:", rb"^P:", rb"^Status:.*\bnot-installed[ \t]*$")
)


def files(root: Path, packages: Path) -> Iterator[tuple[str, Node]]:
    """The system's files below `root`, and those of distributions in the folder `packages`, each by its path."""
    release = next((each for each in RELEASE if (root / each).is_file()), "")
    for name in filter(None, (release, STATUS, APK)):
        if (root / name).is_file():
            yield name, Node("file", data=_read(root / name))
    if (root / EACH).is_dir():
        for path in sorted((root / EACH).iterdir()):
            yield f"{EACH}/{path.name}", Node("file", data=_read(path))
    for path in _lists(root):
        yield f"{LISTS}/{path.name}", Node("file", data=b"")
    for path in sorted(packages.iterdir()) if packages.is_dir() else ():
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.is_file():
                name = f"{SITE}/{each.relative_to(packages).as_posix()}"
                told = each.parent.name.endswith((".dist-info", ".egg-info")) or each.name.endswith(".egg-info")
                mode, data = each.stat().st_mode & 0o7777, _read(each) if told else None
                yield name, Node("file", mode, data=data, sha256=_hashed(each))


def counted(root: Path, packages: Path) -> int:
    """How many packages and distributions there are, by other files than those that are read."""
    apk = len(_VERSION.findall(_read(root / APK))) if (root / APK).is_file() else 0
    apart = sum(each.name.endswith(".md5sums") for each in (root / EACH).iterdir()) if (root / EACH).is_dir() else 0
    records = sum((each / "RECORD").is_file() for each in packages.iterdir()) if packages.is_dir() else 0
    return len(_lists(root)) + apart + apk + records


def weight(path: str, node: Node) -> int:
    """How many packages a file declares."""
    data = node.data or b""
    if path == STATUS or (path.startswith(f"{EACH}/") and not path.endswith(".md5sums")):
        return len(_DEB.findall(data)) - len(_NEVER.findall(data))
    if path == APK:
        return len(_APK.findall(data))
    return int(path.endswith((".dist-info/METADATA", ".egg-info/PKG-INFO")))


def interpreter(root: Path) -> Interpreter:
    """What runs this process, and the package of the system that it is of."""
    at = Path(sys.executable).resolve()
    lines = {str(at), str(at).removeprefix("/usr")}
    owner = next((path.stem.partition(":")[0] for path in _lists(root) if _has(path, lines)), "")
    return Interpreter(implementation=platform.python_implementation(), version=platform.python_version(), owner=owner)


def _lists(root: Path) -> list[Path]:
    return sorted((root / LISTS).glob("*.list")) if (root / LISTS).is_dir() else []


def _has(path: Path, lines: set[str]) -> bool:
    return not lines.isdisjoint(path.read_text("utf-8", "replace").splitlines())


def _hashed(path: Path) -> str:
    try:
        with path.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError as why:
        raise BadInput(path.name, "the whole", type(why).__name__, "a file that can be read") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as why:
        raise BadInput(path.name, "the whole", type(why).__name__, "a file that can be read") from None
