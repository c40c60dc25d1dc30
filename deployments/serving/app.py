"""What the service answers: recommendations for one user, with the digest of the release that they come from.

Every request passes `Guard` first: only GET, no body, no percent-encoded path, and the same strict headers on every
answer, refusals included. Then the token, then the query: nothing is said about a query to a caller without a token.
Identity, method and path are those of the request itself; headers that a proxy might have set are never read.
"""

import re
import time
from collections.abc import Callable

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.serving.load import Model
from deployments.serving.token import Bearer, Denied, Verifier
from security.errors import PlanError

MOST = 100
"""Items in one answer."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_PATH = re.compile(r"(/[A-Za-z0-9_-]+)+")
_COUNT = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)


class Item(msgspec.Struct, frozen=True):
    """One recommended item."""

    item: str
    score: float


class Recommendations(msgspec.Struct, frozen=True):
    """The answer for one user; `model` is the digest of the release, `basis` is `personal` or `cold`."""

    user: str
    model: str
    items: list[Item]
    basis: str


class Version(msgspec.Struct, frozen=True):
    """Which release answers."""

    model: str
    name: str
    version: int
    run: str


class Error(msgspec.Struct, frozen=True):
    """A refusal: one sentence, nothing of the inside."""

    error: str


class Health(msgspec.Struct, frozen=True):
    """All that a caller without a token learns."""

    ok: bool


def answer(body: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")


class Service:
    """The endpoints over one model. Past the expiry of its release it is not ready and recommends nothing."""

    def __init__(self, model: Model, verifier: Verifier, clock: Callable[[], float] = time.time) -> None:
        self.model, self.verifier, self.clock = model, verifier, clock

    def _bearer(self, request: Request) -> Bearer:
        return self.verifier.bearer(request.headers.getlist("authorization"))

    @property
    def ready(self) -> bool:
        """Whether the release may still be used."""
        return self.clock() < self.model.card.expires

    async def recommendations(self, request: Request) -> Response:
        """`?user=ID&k=10`: at most `k` items that the user has not seen."""
        bearer = self._bearer(request)
        user, k = query(request)
        self.verifier.allow(bearer, user)
        if not self.ready:
            raise HTTPException(503, "the release has expired")
        best, basis = self.model.recommend(user, k)
        return answer(Recommendations(user, self.model.digest, [Item(*each) for each in best], basis))

    async def version(self, request: Request) -> Response:
        """The release, to a bearer who may read."""
        self.verifier.allow(self._bearer(request))
        card = self.model.card
        return answer(Version(self.model.digest, card.name, card.version, card.run))

    async def healthz(self, request: Request) -> Response:
        """Whether the process answers."""
        return answer(Health(True))

    async def readyz(self, request: Request) -> Response:
        """Whether it would recommend."""
        return answer(Health(self.ready), 200 if self.ready else 503)


def query(request: Request) -> tuple[str, int]:
    """`user` and `k` of a request: each at most once, nothing else, or 400."""
    given = request.query_params.multi_items()
    values = dict(given)
    if len(values) != len(given):
        raise HTTPException(400, "a query parameter is there twice")
    if set(values) - {"user", "k"}:
        raise HTTPException(400, "a query parameter that is not known; known: user, k")
    user, k = values.get("user", ""), values.get("k", "10")
    if not 0 < len(user) <= 256:
        raise HTTPException(400, "user must be an id of 1 to 256 characters")
    if not _COUNT.fullmatch(k) or int(k) > MOST:
        raise HTTPException(400, f"k must be a number from 1 to {MOST}")
    return user, int(k)


class Guard:
    """Outermost: refuses what no endpoint takes, and sets the headers of every answer."""

    def __init__(self, inner: ASGIApp) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        headers = dict(scope["headers"])
        app: ASGIApp = self.inner
        if scope["method"] != "GET":
            app = answer(Error("only GET is served"), 405, {"allow": "GET"})
        elif headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            app = answer(Error("no body is taken"), 413, {"connection": "close"})
        elif scope["raw_path"] != scope["path"].encode():
            app = answer(Error("not found"), 404)
        await app(scope, receive, dressed)


async def _denied(request: Request, why: Exception) -> Response:
    status, challenge = (why.status, why.challenge) if isinstance(why, Denied) else (401, "Bearer")
    return answer(Error(str(why)), status, {"www-authenticate": challenge})


async def _refused(request: Request, why: Exception) -> Response:
    status, detail = (why.status_code, why.detail) if isinstance(why, HTTPException) else (500, "")
    return answer(Error({404: "not found"}.get(status, detail)), status)


async def _broken(request: Request, why: Exception) -> Response:
    return answer(Error("something went wrong here"), 500)


def application(service: Service, path: str) -> ASGIApp:
    """The ASGI application, with recommendations at `path`."""
    if not _PATH.fullmatch(path) or path in ("/healthz", "/readyz", "/version"):
        raise PlanError(f"recommendations cannot be served at {path!r}")
    inner = Starlette(
        routes=[
            Route(path, service.recommendations),
            Route("/version", service.version),
            Route("/healthz", service.healthz),
            Route("/readyz", service.readyz),
        ],
        exception_handlers={Denied: _denied, HTTPException: _refused, Exception: _broken},
    )
    inner.router.redirect_slashes = False
    return Guard(inner)
