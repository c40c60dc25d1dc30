"""HTTP/1.1 that does not wait for ever: a connection is closed on which a request does not come to its end, or an
answer is not read. The server's own timeout is of a connection that rests between two requests, and ends with the next
byte.

What cannot be read as a request, and what comes on one connection too many, the application refuses too: the server's
own answers have neither its headers nor a line in its log.
"""

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

CROWDED, BROKEN = "crowded", "broken"
"""What a scope's state says of a request that is to be refused."""


class Patient(H11Protocol):
    """The server's protocol over h11, with `seconds` for each thing that the other side must do: from the first byte
    (or the connection) to the last header, from an answer to the end of a body that nobody wanted, and from an answer
    to its last byte read."""

    seconds: ClassVar[float] = 10.0
    most: ClassVar[int] = 256
    """Connections on which requests are answered."""

    def __init__(self, *told: Any, **named: Any) -> None:
        super().__init__(*told, **named)
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._broken = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As ever, and a request must come. Where there are too many connections, those that were there go on."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self.app_state = {CROWDED: True}
        # Of what is below the usual mark the transport says nothing, and it may never leave.
        transport.set_write_buffer_limits(high=0)
        self._late = self.loop.call_later(self.seconds, self._close)

    def data_received(self, data: bytes) -> None:
        """As ever; what is left behind the last whole request has its time too."""
        super().data_received(data)
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """The application's refusal of what is no request; none in the middle of another answer."""
        if self.conn.our_state is not h11.IDLE:
            self.transport.close()
            return
        if self._broken:
            return
        self._broken = True
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": "",
            "root_path": "",
            "path": "",
            "raw_path": b"",
            "query_string": b"",
            "headers": [],
            "state": {BROKEN: True},
        }
        self.cycle = RequestResponseCycle(
            scope=self.scope,
            conn=self.conn,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self.on_response_complete,
        )
        task = self.loop.create_task(self.cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        """As ever; the next request may have begun while this one was answered."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """As ever, and what was sent must be read."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """As ever: all was read."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._settle()
        self.resume_writing()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """A request that is answered has no time here; one that rests has the server's, if that was not ended."""
        unwanted = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if not unwanted and self.conn.their_state is not h11.IDLE:
            self._settle()
        elif self._late is None and (unwanted or self.conn.trailing_data[0] or self.timeout_keep_alive_task is None):
            self._late = self.loop.call_later(self.seconds, self._close)

    def _settle(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self.transport.close()
