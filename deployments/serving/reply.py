"""An answer as it goes onto the wire: its head in one write with the first of its body, where the server makes two, and
wakes the other side with each."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Joined:
    """What an answer writes to: a transport, but that a head waits for what comes next."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport, self.is_closing = transport, transport.is_closing
        self.head, self.waits = b"", False

    def write(self, data: bytes) -> None:
        """Send it behind a head that waits, or have it wait where it is one; where the connection is lost, neither."""
        if self.waits:
            self.head = data
        elif not self.is_closing():
            self.transport.write(self.head + data)
            self.head = b""

    def rest(self) -> None:
        """Send a head that waits."""
        self.waits = False
        if self.head:
            self.write(b"")

    def close(self) -> None:
        """Send a head that waits, and then nothing."""
        self.rest()
        self.transport.close()


class Reply(RequestResponseCycle):
    """The server's cycle of a request and its answer, over `Joined`."""

    def __init__(self, *, transport: asyncio.Transport, **named: Any) -> None:
        super().__init__(transport=transport, **named)
        self.joined = Joined(transport)
        self.transport = self.joined  # type: ignore[assignment]  # of a transport it has what a cycle asks of one

    async def send(self, message: Any) -> None:
        """As ever."""
        self.joined.waits = message["type"] == "http.response.start"
        await super().send(message)
        if not self.joined.waits:
            self.joined.rest()
