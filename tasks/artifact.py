"""Opens a model's folder for the gate over what its files are made of.

Every entry is handed out: what is no plain file as what it is, and a file with its bytes unless it has more than the
policy takes. They are read once for each look, held against the digest of the folder, and counted by other code.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from security.engines.unfit import told
from security.errors import BadInput, CannotTell, StoreError
from security.gates import artifact
from security.gates.artifact import MOST, Item, Limits
from security.material import Material
from security.verdict import Subject, digest
from tasks.store import hashed, measure
from tasks.walk import content

NAME = "model_artifact_scan"
Kind = Literal["file", "link", "other"]
_KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFLNK: "link"}


def opened(folder: Path, limits: dict[str, Any], subject: Subject | None = None) -> Material[Any]:
    """The material of a model's folder, for one look under these limits. `subject`: whose bytes they must be, where a
    reference says so."""
    asked, folder = Limits.model_validate(limits), folder.resolve()
    if not folder.is_dir():
        raise BadInput(folder.name, "the whole", "no folder", "the folder of a model")
    try:
        sha = measure(folder)[0]
    except StoreError:
        sha = ""  # a folder with a link or a device in it has no digest, and is no pass
    subject = subject or Subject(kind="model", name=folder.name, sha256=sha)
    if subject.sha256 != sha:
        raise CannotTell("the folder's files are not those of the reference")
    return artifact.material(subject, partial(_items, folder, asked, sha), _counted(folder))


def _items(folder: Path, limits: Limits, sha: str) -> Iterator[Item]:
    room, listing = limits.total, list[dict[str, Any]]()
    for path, kind, size in sorted(_entries(folder)):
        data = None
        if kind == "file" and size <= min(limits.largest, room):
            data = _read(folder, path, size)
            room -= size
            if len(data) != size:
                raise CannotTell(f"{told(path)} changed while it was read")
        if sha:  # of what was handed out, that nobody can swap it for the look
            same = hashlib.sha256(data).hexdigest() if data is not None else hashed(folder / path)[0]
            listing.append({"name": path, "sha256": same, "size": size})
        yield Item(path, kind, size, data)
    if sha and digest({"files": listing}) != sha:
        raise CannotTell("the folder changed while it was read")


def _read(folder: Path, path: str, size: int) -> bytes:
    """A file, and a little of what it has grown by."""
    made, left = list[bytes](), size
    for piece in content(folder, path):
        made.append(piece)
        left -= len(piece)
        if left < 0:
            break
    return b"".join(made)


def _entries(folder: Path) -> Iterator[tuple[str, Kind, int]]:
    """Path, kind and size of each entry that is no folder. No link is followed."""
    todo, found = [""], 0
    while todo:
        at = todo.pop()
        try:
            with os.scandir(folder / at) as entries:
                inside = [(each.name, each.stat(follow_symlinks=False)) for each in entries]
        except OSError as why:
            raise CannotTell(f"{told(at) or 'the folder'}: {type(why).__name__}") from None
        for name, about in inside:
            if stat.S_ISDIR(about.st_mode):
                todo.append(f"{at}{name}/")
                continue
            found += 1
            if found > MOST:
                raise CannotTell(f"more than {MOST:,} files in a model")
            yield f"{at}{name}", _KINDS.get(stat.S_IFMT(about.st_mode), "other"), about.st_size


def _counted(folder: Path) -> int:
    """How many entries there are that are no folders, by other code than reads them."""

    def failed(why: OSError) -> None:
        raise CannotTell(f"a folder that cannot be counted: {type(why).__name__}") from why

    total = 0
    for above, folders, files in os.walk(folder, onerror=failed):
        total += len(files) + sum(os.path.islink(os.path.join(above, name)) for name in folders)
    return total
