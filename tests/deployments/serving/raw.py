"""The service, or an app, asked by bytes on a connection: what no client would send."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.serving.app import Service, application
from deployments.serving.keyset import keyset
from deployments.serving.load import load
from deployments.serving.token import Verifier
from tests.deployments.serving.release import AUDIENCE, ISSUER, PATH, TENANT, Site

CHUNKED = "Transfer-Encoding: chunked"
Told = list[tuple[str, dict[bytes, bytes], bytes]]


def service(home: Site, log: list[dict[str, object]]) -> ASGIApp:
    """The service, and where its log goes."""
    model = load(home.release, home.keys.public("producer"))
    verifier = Verifier(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT)
    return application(Service(model, verifier), PATH, lambda line: log.append(json.loads(line)))


def echo(told: Told, after: float = 0.0) -> ASGIApp:
    """Answers with the path some seconds later, after the whole body was read; what it was asked goes to `told`,
    headers as they are by then."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(after)
        body, more = b"", True
        while more and not scope["state"]:
            message = await receive()
            if message["type"] != "http.request":
                return
            body, more = body + message["body"], message["more_body"]
        told.append((scope["path"], dict(scope["headers"]), body))
        status, text = (400, b"broken") if scope["state"] else (200, scope["raw_path"])
        length = [(b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": status, "headers": length})
        await send({"type": "http.response.body", "body": text})

    return app


class Pipe(asyncio.Transport):
    """A transport that keeps what it is given, and says what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[Any] = []
        self.closing = self.aborted = False

    def write(self, data: Any) -> None:
        self.given.append(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True


@contextmanager
def connected(url: str, buffer: int = 0) -> Iterator[socket.socket]:
    """A connection to it, with a small buffer for what comes."""
    site = urlsplit(url)
    with socket.socket() as raw:
        if buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.settimeout(5)
        raw.connect((site.hostname or "", site.port or 0))
        yield raw


def rest(raw: socket.socket) -> bytes:
    """All that comes until it is closed."""
    text = bytearray()
    try:
        while part := raw.recv(1 << 20):
            text += part
    except ConnectionError:
        pass
    return bytes(text)


def sent(url: str, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that comes after these parts."""
    with connected(url) as raw:
        for each in parts:
            try:
                raw.sendall(each)
            except ConnectionError:
                break
            time.sleep(pause)
        return rest(raw)


def head(method: str, path: str, *headers: str) -> bytes:
    """The head of a request."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: x", *headers, "", "")).encode()


def answers(text: bytes) -> list[tuple[str, bool, str]]:
    """Status, whether the connection ends with it, and the body of each answer."""
    found = []
    for each in text.decode().split("HTTP/1.1 ")[1:]:
        top, _, body = each.partition("\r\n\r\n")
        found.append((top[:3], "\r\nconnection: close" in top.lower(), body))
    return found


LAST = head("GET", "/healthz", "Connection: close")


def soon(holds: Callable[[], object]) -> None:
    """Wait until it holds, for ten seconds at the most."""
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)
