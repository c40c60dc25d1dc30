"""Asks a running recommendation service the questions of `access_control_api`.

Right tokens come from the issuer, by `mint`; bad ones are the issuer's own with one claim wrong, or forgeries made
here from a right one, which need no secret. Requests are sent as spelled, follow nothing, take no proxy or password
from the environment, and each has a deadline. What is kept of an answer is a status and a few yes or no.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from security.keys import PublicKey
from security.verdict import Snapshot

if TYPE_CHECKING:
    import httpx

Mint = Callable[..., str]
"""`mint()` is a right token of the user; `mint(claim=value)` has that claim otherwise, `None` leaves it out."""
MOST = 1 << 20
"""Bytes of an answer that are read."""
DECLARED = {"user", "model", "items", "basis"}, {"model", "name", "version", "run"}
WANTED = {
    "nosniff": "x-content-type-options",
    "no-store": "cache-control",
    "default-src 'none'": "content-security-policy",
}
INSIDE = (b"Traceback", b'File "', b".py", b"Exception", b"site-packages")
IDENTITY = (
    "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Remote-User", "Remote-User",
    "X-User", "X-User-Id", "X-Authenticated-User", "X-Auth-Request-User", "X-WEBAUTH-USER", "X-Forwarded-Access-Token",
)  # fmt: skip
OVERRIDE = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")


@dataclass(frozen=True)
class Ask:
    """One request: what differs from the right one. `token` makes the credential; None sends none."""

    token: Callable[[], str] | None = None
    method: str = "GET"
    path: str = ""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "Bearer"


def _code(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _part(token: str, place: int) -> dict[str, Any]:
    text = token.split(".")[place]
    part: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return part


def _forge(token: str, sign: Callable[[bytes], bytes], **header: Any) -> str:
    """The claims of a right token under another header and another signature."""
    head = _code(json.dumps({**_part(token, 0), **header}).encode())
    body = f"{head}.{token.split('.')[1]}"
    return f"{body}.{_code(sign(body.encode()))}"


def _altered(token: str) -> str:
    """A right token whose claims were changed after signing."""
    head, _, signature = token.split(".")
    return f"{head}.{_code(json.dumps({**_part(token, 1), 'jti': 'altered'}).encode())}.{signature}"


def _stranger(token: str, embed: bool) -> str:
    """A right token signed again by a fresh key, which it brings along where `embed` says so."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_numbers()
    x, y = (_code(number.to_bytes(32, "big")) for number in (point.x, point.y))
    own = {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    def sign(body: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(body, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return _forge(token, sign, **({"jwk": own} if embed else {}))


def _confused(token: str, secret: bytes) -> str:
    """A right token signed with the public key as if it were a shared secret."""
    return _forge(token, lambda body: hmac.digest(secret, body, hashlib.sha256), alg="HS256")


def asks(path: str, mint: Mint, user: str, other: str, key: PublicKey) -> dict[str, Ask]:
    """The questions, by name. Each is the right request with one thing wrong."""
    now = int(time.time())
    mine, theirs = (("user", user), ("k", "10")), (("user", other), ("k", "10"))
    der = key.key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    named = dict.fromkeys(IDENTITY, user)

    def claim(name: str) -> str:
        return str(_part(mint(), 1)[name])

    def bad(token: Callable[[], str] | None, **rest: Any) -> Ask:
        return Ask(token, **{"path": path, "query": mine, **rest})

    return {
        "right": bad(mint),
        "right-other": bad(lambda: mint(sub=other), query=theirs),
        "right-version": Ask(mint, path="/version"),
        "none": bad(None),
        "garbage": bad(lambda: "garbage"),
        "basic": bad(lambda: base64.b64encode(f"{user}:".encode()).decode(), scheme="Basic"),
        "expired": bad(lambda: mint(iat=now - 900, nbf=now - 900, exp=now - 60)),
        "early": bad(lambda: mint(nbf=now + 300, exp=now + 600)),
        "audience": bad(lambda: mint(aud=claim("aud") + ".other")),
        "issuer": bad(lambda: mint(iss=claim("iss") + ".other")),
        "altered": bad(lambda: _altered(mint())),
        "stranger": bad(lambda: _stranger(mint(), embed=False)),
        "embedded": bad(lambda: _stranger(mint(), embed=True)),
        "unsigned": bad(lambda: _forge(mint(), lambda _: b"", alg="none")),
        "unsigned-mixed": bad(lambda: _forge(mint(), lambda _: b"", alg="nOnE")),
        "confused-pem": bad(lambda: _confused(mint(), key.pem)),
        "confused-der": bad(lambda: _confused(mint(), der)),
        "no-exp": bad(lambda: mint(exp=None)),
        "no-aud": bad(lambda: mint(aud=None)),
        "no-iss": bad(lambda: mint(iss=None)),
        "no-sub": bad(lambda: mint(sub=None)),
        "other": bad(mint, query=theirs),
        "scope": bad(lambda: mint(scope="recommend:nothing")),
        "no-scope": bad(lambda: mint(scope=None)),
        "identity": bad(None, headers={**named, "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"}),
        "identity-other": bad(mint, query=theirs, headers=dict.fromkeys(IDENTITY, other)),
        "override": bad(mint, method="POST", headers=dict.fromkeys(OVERRIDE, "GET")),
        "override-open": bad(None, headers=dict.fromkeys(OVERRIDE, "OPTIONS")),
        **{method.lower(): bad(mint, method=method) for method in ("POST", "PUT", "PATCH", "DELETE")},
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
        "twice": bad(mint, query=(("user", user), *theirs)),
        "twice-turned": bad(mint, query=(("user", other), *mine)),
        "huge": bad(mint, query=(("user", user), ("k", "1000000"))),
    }


def probe(
    url: str,
    path: str,
    mint: Mint,
    user: str,
    *,
    other: str,
    key: PublicKey,
    digest: str,
    ca: str = "",
    seconds: float = 5.0,
) -> Snapshot:
    """The service's answers.

    `user` and `other` are two users that it knows; `key` is the issuer's public key, `digest` that of the release that
    should answer, `ca` a file of roots for https, `seconds` the deadline of one request. Plain http is asked on the
    loopback only: elsewhere it would show the tokens. What could not be asked is an `error`.
    """
    import ssl

    import httpx

    site = urlsplit(url)
    # Without a name and password: the client would send them in place of the credential under question.
    place = f"{site.scheme}://{site.netloc.rpartition('@')[2]}{site.path.rstrip('/')}"
    snapshot = Snapshot(kind="endpoint", uri=place + path, taken=time.time(), answers={})
    questions = asks(path, mint, user, other, key)
    answers: dict[str, dict[str, Any]] = dict.fromkeys(questions, {"error": "PlainHttp"})
    if site.scheme == "https" or (site.scheme == "http" and site.hostname in ("127.0.0.1", "::1")):
        context = ssl.create_default_context(cafile=ca or None)
        with httpx.Client(trust_env=False, follow_redirects=False, timeout=seconds, verify=context) as client:
            for name, ask in questions.items():
                try:
                    answers[name] = _send(client, place, ask, digest, seconds)
                except Exception as why:  # noqa: BLE001 - the token's maker or the transport: no answer, never a pass
                    answers[name] = {"error": type(why).__name__}
    return snapshot.model_copy(update={"answers": answers})


def _send(client: "httpx.Client", url: str, ask: Ask, digest: str, seconds: float) -> dict[str, Any]:
    headers = {"Accept-Encoding": "identity", **ask.headers}
    if ask.token is not None:
        headers["Authorization"] = f"{ask.scheme} {ask.token()}"
    target = ask.path + ("?" + urlencode(ask.query, quote_via=quote) if ask.query else "")
    # Sent as it is spelled: the client would tidy a path.
    spelled = {"target": (urlsplit(url).path + target).encode()}
    until = time.monotonic() + seconds
    body = b""
    with client.stream(ask.method, url, headers=headers, extensions=spelled) as response:
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > MOST:
                return {"error": "TooLong"}
            if time.monotonic() > until:
                return {"error": "TooSlow"}
        return _kept(response, body, dict(ask.query).get("user"), digest)


def _kept(response: "httpx.Response", body: bytes, user: str | None, digest: str) -> dict[str, Any]:
    """What is kept of a response: see `security.gates.api.Reply`."""
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    value = value if isinstance(value, dict) else {}
    items = value.get("items")
    items = items if isinstance(items, list) else []
    declared = DECLARED[0 if user is not None else 1]
    return {
        "status": response.status_code,
        "items": len(items),
        "same": value.get("model") == digest,
        "mine": user is None or value.get("user") == user,
        "exact": set(value) == declared
        and all(isinstance(each, dict) and set(each) == {"item", "score"} for each in items),
        "spills": any(mark in body for mark in INSIDE) and response.status_code != 200,
        "bare": [word for word, header in WANTED.items() if word not in response.headers.get(header, "").lower()],
        "challenge": response.headers.get("www-authenticate", "").lower().startswith("bearer"),
    }
