"""A registry double that really listens, on the loopback; and one that answers as no registry should."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx

from security.engines.login import Login, Place
from security.gates.authorization.double import Double

Answer = Callable[[httpx.Request], httpx.Response]
LOGIN = Login("producer", secrets.token_hex(12))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: Double

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def _answer(self) -> None:
        length = int(self.headers.get("content-length", 0))
        url = f"http://{self.headers['host']}{self.path}"
        told = self.double.answer(
            httpx.Request(self.command, url, headers=dict(self.headers), content=self.rfile.read(length))
        )
        self.send_response(told.status_code)
        for name, value in told.headers.items():
            if name.lower() not in ("content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(told.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told.content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the names of http.server


@contextmanager
def listening(name: str, path: str = "models", port: int = 0, **ways: Any) -> Iterator[Double]:
    """A double behind a port; its `place` says where."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    place = Place(f"127.0.0.1:{server.server_address[1]}/{path}", name, "UnsafeHttp")
    handler.double = Double(place, LOGIN, **ways)  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield handler.double  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Odd(httpx.BaseTransport):
    """A double in whose place something else answers some requests: `METHOD PATH`, from its end."""

    def __init__(self, double: Double, **answers: Answer) -> None:
        self.double, self.answers = double, answers

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The odd answer, or the double's."""
        request.read()
        said = f"{request.method} {request.url.path}"
        for end, answer in self.answers.items():
            method, _, path = end.partition("_")
            if said.startswith(method) and said.endswith(path) and request.headers.get("authorization"):
                return answer(request)
        return self.double.answer(request)
