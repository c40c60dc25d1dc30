"""The service as a process: `python -m deployments.serving --release DIR --key PUB.pem ...`.

Exit codes: 0 ended by a signal; 2 the command line; 3 it refuses to start, with one sentence on stderr. The access log
goes to stdout, one line of JSON a request; one that nobody takes is lost, and counted.
"""

import argparse
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployments.serving.load import Model

REFUSES = 3
HOST = "127.0.0.1"
NONE = "UnsafeNone"
"""In place of a registry: nobody is asked whether the release was revoked. In place of a log: how it was made."""


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m deployments.serving", description="Serve one signed release.")
    parser.add_argument("--release", type=Path, required=True, help="folder of the release")
    parser.add_argument("--key", type=Path, required=True, help="public key (PEM) that the release must be signed by")
    parser.add_argument("--log", type=Path, required=True, help=f"folder of the log of the run that made it, or {NONE}")
    parser.add_argument("--policy", help="SHA-256 of the policy by which that run was judged; with a log")
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--registry", type=Path, help=f"folder of the registry's chains, or {NONE}")
    asked.add_argument("--lease", type=Path, help="file of a lease, where there is no registry to ask")
    parser.add_argument("--target", help="where it serves; with a lease")
    parser.add_argument("--verifier", type=Path, help="public key (PEM) of who lets models be used; with both")
    parser.add_argument("--owner", type=Path, help="public key (PEM) of who else may revoke; with a registry")
    parser.add_argument("--approver", action="append", default=[], help="id of the key of a person who may approve")
    parser.add_argument("--known", action="append", default=[], help="digest of an entry that the registry must have")
    parser.add_argument("--jwks", type=Path, required=True, help="public keys (JWK set) of the issuer of tokens")
    parser.add_argument("--issuer", required=True, help="who must have issued a token")
    parser.add_argument("--audience", required=True, help="whom a token must be meant for")
    parser.add_argument("--tenant", required=True, help="whose token it must be")
    parser.add_argument("--name", help="the model that the release must be of")
    parser.add_argument("--path", required=True, help="where recommendations are served")
    parser.add_argument(
        "--host", default=HOST, help="address to listen on; what is sent is plain, so that TLS must end before another"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        choices=range(1 << 16),
        metavar="N",
        help="0 takes a free one",
    )
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second that one identity has")
    parser.add_argument("--burst", type=int, default=60, help="requests that it has at once")
    parser.add_argument("--budget", type=int, default=1000, help="different users and sessions that it has an hour")
    parser.add_argument("--identities", type=int, default=100_000, help="identities that may have asked in an hour")
    parser.add_argument("--ready", type=Path, required=True, help="file to write when listening: url, pid, model")
    parser.add_argument(
        "--unsafe-accept-expired", action="store_true", help="accept expired tokens: to show that a gate catches it"
    )
    chosen = parser.parse_args(arguments)
    if chosen.lease and not (chosen.verifier and chosen.name and chosen.target):
        parser.error("a lease is believed by the key of --verifier, for a --name at a --target")
    if chosen.registry not in (None, Path(NONE)) and not (chosen.verifier and chosen.owner):
        parser.error("a registry is believed by the keys of --verifier and --owner")
    if chosen.log != Path(NONE) and not chosen.policy:
        parser.error("a log is believed for a --policy")
    return chosen


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address; port 0 takes a free one."""
    # The protocol must be named: asyncio turns Nagle's delay (40 ms an answer) off only where it is.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def write(descriptor: int, line: bytes) -> None:
    """Write a line to an open file that does not wait for its reader: `BlockingIOError` for one that is lost."""
    if os.write(descriptor, line) < len(line):
        raise BlockingIOError


def announce(file: Path, url: str, model: "Model") -> None:
    """Say, in one step, that the service listens."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.write_text(json.dumps({"url": url, "pid": os.getpid(), "model": model.digest}))
    os.replace(fresh, file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Load, bind, serve until a signal; the exit code."""
    chosen = options(arguments)
    # One thread: a product of this size is slower, and its slowest tenth far slower, when BLAS divides it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import uvicorn

    from deployments.serving.app import Service, application
    from deployments.serving.grant import Granted
    from deployments.serving.keyset import Rotation
    from deployments.serving.lease import Lease, Word
    from deployments.serving.limit import Allowance, Limiter
    from deployments.serving.load import load
    from deployments.serving.log import believed
    from deployments.serving.protocol import Patient
    from deployments.serving.token import UnsafeAcceptsExpired, Verifier
    from security.errors import Refused, SluiceError
    from security.keys import PublicKey
    from security.models.chain import Keys

    server: uvicorn.Server | None = None
    out = sys.stdout.fileno()

    def leave(number: int, frame: FrameType | None) -> None:
        # The server raises the signal once more when it has ended; only one that came before it listens ends here.
        if server is None or not server.started:
            raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            announce(chosen.ready, url, model)

    try:
        if not chosen.ready.parent.is_dir():
            raise Refused(f"there is no folder to write {chosen.ready.name} into")
        chosen.ready.unlink(missing_ok=True)  # that of an earlier process would send callers elsewhere
        producer = PublicKey.read(chosen.key)
        granted = None
        if chosen.lease:
            place = {"name": chosen.name, "target": chosen.target}
            granted = Granted(chosen.lease, PublicKey.read(chosen.verifier), producer, **place)
        model = load(chosen.release, producer, name=chosen.name)
        if chosen.log != Path(NONE):
            believed(chosen.log, producer, model.card, model.digest, chosen.policy)
        lease: Word | None = granted.to(model.digest) if granted else None
        if chosen.registry not in (None, Path(NONE)):
            letting, owner = PublicKey.read(chosen.verifier), PublicKey.read(chosen.owner)
            keys = Keys((producer,), (letting,), (owner,), dict.fromkeys(chosen.approver, "an approver"))
            lease = Lease(chosen.registry, keys, model.card, model.digest, producer.id, known=chosen.known)
        kind = UnsafeAcceptsExpired if chosen.unsafe_accept_expired else Verifier
        verifier = kind(Rotation(chosen.jwks), chosen.issuer, chosen.audience, chosen.tenant)
        limiter = Limiter(Allowance(chosen.rate, chosen.burst, chosen.budget), identities=chosen.identities)
        app = application(Service(model, verifier, limiter, lease), chosen.path, partial(write, out))
        listener = listen(chosen.host, chosen.port)
    except (SluiceError, OSError, ValueError) as why:
        print(f"refuses to start: {why}", file=sys.stderr)
        return REFUSES
    if chosen.log == Path(NONE):
        print("UNSAFE: no log shows how the release was made", file=sys.stderr)
    if lease is None:
        print("UNSAFE: no registry is asked whether the release was revoked", file=sys.stderr)
    if chosen.unsafe_accept_expired:
        print("UNSAFE: expired tokens are accepted; for demonstrations and tests only", file=sys.stderr)
    url = f"http://{chosen.host}:{listener.getsockname()[1]}"
    server = Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http=Patient,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
        )
    )
    # What was loaded stays: without this the collector goes through all of it again as tokens come and go.
    gc.collect()
    gc.freeze()
    waits = os.get_blocking(out)
    os.set_blocking(out, False)
    try:
        server.run([listener])
    finally:
        os.set_blocking(out, waits)  # a terminal has other users
    return 0


if __name__ == "__main__":
    sys.exit(main())
