"""The side that works: keys that are asked for and never seen."""

import json
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from security.endorse import Image, payload
from security.errors import KeyBroken
from security.keys import PublicKey, Role
from security.signer import wire
from security.signer.wire import peer, receive, send


class Line:
    """A connection to who signs, for one question at a time."""

    def __init__(self, control: socket.socket) -> None:
        control.settimeout(wire.PATIENCE)
        self._control, self._lock = control, threading.Lock()

    def ask(self, message: bytes) -> bytes:
        """The answer; empty where there is none any more."""
        with self._lock:
            try:
                with suppress(BrokenPipeError):  # whom it refuses it tells so, and hears no more
                    send(self._control, message)
                return receive(self._control)
            except (OSError, KeyBroken) as why:
                self._control.close()  # what comes late would be taken for the next answer
                told = why if isinstance(why, KeyBroken) else f"who signs does not answer ({type(why).__name__})"
                raise KeyBroken(str(told)) from None

    def close(self) -> None:
        """End it."""
        self._control.close()


class Asked:
    """Keys that are asked for, and never seen. `head` goes before each message."""

    def __init__(self, line: Line, head: bytes = b"") -> None:
        self._line, self._head = line, head
        self._known: dict[str, PublicKey] = {}

    def ask(self, what: str, role: Role, body: bytes = b"") -> bytes:
        """The answer, or `KeyBroken` with the reason that it was refused."""
        got = self._line.ask(self._head + json.dumps({"ask": what, "role": role}).encode() + b"\n" + body)
        if not got.startswith(b"+"):
            said = got[1:301].decode(errors="replace") if got else "it has ended"
            raise KeyBroken(f"who signs refused: {''.join(each for each in said if each.isprintable())}")
        return got[1:]

    def close(self) -> None:
        """Ask no more."""
        self._line.close()

    def public(self, role: Role) -> PublicKey:
        """The role's public key."""
        if role not in self._known:
            self._known[role] = PublicKey(self.ask("key", role), f"the key of {role}")
        return self._known[role]

    def knowing(self, role: Role, key: PublicKey) -> "Asked":
        """The same, but that the key of a role is another's, who is not asked."""
        made = Asked(self._line, self._head)
        made._known = self._known | {role: key}
        return made

    def token(self, claims: dict[str, Any]) -> str:
        """An access token that claims this, signed as the issuer."""
        return self.ask("token", "issuer", json.dumps(claims).encode()).decode()

    def signer(self, role: Role) -> "AskedSigner":
        """What signs in this role."""
        return AskedSigner(self, role)


class AskedSigner:
    """Signs in a role, by asking."""

    def __init__(self, keys: Asked, role: Role) -> None:
        self.public, self._keys, self._role = keys.public(role), keys, role

    def sign(self, body: bytes) -> bytes:
        """A signature over the DSSE encoding of `body`, that holds."""
        signature = self._keys.ask("sign", self._role, body)
        self.public.verify(signature, body)
        return signature

    def endorse(self, image: Image) -> bytes:
        """A signature over the payload that cosign has of an image, that holds."""
        signature = self._keys.ask("endorse", self._role, payload(image))
        self.public.endorsed(signature, image)
        return signature


def connected(path: Path) -> tuple[Asked, bool]:
    """The keys of who listens at `path`; whether it was seen that this process cannot read them: they are another
    user's, and this one has no rights over other users'."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        control.settimeout(wire.PATIENCE)
        control.connect(str(path))
        other = peer(control) not in os.getresuid()
    except OSError as why:
        control.close()
        raise KeyBroken(f"nobody signs at {path.name} ({type(why).__name__})") from None
    return Asked(Line(control)), other and not _powers()


def _powers() -> bool:
    """Whether this process is the system's, or has any of its rights, or can take them."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    users = {*os.getresuid()}
    return (
        0 in users or len(users) != 1 or any(int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"))
    )
