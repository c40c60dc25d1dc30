"""An access token (RFC 7515, 7519), signed with ES256 as the issuer of the target `local`, whom nothing else believes.

What it claims is whoever's who asks; a gate asks for wrong ones, to see them refused.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from security.errors import KeyBroken

ALGORITHM: Final = "ES256"
"""The one that tokens are signed with, and believed by."""
LONGEST: Final = 3600
"""Seconds that a token may live from now on."""


def bounded(claims: Mapping[str, Any]) -> dict[str, Any]:
    """The same claims, of a token that is good for no longer than `LONGEST`, as far as it says until when."""
    ends, now = claims.get("exp"), int(time.time())
    if ends is not None and type(ends) is not int:
        raise KeyBroken(f"a token until {type(ends).__name__}; allowed: a whole second, or none")
    if ends is not None and ends > now + LONGEST + 1:
        raise KeyBroken(f"a token for {ends - now} s; allowed: 1 to {LONGEST}")
    return {**claims}


def token(key: bytes, claims: Mapping[str, Any]) -> str:
    """A token with these claims, signed with a private P-256 key in PEM and named by its thumbprint (RFC 7638)."""
    try:
        private = ECKey.import_key(key)
    except (ValueError, JoseError):
        raise KeyBroken("the issuer's key cannot be read as a private P-256 key") from None
    if not private.is_private or private.curve_name != "P-256":
        raise KeyBroken("the issuer's key is not a private P-256 key")
    return jwt.encode({"alg": ALGORITHM, "kid": private.thumbprint()}, dict(claims), private, algorithms=[ALGORITHM])
