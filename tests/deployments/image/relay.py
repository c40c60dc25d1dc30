"""A wire to a registry that can be cut: after so many bytes, once or for good."""

import socket
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Self


class Relay:
    """Hands bytes on to `behind` (HOST:PORT). `cuts`: after how many bytes the next connections are cut; the last one
    goes for all that come after, where `ever`."""

    def __init__(self, behind: str, *cuts: int, ever: bool = False) -> None:
        host, _, port = behind.partition(":")
        self.behind, self.cuts, self.ever, self.cut = (host, int(port)), list(cuts), ever, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.server.getsockname()[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        self.server.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.server.accept()
                far = socket.create_connection(self.behind)
                left = (self.cuts[0] if self.ever and len(self.cuts) == 1 else self.cuts.pop(0)) if self.cuts else None
                Thread(target=self._hand, args=(near, far, left), daemon=True).start()
                Thread(target=self._hand, args=(far, near, None), daemon=True).start()

    def _hand(self, from_: socket.socket, to: socket.socket, left: int | None) -> None:
        with suppress(OSError):
            while piece := from_.recv(65_536):
                if left is not None and len(piece) > left:
                    self.cut += 1
                    break
                left = None if left is None else left - len(piece)
                to.sendall(piece)
        for each in (from_, to):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
