"""Sign and verify: ECDSA P-256 keys by role, DSSE envelopes, one spelling only.

Roles: `owner` signs policies, `producer` the pipeline's statements and models, `verifier` release decisions, `issuer`
the access tokens of the local target. Private keys are reached through `securesystemslib` URIs (`file2:`, `hsm:`,
`awskms:`, ...). Keys in files under one user isolate nothing: that provider is called `UnsafeLocalKeys`.

Envelopes: DSSE 1.0.2 (`application/vnd.in-toto+json`) in RFC 8785 JSON; images are signed as cosign does it, over the
payload that `endorse` makes. Signatures are strict DER with a low S, so that there is one spelling of each; whatever
differs from it is refused.
"""

import base64
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from security.endorse import Image, payload
from security.errors import KeyBroken, LogBroken
from security.verdict import canonical

PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
ISOLATED = "user"
"""The isolation of keys that a policy which wants it isolated takes: the code that trains reaches neither them nor a
network, and they belong to another user than the pipeline's."""
Role = Literal["owner", "producer", "verifier", "approver", "issuer"]
ORDER = int("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
"""Order of the group of P-256 (FIPS 186-5, D.1.2.3)."""


def pae(body: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(body), body)


class PublicKey:
    """A P-256 public key; `id` is the SHA-256 of its DER SubjectPublicKeyInfo."""

    def __init__(self, pem: bytes, name: str = "the key given") -> None:
        if b"PRIVATE KEY" in pem:
            raise KeyBroken(f"{name} is a private key; give the public one")
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise KeyBroken(f"{name} is not a public key in PEM") from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise KeyBroken(f"{name} is not a P-256 key")
        self.key = key
        self.pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.id = hashlib.sha256(der).hexdigest()

    @classmethod
    def read(cls, path: Path) -> "PublicKey":
        """The key in a PEM file."""
        if not path.is_file():
            raise KeyBroken(f"no key at {path}")
        return cls(path.read_bytes(), path.name)

    def verify(self, signature: bytes, body: bytes) -> None:
        """Raise `KeyBroken` unless `signature` is this key's, in its one spelling, over the DSSE encoding of `body`."""
        self._verify(signature, pae(body))

    def endorsed(self, signature: bytes, image: Image) -> None:
        """Raise `KeyBroken` unless `signature` is this key's, in its one spelling, of an image."""
        self._verify(signature, payload(image))

    def _verify(self, signature: bytes, data: bytes) -> None:
        try:
            r, s = decode_dss_signature(signature)
            if s > ORDER // 2 or encode_dss_signature(r, s) != signature:
                raise KeyBroken("a signature in another spelling")
            self.key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError):
            raise KeyBroken("not signed by the key given") from None


class Signer(Protocol):
    """Whatever signs in a role: bodies in envelopes, and images by their digests; never bytes as they are given.
    `public` is the key that it signs with."""

    public: PublicKey

    def sign(self, body: bytes) -> bytes:
        """A strict DER, low-S signature over the DSSE encoding of `body`."""
        ...

    def endorse(self, image: Image) -> bytes:
        """The same over the payload that cosign has of an image."""
        ...


class Keys(Protocol):
    """Whoever has the keys of some roles. Raises `KeyBroken` for another role."""

    def public(self, role: Role) -> PublicKey:
        """The role's public key."""
        ...

    def signer(self, role: Role) -> Signer:
        """What signs in this role."""
        ...


class Provided:
    """Signs with a private key behind a provider's URI; never shows it."""

    def __init__(self, uri: str, public: PublicKey) -> None:
        from securesystemslib.signer._key import SSlibKey
        from securesystemslib.signer._signer import Signer as Provider  # with it comes boto3: only who signs pays

        self.public = public
        key = SSlibKey.from_crypto(public.key, keyid=public.id, scheme="ecdsa-sha2-nistp256")
        self._provider = Provider.from_priv_key_uri(uri, key)

    def sign(self, body: bytes) -> bytes:
        """A strict DER, low-S signature over the DSSE encoding of `body`."""
        return self._mark(pae(body))

    def endorse(self, image: Image) -> bytes:
        """The same over the payload that cosign has of an image."""
        return self._mark(payload(image))

    def _mark(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(bytes.fromhex(self._provider.sign(data).signature))
        return bytes(encode_dss_signature(r, min(s, ORDER - s)))


def once(path: Path, make: Callable[[], bytes]) -> Path:
    """A private file (mode 0600, in a folder of 0700) that is made when it is first asked for, whole or not at all."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        fresh = path.with_suffix(f".{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(make())
        try:
            os.link(fresh, path)  # fails where another process made one first: then that one counts
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path


def _pem() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class UnsafeLocalKeys:
    """One key a role in files of one user, made when first asked for. Isolates nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, role: Role) -> Path:
        """The private key's file, mode 0600."""
        if role not in get_args(Role):
            raise KeyBroken(f"no role {role!r}; there are {', '.join(get_args(Role))}")
        return once(self.folder / f"{role}.pem", _pem)

    def public(self, role: Role) -> PublicKey:
        """The role's public key."""
        key = serialization.load_pem_private_key(self.path(role).read_bytes(), None)
        return PublicKey(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )

    def signer(self, role: Role) -> Signer:
        """What signs in this role."""
        return Provided(f"file2:{self.path(role).resolve()}", self.public(role))


def spell(body: bytes, signature: bytes, keyid: str) -> bytes:
    """The one way to write an envelope."""
    return canonical(
        {
            "payload": base64.b64encode(body).decode(),
            "payloadType": PAYLOAD,
            "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}],
        }
    )


def seal(kind: str, subject: dict[str, str], predicate: dict[str, Any], signer: Signer) -> bytes:
    """A signed in-toto Statement as one line. `kind` is its predicate type, `subject` name -> SHA-256."""
    body = canonical(
        {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": sha}} for name, sha in sorted(subject.items())],
            "predicateType": kind,
            "predicate": predicate,
        }
    )
    return spell(body, signer.sign(body), signer.public.id)


_HELD: set[tuple[str, bytes]] = set()
"""Keys, and the SHA-256 of lines that this process has found to be envelopes signed by them: a log is verified stage by
stage, and by each run that goes on from it. What these bytes are under this key is never another answer."""
MOST = 1 << 16
"""How many of them are kept."""


def unseal(line: bytes, key: PublicKey) -> dict[str, Any]:
    """The statement in an envelope signed by `key`, or `LogBroken`. Another spelling of the same is refused."""
    known = (key.id, hashlib.sha256(line).digest())
    try:
        if known in _HELD:  # in its one spelling, which any reader of JSON reads as the same
            held: dict[str, Any] = msgspec.json.decode(base64.b64decode(msgspec.json.decode(line)["payload"]))
            return held
        envelope = json.loads(line)
        body = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        key.verify(signature, body)
        statement: dict[str, Any] = json.loads(body)
        plain = line == spell(body, signature, key.id) and body == canonical(statement)
        if not plain or statement["_type"] != STATEMENT:
            raise LogBroken("an envelope in another spelling")
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as why:
        raise LogBroken(f"not an envelope ({type(why).__name__})") from None
    except KeyBroken as why:
        raise LogBroken(str(why)) from None
    if len(_HELD) >= MOST:
        _HELD.clear()
    _HELD.add(known)
    return statement
