"""Requests that come before the last was answered, and connections that end then: answered in order, none twice, and of
what waits no more is held than is said."""

import socket
import ssl
import struct
import time
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from deployments.lake.certs import certificates
from deployments.serving import wire
from deployments.serving.protocol import Patient
from deployments.serving.wire import AHEAD
from tests.deployments.serving.raw import CHUNKED, LAST, answers, connected, echo, head, rest, sent, service, soon
from tests.deployments.serving.release import PATH, Site
from tests.deployments.serving.test_service import bearing
from tests.deployments.serving.twins import serving


class Counted(Patient):
    """Remembers how many requests waited at the most."""

    waited = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        Counted.waited = max(Counted.waited, len(self.pipeline))


def test_requests_ahead_of_their_answers_are_answered_in_order_and_are_not_any_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = [head("GET", f"/{number}") for number in range(AHEAD)]
    many = [head("POST", f"/{number}", "Content-Length: 1") + b"x" for number in range(1000)]
    with serving(echo([])) as url:
        found = answers(sent(url, b"".join(few) + LAST))
        assert found == [("200", False, f"/{number}") for number in range(AHEAD)] + [("200", True, "/healthz")]
        found = answers(sent(url, b"".join(many)))
        assert found == [("200", number == AHEAD, f"/{number}") for number in range(AHEAD + 1)]
    for last, most in ((b"", AHEAD), (LAST, 1)):
        monkeypatch.setattr(Counted, "waited", 0)
        with serving(echo([]), http=Counted) as url:
            assert len(answers(sent(url, many[0] + last + b"".join(many)))) == most + 1
        assert Counted.waited == most, "what comes behind the last does not wait, since nobody answers it"


class Heavy(Patient):
    """Remembers the most of a body that was held."""

    held = 0

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        Heavy.held = max(Heavy.held, len(self.cycle.body))


def test_the_body_of_a_request_that_waits_is_not_read_on(home: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Heavy, "held", 0)
    size = 30_000_000
    with serving(service(home, []), http=Heavy) as url:
        text = head("GET", "/healthz") * (AHEAD - 1) + head("POST", "/x", f"Content-Length: {size}") + bytes(size)
        found = answers(sent(url, text))
    assert [status for status, _, _ in found] in (["200"] * (AHEAD - 1) + ["405"], ["200"] * (AHEAD - 1) + ["404"])
    assert 0 < Heavy.held < 1 << 20


@pytest.mark.parametrize("count", [1, 2, 5])
def test_who_says_no_more_is_answered_all_the_same(home: Site, count: int) -> None:
    log: list[dict[str, object]] = []
    asks = head("GET", f"{PATH}?user=u001", f"Authorization: {bearing(home)['Authorization']}")
    begun = time.monotonic()
    with serving(service(home, log)) as url:
        for _ in range(3):
            with connected(url) as raw:
                raw.sendall(asks * count)
                raw.shutdown(socket.SHUT_WR)
                found = answers(rest(raw))
            assert [status for status, _, _ in found] == ["200"] * count
        for half in (asks[:-1], head("POST", PATH, "Content-Length: 2") + b"{"):
            with connected(url) as raw:
                raw.sendall(half)
                raw.shutdown(socket.SHUT_WR)
                assert b" 200 " not in rest(raw), "half a request is none"
        del log[:]
        for behind in (asks[:-1], b"BREW / HTTP/1.1\r\n\r\n", head("POST", PATH, CHUNKED) + b"zz\r\n"):
            with connected(url) as raw:
                raw.sendall(asks * count + behind)
                raw.shutdown(socket.SHUT_WR)
                found = answers(rest(raw))
            refused = ["400"] if behind != asks[:-1] else []
            assert [status for status, _, _ in found] == ["200"] * count + refused
    assert time.monotonic() - begun < 4, "none rests afterwards"
    assert [each["status"] for each in log] == ([200] * count) + ([200] * count + [400]) * 2


def test_over_tls_a_connection_has_no_half(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(echo([], after=0.2), certificates(tmp_path)) as url, connected(url) as raw:
        trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with trusting.wrap_socket(raw, server_hostname="127.0.0.1") as secret:
            secret.sendall(head("GET", "/a"))
            assert answers(secret.recv(1000)) == [("200", False, "/a")]
            secret.sendall(head("GET", "/a"))
            secret.unwrap()
    assert caplog.records == []


def test_who_answers_hears_of_a_connection_that_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    begun, heard = [], []

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["path"])
        while (message := await receive())["type"] == "http.request":
            pass
        heard.append(message["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    with serving(waits) as url:
        with connected(url) as raw:
            raw.sendall(head("GET", "/a") * 3)
            soon(lambda: begun)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # not as who says no more
        soon(lambda: heard)
    assert heard == ["http.disconnect"]
    assert caplog.records == []


def test_what_goes_on_after_garbage_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counted, "waited", 0)
    with serving(echo([], after=1), http=Counted) as url:
        found = answers(sent(url, head("GET", "/a"), *[b"\0garbage"] * 20, pause=0.005))
    assert found == [("200", False, "/a"), ("400", True, "broken")]
    assert Counted.waited == 1


def test_a_fault_of_the_server_is_not_the_senders(home: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(text: str) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(wire, "unquote", faulty)
    log: list[dict[str, object]] = []
    with serving(service(home, log)) as url:
        assert sent(url, LAST) == b""
    assert log == []
