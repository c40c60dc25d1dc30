"""Opens a model's folder and the registry's chains for the gate over versions.

The chains are read as they lie there, whatever lies there: what they mean, and whether they hold, the look decides.
Files and entries are counted by other code than hands them out.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from configs import load
from security.errors import CannotTell, KeyBroken
from security.gates.model import held
from security.gates.versions import Item, Limits, Told, material
from security.gates.versions.facts import APPROVER, DECLARED, ENTRY, FILE, GONE, KEY, TOLD
from security.keys import PublicKey
from security.material import Material
from security.models.chain import Keys
from security.models.entries import LARGEST
from security.models.manifest import REVOKED, named
from security.verdict import Subject, canonical
from tasks.home import Home
from tasks.store import files

NAME = "model_versioning"


def opened(
    home: Home,
    folder: Path,
    limits: dict[str, Any],
    subject: Subject,
    with_: Keys,
    *,
    data: str,
    plan: str,
    known: tuple[str, ...] = (),
) -> Material[Any]:
    """The material of a model's folder and the chains of its name. `data`: the digest of the features that the task
    took in; `plan`: that of the plan that is sealed; `known`: digests of entries that were there when it was."""
    asked = Limits.model_validate(limits)
    told = Told(name=asked.name, data=data, plan=plan, known=known)
    try:
        mine = home.root / "chains" / named(asked.name)
    except KeyBroken:
        mine = None  # the registry has no such name, and the look says so
    gone = home.root / "chains" / REVOKED
    entries = [*_entries(mine, ENTRY)] if mine else []
    chained = [*entries, *_entries(gone, GONE)]  # the revocations last: what an entry names of them is there by then
    extra = [*_keys(with_), Item(TOLD, "", told.model_dump_json().encode()), _declared(asked.card)]

    def source() -> Iterator[Item]:
        found = held(folder, subject.sha256)
        yield from extra
        yield from (Item(FILE, name, content) for name, content in sorted(found.items()))
        yield from chained

    expected = len(files(folder)) + sum(_counted(each) for each in (mine, gone) if each)
    return material(subject, source, expected)


def _entries(folder: Path, kind: str) -> Iterator[Item]:
    """What lies in a chain's folder, by number; what has no number comes last. What is still being written (its name
    begins with a dot) is no entry yet."""
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.exists() else []
        for path in sorted(paths, key=_number):
            if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
                raise CannotTell(f"{folder.name}: the entry {path.name[:40]!a} is no file, or has too much in it")
            yield Item(kind, path.name, path.read_bytes())
    except OSError as why:
        raise CannotTell(f"{folder.name}: the chain cannot be read ({type(why).__name__})") from None


def _number(path: Path) -> tuple[int, int, str]:
    name = path.name
    plain = name.isascii() and name.isdigit() and len(name) < 12
    return (0, int(name), name) if plain else (1, 0, name)


def _counted(folder: Path) -> int:
    """How many entries lie in a chain's folder, by other code than reads them."""
    if not folder.exists():
        return 0
    try:
        return sum(not name.startswith(".") for name in os.listdir(folder))
    except OSError as why:
        raise CannotTell(f"{folder.name}: the chain cannot be counted ({type(why).__name__})") from None


def _keys(with_: Keys) -> Iterator[Item]:
    by: dict[str, Iterable[PublicKey]] = {"producer": with_.producer, "verifier": with_.verifier, "owner": with_.owner}
    yield from (Item(KEY, role, key.pem) for role, each in by.items() for key in each)
    yield from (Item(APPROVER, id, name.encode()) for id, name in sorted(with_.approvers.items()))


def _declared(name: str) -> Item:
    """What the declared card holds; empty where there is none that can be read: that is the look's to say."""
    try:
        return Item(DECLARED, name, canonical(load.text(load.find(name, "cards", paths=False))))
    except load.ConfigError:
        return Item(DECLARED, name, b"")
