"""Objects of git, from their bytes: a commit, and what its signature is over; the entries of a tree; ids of both."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from security.errors import BadInput

ID = re.compile(r"[0-9a-f]{40}")
_WHO = re.compile(rb".* (\d{1,12}) [+-]\d{4}")
TREE, LINK, MODULE = 0o040000, 0o120000, 0o160000


@dataclass(frozen=True)
class Commit:
    """A commit: `signed` is what its signature is over, `signature` the armour, empty where there is none."""

    id: str
    tree: str
    parents: tuple[str, ...]
    committed: datetime
    signed: bytes
    signature: str


@dataclass(frozen=True)
class Entry:
    """A file of a tree: its mode and the id of its content (of a submodule: of its commit)."""

    mode: int
    id: str


def hashed(kind: str, body: bytes) -> str:
    """The id that an object has: of its kind, its size and its content."""
    return hashlib.sha1(f"{kind} {len(body)}\0".encode() + body, usedforsecurity=False).hexdigest()


def read(id: str, body: bytes) -> Commit:
    """A commit from its bytes."""
    head, _, _ = body.partition(b"\n\n")
    fields: list[tuple[bytes, bytes]] = []
    for line in head.split(b"\n"):
        if line.startswith(b" ") and fields:
            fields[-1] = (fields[-1][0], fields[-1][1] + b"\n" + line[1:])
        else:
            name, _, value = line.partition(b" ")
            fields.append((name, value))
    told = dict(reversed(fields))
    times = _WHO.fullmatch(told.get(b"committer", b""))
    names = [name for name, _ in fields]
    trees, signatures = names.count(b"tree"), names.count(b"gpgsig")
    if trees != 1 or names[0] != b"tree" or not times or signatures > 1:
        raise BadInput(id[:12], "the commit", "another form", "one tree, one committer, at most one signature")
    parents = tuple(value.decode("ascii", "replace") for name, value in fields if name == b"parent")
    ids = (told[b"tree"].decode("ascii", "replace"), *parents)
    if not all(ID.fullmatch(each) for each in ids):
        raise BadInput(id[:12], "the commit", "no id", "40 hexadecimal digits")
    return Commit(
        id=id,
        tree=ids[0],
        parents=parents,
        committed=datetime.fromtimestamp(int(times[1]), UTC),
        signed=_unsigned(body),
        signature=told.get(b"gpgsig", b"").decode("ascii", "replace"),
    )


def _unsigned(body: bytes) -> bytes:
    """The commit without its signature: what was signed."""
    head, gap, message = body.partition(b"\n\n")
    kept, inside = [], False
    for line in head.split(b"\n"):
        inside = line.startswith(b"gpgsig ") or (inside and line.startswith(b" "))
        if not inside:
            kept.append(line)
    return b"\n".join(kept) + gap + message


def entries(id: str, body: bytes) -> Iterator[tuple[str, Entry]]:
    """The entries of a tree from its bytes, by name; trees in it among them."""
    at = 0
    while at < len(body):
        gap, end = body.find(b" ", at), body.find(b"\0", at)
        mode, name = body[at:gap], body[gap + 1 : end]
        if (
            not at < gap < end <= len(body) - 21
            or not mode.isdigit()
            or not name
            or b"/" in name
            or name in (b".", b"..")
        ):
            raise BadInput(id[:12], "the tree", "another form", "mode, name and id")
        yield os.fsdecode(name), Entry(int(mode, 8), body[end + 1 : end + 21].hex())
        at = end + 21
