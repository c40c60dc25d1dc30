"""A model as an OCI artifact: one manifest, one blob for each of its files, one for each statement about it.

The manifest is an OCI image manifest 1.1 of the artifact type `application/vnd.sluice.model.v1`. Its config is the
model's own card (`model.json`), byte for byte. What is said about the model is in layers beside its files, and not in
artifacts that refer to it: a registry without the referrers API (docker-registry 2.8) would lose these, and whoever
copies a manifest with any tool has all that an offline verification needs.

There is one spelling: a manifest that is read is written again from what was understood, and must be the same bytes.
So a field, an annotation or a layer that is not known here is refused.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from security.errors import KeyBroken, LogBroken
from security.gates.model.signature import CARD, MOST_BYTES, MOST_FILES, PATH, SHA, SIGNATURE
from security.verdict import Frozen, canonical
from security.words import WORD

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MODEL = "application/vnd.sluice.model.v1"
CONFIG = "application/vnd.sluice.model.card.v1+json"
FILE = "application/vnd.sluice.model.file.v1"
STATEMENT, PROVENANCE, BILL = "statement.dsse", "provenance.dsse", "bill.cdx.json"
_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
ATTACHED = {BILL: "application/vnd.cyclonedx+json", PROVENANCE: _ENVELOPE, STATEMENT: _ENVELOPE}
"""What every model has beside its files: name -> media type."""
TITLE, VERSION = "org.opencontainers.image.title", "org.opencontainers.image.version"
MOST = 4 << 20
"""Bytes of a manifest; what registries take."""
NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
"""A name that is also a component of a repository's name (OCI distribution 1.1)."""
NEWEST = (1 << 53) - 1
"""No version is higher: canonical JSON has no larger numbers."""
REVOKED = "revoked"
"""The chain of revocations has this name, and no model has it."""


class Blob(Frozen):
    """Bytes by their digest: title, media type, SHA-256, size in bytes."""

    title: str
    kind: str
    sha256: str = Field(pattern=SHA)
    size: int = Field(ge=0, le=MOST_BYTES, strict=True)

    def spelled(self) -> dict[str, Any]:
        """Its OCI descriptor."""
        return descriptor(self.kind, self.sha256, self.size) | {"annotations": {TITLE: self.title}}


class Manifest(Frozen):
    """What a model consists of, by title: its files, then what is said about it."""

    name: str = Field(pattern=WORD)
    version: int = Field(ge=1, le=NEWEST, strict=True)
    files: tuple[Blob, ...] = Field(min_length=1, max_length=MOST_FILES)
    attached: tuple[Blob, ...]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """All of them, in the manifest's order."""
        return (*self.files, *self.attached)

    def spelled(self) -> bytes:
        """The one way to write it."""
        (card,) = (each for each in self.files if each.title == CARD)
        return canonical(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "artifactType": MODEL,
                "config": descriptor(CONFIG, card.sha256, card.size),
                "layers": [each.spelled() for each in self.blobs],
                "annotations": {TITLE: self.name, VERSION: str(self.version)},
            }
        )


def descriptor(kind: str, sha: str, size: int) -> dict[str, Any]:
    """An OCI content descriptor: media type, digest, size."""
    return {"mediaType": kind, "digest": f"sha256:{sha}", "size": size}


def named(name: str) -> str:
    """The name, or `KeyBroken` where no repository can have it."""
    if not NAME.fullmatch(name) or len(name) > 100 or name == REVOKED:
        allowed = f"small letters and digits, with . _ or - between them; and not {REVOKED}"
        raise KeyBroken(f"a model named {name!a}; allowed: {allowed}")
    return name


def made(files: Mapping[str, bytes], attached: Mapping[str, bytes]) -> bytes:
    """The manifest of a model from the bytes of its files, and of what is said about it, by title."""
    try:
        card = json.loads(files[CARD])
        found = Manifest(
            name=card["name"],
            version=card["version"],
            files=tuple(_blob(name, FILE, data) for name, data in sorted(files.items())),
            attached=tuple(_blob(name, ATTACHED.get(name, ""), data) for name, data in sorted(attached.items())),
        )
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError) as why:
        raise LogBroken(f"{CARD}: no card with a name and a version ({type(why).__name__})") from None
    _whole(found)
    return found.spelled()


def _blob(title: str, kind: str, data: bytes) -> Blob:
    return Blob(title=title, kind=kind, sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def read(data: bytes, sha: str) -> Manifest:
    """The manifest in these bytes, whose digest is `sha`; `LogBroken` for anything else than a model's."""
    if len(data) > MOST or hashlib.sha256(data).hexdigest() != sha:
        raise LogBroken(f"the manifest {sha[:12]}: found {len(data):,} bytes of another digest, or too many of them")
    try:
        told = json.loads(data)
        blobs = [
            Blob(
                title=each["annotations"][TITLE],
                kind=each["mediaType"],
                sha256=each["digest"].removeprefix("sha256:"),
                size=each["size"],
            )
            for each in told["layers"]
        ]
        found = Manifest(
            name=told["annotations"][TITLE],
            version=int(told["annotations"][VERSION]),
            files=tuple(each for each in blobs if each.kind == FILE),
            attached=tuple(each for each in blobs if each.kind != FILE),
        )
        _whole(found)
        plain = found.spelled() == data
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as why:
        raise LogBroken(f"the manifest {sha[:12]} is not a model's ({type(why).__name__})") from None
    if not plain:
        raise LogBroken(f"the manifest {sha[:12]} has a field, an order or a spelling that is not known here")
    return found


def _whole(found: Manifest) -> None:
    """`LogBroken` unless it has what a model has, once, and each under a name that it may have."""
    named(found.name)
    titles = [each.title for each in found.blobs]
    if {each.title: each.kind for each in found.attached} != ATTACHED or len(set(titles)) != len(titles):
        raise LogBroken(f"a manifest with other than one each of {', '.join(ATTACHED)}, or with one title twice")
    names = {each.title for each in found.files}
    if lost := {CARD, SIGNATURE} - names:
        raise LogBroken(f"a manifest of a model without {', '.join(sorted(lost))}")
    for name in names:
        above = name.split("/")[:-1]
        if not PATH.fullmatch(name) or {"/".join(above[: depth + 1]) for depth in range(len(above))} & names:
            raise LogBroken(f"a manifest with the file {name!a}, a name that a model's file may not have")
    if sum(each.size for each in found.files) > MOST_BYTES:
        raise LogBroken(f"a manifest of more than {MOST_BYTES:,} bytes")
