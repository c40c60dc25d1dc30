"""The query side of OSV's API on the loopback, over a mirror or a live service's answers: what an audit engine asks.

`POST /v1/query` with a package and a version answers with the advisories that affect it. It decides by code of its own,
not by `ranges`: whoever asks both and holds the answers against each other sees a mistake of either. An advisory of
which nobody can tell whom it affects is answered. What a live service answered is told on as it was: all pages of an
answer as one, since the engine reads the first alone, and nothing to a question that was not asked there. Names are
spelled canonically, since the engine compares them as text.
"""

import json
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from security.advisories.live import Live
from security.advisories.mirror import Mirror
from security.advisories.record import ECOSYSTEM, Advisory, Range

LONGEST = 1 << 20
"""Bytes of a question."""


class Answers:
    """What the server says to a question."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror

    def query(self, asked: Any) -> dict[str, Any]:
        """The advisories that affect a version of a package. `ValueError` for a question of another form."""
        try:
            name, ecosystem, at = asked["package"]["name"], asked["package"]["ecosystem"], Version(asked["version"])
        except (KeyError, TypeError, InvalidVersion):
            raise ValueError("a package and its version are needed") from None
        if ecosystem != ECOSYSTEM:
            raise ValueError(f"nothing but {ECOSYSTEM} is here")
        name = canonicalize_name(name)
        every = self.mirror.of(name)
        if isinstance(self.mirror, Live):
            if (name, str(at)) not in self.mirror.answers:
                raise ValueError("the live service gave no answer about it")
            hits = [each for each in every if each.id in self.mirror.answers[name, str(at)]]
        else:
            hits = [each for each in every if _hit(each, name, at)]
        return {"vulns": [_spelled(each, name) for each in hits]} if hits else {}


def _spelled(each: Advisory, name: str) -> dict[str, Any]:
    """What the engine reads of it, of this package alone, in the spellings that it takes: another would end its run."""
    told = {"id": each.id, "modified": each.modified, "schema_version": each.schema_version}
    spans = [span for affected in each.affected if affected.of(name) for span in affected.ranges if span.type != "GIT"]
    events = [
        [{kind: at} for event in span.events for kind, at in event.told() if kind != "fixed" or _version(at)]
        for span in spans
    ]
    ranges = [{"type": span.type, "events": every} for span, every in zip(spans, events, strict=True)]
    affected = {"package": {"ecosystem": ECOSYSTEM, "name": name}, "ranges": ranges}
    return {**told, "summary": each.summary, "aliases": list(each.aliases), "affected": [affected]}


def _hit(each: Advisory, name: str, at: Version) -> bool:
    for affected in each.affected:
        if not affected.of(name):
            continue
        spans = [span for span in affected.ranges if span.type != "GIT"]
        if Version(at.public) in map(_version, affected.versions) or any(
            _covers(span, at, open=not affected.versions) for span in spans
        ):
            return True
        if not spans and not affected.versions:
            return True
    return False


@lru_cache(maxsize=1 << 16)
def _version(told: str) -> Version | None:
    try:
        return Version(Version(told).public)
    except InvalidVersion:
        return None


def _covers(span: Range, at: Version, *, open: bool) -> bool:  # noqa: A002 - an interval that is open
    """Whether the nearest event at or before the version began something; `open` is what an unclear span counts as."""
    starts: list[Version | None] = []
    ends: list[Version | None] = []
    after: list[Version | None] = []
    for event in span.events:
        for told, into in ((event.introduced, starts), (event.fixed, ends), (event.limit, ends)):
            if told is not None and told != "*":
                point = _version(told) if told != "0" else Version("0.dev0")
                into.append(Version(told) if point and into is ends and "+" in told else point)
        if event.last_affected is not None:
            after.append(_version(event.last_affected))
    if not starts or None in (*starts, *ends, *after):
        return open
    begun = sorted(each for each in starts if each is not None)
    full, at = at, Version(at.public)
    place = bisect_right(begun, at)
    if not place:
        return False
    start = begun[place - 1]
    ended = any(start < each <= (full if each.local else at) for each in ends if each is not None)
    return not ended and not any(start <= each < at for each in after if each is not None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One write for head and body: two would wait 40 ms for each other's acknowledgement, on every question.
    wbufsize = -1
    answers: ClassVar[Answers]

    def do_POST(self) -> None:  # noqa: N802 - the base's name
        size = self.headers.get("content-length", "")
        if self.path != "/v1/query" or not size.isdigit() or int(size) > LONGEST:
            self.close_connection = True
            return self._say(404, {"message": "POST /v1/query"})
        try:
            self._say(200, self.answers.query(json.loads(self.rfile.read(int(size)))))
        except ValueError as why:
            self._say(400, {"message": str(why)})

    def _say(self, status: int, told: dict[str, Any]) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Nothing: what was asked stands in the facts."""


@contextmanager
def serving(mirror: Mirror) -> Iterator[str]:
    """The server, for as long as it is needed; its URL, up to `/v1/query`."""
    handler = type("Handler", (_Handler,), {"answers": Answers(mirror)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
