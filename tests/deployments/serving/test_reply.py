"""Answers as they go onto the wire: all of each, whatever the application does."""

import pytest
from starlette.types import Receive, Scope, Send

from deployments.serving.reply import Joined
from tests.deployments.serving.raw import Pipe, connected, head, rest
from tests.deployments.serving.twins import serving

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]}


async def parts(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers as the path says."""
    path = scope["path"]
    if path == "/none":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await send(START)
    if path == "/fails":
        raise ZeroDivisionError
    await send({"type": "http.response.body", "body": b"ab", "more_body": True})
    if path == "/breaks":
        raise ZeroDivisionError
    await send({"type": "http.response.body", "body": b"cd"})


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/whole", b"200 OK", b"abcd"),
        ("HEAD", "/whole", b"200 OK", b""),
        ("GET", "/none", b"204 No Content", b""),
        ("GET", "/fails", b"200 OK", b""),
        ("GET", "/breaks", b"200 OK", b"ab"),
    ],
)
@pytest.mark.parametrize("last", [[], ["Connection: close"]])
def test_all_of_an_answer_is_sent(method: str, path: str, status: bytes, body: bytes, last: list[str]) -> None:
    fails = path in ("/fails", "/breaks")
    with serving(parts) as url, connected(url) as raw:
        raw.sendall(head(method, path, *last) + (b"" if last else head("GET", "/whole", "Connection: close")))
        first, *others = rest(raw).split(b"HTTP/1.1 ")[1:]
    assert first.startswith(status)
    assert first.partition(b"\r\n\r\n")[2] == body
    assert [each.partition(b"\r\n\r\n")[2] for each in others] == ([] if last or fails else [b"abcd"])


def test_a_head_goes_with_what_comes_next_and_nothing_to_a_connection_that_is_lost() -> None:
    joined = Joined(pipe := Pipe())
    joined.waits = True
    joined.write(b"head")
    assert pipe.given == []
    joined.waits = False
    joined.write(b"one")
    joined.write(b"two")
    assert pipe.given == [b"headone", b"two"]
    joined.waits = True
    joined.write(b"more")
    joined.close()
    assert (pipe.given[2:], pipe.closing) == ([b"more"], True)
    joined.write(b"late")
    assert pipe.given[3:] == []
