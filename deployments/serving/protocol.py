"""Connections that do not wait for ever: one is closed on which a request does not come to its end, or an answer is not
read. The server's own timeout is of a connection that rests between two requests, and ends with the next byte.

What comes on one connection too many the application refuses, as it does what is no request (`wire`).
"""

import asyncio
from typing import Any, ClassVar

from deployments.serving.wire import Strict

CROWDED = "crowded"
"""What a scope's state says of a request on one connection too many."""


class Patient(Strict):
    """`Strict`, with `seconds` for each thing that the other side must do: from the first byte (or the connection) to
    the last header, from an answer to the end of a body that nobody wanted, and from an answer to its last byte."""

    seconds: ClassVar[float] = 10.0
    most: ClassVar[int] = 256
    """Connections on which requests are answered."""

    def __init__(self, *told: Any, **named: Any) -> None:
        super().__init__(*told, **named)
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As ever, and a request must come. Where there are too many connections, those that were there go on."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self.app_state = {CROWDED: True}
        self._late = self.loop.call_later(self.seconds, self._close)

    def data_received(self, data: bytes) -> None:
        """As ever; what is left behind the last whole request has its time too."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """As ever; the next request may have begun while this one was answered."""
        super().on_response_complete()
        self._watch()

    def answered(self, task: asyncio.Task[None]) -> None:
        """As ever; what was sent must be read on a connection that is closed too."""
        super().answered(task)
        if self.parser is not None and self.transport.is_closing():
            self._hurry()

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
        elif self._late is None and (self.part or self.timeout_keep_alive_task is None):
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
