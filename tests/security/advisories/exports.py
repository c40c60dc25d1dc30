"""Exports in OSV's layout: made here, in a folder and behind a real server."""

import json
import ssl
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any


def told(id: str, modified: str = "2024-01-01T00:00:00Z", name: str = "jinja2", **more: Any) -> dict[str, Any]:
    affected = {
        "package": {"ecosystem": "PyPI", "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
    }
    return {"id": id, "modified": modified, "affected": [affected], "details": "two\nlines \u2028 here"} | more


def against(name: str, version: str, id: str, modified: str) -> dict[str, Any]:
    """An advisory about one version of a package."""
    span = [{"type": "ECOSYSTEM", "events": [{"introduced": version}, {"last_affected": version}]}]
    return told(id, modified, affected=[{"package": {"ecosystem": "PyPI", "name": name}, "ranges": span}])


def export(folder: Path, *every: dict[str, Any], packed: list[dict[str, Any]] | None = None) -> Path:
    """An export of these; `packed` is what its zip has, where that lags behind."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*"):
        old.unlink()
    (folder / "modified_id.csv").write_text("".join(f"{each['modified']},{each['id']}\n" for each in every))
    for each in every:
        (folder / f"{each['id']}.json").write_text(json.dumps(each, indent=2))
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for each in every if packed is None else packed:
            archive.writestr(f"{each['id']}.json", json.dumps(each, indent=1))
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and keeps what was asked for."""

    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:
        self.asked.append(self.path)


class Server(ThreadingHTTPServer):
    """One that many may ask at once: a connection beyond the queue would wait a second to try again."""

    request_queue_size = 64


@contextmanager
def behind(handler: type[BaseHTTPRequestHandler] | Any, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server on the loopback; its URL."""
    server = Server(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def web(folder: Path, asked: list[str]) -> Iterator[str]:
    """An export behind a server."""
    handler = type("Handler", (Quiet,), {"asked": asked})
    with behind(partial(handler, directory=str(folder))) as url:
        yield url
