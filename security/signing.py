"""The process that signs: it alone reads private keys, and who works asks it, by role, over a socket.

A pipeline starts one for itself, of its own user: the code that trains has no way to it, and nothing else is kept from
the keys. Or another user has one (`sluice signer`) that listens: then the pipeline cannot read a key at all, and can
only ask. Either way a role signs statements of its own types and no other; of a person's roles, `owner` and `approver`,
it has none.

A message is four bytes of length and that many bytes: a line of JSON, and what is to be signed. An answer is likewise,
with `+` or, before a sentence for an operator, `-`. Who is at the other end of a socket the system says (SO_PEERCRED).
"""

import json
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, get_args

from security.errors import KeyBroken, SluiceError
from security.keys import STATEMENT, PublicKey, Role, UnsafeLocalKeys

LARGEST: Final = 64 << 20
"""Bytes of a message."""
PATIENCE: Final = 10.0
"""Seconds for who asks to finish a message, and for an answer."""
ALIAS: Final = "urn:sluice:model-alias/v1"
MOVES: Final[Mapping[str, frozenset[str]]] = {
    "producer": frozenset({"candidate"}),
    "verifier": frozenset({"approved", "production"}),
}
"""Role -> the aliases that a pipeline moves in it."""
CONNECTIONS: Final = 32
"""Of one user, at once."""
MAY: Final[Mapping[str, frozenset[str]]] = {
    "producer": frozenset(
        {
            *(
                f"urn:sluice:{kind}/v1"
                for kind in ("plan", "verdict", "output", "published", "closed", "opened", "ended", "reference")
            ),
            "urn:sluice:dataset/v1",
            "urn:sluice:baseline/v1",
            "urn:sluice:model/v1",
            "urn:sluice:model-version/v1",
            ALIAS,
            "https://model_signing/signature/v1.0",
            "https://slsa.dev/provenance/v1",
        }
    ),
    "verifier": frozenset({"https://slsa.dev/verification_summary/v1", ALIAS}),
}
"""Role -> the types of statements that a pipeline signs in it."""
SHOWN: Final = frozenset(get_args(Role))
"""Roles whose public key is told."""


def _receive(from_: socket.socket) -> bytes:
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


def _send(to: socket.socket, message: bytes) -> None:
    to.sendall(len(message).to_bytes(4) + message)


def _peer(of: socket.socket) -> int:
    """The user at the other end."""
    return int(struct.unpack("=3i", of.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])


def answer(message: bytes, keys: UnsafeLocalKeys) -> bytes:
    """What a message is answered with: a public key in PEM, or a signature."""
    head, _, body = message.partition(b"\n")
    try:
        told = json.loads(head)
        what, role = told["ask"], told["role"]
        if what == "key" and role in SHOWN:
            return b"+" + keys.public(role).pem
        if what != "sign" or role not in MAY:
            return f"-nobody signs as {str(role)[:40]!a} here".encode()
        statement = json.loads(body, object_pairs_hook=_once)
        kind = statement["predicateType"] if statement["_type"] == STATEMENT else ""
        if kind not in MAY[role]:
            return f"-{role} signs no {str(kind)[:80]!a}".encode()
        if kind == ALIAS and (alias := statement["predicate"]["alias"]) not in MOVES[role]:
            return f"-{role} moves no {str(alias)[:40]!a}".encode()
        return b"+" + keys.signer(role).sign(body)
    except SluiceError as why:
        return f"-{why}".encode()
    except (ValueError, KeyError, TypeError, RecursionError) as why:
        return f"-no statement to sign ({type(why).__name__})".encode()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What is said twice may be read in two ways."""
    told = dict(pairs)
    if len(told) != len(pairs):
        raise ValueError("a key twice")
    return told


def own(control: socket.socket) -> None:
    """Serve the pipeline that started this, until it ends. Each message says the folder of keys that it is about."""
    while message := _receive(control):
        folder, _, rest = message.partition(b"\n")
        _send(control, answer(rest, UnsafeLocalKeys(Path(os.fsdecode(folder)))))


def listen(path: Path, keys: UnsafeLocalKeys, users: Collection[int]) -> None:
    """Serve these users on a socket at `path`, until the process is ended. One who is slow, or has many connections,
    keeps nobody else waiting."""
    for role in SHOWN:
        keys.public(role)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        path.unlink(missing_ok=True)
        server.bind(str(path))
        path.chmod(0o666)  # who may ask is decided by who asks
        server.listen(64)
        known: dict[int, int] = {}
        lock = threading.Lock()
        while True:
            try:
                client, _ = server.accept()
            except OSError:  # too many files are open, say: some will be closed
                time.sleep(0.1)
                continue
            client.settimeout(PATIENCE)
            user = _peer(client)
            if user not in users:
                _refuse(client, f"-user {user} may not ask here".encode())
            elif known.get(user, 0) >= CONNECTIONS:
                _refuse(client, f"-user {user} has {CONNECTIONS} connections; allowed: no more".encode())
            else:
                with lock:
                    known[user] = known.get(user, 0) + 1
                threading.Thread(target=_client, args=(client, keys, known, user, lock), daemon=True).start()


def _client(
    client: socket.socket, keys: UnsafeLocalKeys, known: dict[int, int], user: int, lock: threading.Lock
) -> None:
    try:
        with client:
            while _served(client, keys):
                pass
    finally:
        with lock:
            known[user] -= 1


def _refuse(client: socket.socket, why: bytes) -> None:
    with client, suppress(OSError):
        _send(client, why)


def _served(client: socket.socket, keys: UnsafeLocalKeys) -> bool:
    """Answer one message; whether there may be another."""
    try:
        select.select([client], [], [])  # between two there may be hours
        if message := _receive(client):
            _send(client, answer(message, keys))
        return bool(message)
    except (OSError, KeyBroken):
        return False


class Line:
    """A connection to who signs, for one question at a time."""

    def __init__(self, control: socket.socket) -> None:
        control.settimeout(PATIENCE)
        self._control, self._lock = control, threading.Lock()

    def ask(self, message: bytes) -> bytes:
        """The answer; empty where there is none any more."""
        with self._lock:
            try:
                with suppress(BrokenPipeError):  # whom it refuses it tells so, and hears no more
                    _send(self._control, message)
                return _receive(self._control)
            except (OSError, KeyBroken) as why:
                self._control.close()  # what comes late would be taken for the next answer
                if isinstance(why, KeyBroken):
                    raise
                raise KeyBroken(f"who signs does not answer ({type(why).__name__})") from None

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


def connected(path: Path) -> tuple[Asked, bool]:
    """The keys of who listens at `path`; whether it was seen that this process cannot read them: they are another
    user's, and this one has no rights over other users'."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        control.settimeout(PATIENCE)
        control.connect(str(path))
        other = _peer(control) not in os.getresuid()
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


def main(fd: int) -> None:
    """Serve the pipeline at the other end of a socket that was handed over."""
    own(socket.socket(fileno=fd))
