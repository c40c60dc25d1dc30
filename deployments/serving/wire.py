"""Requests as they come on a connection: each is begun once, in its turn, and nothing is read as one that another
reader would take for a part of one.

What cannot be read as a request the application refuses too: the server's own answer has neither its headers nor a line
in its log. The parser (llhttp) knows a fixed set of methods, and another is no request to it. What it lets through and
this server does not: a request without its one Host, a first line of RTSP or ICE or with other blanks, another version
than 1.0 and 1.1, other encodings of a body than chunks, a head of any length, headers behind a body, an upgrade, and
any number of requests before the first is answered.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deployments.serving.body import comes
from deployments.serving.reply import Reply

BROKEN = "broken"
"""What a scope's state says of what is no request."""
HEAD = 16_384
"""Bytes of a request's head, and of what is between two parts of its body, or behind the last."""
END = b"\r\n\r\n"
AHEAD = 16
"""Requests that are read while one before them is answered; after these the connection ends."""


class Malformed(Exception):
    """The parser takes it for a request and it is none that is taken here."""


class Rest:
    """Hands on what a parser finds behind a head, of this request."""

    def __init__(self, to: "Strict") -> None:
        self.on_body, self.on_message_complete = to.on_body, to.on_message_complete


class Strict(HttpToolsProtocol):
    """The server's protocol over llhttp, for what is a request of HTTP/1.1 (RFC 9112) or 1.0, and nothing else."""

    def __init__(self, *told: Any, **named: Any) -> None:
        super().__init__(*told, **named)
        self.part: Literal["", "head", "upgrade", "body"] = ""
        """What is being read; `upgrade` is a body that the parser leaves to the protocol that was asked for."""
        self._raw = b""
        """What came of the head that is being read."""
        self._left = 0
        """Bytes of the body that are still to come; 0 where its chunks tell."""
        self._bare = 0
        """Bytes that came of a body since the last that are its own."""
        self._ended = False
        """Whether nothing is read any more: the connection ends with the answers to what was."""
        self._running: Reply | None = None

    def data_received(self, data: bytes) -> None:
        """The requests in it are begun, or wait for those before them."""
        self._unset_keepalive_if_required()
        at = 0
        while at < len(data) and not self._ended:
            at = self._take(data, at)

    def eof_received(self) -> bool:  # type: ignore[override]  # the server's has no answer
        """Whoever says no more after a whole request is answered all the same; TLS has no connection of one half."""
        if self.scheme == "https" or self.part == "body" or self.cycle is None or self.cycle.response_complete:
            return False
        self.cycle.keep_alive = False
        return True

    def _take(self, data: bytes, at: int) -> int:
        """Have a head, or the body behind it, read from here, and no more than that: where it ends. So what the parser
        takes for the beginning of a request is one."""
        if self.part == "body":
            stop = min(len(data), at + self._left) if self._left else len(data)
            self._left -= min(self._left, stop - at)
            self._bare += stop - at
        else:
            if not self.part:
                at = len(data) - len(data[at:].lstrip(b"\r\n"))
            edge = self._raw[-3:]
            if (over := (edge + data[at : at + 3]).find(END)) >= 0:
                stop = at + over - len(edge) + len(END)
            else:
                found = data.find(END, at)
                stop = len(data) if found < 0 else found + len(END)
            self._raw += data[at:stop]
        if at < stop and len(self._raw) <= HEAD:
            self._feed(data[at:stop])
        if max(len(self._raw), self._bare) > HEAD:
            self._refuse()
        return stop

    def _feed(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            # Nothing is upgraded: the request is the last of this connection.
            if self.part == "upgrade":
                self._follow()
        except httptools.HttpParserError as why:
            if isinstance(why, httptools.HttpParserCallbackError) and not isinstance(why.__context__, Malformed):
                raise
            self._refuse()

    def _follow(self) -> None:
        """Have the body read of a request that asked for an upgrade."""
        self.part, self.parser = "body", httptools.HttpRequestParser(Rest(self))
        framed = [b"%s: %s\r\n" % each for each in self.headers if each[0] in (b"content-length", b"transfer-encoding")]
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % b"".join(framed))

    def on_message_begin(self) -> None:
        """As ever, but not on a connection that ends: the server has the parser go on there."""
        if self._ended:
            raise Malformed
        super().on_message_begin()
        self.part = "head"

    def on_header(self, name: bytes, value: bytes) -> None:
        """As ever, without the blanks around it; one behind a body is dropped, since what was asked has been judged by
        then."""
        if self.part == "head":
            super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        """Begin to answer, or wait for the answers before. The target is taken as it came: what is no path is none."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if version not in ("1.0", "1.1") or not self._raw.startswith(
            b"%s %s HTTP/%s\r\n" % (method, self.url, version.encode())
        ):
            raise Malformed
        latest, hosts = version == "1.1", [name for name, _ in self.headers].count(b"host")
        coded = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if hosts > 1 or hosts < latest or (coded and (not latest or coded != [b"chunked"])):
            raise Malformed
        self._raw, self._bare = b"", 0
        # Of zeros before it the parser takes any number, and `int` a few thousand.
        self._left = int(dict(self.headers).get(b"content-length", b"").lstrip(b"0") or 0)
        upgrade = self.parser.should_upgrade()
        keep = latest and not upgrade and not coded and self.parser.should_keep_alive()
        raw, _, query = self.url.partition(b"?")
        asked = {"method": method.decode("ascii"), "http_version": version, "query_string": query}
        self.expect_100_continue &= latest
        self.part = "upgrade" if upgrade and comes(self.headers) else "body"
        self._begin(keep and len(self.pipeline) + 1 < AHEAD, path=unquote(raw.decode("ascii")), raw_path=raw, **asked)

    def on_body(self, body: bytes) -> None:
        """As ever; behind the last request of a connection there is none."""
        self._bare = 0
        if not self._ended:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """As ever; behind the last request of a connection nothing is read."""
        if self.part == "upgrade":
            return  # so the parser has it
        self.part = ""
        super().on_message_complete()
        self._ended = not self.cycle.keep_alive

    def on_response_complete(self) -> None:
        """As ever; while a request waits, no more is read."""
        super().on_response_complete()
        if self.pipeline and not self.transport.is_closing():
            self.flow.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """As ever, and who is answering hears of it, whatever was read since."""
        self._unset_keepalive_if_required()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def _begin(self, keep: bool, **asked: Any) -> None:
        before = self.cycle
        self.cycle = Reply(
            scope={**self.scope, **asked},
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

    def _start_asgi_task(self, cycle: Any, app: Callable[..., Any]) -> None:
        self._running = cycle
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.answered)
        self.tasks.add(task)

    def answered(self, task: asyncio.Task[None]) -> None:
        """However an answer ended."""
        self.tasks.discard(task)

    def _refuse(self) -> None:
        """The application's refusal of what is no request, in its turn; none in the middle of another answer."""
        if self._ended:
            return
        self._ended = True
        if self.part == "body":
            if not self.pipeline:
                self.transport.close()
                return
            self.pipeline.popleft()  # it has not begun, and its body is none
        super().on_message_begin()
        self._begin(False, method="", path="", raw_path=b"", query_string=b"", state={BROKEN: True})
        self.cycle.more_body, self.part = False, ""
