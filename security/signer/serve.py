"""The side that has the keys: what it signs in which role, and whom it answers."""

import json
import os
import select
import socket
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, get_args

from security.endorse import read
from security.errors import KeyBroken, SluiceError
from security.keys import STATEMENT, Role, UnsafeLocalKeys
from security.signer import lease, wire
from security.signer.wire import peer, receive, send

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
                for kind in (
                    "plan",
                    "verdict",
                    "output",
                    "published",
                    "closed",
                    "looked",
                    "opened",
                    "ended",
                    "reference",
                )  # fmt: skip
            ),
            "urn:sluice:dataset/v1",
            "urn:sluice:baseline/v1",
            "urn:sluice:model/v1",
            "urn:sluice:model-version/v1",
            ALIAS,
            "https://model_signing/signature/v1.0",
            "https://slsa.dev/provenance/v1",
            "https://cyclonedx.org/bom",
        }
    ),
    "verifier": frozenset({"https://slsa.dev/verification_summary/v1", ALIAS, lease.KIND}),
}
"""Role -> the types of statements that a pipeline signs in it."""
ENDORSE: Final = frozenset({"producer"})
"""Roles in which a pipeline has images signed, by the digest of their manifest."""
SHOWN: Final = frozenset(get_args(Role))
"""Roles whose public key is told."""


def answer(message: bytes, keys: UnsafeLocalKeys) -> bytes:
    """What a message is answered with: a public key in PEM, a signature, or a token."""
    head, _, body = message.partition(b"\n")
    try:
        told = json.loads(head)
        what, role = told["ask"], told["role"]
        if what == "key" and role in SHOWN:
            return b"+" + keys.public(role).pem
        if what == "endorse" and role in ENDORSE:
            return b"+" + keys.signer(role).endorse(read(body))
        if what == "token" and role == "issuer":
            from security.signer.token import bounded, token  # only a deployment asks for one

            claims = json.loads(body, object_pairs_hook=_once)
            return b"+" + token(keys.path(role).read_bytes(), bounded(claims)).encode()
        if what != "sign" or role not in MAY:
            return f"-nobody signs as {str(role)[:40]!a} here".encode()
        statement = json.loads(body, object_pairs_hook=_once)
        kind = statement["predicateType"] if statement["_type"] == STATEMENT else ""
        if kind not in MAY[role]:
            return f"-{role} signs no {str(kind)[:80]!a}".encode()
        if kind == ALIAS and (alias := statement["predicate"]["alias"]) not in MOVES[role]:
            return f"-{role} moves no {str(alias)[:40]!a}".encode()
        if kind == lease.KIND:
            lease.bounded(statement["predicate"])
        return b"+" + keys.signer(role).sign(body)
    except SluiceError as why:
        return f"-{why}".encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as why:
        return f"-nothing to sign ({type(why).__name__})".encode()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What is said twice may be read in two ways."""
    told = dict(pairs)
    if len(told) != len(pairs):
        raise ValueError("a key twice")
    return told


def own(control: socket.socket) -> None:
    """Serve the pipeline that started this, until it ends. Each message says the folder of keys that it is about."""
    while message := receive(control):
        folder, _, rest = message.partition(b"\n")
        send(control, answer(rest, UnsafeLocalKeys(Path(os.fsdecode(folder)))))


def listen(path: Path, keys: UnsafeLocalKeys, users: Collection[int]) -> None:
    """Serve these users on a socket at `path`, until the process is ended. One who is slow, or has many connections,
    keeps nobody else waiting."""
    for role in SHOWN:
        keys.public(role)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        path.unlink(missing_ok=True)
        server.bind(str(path))
        server.listen(64)
        path.chmod(0o666)  # who may ask is decided by who asks; whoever sees that they may is heard
        known: dict[int, int] = {}
        lock = threading.Lock()
        while True:
            try:
                client, _ = server.accept()
            except OSError:  # too many files are open, say: some will be closed
                time.sleep(0.1)
                continue
            client.settimeout(wire.PATIENCE)
            user = peer(client)
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
        send(client, why)


def _served(client: socket.socket, keys: UnsafeLocalKeys) -> bool:
    """Answer one message; whether there may be another."""
    try:
        select.select([client], [], [])  # between two there may be hours
        if message := receive(client):
            send(client, answer(message, keys))
        return bool(message)
    except (OSError, KeyBroken):
        return False


def main(fd: int) -> None:
    """Serve the pipeline at the other end of a socket that was handed over."""
    own(socket.socket(fileno=fd))
