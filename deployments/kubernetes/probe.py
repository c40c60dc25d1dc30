"""One connection, tried in a cluster: `python -m deployments.kubernetes.probe --host H --port N --expected allowed`.

Prints what came of it as one line of JSON, in the form of the gate's probe results. It judges nothing: it ends with 0
whenever it can tell what came of it.
"""

import argparse
import errno
import json
import socket
import sys
from collections.abc import Sequence

SECONDS = 5.0


def tried(host: str, port: int, seconds: float = SECONDS) -> str:
    """What comes of a connection: `connected`, `refused`, `timeout`, `unreachable` or `unresolved`."""
    try:
        address = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        return "unresolved"
    try:
        with socket.create_connection((address, port), timeout=seconds):
            return "connected"
    except TimeoutError:
        return "timeout"
    except ConnectionRefusedError:
        return "refused"
    except OSError as why:
        if why.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM):
            return "unreachable"
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Try, and print."""
    parser = argparse.ArgumentParser(prog="python -m deployments.kubernetes.probe", description="Try one connection.")
    parser.add_argument("--host", required=True, help="whom to call")
    parser.add_argument("--port", type=int, required=True, help="by which port")
    parser.add_argument("--expected", choices=("allowed", "denied"), required=True, help="what must come of it")
    chosen = parser.parse_args(arguments)
    told = {"name": f"{chosen.host}:{chosen.port} {chosen.expected}", "expected": chosen.expected}
    print(json.dumps({**told, "outcome": tried(chosen.host, chosen.port)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
