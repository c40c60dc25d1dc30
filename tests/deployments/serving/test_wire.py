"""What comes on a connection that is no request, or more than one: each is answered once, in its turn, as it would be
alone, or not at all; and nothing is read as a request that another reader would take for a part of one."""

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from deployments.serving import protocol
from deployments.serving.protocol import AHEAD, HEAD, Patient
from tests.deployments.serving.release import Site
from tests.deployments.serving.test_protocol import connected, head, rest, service
from tests.deployments.serving.twins import serving

CHUNKED = "Transfer-Encoding: chunked"
LAST = head("GET", "/healthz", "Connection: close")
Told = list[tuple[str, dict[bytes, bytes], bytes]]


def echo(told: Told) -> ASGIApp:
    """Answers with the path, after the whole body was read; what it was asked goes to `told`, headers as they are by
    then."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
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


def answers(text: bytes) -> list[tuple[str, bool, str]]:
    """Status, whether the connection ends with it, and the body of each answer."""
    found = []
    for each in text.decode().split("HTTP/1.1 ")[1:]:
        top, _, body = each.partition("\r\n\r\n")
        found.append((top[:3], "\r\nconnection: close" in top.lower(), body))
    return found


@pytest.fixture(scope="module")
def told() -> Told:
    return []


@pytest.fixture(scope="module")
def echoing(told: Told) -> Iterator[str]:
    with serving(echo(told)) as url:
        yield url


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


POST = "POST / HTTP/1.1\r\nHost: x\r\n"
NONE = {
    "two-lengths": f"{POST}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list-of-lengths": f"{POST}Content-Length: 3, 3\r\n\r\nabc",
    "signed-length": f"{POST}Content-Length: +3\r\n\r\nabc",
    "length-and-chunks": f"{POST}Content-Length: 3\r\n{CHUNKED}\r\n\r\n0\r\n\r\n",
    "chunks-and-length": f"{POST}{CHUNKED}\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "chunks-then-more": f"{POST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "folded": "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "folded-at-once": "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "space-before-colon": "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "bare-line-feeds": "GET / HTTP/1.1\nHost: x\n\n",
    "bare-carriage-return": "GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",
    "nul": "GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
    "no-name": "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
    "no-host": "GET / HTTP/1.1\r\n\r\n",
    "two-hosts": "GET / HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n",
    "two-hosts-of-old": "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
    "version-0.9": "GET /\r\n\r\n",
    "version-1.2": "GET / HTTP/1.2\r\nHost: x\r\n\r\n",
    "version-2": "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "preface-2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown-method": "BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
    "small-method": "get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "letter-of-another-alphabet": "GET /\u00e9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "upgrade-with-body": f"{POST}Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    "large-head": f"GET / HTTP/1.1\r\nHost: x\r\nA: {'a' * HEAD}\r\n\r\n",
    "large-target": f"GET /{'a' * HEAD} HTTP/1.1\r\nHost: x\r\n\r\n",
    "many-headers": "GET / HTTP/1.1\r\nHost: x\r\n" + "A: b\r\n" * (HEAD // 2) + "\r\n",
}


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("text", NONE.values(), ids=NONE.keys())
def test_what_is_no_request_is_refused_once_and_nothing_behind_it_is_read(
    echoing: str, told: Told, text: str, before: int
) -> None:
    told.clear()
    found = answers(sent(echoing, head("GET", "/a") * before + text.encode() + head("GET", "/behind")))
    assert found == [("200", False, "/a")] * before + [("400", True, "broken")]
    assert [path for path, _, _ in told] == ["/a"] * before + [""]


BODIES = {
    "no-number": b"x\r\n",
    "signed": b"+1\r\na\r\n0\r\n\r\n",
    "overlong": b"1\r\nab\r\n0\r\n\r\n",
    "large": b"fffffffffffffffff\r\n",
    "line-feeds": b"1\na\n0\n\n",
}


@pytest.mark.parametrize("text", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_none_ends_its_request(echoing: str, told: Told, text: bytes) -> None:
    told.clear()
    begun = head("POST", "/begun", CHUNKED)
    assert answers(sent(echoing, begun, text + head("GET", "/behind"), pause=0.05)) == []
    assert told == []
    waiting = head("GET", "/a") + begun + text + head("GET", "/behind")
    assert answers(sent(echoing, waiting)) == [("200", False, "/a"), ("400", True, "broken")], "it had not begun"
    assert [path for path, _, _ in told] == ["/a", ""]


TARGETS = {
    "GET http://x/healthz": 404,
    "GET //x/healthz": 404,
    "GET /healthz#x": 404,
    "GET /healthz#?x": 404,
    "GET #/healthz": 400,
    "GET ?/healthz": 400,
    "GET *": 404,
    "GET x:80": 400,
    "OPTIONS *": 404,
    "OPTIONS /healthz": 405,
    "QUERY /healthz": 405,
    "CONNECT x:80": 404,
    "CONNECT /healthz": 405,
    "GET /%68ealthz": 404,
    "GET /healthz%00": 404,
    "GET /healthz/": 404,
    "GET /x/../healthz": 404,
    "GET /healthz;a": 404,
    "GET /healthz?x": 200,
}


@pytest.mark.parametrize(("target", "status"), TARGETS.items())
def test_a_target_is_taken_as_it_came(home: Site, target: str, status: int) -> None:
    method, _, path = target.partition(" ")
    with serving(service(home, [])) as url:
        found = answers(sent(url, head(method, path, "Connection: close") + head("GET", "/healthz")))
    assert [(each, ends) for each, ends, _ in found] == [(str(status), True)]


def test_nothing_is_upgraded(echoing: str, told: Told) -> None:
    told.clear()
    upgrade = head("GET", "/a", "Connection: upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    tunnel = head("CONNECT", "x:80")
    for text, path in ((upgrade, "/a"), (tunnel, "x:80")):
        for parts in ([text + LAST], [text, LAST]):
            assert answers(sent(echoing, *parts)) == [("200", True, path)]
    assert answers(sent(echoing, head("GET", "/a", "Upgrade: h2c") + LAST)) == [
        ("200", False, "/a"),
        ("200", True, "/healthz"),
    ], "without its `Connection` it is a header as any other"


@pytest.mark.parametrize("pause", [0.0, 0.05])
@pytest.mark.parametrize("end", [b"Connection: close\r\n", b"", b"Connection: keep-alive\r\n"])
def test_behind_the_last_request_nothing_is_read(echoing: str, told: Told, end: bytes, pause: float) -> None:
    told.clear()
    version = b"1.1" if b"close" in end else b"1.0"
    text = b"POST /a HTTP/%s\r\nHost: x\r\nContent-Length: 2\r\n%s\r\nab" % (version, end)
    for behind in (head("GET", "/behind"), b"\x00garbage"):
        assert answers(sent(echoing, text + behind)) == [("200", True, "/a")]
        assert answers(sent(echoing, text[:-1], text[-1:] + behind, pause=pause)) == [("200", True, "/a")]
    assert [(path, body) for path, _, body in told] == [("/a", b"ab")] * 4


def test_a_body_comes_in_any_number_of_parts(echoing: str, told: Told) -> None:
    told.clear()
    body, part = bytes(3 * HEAD), bytes(512)
    plain = [head("POST", "/a", f"Content-Length: {len(body)}"), *[part] * (len(body) // 512)]
    chunks = [head("POST", "/a", CHUNKED), *[b"200\r\n%s\r\n" % part] * (len(body) // 512), b"0\r\n\r\n"]
    found = answers(sent(echoing, *plain, *chunks, LAST, pause=0.0005))
    assert found == [("200", False, "/a")] * 2 + [("200", True, "/healthz")]
    assert [each for _, _, each in told] == [body, body, b""]


def test_headers_behind_a_body_are_not_among_the_others(echoing: str, told: Told) -> None:
    told.clear()
    text = head("POST", "/a", CHUNKED) + b"2;x=y\r\nab\r\n0\r\nAuthorization: Bearer x\r\nHost: y\r\n\r\n"
    assert answers(sent(echoing, text + LAST)) == [("200", False, "/a"), ("200", True, "/healthz")]
    path, headers, body = told[0]
    assert (path, body, headers) == ("/a", b"ab", {b"host": b"x", b"transfer-encoding": b"chunked"})


def test_a_body_is_asked_for_where_its_sender_waits(echoing: str) -> None:
    with connected(echoing) as raw:
        raw.sendall(head("POST", "/a", "Expect: 100-continue", "Content-Length: 2", "Connection: close"))
        assert raw.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(b"ab")
        assert answers(rest(raw)) == [("200", True, "/a")]


class Counted(Patient):
    """Remembers how many requests waited at the most."""

    waited = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        Counted.waited = max(Counted.waited, len(self.pipeline))


def test_requests_ahead_of_their_answers_are_answered_in_order_and_are_not_any_number(
    echoing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [head("GET", f"/{number}") for number in range(AHEAD)]
    found = answers(sent(echoing, b"".join(few) + LAST))
    assert found == [("200", False, f"/{number}") for number in range(AHEAD)] + [("200", True, "/healthz")]
    many = [head("POST", f"/{number}", "Content-Length: 1") + b"x" for number in range(1000)]
    found = answers(sent(echoing, b"".join(many)))
    assert found == [("200", number == AHEAD, f"/{number}") for number in range(AHEAD + 1)]
    monkeypatch.setattr("tests.deployments.serving.twins.Patient", Counted)
    for last, most in ((b"", AHEAD), (LAST, 1)):
        monkeypatch.setattr(Counted, "waited", 0)
        with serving(echo([])) as url:
            assert len(answers(sent(url, many[0] + last + b"".join(many)))) == most + 1
        assert Counted.waited == most, "what comes behind the last does not wait, since nobody answers it"


def test_what_goes_on_after_garbage_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.3)
        await echo([])(scope, receive, send)

    monkeypatch.setattr("tests.deployments.serving.twins.Patient", Counted)
    monkeypatch.setattr(Counted, "waited", 0)
    with serving(slow) as url:
        found = answers(sent(url, head("GET", "/a"), *[b"\0garbage"] * 20, pause=0.005))
    assert found == [("200", False, "/a"), ("400", True, "broken")]
    assert Counted.waited == 1


def test_a_connection_has_as_many_requests_as_come(echoing: str) -> None:
    text = head("GET", "/a", f"A: {'a' * 500}")
    with connected(echoing) as raw:
        for _ in range(3 * HEAD // len(text)):
            raw.sendall(text)
            assert answers(raw.recv(1000)) == [("200", False, "/a")]


MIXED = (
    head("GET", "/a?b")
    + head("POST", "/c", "Content-Length: 5")
    + b"GET /"
    + b"\r\n"
    + head("POST", "/d", CHUNKED)
    + b"3\r\nxyz\r\n0\r\nT: u\r\n\r\n"
    + LAST
)


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, len(MIXED)), max_size=12))
def test_where_the_bytes_are_cut_changes_nothing(echoing: str, told: Told, cuts: list[int]) -> None:
    told.clear()
    at = [0, *sorted(cuts), len(MIXED)]
    with connected(echoing) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, stop in zip(at, at[1:], strict=False):
            raw.sendall(MIXED[start:stop])
        assert answers(rest(raw)) == [
            ("200", False, "/a"),
            ("200", False, "/c"),
            ("200", False, "/d"),
            ("200", True, "/healthz"),
        ]
    assert [body for _, _, body in told] == [b"", b"GET /", b"xyz", b""]


ENDLESS = {
    "target": b"GET /",
    "value": b"GET / HTTP/1.1\r\nHost: x\r\nA: ",
    "name": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "headers": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "behind-a-request": head("GET", "/a") + b"GET / HTTP/1.1\r\nHost: x\r\nA: ",
    "extension": head("POST", "/a", CHUNKED) + b"1;",
    "trailer": head("POST", "/a", CHUNKED) + b"1\r\nx\r\n0\r\nA: ",
    "trailers": head("POST", "/a", CHUNKED) + b"1\r\nx\r\n0\r\n",
    "lines": b"\r\n",
}


@pytest.mark.parametrize("size", [64, 4096])
@pytest.mark.parametrize("name", ENDLESS)
def test_what_is_no_body_does_not_go_on_for_ever(echoing: str, name: str, size: int) -> None:
    more = {"headers": b"A: bcdef\r\n", "trailers": b"A: bcdef\r\n", "lines": b"\r\n"}.get(name, b"a" * 10)
    more *= size // len(more)
    with connected(echoing) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.sendall(ENDLESS[name])
        time.sleep(0.02)
        count, came, done = 0, bytearray(), False
        raw.settimeout(0.002)
        while not done and count < 4 * HEAD:
            try:
                raw.sendall(more)
                count += len(more)
                part = raw.recv(1 << 16)
                came, done = came + part, not part
            except TimeoutError:
                pass
            except ConnectionError:
                done = True
    assert done
    assert HEAD / 2 < count < HEAD + 30 * size, "as much as is allowed, and what was on its way"
    body = name in ("extension", "trailer", "trailers")
    wanted = [] if body else [("400", True, "broken")]
    assert answers(bytes(came))[-1:] == wanted


def test_a_head_of_nearly_that_length_is_taken(echoing: str) -> None:
    text = head("GET", "/a", "Connection: close", f"A: {'a' * (HEAD - 200)}")
    assert answers(sent(echoing, text)) == [("200", True, "/a")]
    assert answers(sent(echoing, *(text[at : at + 999] for at in range(0, len(text), 999)))) == [("200", True, "/a")]


@pytest.mark.parametrize("last", ["Rests: 1", "Connection: close", "Fails: 1"])
def test_a_short_answer_that_nobody_reads_is_not_kept(monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    """The system takes some of it, and what is left is less than what a transport tells of."""
    size = 60_000
    held: list[Any] = []

    class Narrow(Patient):
        def __init__(self, *told: Any, **named: Any) -> None:
            super().__init__(*told, **named)
            self.timeout_keep_alive = 0.3

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

    monkeypatch.setattr("tests.deployments.serving.twins.Patient", Narrow)
    monkeypatch.setattr(Patient, "seconds", 0.3)
    with serving(short) as url, connected(url, 4096) as raw:
        raw.sendall(head("GET", "/", last))
        time.sleep(0.1)
        assert held[0].get_write_buffer_size() > 0
        time.sleep(1.2)
        assert held[0].get_write_buffer_size() == 0
        assert len(rest(raw)) < size


class Pipe(asyncio.Transport):
    """A transport that says what it is told to."""

    closing = aborted = False

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("closing", [False, True])
def test_an_answer_of_which_nearly_all_was_read_is_waited_for_unless_it_is_the_last(
    monkeypatch: pytest.MonkeyPatch, closing: bool
) -> None:
    monkeypatch.setattr(Patient, "seconds", 0.01)

    async def read() -> bool:
        pipe, config = Pipe(), uvicorn.Config(echo([]), log_config=None)
        patient = Patient(config, ServerState(), {}, asyncio.get_running_loop())
        patient.connection_made(pipe)
        patient.pause_writing()
        pipe.closing = closing
        patient.resume_writing()
        await asyncio.sleep(0.05)
        return pipe.aborted

    assert asyncio.run(read()) == closing


def test_a_fault_of_the_server_is_not_the_senders(
    home: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def faulty(text: str) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(protocol, "unquote", faulty)
    log: list[dict[str, object]] = []
    with serving(service(home, log)) as url:
        assert sent(url, LAST) == b""
    assert log == []
