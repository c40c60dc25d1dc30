"""What comes on a connection that is no request, or is more than one: each is answered once, as it would be alone, or
not at all; and nothing is read as a request that another reader would take for a part of one."""

import select
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.serving.protocol import Patient
from deployments.serving.wire import HEAD
from tests.deployments.serving.raw import CHUNKED, LAST, Told, answers, connected, echo, head, rest, sent, service
from tests.deployments.serving.release import Site
from tests.deployments.serving.twins import serving


@pytest.fixture(scope="module")
def told() -> Told:
    return []


@pytest.fixture(scope="module")
def echoing(told: Told) -> Iterator[str]:
    with serving(echo(told)) as url:
        yield url


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
    "another-encoding": f"{POST}Transfer-Encoding: gzip\r\n\r\n",
    "an-encoding-more": f"{POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an-encoding-before": f"{POST}Transfer-Encoding: identity\r\n{CHUNKED}\r\n\r\n0\r\n\r\n",
    "an-encoding-twice": f"{POST}{CHUNKED}\r\n{CHUNKED}\r\n\r\n0\r\n\r\n",
    "an-empty-encoding": f"{POST}Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "nearly-chunks": f"{POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "quoted-chunks": f'{POST}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "chunks-of-old": f"POST / HTTP/1.0\r\n{CHUNKED}\r\n\r\n0\r\n\r\n",
    "another-protocol": "GET / RTSP/1.0\r\nHost: x\r\n\r\n",
    "another-protocol-1.1": "POST / RTSP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "another-protocols-method": "SOURCE / ICE/1.1\r\nHost: x\r\n\r\n",
    "many-blanks-and-a-lure": "GET  / HTTP/1.1\r\nHost: x\r\nX: GET / HTTP/1.1\r\n\r\n",
    "another-protocol-and-a-lure": "POST / RTSP/1.1\r\nHost: x\r\nX: POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "many-blanks-behind-the-same": "GET /a  HTTP/1.1\r\nHost: x\r\n\r\n",
    "many-blanks": "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "many-blanks-behind": "GET /  HTTP/1.1\r\nHost: x\r\n\r\n",
    "large-head": f"GET / HTTP/1.1\r\nHost: x\r\nA: {'a' * HEAD}\r\n\r\n",
    "large-target": f"GET /{'a' * HEAD} HTTP/1.1\r\nHost: x\r\n\r\n",
    "many-headers": "GET / HTTP/1.1\r\nHost: x\r\n" + "A:\r\n" * (HEAD // 4) + "\r\n",
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
def test_a_body_that_is_none_ends_its_request(
    echoing: str, told: Told, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    told.clear()
    begun = head("POST", "/begun", CHUNKED)
    assert answers(sent(echoing, begun, text + head("GET", "/behind"), pause=0.05)) == []
    assert (told, caplog.records) == ([], [])
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


@pytest.mark.parametrize("cut", [0, 1, 40, 400])
def test_what_asks_for_an_upgrade_has_its_body_read(echoing: str, told: Told, cut: int) -> None:
    told.clear()
    body = b"GET /behind HTTP/1.1\r\n\r\n"
    asks = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")
    plain = head("POST", "/a", *asks, f"Content-Length: {len(body)}") + body
    chunks = head("POST", "/a", *asks, CHUNKED) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    for text in (plain, chunks):
        parts = [text[at : at + cut] for at in range(0, len(text), cut)] if cut else [text]
        parts[-1] += head("POST", "/behind", "Content-Length: 6") + b"SECRET"
        assert answers(sent(echoing, *parts, pause=0.002)) == [("200", True, "/a")]
    assert [each for _, _, each in told] == [body, body]
    assert answers(sent(echoing, chunks.replace(b"0\r\n\r\n", b"x"))) == []
    assert answers(sent(echoing, head("POST", "/a", *asks, "Content-Length: 3, 3") + b"abc")) == [
        ("400", True, "broken")
    ]


def test_what_is_known_of_a_head_goes_with_it() -> None:
    """Each packet ends in the next head."""
    held: list[int] = []

    class Weighed(Patient):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            held.append(len(self._raw))

    text = head("GET", "/a", f"A: {'a' * 9000}")
    with serving(echo([]), http=Weighed) as url, connected(url) as raw:
        raw.sendall(text[:1])
        for _ in range(20):
            raw.sendall(text[1:] + text[:1])
            assert answers(raw.recv(1000)) == [("200", False, "/a")]
    assert max(held) <= len(text)


def test_blanks_around_a_value_are_none_of_it(echoing: str, told: Told) -> None:
    told.clear()
    text = (
        head("POST", "/a", "Content-Length: \t2 \t", "Content-Type:application/json\t ", "Connection: close ") + b"ab"
    )
    assert answers(sent(echoing, text)) == [("200", True, "/a")]
    (_, headers, body), *_ = told
    assert (headers[b"content-length"], headers[b"content-type"], body) == (b"2", b"application/json", b"ab")


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
    assert found == [("200", False, "/a"), ("200", True, "/a")]
    assert [each for _, _, each in told] == [body, body]


@pytest.mark.parametrize("zeros", [1, 5000])
def test_a_length_has_any_number_of_zeros_before_it(echoing: str, told: Told, zeros: int) -> None:
    told.clear()
    for more in ((), ("Connection: upgrade", "Upgrade: h2c")):
        for body in (b"", b"ab"):
            length = f"Content-Length: {'0' * zeros}{len(body)}"
            found = answers(sent(echoing, head("POST", "/a", length, *more) + body + LAST))
            assert found == [("200", bool(more), "/a"), *([] if more else [("200", True, "/healthz")])]
    assert [each for path, _, each in told if path == "/a"] == [b"", b"ab"] * 2


def test_headers_behind_a_body_are_not_among_the_others(echoing: str, told: Told) -> None:
    told.clear()
    text = head("POST", "/a", CHUNKED) + b"2;x=y\r\nab\r\n0\r\nAuthorization: Bearer x\r\nHost: y\r\n\r\n"
    assert answers(sent(echoing, text + LAST)) == [("200", True, "/a")], "where chunks end, only the parser says"
    path, headers, body = told[0]
    assert (path, body, headers) == ("/a", b"ab", {b"host": b"x", b"transfer-encoding": b"chunked"})


def test_a_body_is_asked_for_where_its_sender_waits(echoing: str) -> None:
    with connected(echoing) as raw:
        raw.sendall(head("POST", "/a", "Expect: 100-continue", "Content-Length: 2", "Connection: close"))
        assert raw.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(b"ab")
        assert answers(rest(raw)) == [("200", True, "/a")]
    old = b"POST /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert answers(sent(echoing, old, b"ab", pause=0.05)) == [("200", True, "/a")], "it would not know what that is"


def test_a_connection_has_as_many_requests_as_come(echoing: str) -> None:
    text = head("GET", "/a", f"A: {'a' * 500}")
    with connected(echoing) as raw:
        for _ in range(3 * HEAD // len(text)):
            raw.sendall(text)
            assert answers(raw.recv(1000)) == [("200", False, "/a")]


MIXED = (
    head("GET", "/a?b")
    + b"\r\n"
    + head("POST", "/c", "Content-Length: 5")
    + b"GET /"
    + head("POST", "/e", "Content-Length: 0")
    + b"\r\n\r\n"
    + head("POST", "/d", CHUNKED)
    + b"3\r\nxyz\r\n0\r\nT: u\r\n\r\n"
    + head("POST", "/behind", "Content-Length: 2")
    + b"no"
)


@settings(max_examples=100, deadline=None)
@given(cuts=st.lists(st.integers(0, len(MIXED)), max_size=12))
def test_where_the_bytes_are_cut_changes_nothing(echoing: str, told: Told, cuts: list[int]) -> None:
    told.clear()
    at = [0, *sorted(cuts), len(MIXED)]
    found = answers(sent(echoing, *(MIXED[start:stop] for start, stop in zip(at, at[1:], strict=False))))
    assert found == [*(("200", False, path) for path in ("/a", "/c", "/e")), ("200", True, "/d")]
    assert [body for _, _, body in told] == [b"", b"GET /", b"", b"xyz"]


ENDLESS = {
    "target": b"GET /",
    "value": b"GET / HTTP/1.1\r\nHost: x\r\nA: ",
    "name": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "headers": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "behind-a-request": head("GET", "/a") + b"GET / HTTP/1.1\r\nHost: x\r\nA: ",
    "extension": head("POST", "/a", CHUNKED) + b"1;",
    "trailer": head("POST", "/a", CHUNKED) + b"1\r\nx\r\n0\r\nA: ",
    "trailers": head("POST", "/a", CHUNKED) + b"1\r\nx\r\n0\r\n",
}


class Bounded(Patient):
    """Remembers how much had come before what it refused, and with it, and the most at once."""

    before = whole = largest = 0

    def data_received(self, data: bytes) -> None:
        if not self._ended:
            Bounded.before, Bounded.whole = Bounded.whole, Bounded.whole + len(data)
            Bounded.largest = max(Bounded.largest, len(data))
        super().data_received(data)


@pytest.mark.parametrize("size", [64, 4096])
@pytest.mark.parametrize("name", ENDLESS)
def test_what_is_no_body_does_not_go_on_for_ever(monkeypatch: pytest.MonkeyPatch, name: str, size: int) -> None:
    for each in ("before", "whole", "largest"):
        monkeypatch.setattr(Bounded, each, 0)
    more = {"headers": b"A: bcdef\r\n", "trailers": b"A: bcdef\r\n"}.get(name, b"a" * 10)
    more *= size // len(more)
    with serving(echo([]), http=Bounded) as url, connected(url) as raw:
        raw.sendall(ENDLESS[name])
        until, ended = time.monotonic() + 10, False
        while not ended and time.monotonic() < until:
            try:
                raw.sendall(more)
                ended = bool(select.select([raw], [], [], 0.002)[0]) and name != "behind-a-request"
            except ConnectionError:
                ended = True
        came = rest(raw)
    assert ended
    assert Bounded.whole > HEAD / 2
    assert Bounded.before <= HEAD + len(ENDLESS[name]) + Bounded.largest, "what comes with a body is not counted"
    body = name in ("extension", "trailer", "trailers")
    assert answers(came)[-1:] == ([] if body else [("400", True, "broken")])


def test_a_head_of_nearly_that_length_is_taken(echoing: str) -> None:
    text = head("GET", "/a", "Connection: close", f"A: {'a' * (HEAD - 200)}")
    assert answers(sent(echoing, text)) == [("200", True, "/a")]
    assert answers(sent(echoing, *(text[at : at + 999] for at in range(0, len(text), 999)))) == [("200", True, "/a")]
