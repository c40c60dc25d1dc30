"""Who signed an image, and what bill of materials came with it.

A signature is that of cosign: over a payload of the form `simple signing`, which names the manifest's digest. An
attestation is a DSSE envelope with an in-toto statement about that digest, whose predicate is a CycloneDX bill.
"""

import base64
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from security.endorse import SIGNED
from security.errors import KeyBroken
from security.gates.image.facts import Bill, Listed
from security.inventory import Inventory
from security.keys import PAYLOAD, STATEMENT, PublicKey, pae

CYCLONEDX = "https://cyclonedx.org/bom"
Part = tuple[str, str, str]
"""Type of a package URL, name and version."""


def signers(given: Iterable[tuple[bytes, bytes]], keys: Iterable[bytes], sha: str, name: str) -> tuple[str, ...]:
    """Ids of the keys that signed a manifest of this digest for the repository of this name."""
    mine = [(payload, mark) for payload, mark in given if _names(payload, sha, name)]
    return tuple(sorted({key.id for key in _keys(keys) for each in mine if _signed(key, *each)}))


def bills(given: Iterable[bytes], keys: Sequence[bytes], sha: str, here: Inventory) -> Iterator[Bill]:
    """The bills of materials that somebody signed for a manifest of this digest."""
    parts = listed(here)
    for line in given:
        if (opened := envelope(line, keys)) is None:
            continue
        said, signed = opened
        about = [each["digest"].get("sha256") for each in said["subject"]]
        if said["predicateType"] != CYCLONEDX or sha not in about:
            continue
        found = _parts(said.get("predicate"))
        yield Bill(
            keys=signed,
            read=found is not None,
            listed=len(found or ()),
            missing=Listed.of(map(" ".join, parts - (found or set()))),
            strange=Listed.of(map(" ".join, (found or set()) - parts)),
        )


def envelope(line: bytes, keys: Sequence[bytes]) -> tuple[dict[str, Any], tuple[str, ...]] | None:
    """The statement of a DSSE envelope, and the ids of the keys that signed it; None for what is none, or says a thing
    twice."""
    try:
        told = json.loads(line, object_pairs_hook=_once)
        body = base64.b64decode(told["payload"], validate=True)
        marks = [base64.b64decode(each["sig"], validate=True) for each in told["signatures"]]
        said = json.loads(body, object_pairs_hook=_once)
        kinds = told["payloadType"], said["_type"].replace("v0.1", "v1")
        spelled = all(isinstance(each["digest"], dict) for each in said["subject"]) and said["predicateType"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if kinds != (PAYLOAD, STATEMENT) or not isinstance(spelled, str):
        return None
    signed = {key.id for key in _keys(keys) for mark in marks if _signed(key, pae(body), mark)}
    return said, tuple(sorted(signed))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) != len(pairs):
        raise ValueError("a property twice")
    return told


def listed(here: Inventory) -> set[Part]:
    """What a bill has to list."""
    return {(each.kind, each.name, each.version) for each in here.packages} | {
        ("pypi", each.name, each.version) for each in here.dists
    }


def _parts(bill: Any) -> set[Part] | None:
    """The packages of a bill; what it lists beside them, files and the system itself, are not its packages."""
    try:
        if bill["bomFormat"] != "CycloneDX":
            return None
        urls = [PackageURL.from_string(each["purl"]) for each in bill.get("components", ()) if each.get("purl")]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return {
        (each.type, canonicalize_name(each.name) if each.type == "pypi" else each.name, each.version or "")
        for each in urls
    }


def _names(payload: bytes, sha: str, name: str) -> bool:
    try:
        said = json.loads(payload)["critical"]
        told = said["type"], said["image"]["docker-manifest-digest"], said["identity"]["docker-reference"]
        return told == (SIGNED, f"sha256:{sha}", name)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _keys(pems: Iterable[bytes]) -> Iterator[PublicKey]:
    for pem in pems:
        try:
            yield PublicKey(pem)
        except KeyBroken:
            continue


def _signed(key: PublicKey, body: bytes, mark: bytes) -> bool:
    try:
        key.key.verify(mark, body, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def components(parts: Collection[Part]) -> dict[str, Any]:
    """A bill of these, in CycloneDX 1.6."""
    every = [
        {
            "type": "library",
            "name": name,
            "version": at,
            "purl": PackageURL(kind, "debian" if kind == "deb" else None, name, at).to_string(),
        }
        for kind, name, at in sorted(parts)
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": every}
