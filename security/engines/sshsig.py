"""Signatures as `ssh-keygen -Y sign` makes them (OpenSSH's PROTOCOL.sshsig), which git puts on commits.

Verified here, by `cryptography`, and not by a program that a repository's configuration may name. A signature is for
one namespace (`git`); the message is hashed with SHA-256 or SHA-512. Keys: Ed25519, ECDSA over the NIST curves, RSA of
at least 3,072 bits with SHA-2, and the first two on a security key, which must say that somebody touched it.
"""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from security.errors import KeyBroken

MAGIC, VERSION = b"SSHSIG", 1
BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
BITS = 3072
"""Of an RSA key."""
LARGEST = 64 << 10
"""Letters of a signature."""
_CURVES: dict[bytes, hashes.HashAlgorithm] = {
    b"nistp256": hashes.SHA256(),
    b"nistp384": hashes.SHA384(),
    b"nistp521": hashes.SHA512(),
}
_RSA: dict[bytes, hashes.HashAlgorithm] = {b"rsa-sha2-256": hashes.SHA256(), b"rsa-sha2-512": hashes.SHA512()}
_SK_ED, _SK_EC = b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"
_TOUCHED = 0x01


class _Reader:
    """Reads OpenSSH's strings and numbers; `ValueError` where there are too few bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        found = self.data[self.at : self.at + size]
        if len(found) != size:
            raise ValueError("too short")
        self.at += size
        return found

    def number(self) -> int:
        return int(struct.unpack(">I", self.take(4))[0])

    def string(self) -> bytes:
        return self.take(self.number())

    def end(self) -> None:
        if self.at != len(self.data):
            raise ValueError("too long")


def string(data: bytes) -> bytes:
    """Bytes as OpenSSH writes them: their length first."""
    return struct.pack(">I", len(data)) + data


@dataclass(frozen=True)
class Signature:
    """A signature that was read, and is not verified yet. `key`: the public key as OpenSSH encodes it."""

    key: bytes
    namespace: bytes
    hash: bytes
    signature: bytes

    @property
    def fingerprint(self) -> str:
        """The key's, as `ssh-keygen -l` shows it."""
        return fingerprint(self.key)


def fingerprint(key: bytes) -> str:
    """`SHA256:` and the digest of a public key, in base64 without padding."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def read(armoured: str) -> Signature:
    """The signature in its armour. `KeyBroken` where it is none."""
    lines = [line.strip() for line in armoured.strip().splitlines()]
    if len(armoured) > LARGEST or len(lines) < 3 or lines[0] != BEGIN or lines[-1] != END:
        raise KeyBroken("no SSH signature in its armour")
    try:
        told = _Reader(base64.b64decode("".join(lines[1:-1]), validate=True))
        if told.take(len(MAGIC)) != MAGIC or told.number() != VERSION:
            raise ValueError("another kind")
        key, namespace, _, name, signature = (told.string() for _ in range(5))
        told.end()
    except (ValueError, binascii.Error) as why:
        raise KeyBroken(f"an SSH signature that cannot be read ({why})") from None
    if name not in HASHES:
        raise KeyBroken("an SSH signature over another hash; allowed: sha256, sha512")
    return Signature(key, namespace, name, signature)


def verify(armoured: str, message: bytes, namespace: str = "git") -> Signature:
    """The signature, if it is one over this message in this namespace; `KeyBroken` else. Whose it is, is not said."""
    found = read(armoured)
    if found.namespace != namespace.encode():
        raise KeyBroken(f"an SSH signature for another purpose; allowed: {namespace}")
    digest = HASHES[found.hash](message).digest()
    signed = MAGIC + string(found.namespace) + string(b"") + string(found.hash) + string(digest)
    try:
        holds = _holds(found.key, found.signature, signed)
    except (ValueError, UnsupportedAlgorithm, binascii.Error):
        raise KeyBroken("an SSH signature by a key of another kind, or one that cannot be read") from None
    if not holds:
        raise KeyBroken("an SSH signature that does not hold")
    return found


def _holds(key: bytes, signature: bytes, signed: bytes) -> bool:
    told, blob = _Reader(signature), _Reader(key)
    kind, value = told.string(), told.string()
    name = blob.string()
    if name in (_SK_ED, _SK_EC):
        if kind != name:
            return False
        return _token(name, blob, value, told, signed)
    told.end()
    public = load_ssh_public_key(name + b" " + base64.b64encode(key))
    try:
        if isinstance(public, ed25519.Ed25519PublicKey) and kind == name == b"ssh-ed25519":
            public.verify(value, signed)
        elif isinstance(public, ec.EllipticCurvePublicKey) and kind == name:
            public.verify(_pair(value), signed, ec.ECDSA(_CURVES[name.rpartition(b"-")[2]]))
        elif isinstance(public, rsa.RSAPublicKey) and kind in _RSA and public.key_size >= BITS:
            public.verify(value, signed, padding.PKCS1v15(), _RSA[kind])
        else:
            raise ValueError("another kind")
    except InvalidSignature:
        return False
    return True


def _token(name: bytes, blob: _Reader, value: bytes, told: _Reader, signed: bytes) -> bool:
    """One by a security key: over the application, what it says of the touch, and the hash of what is signed."""
    flags, counter = told.take(1), told.take(4)
    told.end()
    public: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
    if name == _SK_ED:
        public = ed25519.Ed25519PublicKey.from_public_bytes(blob.string())
    else:
        if blob.string() != b"nistp256":
            raise ValueError("another curve")
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), blob.string())
    application = blob.string()
    blob.end()
    whole = hashlib.sha256(application).digest() + flags + counter + hashlib.sha256(signed).digest()
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(value, whole)
        else:
            public.verify(_pair(value), whole, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return bool(flags[0] & _TOUCHED)


def _pair(value: bytes) -> bytes:
    told = _Reader(value)
    r, s = (int.from_bytes(told.string(), "big") for _ in range(2))
    told.end()
    return encode_dss_signature(r, s)
