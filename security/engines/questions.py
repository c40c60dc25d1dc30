"""The questions of `access_control_api`: requests that must work, and the same with one thing wrong each.

Right tokens come from the issuer, by `mint`; bad ones are the issuer's own with one claim wrong, or forgeries.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import serialization

from security.engines.forge import altered, confused, forge, part, stranger
from security.keys import PublicKey

Mint = Callable[..., str]
"""`mint()` is a right token of the user; `mint(claim=value)` has that claim otherwise, `None` leaves it out."""
RECOMMENDED = frozenset({"user", "model", "items", "basis"})
SUGGESTED = frozenset({"model", "items", "basis", "counted", "unknown"})
VERSION = frozenset({"model", "name", "version", "run"})
LARGE, LONG, MANY = 150_000, 20_000, 2_000
"""Bytes behind a session, letters in an id, and items in a session, that no service has to take. The last two are short
enough that the limit of bytes does not answer for theirs."""
IDENTITY = (
    "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Remote-User", "Remote-User",
    "X-User", "X-User-Id", "X-Authenticated-User", "X-Auth-Request-User", "X-WEBAUTH-USER", "X-Forwarded-Access-Token",
)  # fmt: skip
OVERRIDE = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")


@dataclass(frozen=True)
class Ask:
    """One request: what differs from the right one. `token` makes the credential; None sends none. `declared` has the
    properties that an answer may have."""

    token: Callable[[], str] | None = None
    method: str = "GET"
    path: str = ""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "Bearer"
    content: bytes | None = None
    declared: frozenset[str] = RECOMMENDED


def asks(path: str, mint: Mint, user: str, other: str, key: PublicKey, items: Sequence[str]) -> dict[str, Ask]:
    """The questions, by name. Each is a right request with one thing wrong. `items` are some that the service knows."""
    now = int(time.time())
    mine, theirs = (("user", user), ("k", "10")), (("user", other), ("k", "10"))
    der = key.key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    named = dict.fromkeys(IDENTITY, user)

    def claim(name: str) -> str:
        return str(part(mint(), 1)[name])

    def bad(token: Callable[[], str] | None, **rest: Any) -> Ask:
        return Ask(token, **{"path": path, "query": mine, **rest})

    def body(told: Any, token: Callable[[], str] | None = mint, **rest: Any) -> Ask:
        data = told if isinstance(told, bytes) else json.dumps(told).encode()
        return Ask(token, **{"method": "POST", "path": path, "content": data, "declared": SUGGESTED, **rest})

    session: dict[str, Any] = {"items": list(items), "k": 10}
    twice = json.dumps({"items": [other]}).encode()[:-1] + b", " + json.dumps(session).encode()[1:]
    form = "application/x-www-form-urlencoded"
    return {
        "right": bad(mint),
        "right-other": bad(lambda: mint(sub=other), query=theirs),
        "right-version": Ask(mint, path="/version", declared=VERSION),
        "right-session": body(session),
        "none": bad(None),
        "garbage": bad(lambda: "garbage"),
        "basic": bad(lambda: base64.b64encode(f"{user}:".encode()).decode(), scheme="Basic"),
        "expired": bad(lambda: mint(iat=now - 900, nbf=now - 900, exp=now - 60)),
        "early": bad(lambda: mint(nbf=now + 300, exp=now + 600)),
        "audience": bad(lambda: mint(aud=claim("aud") + ".other")),
        "issuer": bad(lambda: mint(iss=claim("iss") + ".other")),
        "altered": bad(lambda: altered(mint())),
        "stranger": bad(lambda: stranger(mint(), embed=False)),
        "embedded": bad(lambda: stranger(mint(), embed=True)),
        "unsigned": bad(lambda: forge(mint(), lambda _: b"", alg="none")),
        "unsigned-mixed": bad(lambda: forge(mint(), lambda _: b"", alg="nOnE")),
        "confused-pem": bad(lambda: confused(mint(), key.pem)),
        "confused-der": bad(lambda: confused(mint(), der)),
        "no-exp": bad(lambda: mint(exp=None)),
        "no-aud": bad(lambda: mint(aud=None)),
        "no-iss": bad(lambda: mint(iss=None)),
        "no-sub": bad(lambda: mint(sub=None)),
        "no-tenant": bad(lambda: mint(tenant=None)),
        "tenant": bad(lambda: mint(tenant=claim("tenant") + ".other")),
        "other": bad(mint, query=theirs),
        "scope": bad(lambda: mint(scope="recommend:nothing")),
        "no-scope": bad(lambda: mint(scope=None)),
        "identity": bad(None, headers={**named, "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"}),
        "identity-other": bad(mint, query=theirs, headers=dict.fromkeys(IDENTITY, other)),
        "override": bad(mint, method="PUT", headers=dict.fromkeys(OVERRIDE, "GET")),
        "override-open": bad(None, headers=dict.fromkeys(OVERRIDE, "OPTIONS")),
        "post": Ask(mint, "POST", "/version"),
        **{method.lower(): bad(mint, method=method) for method in ("PUT", "PATCH", "DELETE")},
        "slashes": bad(None, path="/" + path),
        "trailing": bad(None, path=path + "/"),
        "dot": bad(None, path="/%2e" + path),
        "letter": bad(None, path=f"{path[:-1]}%{ord(path[-1]):02x}"),
        "rewritten": bad(None, headers={"X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz"}),
        "version": Ask(None, path="/version"),
        "docs": Ask(None, path="/docs"),
        "redoc": Ask(None, path="/redoc"),
        "openapi": Ask(None, path="/openapi.json"),
        "metrics": Ask(None, path="/metrics"),
        "metrics-read": Ask(mint, path="/metrics"),
        "twice": bad(mint, query=(("user", user), *theirs)),
        "twice-turned": bad(mint, query=(("user", other), *mine)),
        "huge": bad(mint, query=(("user", user), ("k", "1000000"))),
        "session-none": body(session, None),
        "session-scope": body(session, lambda: mint(scope="recommend:nothing")),
        # As long as what is sent at once: a refusal that comes before the end of a longer one may not be heard.
        "session-large": body(json.dumps(session).encode() + b" " * LARGE),
        "session-long": body({"items": [*items, *map(str, range(MANY))]}),
        "session-id": body({"items": [*items, "i" * LONG]}),
        "session-huge": body({**session, "k": 1_000_000}),
        "session-form": body(session, headers={"Content-Type": form}),
        "session-twice": body(twice),
        "session-more": body({**session, "user": other}),
    }
