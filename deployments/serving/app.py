"""What the service answers: recommendations for one user or one session, with the digest of the release they come from.

Every request passes `Guard` first: one spelling of a path, the methods of that path, no body or a short one of JSON,
and the same strict headers on every answer, refusals included. Then the token, then the caller's limit, then what is
asked: nothing is said about a question to a caller without a token. Identity, method and path are those of the request
itself; headers that a proxy might have set are never read.
"""

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.serving import body
from deployments.serving.lease import Word
from deployments.serving.limit import Limiter
from deployments.serving.load import Model
from deployments.serving.metrics import TYPE, Line, Metrics
from deployments.serving.protocol import CROWDED
from deployments.serving.schema import (
    MOST,
    NAME,
    Health,
    Item,
    Ready,
    Recommendations,
    Refusal,
    Suggestions,
    Version,
    answer,
    refused,
)
from deployments.serving.token import METRICS, Bearer, Verifier
from deployments.serving.wire import BROKEN
from security.errors import PlanError

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""Those that the access log names: another may be anything, a person's name too."""
_PATH = re.compile(r"(/[A-Za-z0-9_-]+)+")
_COUNT = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)
Handler = Callable[[Request], Awaitable[Response]]
Routes = Mapping[tuple[str, str], Handler]
"""(path, method) -> what answers."""


class Service:
    """The endpoints over one model. Past the expiry of its release, or without a lease that holds, it is not ready and
    recommends nothing."""

    def __init__(
        self,
        model: Model,
        verifier: Verifier,
        limiter: Limiter | None = None,
        lease: Word | None = None,
        clock: Callable[[], float] = time.time,
        patience: float = body.SECONDS,
    ) -> None:
        self.model, self.verifier, self.limiter, self.lease = model, verifier, limiter or Limiter(), lease
        self.clock, self.patience, self.counts = clock, patience, Metrics()

    def routes(self, path: str) -> Routes:
        """Everything that is served, with recommendations at `path`."""
        return {
            (path, "GET"): self.recommendations,
            (path, "POST"): self.session,
            ("/version", "GET"): self.version,
            ("/metrics", "GET"): self.metrics,
            ("/healthz", "GET"): self.healthz,
            ("/readyz", "GET"): self.readyz,
        }

    async def _bearer(self, request: Request) -> Bearer:
        headers = [value.decode("latin-1") for name, value in request.scope["headers"] if name == b"authorization"]
        bearer = self.verifier.bearer(headers)
        request.scope["key"] = bearer.key
        self.limiter.take(bearer.subject)
        await turn()
        return bearer

    def _usable(self) -> None:
        if self.clock() >= self.model.card.expires:
            raise Refusal(503, "the release has expired")
        if self.lease is not None:
            self.lease.usable()

    async def recommendations(self, request: Request) -> Response:
        """`?user=ID&k=10`: at most `k` items that the user has not seen."""
        bearer = await self._bearer(request)
        user, k = query(request)
        self.verifier.allow(bearer, user)
        self._usable()
        if user != bearer.subject:
            self.limiter.spend(bearer.subject, user)
        best, basis = self.model.recommend(user, k)
        await turn()
        return answer(Recommendations(user, self.model.digest, [Item(*each) for each in best], basis))

    async def session(self, request: Request) -> Response:
        """A `Session`: at most `k` items that are not in it."""
        bearer = await self._bearer(request)
        self.verifier.allow(bearer)
        if request.scope["query_string"]:
            raise Refusal(400, "a session takes no query")
        asked = body.session(await body.read(request.receive, self.patience))
        self._usable()
        numbers, unknown = self.model.known(asked.items)
        self.limiter.spend(bearer.subject, frozenset(asked.items))
        best, basis = self.model.session(numbers, asked.k)
        await turn()
        items = [Item(*each) for each in best]
        return answer(Suggestions(self.model.digest, items, basis, numbers.size, unknown))

    async def version(self, request: Request) -> Response:
        """The release, to a bearer who may read."""
        self.verifier.allow(await self._bearer(request))
        card = self.model.card
        return answer(Version(self.model.digest, card.name, card.version, card.run))

    async def metrics(self, request: Request) -> Response:
        """The counts, to a bearer who may have these."""
        self.verifier.allow(await self._bearer(request), scope=METRICS)
        left = self.lease.left() if self.lease is not None else None
        text = self.counts.text(self.model.card.expires, self.clock(), left)
        return Response(text, headers={"content-type": TYPE})

    async def healthz(self, request: Request) -> Response:
        """Whether the process answers."""
        return answer(Health(True))

    async def readyz(self, request: Request) -> Response:
        """Whether it would recommend, and by which model."""
        try:
            self._usable()
        except Refusal as why:
            return answer(Ready(False, self.model.digest), why.status)
        return answer(Ready(True, self.model.digest))


