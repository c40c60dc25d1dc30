"""Connections on which the other side does not do its part: none is kept, whatever was asked and however it stops."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.serving.app import Service, application
from deployments.serving.keyset import keyset
from deployments.serving.load import load
from deployments.serving.protocol import Patient
from deployments.serving.token import Verifier
from tests.deployments.serving.release import AUDIENCE, ISSUER, PATH, TENANT, Site
from tests.deployments.serving.test_service import STRICT
from tests.deployments.serving.twins import serving

LENGTH, CHUNKS = "Content-Length: 100000", "Transfer-Encoding: chunked"


def service(home: Site, log: list[dict[str, object]]) -> ASGIApp:
    """The service, and where its log goes."""
    model = load(home.release, home.keys.public("producer"))
    verifier = Verifier(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT)
    return application(Service(model, verifier), PATH, lambda line: log.append(json.loads(line)))


@contextmanager
def connected(url: str, buffer: int = 0) -> Iterator[socket.socket]:
    """A connection to it, with a small buffer for what comes."""
    site = urlsplit(url)
    with socket.socket() as raw:
        if buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
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


def head(method: str, path: str, *headers: str) -> bytes:
    """The head of a request."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: x", *headers, "", "")).encode()


@pytest.mark.parametrize("announced", [LENGTH, CHUNKS])
@pytest.mark.parametrize(("method", "path"), [("GET", "/x"), ("PUT", "/x"), ("POST", PATH), ("GET", PATH)])
def test_a_refusal_of_what_has_a_body_closes_the_connection(home: Site, method: str, path: str, announced: str) -> None:
    with serving(service(home, [])) as url, connected(url) as raw:
        raw.sendall(head(method, path, announced))
        text = rest(raw)
    assert text.startswith(b"HTTP/1.1 4")
    assert text.lower().count(b"\r\nconnection: close\r\n") == 1


GARBAGE = [
    b"\r\n\r\nnothing\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET /" + b"x" * 70_000,
    head("GET", "/x", "A" * 70_000),
]


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("sent", [*GARBAGE, head("GET", "/healthz", "Host: y"), b"\x16\x03\x01" * 9])
def test_what_is_no_request_is_refused_as_others_are(home: Site, before: int, sent: bytes) -> None:
    log: list[dict[str, object]] = []
    with serving(service(home, log)) as url, connected(url) as raw:
        raw.sendall(head("GET", "/healthz") * before + sent)
        answers = rest(raw).decode().lower().split("http/1.1 ")[1:]
    assert [each[:3] for each in answers] == ["200"] * before + ["400"]
    for each in answers:
        assert all(f"{name}: {value}" in each for name, value in STRICT.items())
    assert "connection: close" in answers[-1]
    assert [(each["method"], each["route"], each["status"]) for each in log] == [
        *[("GET", "healthz", 200)] * before,
        ("other", "none", 400),
    ]


def test_one_connection_too_many_is_refused_as_others_are(home: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patient, "most", 2)
    log: list[dict[str, object]] = []
    with serving(service(home, log)) as url, connected(url), connected(url) as second:
        with connected(url) as third:
            second.sendall(head("GET", "/healthz"))
            assert second.recv(1000).startswith(b"HTTP/1.1 200 "), "who was there goes on"
            third.sendall(head("GET", "/healthz"))
            text = rest(third).decode().lower()
        assert text.startswith("http/1.1 503 ")
        assert all(f"{name}: {value}\r\n" in text for name, value in {**STRICT, "connection": "close"}.items())
        second.close()
        time.sleep(0.1)
        with connected(url) as later:
            later.sendall(head("GET", "/healthz", "Connection: close"))
            assert rest(later).startswith(b"HTTP/1.1 200 "), "there is room again"
    assert [each["status"] for each in log] == [200, 503, 200]


async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers before the body is there, and keeps the connection."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("end", [b"", b"x", b"x" * 9, b"x" * 10])
def test_a_body_that_nobody_wanted_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    monkeypatch.setattr(Patient, "seconds", 0.2)
    with serving(hasty) as url, connected(url) as raw:
        start = time.monotonic()
        raw.sendall(head("GET", "/", "Content-Length: 10"))
        text = b""
        while not text.endswith(b"ok"):
            text += raw.recv(1000)
        raw.sendall(end)
        assert rest(raw) == b""
        assert time.monotonic() - start < 3, "the server's own timeout was ended by the last byte"


@pytest.mark.parametrize("last", [[], [(b"connection", b"close")]])
def test_an_answer_that_nobody_reads_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, last: list[tuple[bytes, bytes]]
) -> None:
    size = 32 << 20

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size), *last]}
        )
        await send({"type": "http.response.body", "body": bytes(size)})

    monkeypatch.setattr(Patient, "seconds", 0.2)
    with serving(large) as url:
        with connected(url, 4096) as raw:
            raw.sendall(head("GET", "/"))
            time.sleep(0.8)
            assert len(rest(raw)) < size
        monkeypatch.setattr(Patient, "seconds", 5.0)
        with connected(url) as raw:
            raw.sendall(head("GET", "/", "Connection: close"))
            assert len(rest(raw)) > size, "one that is read comes whole"
