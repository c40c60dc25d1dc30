"""What a look at a model's folder shows: its files as read and as signed, who signed, and the card."""

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, ValidationError

from security.errors import CannotTell, KeyBroken
from security.gates.model.signature import (
    CARD,
    MOST_FILES,
    PATH,
    SHA,
    SIGNATURE,
    Foreign,
    contents,
    listed_in,
    payload,
    release,
    shas,
)
from security.keys import PublicKey
from security.material import Material
from security.verdict import Frozen, Subject
from security.words import WORD


class Entry(NamedTuple):
    """One file: POSIX name relative to the folder, and its bytes. The name "" holds the trusted key in PEM."""

    name: str
    data: bytes


class Card(Frozen):
    """What `model.json` must say, among other things: name, version, origin by SHA-256, times in seconds (epoch)."""

    name: str = Field(pattern=WORD)
    version: int = Field(ge=0)
    run: str = Field(pattern=WORD)
    data: str = Field(pattern=SHA)
    code: str = Field(pattern=SHA)
    lock: str = Field(pattern=SHA)
    plan: str = Field(pattern=SHA)
    created: float = Field(ge=0)
    expires: float = Field(ge=0)


def material(subject: Subject, folder: Path, expected: int, key: PublicKey) -> Material[Entry]:
    """A model's folder for one look, the trusted key first, of weight 0; `expected` files as listed by the runner.

    `subject.sha256` is the model's `release`: a folder with another is not looked at.
    """

    def source() -> Iterator[Entry]:
        files = held(folder, subject.sha256)
        yield Entry("", key.pem)
        yield from (Entry(name, data) for name, data in sorted(files.items()))

    return Material(subject, source, expected=expected, unit="files", weigh=_weigh, sample=MOST_FILES + 1)


def held(folder: Path, sha: str) -> dict[str, bytes]:
    """The files of a model's folder, whose `release` must be this one; `CannotTell` where it is not."""
    try:
        files = contents(folder)
    except KeyBroken as why:
        raise CannotTell(str(why)) from None
    if release(files) != sha:
        raise CannotTell("the folder's files are not those of the reference")
    return files


def _weigh(entry: Entry) -> int:
    return int(entry.name != "")


def unpack(items: Iterable[Entry]) -> tuple[PublicKey, dict[str, bytes]]:
    """The trusted key and the files; all items are taken."""
    files: dict[str, bytes] = {}
    for name, data in items:
        if name in files or not (name == "" or PATH.fullmatch(name)):
            raise CannotTell("a file is handed out twice or has a name that a model's file may not have")
        files[name] = data
    try:
        key = PublicKey(files.pop("", b""))
    except KeyBroken as why:
        raise CannotTell(str(why)) from None
    if not files:
        raise CannotTell("there is nothing to look at: no files", "coverage")
    return key, files


class Limits(Frozen):
    """Whose signature, which model, and the lowest version that is not a step back."""

    signer: str = Field(pattern=SHA)
    name: str = Field(pattern=WORD)
    floor: int = Field(ge=1)


class Facts(Frozen):
    """File -> SHA-256 as read and as signed, and who signed; the signed card; `at` is when (seconds, epoch)."""

    at: float
    files: dict[str, str]
    listed: dict[str, str]
    signed_by: str
    """Id of the key given if the signature is by it, else empty; then `listed` is empty, for it would be anybody's."""
    problem: str
    """Why the signature cannot be read, or empty."""
    card: Card | None
    """Present where `model.json` is as signed and has all that a card must have."""


def found(items: Iterable[Entry]) -> Facts:
    """The facts of a model that is handed out, its trusted key included."""
    key, files = unpack(items)
    read, listed, signed_by, problem, card = shas(files), dict[str, str](), "", "", None
    try:
        if SIGNATURE not in files:
            raise KeyBroken(f"the model has no {SIGNATURE}")
        body = payload(files[SIGNATURE], key)
        signed_by = key.id
        listed = listed_in(body)
        if CARD in read and read[CARD] == listed.get(CARD):
            said = json.loads(files[CARD])
            card = Card.model_validate({name: said[name] for name in Card.model_fields}, strict=True)
    except Foreign:
        listed = {}
    except KeyBroken as why:
        problem = str(why)
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError):
        card = None  # a finding of its own, made by the judge
    at = round(time.time(), 3)
    return Facts(at=at, files=read, listed=listed, signed_by=signed_by, problem=problem, card=card)
