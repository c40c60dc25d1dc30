"""Services that are each broken in one way: what the gate must catch. They live here and nowhere else."""

import hashlib
import hmac
import json
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from joserfc import jwt
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.serving.app import Service, application
from deployments.serving.limit import Allowance, Limiter
from deployments.serving.load import Model
from deployments.serving.protocol import Patient
from deployments.serving.schema import BODY
from deployments.serving.token import READ, Bearer, Denied, Verifier
from tests.deployments.serving.release import PATH

Options = dict[str, Any]


def _decoded(part: str) -> Any:
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Loose(Verifier):
    """Its registry has some claims' options changed; None forgets the claim and its check."""

    changes: dict[str, Options | None] = {}

    def registry(self) -> jwt.JWTClaimsRegistry:
        """The strict one, with the changes."""
        strict = super().registry()
        kept = {name: self.changes.get(name, option) for name, option in strict.options.items()}
        left: dict[str, Any] = {name: option for name, option in kept.items() if option is not None}
        loose = jwt.JWTClaimsRegistry(now=strict.now, leeway=strict.leeway, **left)
        for name, option in kept.items():
            if option is None:
                setattr(loose, f"validate_{name}", lambda value: None)
        return loose


class AnyAudience(Loose):
    """Takes a token meant for another service."""

    changes = {"aud": {"essential": True}}


class AnyIssuer(Loose):
    """Takes another issuer's word."""

    changes = {"iss": {"essential": True}}


class AnyTenant(Loose):
    """Takes another tenant's token."""

    changes = {"tenant": {"essential": True}}


class Early(Loose):
    """Takes a token before its time."""

    changes = {"nbf": None}


class NotEssential(Loose):
    """Checks `exp` where it is there: the registry's own default."""

    changes = {"exp": {}}


class AnyKey(Verifier):
    """Reads the claims and leaves the signature."""

    def open(self, text: str) -> tuple[dict[str, Any], str]:
        """The claims of any ES256 token."""
        header, claims, _ = text.split(".")
        if _decoded(header)["alg"] != "ES256":
            raise ValueError("alg")
        return dict(_decoded(claims)), ""


class OwnKey(Verifier):
    """Verifies with the key that the token brings, where it brings one."""

    def open(self, text: str) -> tuple[dict[str, Any], str]:
        """The claims, by the key in the header."""
        from joserfc.jwk import ECKey

        own = _decoded(text.split(".")[0]).get("jwk")
        if not own:
            return super().open(text)
        return jwt.decode(text, ECKey.import_key(own), algorithms=["ES256"]).claims, ""


class Unsigned(Verifier):
    """Takes the algorithm `none`, in any spelling."""

    def open(self, text: str) -> tuple[dict[str, Any], str]:
        """The claims, whoever wrote them."""
        header, claims, _ = text.split(".")
        return (dict(_decoded(claims)), "") if _decoded(header)["alg"].lower() == "none" else super().open(text)

    def bearer(self, headers: Sequence[str]) -> Bearer:
        """As ever, but for the missing third part."""
        return super().bearer([text + "AA" if text.endswith(".") else text for text in headers])


class Confused(Verifier):
    """Takes HS256 with the public key as its secret."""

    pem = b""

    def open(self, text: str) -> tuple[dict[str, Any], str]:
        """The claims, by whatever algorithm the token names."""
        body, _, mark = text.rpartition(".")
        if _decoded(body.split(".")[0])["alg"] != "HS256":
            return super().open(text)
        if hmac.digest(self.pem, body.encode(), hashlib.sha256) != urlsafe_b64decode(mark + "=" * (-len(mark) % 4)):
            raise ValueError("mark")
        return dict(_decoded(body.split(".")[1])), ""


class NoScope(Verifier):
    """Takes a token given for something else."""

    def allow(self, bearer: Bearer, user: str | None = None, scope: str = READ) -> None:
        """The user alone."""
        super().allow(Bearer(bearer.subject, bearer.scopes | {scope}), user, scope)


class NoUser(Verifier):
    """Serves anybody's recommendations to any bearer."""

    def allow(self, bearer: Bearer, user: str | None = None, scope: str = READ) -> None:
        """The scope alone."""
        super().allow(bearer, None, scope)


class NoAuth(Verifier):
    """Serves everybody."""

    def bearer(self, headers: Sequence[str]) -> Bearer:
        """Anybody."""
        return Bearer("anybody", frozenset({READ}))

    def allow(self, bearer: Bearer, user: str | None = None, scope: str = READ) -> None:
        """Everything."""


class AnyCredential(NoAuth):
    """Serves whoever sends a credential, of whatever kind."""

    def bearer(self, headers: Sequence[str]) -> Bearer:
        """Whoever sent one."""
        if not headers:
            raise Denied(401, "a token is needed")
        return super().bearer(headers)


