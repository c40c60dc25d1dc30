"""Messages over a socket, and who is at its other end."""

import socket
import struct
import time
from typing import Final

from security.errors import KeyBroken

LARGEST: Final = 64 << 20
"""Bytes of a message."""
PATIENCE = 10.0
"""Seconds for who asks to finish a message, and for an answer."""


def receive(from_: socket.socket) -> bytes:
    """A message; empty at the end. However slowly it comes, it is whole within `PATIENCE` of its first bytes."""
    head = from_.recv(4)
    ends = time.monotonic() + PATIENCE
    head += _exactly(from_, 4 - len(head), ends) if head else b""
    length = int.from_bytes(head) if len(head) == 4 else 0
    if length > LARGEST:
        raise KeyBroken(f"a message of {length:,} bytes; allowed: {LARGEST:,}")
    return _exactly(from_, length, ends)


def _exactly(from_: socket.socket, length: int, ends: float) -> bytes:
    data = bytearray()
    while len(data) < length and (piece := from_.recv(min(length - len(data), 1 << 20))):
        data += piece
        if time.monotonic() > ends and len(data) < length:
            raise TimeoutError
    return bytes(data) if len(data) == length else b""


def send(to: socket.socket, message: bytes) -> None:
    """Say a message."""
    to.sendall(len(message).to_bytes(4) + message)


def peer(of: socket.socket) -> int:
    """The user at the other end."""
    return int(struct.unpack("=3i", of.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])
