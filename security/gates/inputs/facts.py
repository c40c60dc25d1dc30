"""What a look at a dataset's manifest shows: its signer, the versions of its partitions, what is revoked."""

import json
from collections.abc import Iterable
from typing import Annotated, NamedTuple

from pydantic import Field, ValidationError

from security.errors import CannotTell, KeyBroken, LogBroken
from security.keys import PublicKey, unseal
from security.log import NAMESPACE
from security.material import Material
from security.verdict import Frozen, Subject, digest

DATASET = f"{NAMESPACE}dataset/v1"
"""The predicate type of a dataset's manifest."""
KEY, REVOKED, MANIFEST = "key", "revoked", "manifest"
SHA = r"^[0-9a-f]{64}$"
Sha = Annotated[str, Field(pattern=SHA)]
PLACE = "manifest.dsse"


class Piece(Frozen):
    """One object that rows were read from: its key, the store's version of it, its SHA-256, its size in bytes."""

    key: str = Field(min_length=1)
    version: str = Field(min_length=1)
    sha256: Sha
    size: int = Field(ge=0)


def version(pieces: Iterable[tuple[str, str, int]]) -> str:
    """The version of a partition: the digest of its objects' (key, version, size), in the order of the keys."""
    return digest(sorted([key, each, size] for key, each, size in pieces))


class Part(Frozen):
    """A partition as the manifest lists it: its version, and the SHA-256 of each of its objects."""

    version: Sha
    objects: tuple[Sha, ...]


class Facts(Frozen):
    """Who signed the manifest (empty: nobody known), its digest, its partitions, and what of it was revoked."""

    signer: str
    manifest: str
    partitions: dict[str, Part]
    revoked: tuple[str, ...]

    def digests(self) -> dict[str, str]:
        """Every digest that could be revoked -> what it is of."""
        found = {sha: name for name, part in self.partitions.items() for sha in (part.version, *part.objects)}
        return found | ({self.manifest: PLACE} if self.manifest else {})


class Limits(Frozen):
    """Whose manifests count, what the plan names (partition -> version), and what is revoked (digest -> reason)."""

    producer: Sha
    named: dict[str, Sha]
    revoked: dict[Sha, Annotated[str, Field(min_length=1)]] = {}


class Item(NamedTuple):
    """`key`: the producer's public key in PEM; `revoked`: a JSON list of digests; `manifest`: the envelope."""

    name: str
    data: bytes


def material(subject: Subject, envelope: bytes, key: PublicKey, revoked: Iterable[str]) -> Material[Item]:
    """A dataset's manifest for one look, after the key and the list of revoked digests, which weigh nothing."""
    listed = json.dumps(sorted(revoked)).encode()
    items = [Item(KEY, key.pem), Item(REVOKED, listed), Item(MANIFEST, envelope)]
    return Material(subject, lambda: items, expected=1, unit="manifests", weigh=lambda item: int(item.name == MANIFEST))


def _unpack(items: Iterable[Item]) -> tuple[PublicKey, set[str], bytes]:
    found: dict[str, bytes] = {}
    for name, data in items:
        if name in found:
            raise CannotTell(f"the {name} was handed out twice")
        found[name] = data
    if found.keys() != {KEY, REVOKED, MANIFEST}:
        raise CannotTell(
            f"handed out: {', '.join(sorted(found)) or 'nothing'}; needed: key, revoked, manifest", "coverage"
        )
    try:
        return PublicKey(found[KEY]), set(json.loads(found[REVOKED])), found[MANIFEST]
    except (KeyBroken, ValueError, TypeError) as why:
        raise CannotTell(f"the key or the list of revoked digests cannot be read ({type(why).__name__})") from None


def found(items: Iterable[Item]) -> Facts:
    """The facts of a manifest that is handed out with its key and the list of revoked digests."""
    key, revoked, envelope = _unpack(items)
    try:
        claim = unseal(envelope, key)
    except LogBroken:
        return Facts(signer="", manifest="", partitions={}, revoked=())
    try:
        (subject,) = claim["subject"]
        if claim["predicateType"] != DATASET:
            raise CannotTell("what the producer signed is no manifest of a dataset")
        listed = {
            name: [Piece.model_validate(each) for each in pieces]
            for name, pieces in claim["predicate"]["manifest"]["sources"].items()
        }
        partitions = {
            name: Part(
                version=version((each.key, each.version, each.size) for each in pieces),
                objects=tuple(sorted(each.sha256 for each in pieces)),
            )
            for name, pieces in listed.items()
        }
        facts = Facts(signer=key.id, manifest=subject["digest"]["sha256"], partitions=partitions, revoked=())
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as why:
        raise CannotTell(f"the producer's manifest cannot be read ({type(why).__name__})") from None
    return facts.model_copy(update={"revoked": tuple(sorted(revoked & facts.digests().keys()))})
