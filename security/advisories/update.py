"""Brings the file of advisories up to date from an export in OSV's layout.

An export is a folder behind a URL, or on disk: `all.zip`, one file an advisory; `modified_id.csv`, a line `time,id` for
each; and `ID.json`. Where a file is here already and little changed, only what changed is fetched, and what the list no
longer has is dropped; else the whole. The result has exactly the ids of the list, each as new as the list says, or
nothing is written at all.
"""

import csv
import io
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from security.advisories import mirror
from security.advisories.export import LARGEST, Export
from security.advisories.mirror import Kept
from security.advisories.record import named, read, when
from security.errors import BadInput, CannotTell

WHOLE, LIST = "all.zip", "modified_id.csv"
FEW = 500
"""So many are fetched one by one; of more the whole is. A list that lacks more of what is here is a cut one: what is
wrong is withdrawn, and stays on it."""
Progress = Callable[[str], None]


class Change(NamedTuple):
    """What an update did. `whole`: everything was fetched."""

    head: mirror.Head
    fetched: int
    dropped: int
    whole: bool


def update(path: Path, export: Export, say: Progress = lambda _: None, now: datetime | None = None) -> Change:
    """Bring `path` up to date; it stays as it was if anything goes wrong."""
    checked = mirror.stamp(now or datetime.now(UTC))
    listed = _listed(export)
    held = _held(path)
    wanted = sorted(id for id, at in listed.items() if id not in held or when(held[id]) < when(at))
    gone = held.keys() - listed.keys()
    if len(gone) > FEW:
        found = f"{len(listed):,}, without {len(gone):,} of the {len(held):,} that are here"
        raise BadInput(LIST, "the whole", found, f"at most {FEW} fewer; remove {path.name} to start anew")
    whole = not held or len(wanted) > FEW
    with tempfile.TemporaryDirectory(prefix="sluice-") as folder:
        if whole:
            say(f"fetching all of {len(listed):,} advisories")
            every = _unpacked(export, Path(folder), listed)
        else:
            say(f"fetching {len(wanted):,} of {len(listed):,} advisories")
            every = (each for each in mirror.bodies(path) if each.told.id in listed)
        head = mirror.write(path, _exact(every, listed, export), export.name, checked)
    return Change(head, len(listed) if whole else len(wanted), len(gone), whole)


def _listed(export: Export) -> dict[str, str]:
    with closing(io.BytesIO()) as file:
        export.fetch(LIST, file)
        told = file.getvalue()
    found: dict[str, str] = {}
    try:
        for at, id in csv.reader(io.StringIO(told.decode("ascii"), newline="")):
            when(at)
            if id in found or not named(id):
                raise ValueError(id)
            found[id] = at
    except (ValueError, csv.Error):
        raise BadInput(LIST, f"row {len(found) + 1}", "another spelling", "a time and an id, each id once") from None
    if not found:
        raise BadInput(LIST, "the whole", "no advisory", "at least one")
    return found


def _held(path: Path) -> dict[str, str]:
    """Id -> modified of what is here; nothing where it is damaged, so that the whole is fetched."""
    try:
        mirror.load(path)
        return {told.id: told.modified for told, _ in mirror.bodies(path)}
    except CannotTell:
        return {}


def _one(export: Export, id: str) -> Kept:
    with closing(io.BytesIO()) as file:
        export.fetch(f"{id}.json", file)
        return _line(file.getvalue(), id)


def _line(body: bytes, id: str) -> Kept:
    """The advisory on one line, otherwise as it is spelled: JSON has line breaks between its tokens only."""
    line = b" ".join(part.strip() for part in body.splitlines())
    told = read(line, id)
    if told.id != id:
        raise BadInput(f"{id}.json", "id", "another one", id)
    return Kept(told, line)


def _unpacked(export: Export, folder: Path, listed: dict[str, str]) -> Iterator[Kept]:
    packed = folder / WHOLE
    with packed.open("wb") as file:
        export.fetch(WHOLE, file)
    try:
        with zipfile.ZipFile(packed) as archive:
            members = {info.filename.removesuffix(".json"): info for info in archive.infolist()}
            if sum(info.file_size for info in members.values()) > LARGEST:
                raise BadInput(WHOLE, "the whole", "more bytes than that", f"{LARGEST:,}")
            for id in sorted(listed.keys() & members.keys()):
                if members[id].file_size > mirror.LONGEST:
                    raise BadInput(WHOLE, id, f"{members[id].file_size:,} bytes", f"{mirror.LONGEST:,}")
                yield _line(archive.read(members[id]), id)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as why:
        raise BadInput(WHOLE, "the whole", f"no zip file ({type(why).__name__})", "a whole one") from None


def _exact(every: Iterator[Kept], listed: dict[str, str], export: Export) -> Iterator[Kept]:
    """What is listed, no more and no less: what is missing or older than it is listed is fetched by itself."""
    found, asked = next(every, None), 0
    for id, at in sorted(listed.items()):
        while found and found.told.id < id:
            found = next(every, None)
        if found and found.told.id == id and when(found.told.modified) >= when(at):
            yield found
            continue
        asked += 1
        if asked > FEW:
            raise BadInput(export.name, id, f"more than {FEW} that are listed and not in {WHOLE}", "all of them there")
        one = _one(export, id)
        if when(one.told.modified) < when(at):
            raise BadInput(export.name, id, "an older one than is listed", f"of {at}")
        yield one
