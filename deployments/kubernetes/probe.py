"""One connection, tried in a cluster: `python -m deployments.kubernetes.probe --host H --port N --expected allowed`.

Prints what came of it as one line of JSON, and writes it where a kubelet looks for a last word (`--told`), so that
whoever reads it needs no right to read logs. With `--path`, a service that is reached is asked besides: whether it is
ready and which model it runs, and what it answers at that path to somebody without a token and to somebody with garbage
for one. It judges nothing: it ends with 0 whenever it can tell what came of it.
"""

import argparse
import errno
import http.client
import json
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SECONDS = 5.0
MOST = 1 << 16
"""Bytes of an answer that are read."""
GARBAGE = {"Authorization": "Bearer garbage"}


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


def answers(host: str, port: int, path: str, seconds: float = SECONDS) -> dict[str, Any]:
    """What a service answers: `ready`, `bare` and `garbage` are statuses, 0 where none came; `model` is the digest that
    it names, empty where it names none."""
    ready, body = _get(host, port, "/readyz", {}, seconds)
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    model = told.get("model") if isinstance(told, dict) else None
    return {
        "ready": ready,
        "model": model if isinstance(model, str) else "",
        "bare": _get(host, port, path, {}, seconds)[0],
        "garbage": _get(host, port, path, GARBAGE, seconds)[0],
    }


def _get(host: str, port: int, path: str, headers: Mapping[str, str], seconds: float) -> tuple[int, bytes]:
    line = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        line.request("GET", path, headers=dict(headers))
        reply = line.getresponse()
        return reply.status, reply.read(MOST)
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        line.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Try, and print."""
    parser = argparse.ArgumentParser(prog="python -m deployments.kubernetes.probe", description="Try one connection.")
    parser.add_argument("--host", required=True, help="whom to call")
    parser.add_argument("--port", type=int, required=True, help="by which port")
    parser.add_argument("--expected", choices=("allowed", "denied"), required=True, help="what must come of it")
    parser.add_argument("--path", help="what is asked of it besides, without a token")
    parser.add_argument("--told", type=Path, help="the file that what came of it is written to as well")
    chosen = parser.parse_args(arguments)
    told: dict[str, Any] = {"name": f"{chosen.host}:{chosen.port} {chosen.expected}", "expected": chosen.expected}
    told["outcome"] = tried(chosen.host, chosen.port)
    if chosen.path and told["outcome"] == "connected":
        told["answers"] = answers(chosen.host, chosen.port, chosen.path)
    line = json.dumps(told)
    print(line)
    if chosen.told:
        chosen.told.write_text(line, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
