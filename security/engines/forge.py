"""Forgeries of a right token, which need no secret: other claims, another header, another signature."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def _code(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(token: str, place: int) -> dict[str, Any]:
    """The header (0) or the claims (1) of a token."""
    text = token.split(".")[place]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def forge(token: str, sign: Callable[[bytes], bytes], **header: Any) -> str:
    """The claims of a right token under another header and another signature."""
    head = _code(json.dumps({**part(token, 0), **header}).encode())
    body = f"{head}.{token.split('.')[1]}"
    return f"{body}.{_code(sign(body.encode()))}"


def altered(token: str) -> str:
    """A right token whose claims were changed after signing."""
    head, _, signature = token.split(".")
    return f"{head}.{_code(json.dumps({**part(token, 1), 'jti': 'altered'}).encode())}.{signature}"


def stranger(token: str, embed: bool) -> str:
    """A right token signed again by a fresh key, which it brings along where `embed` says so."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_numbers()
    x, y = (_code(number.to_bytes(32, "big")) for number in (point.x, point.y))
    own = {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    def sign(body: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(body, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return forge(token, sign, **({"jwk": own} if embed else {}))


def confused(token: str, secret: bytes) -> str:
    """A right token signed with the public key as if it were a shared secret."""
    return forge(token, lambda body: hmac.digest(secret, body, hashlib.sha256), alg="HS256")
