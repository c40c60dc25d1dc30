"""HTTP/1.1 that does not wait for ever: a connection on which a request does not come to the end of its headers is
closed. The server's own timeout is of a connection that rests between two requests, and ends with the next byte.
"""

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Patient(H11Protocol):
    """The server's protocol over h11, with `seconds` from the first byte (or the connection) to the last header."""

    seconds: ClassVar[float] = 10.0

    def __init__(self, *told: Any, **named: Any) -> None:
        super().__init__(*told, **named)
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As ever, and a request must come."""
        super().connection_made(transport)
        self._late = self.loop.call_later(self.seconds, self._close)

    def data_received(self, data: bytes) -> None:
        """As ever; what is left behind the last whole request has its time too."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """As ever; the next request may have begun while this one was answered."""
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._settle()
        elif self._late is None and self.conn.trailing_data[0]:
            self._late = self.loop.call_later(self.seconds, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._settle()
        super().connection_lost(exc)

    def _settle(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        self._late = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()