async def turn() -> None:
    """Let all that came together be verified before any is scored, and scored before any is answered: a signature's
    tables, the weights of a catalogue and this code push each other out of the processor's cache."""
    await asyncio.sleep(0)


def query(request: Request) -> tuple[str, int]:
    """`user` and `k` of a request: each at most once, nothing else, or 400."""
    try:
        given = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=8)
    except ValueError:
        raise Refusal(400, "too many query parameters") from None
    values = dict(given)
    if len(values) != len(given):
        raise Refusal(400, "a query parameter is there twice")
    if values.keys() - {"user", "k"}:
        raise Refusal(400, "a query parameter that is not known; known: user, k")
    user, k = values.get("user", ""), values.get("k", "10")
    if not 0 < len(user) <= NAME:
        raise Refusal(400, f"user must be an id of 1 to {NAME} characters")
    if not _COUNT.fullmatch(k) or int(k) > MOST:
        raise Refusal(400, f"k must be a number from 1 to {MOST}")
    return user, int(k)


class Guard:
    """Outermost: refuses what no endpoint takes, answers, sets the headers, counts, and writes the access log."""

    def __init__(self, service: Service, path: str, log: Callable[[bytes], object] | None) -> None:
        self.service, self.log, self.routes = service, log, service.routes(path)
        self.methods = {each: [m for p, m in self.routes if p == each] for each, _ in self.routes}
        self.names = {each: handler.__name__ for each, handler in self.routes.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        begun = time.perf_counter_ns()
        response = await self._answer(scope, receive)
        response.raw_headers.extend(HEADERS)
        if response.status_code != 200 and body.comes(scope["headers"]):
            response.headers.update(body.CLOSE)  # what was not read of a body is not waited for
        try:
            await response(scope, receive, send)
        finally:
            self._tell(scope, response.status_code, (time.perf_counter_ns() - begun) // 1000)

    def _handler(self, scope: Scope) -> Handler:
        """What answers a request that may be asked; `Refusal` for another."""
        path, method, state = scope["path"], scope["method"], scope.get("state", {})
        if BROKEN in state:
            raise Refusal(400, "this is no request of HTTP/1.1", body.CLOSE)
        if CROWDED in state:
            raise Refusal(503, "too many connections", {"retry-after": "1", **body.CLOSE})
        if path not in self.methods or scope["raw_path"] != path.encode():
            raise Refusal(404, "not found")
        if method not in self.methods[path]:
            allowed = ", ".join(self.methods[path])
            raise Refusal(405, f"served here: {allowed}", {"allow": allowed, **body.CLOSE})
        (body.announced if method == "POST" else body.none)(scope["headers"])
        return self.routes[path, method]

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        try:
            return await self._handler(scope)(Request(scope, receive))
        except Refusal as why:
            return refused(why)
        except Exception as bug:  # noqa: BLE001 - whoever asks learns nothing of the inside; the operator learns where
            at = bug.__traceback__
            while at is not None and at.tb_next is not None:
                at = at.tb_next
            place = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at else "nowhere"
            print(f"{type(bug).__name__} at {place}", file=sys.stderr, flush=True)
            return refused(Refusal(500, "something went wrong here"))

    def _tell(self, scope: Scope, status: int, micros: int) -> None:
        method = scope["method"]
        route = self.names.get((scope["path"], method), "none")
        self.service.counts.observe(route, status, micros)
        if self.log is not None:
            known = method if method in METHODS else "other"
            line = Line(round(self.service.clock(), 3), known, route, status, micros, scope.get("key", ""))
            try:
                self.log(msgspec.json.encode(line) + b"\n")
            except OSError:
                self.service.counts.unlogged += 1


def application(service: Service, path: str, log: Callable[[bytes], object] | None = None) -> ASGIApp:
    """The ASGI application, with recommendations at `path`; `log` takes the lines of the access log."""
    if not _PATH.fullmatch(path) or path in ("/healthz", "/readyz", "/version", "/metrics"):
        raise PlanError(f"recommendations cannot be served at {path!r}")
    return Guard(service, path, log)
