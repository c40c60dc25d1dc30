"""OpenSSF model signatures over a folder that is read once: list, hash, sign, and check against exactly those bytes."""

import base64
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from security.errors import KeyBroken
from security.keys import PAYLOAD, STATEMENT, PublicKey, Signer, pae
from security.verdict import canonical, digest

SIGNATURE, CARD = "model.sig", "model.json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE = "https://model_signing/signature/v1.0"
IGNORED = frozenset({SIGNATURE, ".git", ".gitattributes", ".github", ".gitignore"})
"""What a signature may name as overlooked. None of it is overlooked here, whatever the signature says."""
MOST_FILES, MOST_BYTES = 10_000, 2 << 30
SHA = r"^[0-9a-f]{64}$"
PATH = re.compile(r"(?!.*\.\.)[\w][\w.+=,@-]*(/[\w][\w.+=,@-]*)*", re.ASCII)


class Foreign(KeyBroken):
    """A well-formed model signature, but not by the key given."""


def _refuse(why: OSError) -> NoReturn:
    raise why


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, read once. `KeyBroken`: a link, device, hidden or odd name, too much, or nothing."""
    found: dict[str, bytes] = {}
    room = MOST_BYTES
    try:
        for path, folders, files, at in os.fwalk(folder, onerror=_refuse):
            for name in folders + files:
                place = (Path(path) / name).relative_to(folder).as_posix()
                if not PATH.fullmatch(place):
                    raise KeyBroken(f"{place!a} is hidden or has a name that a model's file may not have")
                about = os.stat(name, dir_fd=at, follow_symlinks=False)
                if name in folders and stat.S_ISDIR(about.st_mode):
                    continue
                if not stat.S_ISREG(about.st_mode):
                    raise KeyBroken(f"{place} is a link or a device; a model has plain files only")
                room -= about.st_size
                if room < 0 or len(found) == MOST_FILES:
                    raise KeyBroken(f"more than {MOST_BYTES:,} bytes or {MOST_FILES:,} files in a model")
                with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at), "rb") as file:
                    found[place] = file.read(about.st_size + 1)
                if len(found[place]) != about.st_size:
                    raise KeyBroken(f"{place} changed while it was read")
    except OSError as why:
        raise KeyBroken(f"the model's folder cannot be read ({type(why).__name__})") from None
    if not found:
        raise KeyBroken("the model's folder is a link or holds no file")
    return found


def describe(contents: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Name, SHA-256 and size in bytes of every file, the signature included, by name."""
    return [
        {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in sorted(contents.items())
    ]


def release(contents: Mapping[str, bytes]) -> str:
    """The digest of a model: that of the canonical listing of all its files."""
    return digest({"files": describe(contents)})


def sign(folder: Path, by: Signer) -> None:
    """Write `model.sig` into `folder`: the OpenSSF signature of all its other files.

    The library makes the statement; its own signer would want the private key here, so that the bundle around the
    statement is made by hand.
    """
    from google.protobuf import json_format
    from model_signing import hashing
    from model_signing._signing.signing import Payload

    contents(folder)
    everything = hashing.Config()  # type: ignore[no-untyped-call]
    everything.set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)
    body = json_format.MessageToJson(Payload(everything.hash(folder)).statement.pb).encode()
    (folder / SIGNATURE).write_bytes(bundle(body, by))
    signer(contents(folder), by.public)


def bundle(body: bytes, by: Signer) -> bytes:
    """The sigstore bundle (v0.3) of a statement that is signed by a key."""
    mark, hint = base64.b64encode(by.sign(body)).decode(), hashlib.sha256(by.public.pem).hexdigest()
    return canonical(
        {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(body).decode(),
                "payloadType": PAYLOAD,
                "signatures": [{"sig": mark, "keyid": ""}],
            },
        }
    )


def shas(files: Mapping[str, bytes]) -> dict[str, str]:
    """Name -> SHA-256 of every file but the signature."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != SIGNATURE}


def payload(bundle: bytes, key: PublicKey) -> bytes:
    """The bytes that `key` signed; `Foreign` if it did not, `KeyBroken` if this is no bundle."""
    try:
        document = json.loads(bundle)
        envelope = document["dsseEnvelope"]
        (signature,) = envelope["signatures"]
        if (document["mediaType"], envelope["payloadType"]) != (BUNDLE, PAYLOAD):
            raise KeyBroken(f"{SIGNATURE} is not a sigstore bundle v0.3 around an in-toto statement")
        hint = document["verificationMaterial"]["publicKey"]["hint"]
        body = base64.b64decode(envelope["payload"], validate=True)
        mark = base64.b64decode(signature["sig"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError) as why:
        raise KeyBroken(f"{SIGNATURE} is not a sigstore bundle ({type(why).__name__})") from None
    try:
        # Not `PublicKey.verify`: the library signs with either S, and only our own envelopes have one spelling.
        key.key.verify(mark, pae(body), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Foreign("the model is not signed by the key given") from None
    if hint != hashlib.sha256(key.pem).hexdigest():
        raise Foreign("the model's signature names another key than the one given")
    return body


def listed_in(body: bytes) -> dict[str, str]:
    """Name -> SHA-256 of the files that a statement lists, or `KeyBroken`."""
    try:
        statement = json.loads(body)
        if (statement["_type"], statement["predicateType"]) != (STATEMENT, PREDICATE):
            raise KeyBroken("the signed statement is not a model signature v1.0")
        form = dict(statement["predicate"]["serialization"])
        ignored = form.pop("ignore_paths", [])
        if form != {"method": "files", "hash_type": "sha256", "allow_symlinks": False}:
            raise KeyBroken("the signature does not list whole files by SHA-256 without links")
        if not set(ignored) <= IGNORED:
            raise KeyBroken("the signature wants files overlooked")
        resources = statement["predicate"]["resources"]
        found = {each["name"]: each["digest"] for each in resources}
        proper = all(PATH.fullmatch(name) and re.fullmatch(SHA, sha) for name, sha in found.items())
        plain = resources == [{"name": name, "algorithm": "sha256", "digest": sha} for name, sha in found.items()]
        if not (found and proper and plain) or SIGNATURE in found:
            raise KeyBroken("the signature's list of files is empty, repeats a name or is not of names and SHA-256")
        (subject,) = statement["subject"]
        if subject["digest"] != {"sha256": hashlib.sha256(bytes.fromhex("".join(found.values()))).hexdigest()}:
            raise KeyBroken("the signature's root digest is not that of its list of files")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as why:
        raise KeyBroken(f"the signed statement is not a model signature ({type(why).__name__})") from None
    return found


def differences(files: Mapping[str, str], listed: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Rule, file and sentence for every file that is not as it was signed."""
    for name in sorted({*files, *listed}):
        if name not in listed:
            yield "SIG-EXTRA", name, "found a file that was not signed; allowed: the signed files only"
        elif name not in files:
            yield "SIG-MISSING", name, "found no such file; allowed: every signed file"
        elif files[name] != listed[name]:
            yield "SIG-ALTERED", name, f"found sha256 {files[name][:12]}; allowed: {listed[name][:12]}, as signed"


def signer(contents: Mapping[str, bytes], key: PublicKey) -> None:
    """Raise `KeyBroken` unless `key` signed exactly these files: nothing else, nothing more, nothing less."""
    if SIGNATURE not in contents:
        raise KeyBroken(f"the model has no {SIGNATURE}")
    for _, name, sentence in differences(shas(contents), listed_in(payload(contents[SIGNATURE], key))):
        raise KeyBroken(f"{name}: {sentence}")
