"""Access tokens: JWTs signed with ES256 (RFC 7515, 7518, 7519), and what their bearer may ask for.

In order: one `Authorization: Bearer` header; a header of known parameters whose algorithm is ES256; a signature by a
key of the issuer's set, never by one that the token brings; every claim of `CLAIMS` there and valid; then the scope;
then the user. The claims registry is told that each claim is essential, since it passes what is merely absent.
"""

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from security.errors import KeyBroken, SluiceError
from security.keys import PublicKey

ALGORITHM = "ES256"
READ = "recommend:read"
ANY = "recommend:any"
CLAIMS = ("exp", "nbf", "iat", "iss", "aud", "sub", "scope")
LEEWAY = 5
"""Seconds that two clocks may be apart; the most that a verifier can be given."""
LONGEST = 3600
"""Seconds that a minted token may live."""
_BEARER = re.compile(r"Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.ASCII | re.IGNORECASE)


class Denied(SluiceError):
    """A request that is not answered: `status` is 401 or 403, `challenge` the `WWW-Authenticate` value (RFC 6750)."""

    def __init__(self, status: int, message: str, challenge: str = "Bearer") -> None:
        super().__init__(message)
        self.status, self.challenge = status, challenge


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token speaks for, and what it was given for."""

    subject: str
    scopes: frozenset[str]


class Verifier:
    """Believes tokens of one issuer, meant for one audience. `leeway` is in seconds, 0 to 5."""

    def __init__(
        self, keys: KeySet, issuer: str, audience: str, leeway: int = LEEWAY, clock: Callable[[], float] = time.time
    ) -> None:
        if not issuer or not audience:
            raise KeyBroken("the issuer and the audience of tokens must be named")
        if not 0 <= leeway <= LEEWAY:
            raise KeyBroken(f"a leeway of {leeway} s; allowed: 0 to {LEEWAY}")
        self.keys, self.issuer, self.audience, self.leeway, self.clock = keys, issuer, audience, leeway, clock

    def registry(self) -> jwt.JWTClaimsRegistry:
        """What every token must claim, now."""
        return jwt.JWTClaimsRegistry(
            now=int(self.clock()),
            leeway=self.leeway,
            exp={"essential": True},
            nbf={"essential": True},
            iat={"essential": True},
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.audience},
            sub={"essential": True},
            scope={"essential": True},
        )

    def open(self, text: str) -> dict[str, Any]:
        """The claims of a token that a key of the set signed with ES256; raises `JoseError`, `ValueError`."""
        token = jwt.decode(text, self.keys, algorithms=[ALGORITHM])
        unknown = set(token.header) - {"alg", "typ", "kid"}
        if unknown:
            raise ValueError("a header parameter that is not allowed")
        return token.claims

    def bearer(self, headers: Sequence[str]) -> Bearer:
        """The bearer named by the `Authorization` headers of one request, or `Denied` 401."""
        if not headers:
            raise Denied(401, "a token is needed")
        match = _BEARER.fullmatch(headers[0]) if len(headers) == 1 else None
        if match is None:
            raise Denied(401, "not one bearer token", 'Bearer error="invalid_request"')
        try:
            claims = self.open(match[1])
            self.registry().validate(claims)
            if not isinstance(claims["scope"], str):
                raise ValueError("a scope that is not text")
        except (JoseError, ValueError):
            raise Denied(401, "the token is not valid here", 'Bearer error="invalid_token"') from None
        return Bearer(claims["sub"], frozenset(claims["scope"].split(" ")))

    def allow(self, bearer: Bearer, user: str | None = None) -> None:
        """Raise `Denied` 403 unless the bearer may read, and, where a user is given, may read about that user."""
        if READ not in bearer.scopes:
            raise Denied(403, "the token is not for this", f'Bearer error="insufficient_scope", scope="{READ}"')
        if user is not None and user != bearer.subject and ANY not in bearer.scopes:
            raise Denied(403, "the token is another user's", f'Bearer error="insufficient_scope", scope="{ANY}"')


class _Lasting(jwt.JWTClaimsRegistry):
    def validate_exp(self, value: object) -> None:
        self.check_value("exp", value)


class UnsafeAcceptsExpired(Verifier):
    """Broken on purpose: a token never expires. What a gate is shown to catch; good for nothing else."""

    def registry(self) -> jwt.JWTClaimsRegistry:
        """Everything but the expiry."""
        strict = super().registry()
        return _Lasting(now=strict.now, leeway=strict.leeway, **strict.options)


def keyset(data: bytes, name: str = "the key set") -> KeySet:
    """The issuer's keys from a JWK set (RFC 7517): public P-256 keys for signatures, each with its own id, only.

    Anything else in the set is `KeyBroken`: the library passes over keys of a kind that it does not know.
    """
    try:
        entries = json.loads(data)["keys"]
        if not isinstance(entries, list) or not entries:
            raise KeyBroken(f"{name} holds no keys")
        for entry in entries:
            if entry["kty"] != "EC" or entry["crv"] != "P-256" or "d" in entry:
                raise KeyBroken(f"{name} holds a key that is not a public P-256 key")
            if entry.get("use", "sig") != "sig" or entry.get("alg", ALGORITHM) != ALGORITHM:
                raise KeyBroken(f"{name} holds a key for something other than {ALGORITHM} signatures")
        if len({entry["kid"] for entry in entries}) != len(entries):
            raise KeyBroken(f"{name} holds two keys with one id")
        return KeySet([ECKey.import_key(entry) for entry in entries])
    except (ValueError, KeyError, TypeError, JoseError):
        raise KeyBroken(f"{name} is not a set of P-256 keys with ids") from None


def jwks(*keys: PublicKey) -> bytes:
    """The JWK set of these keys, each named by its thumbprint (RFC 7638)."""
    if not keys:
        raise KeyBroken("a key set without keys")
    entries = []
    for key in keys:
        public = ECKey.import_key(key.pem)
        entries.append({**public.as_dict(private=False), "kid": public.thumbprint(), "alg": ALGORITHM, "use": "sig"})
    return json.dumps({"keys": entries}, sort_keys=True).encode()


def mint(
    key: Path | bytes,
    *,
    iss: str | None,
    aud: str | list[str] | None,
    sub: str | None,
    scope: str | None = READ,
    seconds: int = 300,
    **claims: Any,
) -> str:
    """A token signed with a private P-256 key (PEM, or the file of one), good for `seconds` from now.

    `claims` are set over the usual ones; one that is None is left out.
    """
    if not 0 < seconds <= LONGEST:
        raise KeyBroken(f"a token for {seconds} s; allowed: 1 to {LONGEST}")
    try:
        private = ECKey.import_key(key.read_bytes() if isinstance(key, Path) else key)
    except (OSError, ValueError, JoseError):
        raise KeyBroken("the issuer's key cannot be read as a private P-256 key") from None
    if not private.is_private or private.curve_name != "P-256":
        raise KeyBroken("the issuer's key is not a private P-256 key")
    now = int(time.time())
    usual = {"exp": now + seconds, "nbf": now, "iat": now, "iss": iss, "aud": aud, "sub": sub, "scope": scope}
    chosen = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode({"alg": ALGORITHM, "kid": private.thumbprint()}, chosen, private, algorithms=[ALGORITHM])