class Unlimited(Limiter):
    """Counts nothing."""

    def take(self, who: str) -> None:
        """Whatever is asked."""


class Shared(Limiter):
    """Counts all callers as one."""

    def take(self, who: str) -> None:
        """Whoever asks."""
        super().take("all")


WIDE = Allowance(rate=0.5, burst=100)
"""What a twin that takes everybody for one has: only a flood is too much for it, and then all is for a while."""


class Front:
    """A proxy that changes requests before, or answers after, a service that is sound. This one changes nothing.

    `token` makes a right token for a user: what a proxy holds that asks for tokens itself.
    """

    def __init__(self, inner: ASGIApp, token: Callable[[str], str]) -> None:
        self.inner, self.token = inner, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        changed = self.request(dict(scope), headers)
        changed["raw_path"] = changed["path"].encode()
        taken: list[bytes] = []
        if self.takes and (scope["method"], scope["path"]) == ("POST", PATH) and "authorization" in headers:
            data, more = b"", True
            while more:
                message = await receive()
                data, more = data + message.get("body", b""), message.get("more_body", False)
            taken.append(self.body(data, headers))
            headers["content-length"] = str(len(taken[0]))
        changed["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]

        async def through(message: Message) -> None:
            await send(self.response(changed, message))

        async def given() -> Message:
            return {"type": "http.request", "body": taken.pop()} if taken else await receive()

        await self.inner(changed, given if self.takes else receive, through)

    takes = False
    """Whether it reads bodies itself."""

    def request(self, scope: Scope, headers: dict[str, str]) -> Scope:
        """The request as the service will see it."""
        return scope

    def body(self, data: bytes, headers: dict[str, str]) -> bytes:
        """The body as the service will see it."""
        return data

    def response(self, scope: Scope, message: Message) -> Message:
        """The answer as the caller will see it."""
        return message

    def admit(self, user: str, headers: dict[str, str]) -> None:
        """Let the request through as this user's."""
        headers["authorization"] = f"Bearer {self.token(user)}"


class Identity(Front):
    """Believes `X-Forwarded-User`."""

    def request(self, scope: Scope, headers: dict[str, str]) -> Scope:
        """As the user that the header names."""
        if "x-forwarded-user" in headers:
            self.admit(headers["x-forwarded-user"], headers)
        return scope


class Override(Front):
    """Believes `X-HTTP-Method-Override`."""

    def request(self, scope: Scope, headers: dict[str, str]) -> Scope:
        """By the method that the header names."""
        method = headers.get("x-http-method-override") or str(scope["method"])
        return {**scope, "method": method.replace("OPTIONS", "GET")}


class AnyMethod(Front):
    """Serves every method."""

    def request(self, scope: Scope, headers: dict[str, str]) -> Scope:
        """All are GET, but what is a session."""
        return scope if scope["method"] == "POST" and scope["path"] == PATH else {**scope, "method": "GET"}


class Slashes(Front):
    """Asks for a token at one spelling of a path, and serves another that it tidies."""

    def request(self, scope: Scope, headers: dict[str, str]) -> Scope:
        """Tidied, and let through where it had to be."""
        tidy = "/" + "/".join(part for part in scope["path"].split("/") if part not in ("", "."))
        if tidy != scope["path"]:
            self.admit("u001", headers)
        return {**scope, "path": tidy}


class OpenVersion(Front):
    """Tells its version to anybody."""

    def request(self, scope: Scope, headers: dict[str, str]) -> Scope:
        """Let through."""
        if scope["path"] == "/version":
            self.admit("u001", headers)
        return scope


class Metrics(Front):
    """Shows `/metrics` to anybody."""

    def request(self, scope: Scope, headers: dict[str, str]) -> Scope:
        """What stands in for metrics is the health."""
        return {**scope, "path": "/healthz" if scope["path"] == "/metrics" else scope["path"]}


class LastWins(Front):
    """Judges the first of two users, asks for the last: here, the first is dropped and the caller admitted."""

    def request(self, scope: Scope, headers: dict[str, str]) -> Scope:
        """The last `user` alone."""
        parts = scope["query_string"].split(b"&")
        users = [part for part in parts if part.startswith(b"user=")]
        if len(users) > 1:
            self.admit(users[-1].removeprefix(b"user=").decode(), headers)
            parts = [part for part in parts if part not in users[:-1]]
        return {**scope, "query_string": b"&".join(parts)}


class Huge(Front):
    """Takes any number."""

    def request(self, scope: Scope, headers: dict[str, str]) -> Scope:
        """A number that the service takes."""
        return {**scope, "query_string": scope["query_string"].replace(b"k=1000000", b"k=100")}


class Roomy(Front):
    """Takes a body of any size, with any number of items, of any length, for any number of answers."""

    takes = True

    def body(self, data: bytes, headers: dict[str, str]) -> bytes:
        """Cut down to what the service takes."""
        try:
            told = json.loads(data)
            told["items"] = [item[:256] for item in told["items"]][:200]
            told["k"] = min(told.get("k", 10), 100)
        except (ValueError, KeyError, TypeError):
            return data
        return data if data.count(b'"items"') > 1 else json.dumps(told).encode()


class Long(Front):
    """Takes a body of any size."""

    takes = True

    def body(self, data: bytes, headers: dict[str, str]) -> bytes:
        """Without the blanks that make it large."""
        return data.strip()


class Many(Front):
    """Takes any number of items, in a body of the size that it should have."""

    takes = True

    def body(self, data: bytes, headers: dict[str, str]) -> bytes:
        """The first of them, where they are too many."""
        if len(data) > BODY:
            return data
        told = json.loads(data)
        return json.dumps({**told, "items": told["items"][:200]}).encode() if len(told["items"]) > 200 else data


class Wordy(Front):
    """Takes ids of any length, in a body of the size that it should have."""

    takes = True

    def body(self, data: bytes, headers: dict[str, str]) -> bytes:
        """With short ones, where they are too long."""
        if len(data) > BODY:
            return data
        told = json.loads(data)
        few = [item[:256] for item in told["items"]]
        return data if few == told["items"] else json.dumps({**told, "items": few}).encode()


class Lenient(Front):
    """Takes a session under any name of a form, with a property more, or one that is there twice."""

    takes = True

    def body(self, data: bytes, headers: dict[str, str]) -> bytes:
        """What it makes of it, as JSON."""
        if len(data) > 10_000:
            return data
        headers["content-type"] = "application/json"
        told = json.loads(data)
        return json.dumps({name: told[name] for name in ("items", "k") if name in told}).encode()


class OpenSession(Front):
    """Asks for a token at the one method of its path, and not at the other."""

    def request(self, scope: Scope, headers: dict[str, str]) -> Scope:
        """Let through, where it is a session."""
        if scope["method"] == "POST" and scope["path"] == PATH and "authorization" not in headers:
            self.admit("u001", headers)
        return scope


class AnyMetrics(Front):
    """Shows `/metrics` to whoever has a token of whatever kind."""

    def request(self, scope: Scope, headers: dict[str, str]) -> Scope:
        """As the health, where there is one."""
        shown = scope["path"] == "/metrics" and "authorization" in headers
        return {**scope, "path": "/healthz" if shown else scope["path"]}


class Bare(Front):
    """Sends no security headers."""

    def response(self, scope: Scope, message: Message) -> Message:
        """Without `nosniff`."""
        if message["type"] == "http.response.start":
            message["headers"] = [each for each in message["headers"] if each[0] != b"x-content-type-options"]
        return message


class Talkative(Front):
    """Tells more than is declared: in answers, or in errors a traceback."""

    extra = b'"email": "u001@example.org", "user"'

    def response(self, scope: Scope, message: Message) -> Message:
        """With a property more."""
        if message["type"] == "http.response.start":
            message["headers"] = [each for each in message["headers"] if each[0] != b"content-length"]
        else:
            message["body"] = message["body"].replace(b'"user"', self.extra, 1)
        return message


class Spilling(Talkative):
    """Tells a traceback in errors."""

    def response(self, scope: Scope, message: Message) -> Message:
        """With the inside."""
        message = super().response(scope, message)
        if message["type"] != "http.response.start" and message["body"].startswith(b'{"error"'):
            message["body"] = b'Traceback (most recent call last):\n  File "app.py"'
        return message

    extra = b'"user"'


@contextmanager
def serving(app: ASGIApp, certificate: Path | None = None, http: type[Patient] = Patient) -> Iterator[str]:
    """The URL of an app that listens on the loopback as the service does, in a thread; over TLS with a certificate and
    key (PEM)."""
    more: dict[str, Any] = {"ssl_certfile": certificate} if certificate else {}
    usual: dict[str, Any] = {"loop": "uvloop", "http": http, "ws": "none", "lifespan": "off", "log_config": None}
    config = uvicorn.Config(app, port=0, **usual, **more)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < until
            time.sleep(0.005)
        scheme = "https" if certificate else "http"
        yield f"{scheme}://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def twin(
    model: Model,
    verifier: Verifier,
    front: type[Front] | None,
    token: Callable[[str], str],
    limiter: Limiter | None = None,
) -> ASGIApp:
    """A service over this model with this verifier and limiter, behind this front."""
    app = application(Service(model, verifier, limiter), PATH)
    return front(app, token) if front else app
