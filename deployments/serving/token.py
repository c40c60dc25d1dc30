"""Access tokens: JWTs signed with ES256 (RFC 7515, 7518, 7519), and what their bearer may ask for.

In order: one `Authorization: Bearer` header; a header of known parameters whose algorithm is ES256; a signature by a
key of the issuer's set, never by one that the token brings; every claim of `CLAIMS` there and valid, the
tenant's too; then the scope; then the user. The claims registry is told that each claim is essential, since it passes
what is merely absent.
"""

import json
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from deployments.serving.keyset import Rotation
from deployments.serving.schema import Refusal
from security.errors import KeyBroken
from security.signer.token import ALGORITHM, LONGEST, token

READ = "recommend:read"
ANY = "recommend:any"
METRICS = "metrics:read"
CLAIMS = ("exp", "nbf", "iat", "iss", "aud", "sub", "tenant", "scope")
KEPT = 4096
"""Tokens that are not verified again while the keys are the same and they have not expired."""
LEEWAY = 5
"""Seconds that two clocks may be apart; the most that a verifier can be given."""
_BEARER = re.compile(r"Bearer ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.ASCII | re.IGNORECASE)


class Denied(Refusal):
    """A request that is not answered: `status` is 401 or 403, `challenge` the `WWW-Authenticate` value (RFC 6750)."""

    def __init__(self, status: int, message: str, challenge: str = "Bearer") -> None:
        super().__init__(status, message, {"www-authenticate": challenge})
        self.challenge = challenge


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token speaks for, what it was given for, and the id of the key that signed it."""

    subject: str
    scopes: frozenset[str]
    key: str = ""


class Kept(NamedTuple):
    """Whom a header was believed to speak for, in which second, and when its token expires."""

    bearer: Bearer
    since: int
    expires: float


@lru_cache(64)  # an issuer writes one header for each of its keys
def parameters(part: str) -> None:
    """`ValueError` unless the header of a token, its first part, has known parameters only, and each is text: before
    the library, which takes some for what they should be, acts on any."""
    header = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if not isinstance(header, dict) or set(header) - {"alg", "typ", "kid"}:
        raise ValueError("a header parameter that is not allowed")
    if not all(isinstance(value, str) for value in header.values()):
        raise ValueError("a header parameter that is not text")


class Verifier:
    """Believes tokens of one issuer, meant for one audience and one tenant. `leeway` is in seconds, 0 to 5."""

    def __init__(
        self,
        keys: KeySet | Rotation,
        issuer: str,
        audience: str,
        tenant: str,
        leeway: int = LEEWAY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not issuer or not audience or not tenant:
            raise KeyBroken("the issuer, the audience and the tenant of tokens must be named")
        if not 0 <= leeway <= LEEWAY:
            raise KeyBroken(f"a leeway of {leeway} s; allowed: 0 to {LEEWAY}")
        self.keys, self.issuer, self.audience, self.tenant = keys, issuer, audience, tenant
        self.leeway, self.clock = leeway, clock
        self._of: KeySet | None = None
        self._kept: dict[str, Kept] = {}
        self._claims = self.registry()

    def registry(self) -> jwt.JWTClaimsRegistry:
        """What every token must claim, at any time: it asks the clock."""
        return jwt.JWTClaimsRegistry(
            now=self._now,
            leeway=self.leeway,
            exp={"essential": True},
            nbf={"essential": True},
            iat={"essential": True},
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.audience},
            sub={"essential": True},
            tenant={"essential": True, "value": self.tenant},
            scope={"essential": True},
        )

    def _now(self) -> int:
        return int(self.clock())

    def _keys(self, unknown: bool = False) -> KeySet:
        """The keys that count now. What was believed by others is forgotten."""
        keys = self.keys.keys(unknown) if isinstance(self.keys, Rotation) else self.keys
        if keys is not self._of:
            self._of, self._kept = keys, {}
        return keys

    def open(self, text: str) -> tuple[dict[str, Any], str]:
        """The claims of a token that a key of the set signed with ES256, and the key's id; raises `JoseError`,
        `ValueError`."""
        parameters(text.partition(".")[0])
        try:
            keys = self._keys()
            token = jwt.decode(text, keys, algorithms=[ALGORITHM])
        except InvalidKeyIdError:
            keys = self._keys(unknown=True)
            token = jwt.decode(text, keys, algorithms=[ALGORITHM])
        return token.claims, str(token.header.get("kid") or keys.keys[0].kid)

    def bearer(self, headers: Sequence[str]) -> Bearer:
        """The bearer named by the `Authorization` headers of one request, or `Denied` 401.

        One that was believed before is believed again while the keys are the same and its token has not expired: of
        what was asked then, time takes away nothing else. Where the clock went back, all is asked again.
        """
        if not headers:
            raise Denied(401, "a token is needed")
        now, known = self._now(), None
        if len(headers) == 1:
            self._keys()
            known = self._kept.get(headers[0])
        if known is not None and known.since <= now and known.expires > now - self.leeway:
            return known.bearer
        match = _BEARER.fullmatch(headers[0]) if len(headers) == 1 else None
        if match is None:
            raise Denied(401, "not one bearer token", 'Bearer error="invalid_request"')
        try:
            claims, key = self.open(match[1])
            self._claims.validate(claims)
            if not isinstance(claims["scope"], str) or not isinstance(claims.get("tenant", ""), str):
                raise ValueError("a scope or a tenant that is not text")
        except (JoseError, ValueError, RecursionError):
            raise Denied(401, "the token is not valid here", 'Bearer error="invalid_token"') from None
        bearer = Bearer(claims["sub"], frozenset(claims["scope"].split(" ")), key)
        if len(self._kept) >= KEPT:
            self._kept = {}
        self._kept[headers[0]] = Kept(bearer, now, claims.get("exp", 0))
        return bearer

    def allow(self, bearer: Bearer, user: str | None = None, scope: str = READ) -> None:
        """Raise `Denied` 403 unless the bearer has the scope, and, where a user is given, may read about that user."""
        if scope not in bearer.scopes:
            raise Denied(403, "the token is not for this", f'Bearer error="insufficient_scope", scope="{scope}"')
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
        return _Lasting(now=self._now, leeway=strict.leeway, **strict.options)


def mint(
    key: Path | bytes | Callable[[dict[str, Any]], str],
    *,
    iss: str | None,
    aud: str | list[str] | None,
    sub: str | None,
    tenant: str | None,
    scope: str | None = READ,
    seconds: int = 300,
    **claims: Any,
) -> str:
    """A token signed with a private P-256 key (PEM, or the file of one), or by who has it and is given the claims; good
    for `seconds` from now.

    `claims` are set over the usual ones; one that is None is left out.
    """
    if not 0 < seconds <= LONGEST:
        raise KeyBroken(f"a token for {seconds} s; allowed: 1 to {LONGEST}")
    now = int(time.time())
    usual = {
        "exp": now + seconds,
        "nbf": now,
        "iat": now,
        "iss": iss,
        "aud": aud,
        "sub": sub,
        "scope": scope,
        "tenant": tenant,
    }
    chosen = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    if callable(key):
        return key(chosen)
    try:
        return token(key.read_bytes() if isinstance(key, Path) else key, chosen)
    except OSError:
        raise KeyBroken("the issuer's key cannot be read as a private P-256 key") from None
