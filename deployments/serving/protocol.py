"""HTTP/1.1 that does not wait for ever: a connection is closed on which a request does not come to its end, or an
answer is not read. The server's own timeout is of a connection that rests between two requests, and ends with the next
byte.

What cannot be read as a request, and what comes on one connection too many, the application refuses too: the server's
own answers have neither its headers nor a line in its log. The parser (llhttp) knows a fixed set of methods, and
another is no request to it. What it lets through and this server does not: a request without its one Host, another
version than 1.0 and 1.1, a head of any length, headers behind a body, an upgrade in place of a body, and any number of
requests before the first is answered.
"""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, Literal
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from deployments.serving.body import comes

CROWDED, BROKEN = "crowded", "broken"
"""What a scope's state says of a request that is to be refused."""
HEAD = 16_384
"""Bytes of a request's head, and of what else comes of it in a row and is no body."""
AHEAD = 16
"""Requests that are read while one before them is answered; after these the connection ends."""


class Malformed(Exception):
    """The parser takes it for a request and it is none that is taken here."""


class Patient(HttpToolsProtocol):
    """The server's protocol over llhttp, with `seconds` for each thing that the other side must do: from the first byte
    (or the connection) to the last header, from an answer to the end of a body that nobody wanted, and from an answer
    to its last byte read."""

    seconds: ClassVar[float] = 10.0
    most: ClassVar[int] = 256
    """Connections on which requests are answered."""

    def __init__(self, *told: Any, **named: Any) -> None:
        super().__init__(*told, **named)
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._part: Literal["", "head", "body"] = ""
        """What is being read."""
        self._moved = False
        """Whether what came last had some of a body, or the end of a request."""
        self._bare = 0
        self._ended = False
        """Whether nothing is read any more: the connection ends with the answers to what was."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As ever, and a request must come. Where there are too many connections, those that were there go on."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self.app_state = {CROWDED: True}
        self._late = self.loop.call_later(self.seconds, self._close)

    def data_received(self, data: bytes) -> None:
        """The requests in it are begun, or wait for those before them; what is left behind the last has its time."""
        self._unset_keepalive_if_required()
        if not self._ended:
            self._read(data)
        self._watch()

    def _read(self, data: bytes) -> None:
        self._moved = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # nothing is upgraded: the request was read as the last of this connection
        except httptools.HttpParserError as why:
            if isinstance(why, httptools.HttpParserCallbackError) and not isinstance(why.__context__, Malformed):
                raise
            self._refuse()
        else:
            self._bare = (self._length() if self._part == "head" else 0) if self._moved else self._bare + len(data)
            if self._bare > HEAD:
                self._refuse()

    def on_message_begin(self) -> None:
        """As ever, but not on a connection that ends: the server has the parser go on there."""
        if self._ended:
            raise Malformed
        super().on_message_begin()
        self._part = "head"

    def on_header(self, name: bytes, value: bytes) -> None:
        """As ever; one behind a body is dropped, since what was asked has been judged by then."""
        if self._part == "head":
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer, or wait for the answers before. The target is taken as it came: what is no path is none."""
        version, upgrade = self.parser.get_http_version(), self.parser.should_upgrade()
        hosts = [name for name, _ in self.headers].count(b"host")
        if version not in ("1.0", "1.1") or hosts > 1 or (version == "1.1" and not hosts):
            raise Malformed
        if self._length() > HEAD or (upgrade and comes(self.headers)):
            raise Malformed
        raw, _, query = self.url.partition(b"?")
        keep = version == "1.1" and not upgrade and self.parser.should_keep_alive() and len(self.pipeline) + 1 < AHEAD
        method, path = self.parser.get_method().decode("ascii"), unquote(raw.decode("ascii"))
        self._part = "body"
        self._begin(keep, method=method, http_version=version, path=path, raw_path=raw, query_string=query)

    def on_body(self, body: bytes) -> None:
        """As ever."""
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """As ever; behind the last request of a connection nothing is read."""
        self._part, self._moved = "", True
        super().on_message_complete()
        self._ended = not self.cycle.keep_alive

    def on_response_complete(self) -> None:
        """As ever; the next request may have begun while this one was answered."""
        super().on_response_complete()
        self._watch()

    def _length(self) -> int:
        """Bytes of the head that is read, without what stands between its parts."""
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _begin(self, keep: bool, **asked: Any) -> None:
        before = self.cycle
        self.cycle = RequestResponseCycle(
            scope={**self.scope, **asked},  # type: ignore[typeddict-item]
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep,
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Callable[..., Any]) -> None:
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self._done)
        self.tasks.add(task)

    def _done(self, task: asyncio.Task[None]) -> None:
        """However an answer ended: what is left of it must be read, on a connection that is closed too."""
        self.tasks.discard(task)
        if self.parser is not None and self.transport.is_closing():
            self._hurry()

    def _refuse(self) -> None:
        """The application's refusal of what is no request, in its turn; none in the middle of another answer."""
        if self._ended:
            return
        self._ended = True
        if self._part == "body":
            if not self.pipeline:
                self._close()
                return
            self.pipeline.popleft()  # it has not begun, and its body is none
        super().on_message_begin()
        self._begin(False, method="", path="", raw_path=b"", query_string=b"", state={BROKEN: True})
        self.cycle.more_body = False

    def pause_writing(self) -> None:
        """As ever, and what was sent must be read."""
        super().pause_writing()
        self._hurry()

    def resume_writing(self) -> None:
        """As ever: nearly all was read."""
        super().resume_writing()
        if self._unread is not None and not self.transport.is_closing():
            self._unread.cancel()
            self._unread = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._settle()
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """It has rested for long enough."""
        self._close()

    def _watch(self) -> None:
        """A request that is answered has no time here; one that rests has the server's, if that was not ended."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._settle()
        elif self._late is None and (self._part or self.timeout_keep_alive_task is None):
            self._late = self.loop.call_later(self.seconds, self._close)

    def _settle(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _hurry(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(self.seconds, self.transport.abort)

    def _close(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self.transport.close()
        self._hurry()
