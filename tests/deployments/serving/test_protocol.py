"""Connections on which the other side does not do its part: none is kept, whatever was asked and however it stops."""

import asyncio
import socket
import time
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from deployments.serving.protocol import Patient
from tests.deployments.serving.raw import CHUNKED, Pipe, answers, connected, echo, head, rest, service, soon
from tests.deployments.serving.release import PATH, Site
from tests.deployments.serving.test_service import STRICT
from tests.deployments.serving.twins import serving

LENGTH = "Content-Length: 100000"


@pytest.mark.parametrize("announced", [LENGTH, CHUNKED])
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
        found = rest(raw).decode().lower().split("http/1.1 ")[1:]
    assert [each[:3] for each in found] == ["200"] * before + ["400"]
    for each in found:
        assert all(f"{name}: {value}" in each for name, value in STRICT.items())
    assert "connection: close" in found[-1]
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


class Brief(Patient):
    """Gives a connection that rests as much time as one that does not."""

    def __init__(self, *told: Any, **named: Any) -> None:
        super().__init__(*told, **named)
        self.timeout_keep_alive = 1.0


def test_an_answer_takes_its_time_and_what_comes_after_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patient, "seconds", 1.0)
    with serving(echo([], after=1.5), http=Brief) as url, connected(url) as raw:
        for _ in range(2):
            raw.sendall(head("GET", "/a"))
            assert answers(raw.recv(1000)) == [("200", False, "/a")]
            time.sleep(0.1)
        start = time.monotonic()
        raw.sendall(b"GET /")
        assert rest(raw) == b""
        assert 0.8 < time.monotonic() - start < 4


def test_a_connection_rests_for_longer_than_a_request_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patient, "seconds", 0.5)
    with serving(echo([])) as url, connected(url) as raw:
        for part in (b"", b"\r\n"):
            raw.sendall(head("GET", "/a") + part)
            assert answers(raw.recv(1000)) == [("200", False, "/a")]
            time.sleep(0.8)
        raw.sendall(b"\r\n")
        start = time.monotonic()
        assert rest(raw) == b"", "a line is no request"
        assert time.monotonic() - start < 3


@pytest.mark.parametrize("last", ["Rests: 1", "Connection: close", "Fails: 1"])
def test_a_short_answer_that_nobody_reads_is_not_kept(monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    """The system takes some of it, and what is left is less than what a transport tells of."""
    size = 60_000
    held: list[Any] = []

    class Narrow(Brief):
        def connection_made(self, transport: Any) -> None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            held.append(transport)
            super().connection_made(transport)

    async def short(scope: Scope, receive: Receive, send: Send) -> None:
        length = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": bytes(size - 1), "more_body": True})
        if (b"fails", b"1") in scope["headers"]:
            raise ZeroDivisionError
        await send({"type": "http.response.body", "body": bytes(1)})

    monkeypatch.setattr(Patient, "seconds", 0.3)
    with serving(short, http=Narrow) as url, connected(url, 4096) as raw:
        raw.sendall(head("GET", "/", last))
        soon(lambda: held and held[0].get_write_buffer_size() > 0)
        soon(lambda: held[0].get_write_buffer_size() == 0)
        assert len(rest(raw)) < size


@pytest.mark.parametrize("closing", [False, True])
def test_an_answer_of_which_nearly_all_was_read_is_waited_for_unless_it_is_the_last(
    monkeypatch: pytest.MonkeyPatch, closing: bool
) -> None:
    async def read() -> bool:
        pipe, config = Pipe(), uvicorn.Config(echo([]), log_config=None)
        patient = Patient(config, ServerState(), {}, asyncio.get_running_loop())
        patient.connection_made(pipe)
        monkeypatch.setattr(Patient, "seconds", 0.01)
        patient.pause_writing()
        pipe.closing = closing
        patient.resume_writing()
        await asyncio.sleep(0.05)
        return pipe.aborted

    assert asyncio.run(read()) == closing


def test_of_a_connection_that_was_broken_off_nothing_is_left_to_happen() -> None:
    async def left() -> list[bool]:
        loop, config = asyncio.get_running_loop(), uvicorn.Config(echo([]), log_config=None)
        patient = Patient(config, ServerState(), {}, loop)
        patient.connection_made(Pipe())
        patient.pause_writing()
        patient.timeout_keep_alive_task = resting = loop.call_later(9, patient.timeout_keep_alive_handler)
        timers = [resting, patient._late, patient._unread]
        patient.connection_lost(ConnectionResetError())
        return [each is not None and each.cancelled() for each in timers]

    assert asyncio.run(left()) == [True, True, True]
