"""A live service in OSV's form: a real server on the loopback, strict about what it is asked, and some that are ill.

It speaks `POST /v1/query` over the advisories that it is given: a package with a version or without, and pages whose
tokens are good for their own question alone. `ill` names what is wrong with it; `sick` the package of which that is so.
"""

import json
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

from packaging.utils import canonicalize_name
from packaging.version import Version

from security.advisories.record import read
from security.advisories.server import _hit
from tests.security.advisories.exports import behind

OLD = "Thu, 01 Oct 2026 00:00:00 GMT"
LONGEST_WAIT = 5.0
BODIES: dict[str, bytes] = {
    "text": b"<html>fine</html>",
    "cut": b'{"vulns": [{"id": "A-1", "aff',
    "list": b"[]",
    "null": b'{"vulns": null}',
    "lost": b'{"vulnerabilities": []}',
    "word": b'{"vulns": ["A-1"]}',
    "nameless": b'{"vulns": [{"modified": "2024-01-01T00:00:00Z"}]}',
    "empty": b"{}",
    "huge": b'{"vulns": [' + b" " * (1 << 20) + b"]}",
}


class Service(BaseHTTPRequestHandler):
    """Answers as OSV does; kept for each server are its advisories, what it was asked, and what it is ill with."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    every: ClassVar[list[dict[str, Any]]]
    asked: ClassVar[list[dict[str, Any]]]
    tokens: ClassVar[dict[str, tuple[str, int]]]
    ill: ClassVar[str]
    sick: ClassVar[str]
    size: ClassVar[int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            question = json.loads(body)
            name, version = self._strict(question)
            answer = self._page(question, name, version)
        except (ValueError, KeyError, TypeError) as why:
            return self._say(400, json.dumps({"code": 3, "message": str(why)}).encode())
        self.asked.append(question)
        if self.ill and (not self.sick or name == self.sick):
            return self._badly(question, answer)
        self._say(200, json.dumps(answer).encode())

    def _strict(self, question: dict[str, Any]) -> tuple[str, str]:
        if self.path != "/v1/query" or question.keys() - {"package", "version", "page_token"}:
            raise ValueError("Invalid query.")
        if question["package"].keys() != {"name", "ecosystem"} or question["package"]["ecosystem"] != "PyPI":
            raise ValueError("Invalid ecosystem.")
        if question["package"]["name"] != canonicalize_name(question["package"]["name"]):
            raise ValueError("Invalid name.")
        return question["package"]["name"], question.get("version", "")

    def _page(self, question: dict[str, Any], name: str, version: str) -> dict[str, Any]:
        same, start = json.dumps(question | {"page_token": ""}, sort_keys=True), 0
        if token := question.get("page_token", ""):
            of, start = self.tokens[token]
            if of != same:
                raise ValueError("Invalid page token.")
        known = [each for each in self.every if self._affected(each, name, version)]
        answer: dict[str, Any] = {"vulns": known[start : start + self.size]} if known else {}
        if start + self.size < len(known):
            self.tokens[token := secrets.token_hex(8)] = (same, start + self.size)
            answer["next_page_token"] = token
        return answer

    def _affected(self, each: dict[str, Any], name: str, version: str) -> bool:
        told = read(json.dumps(each).encode(), each["id"])
        if name not in told.names or told.withdrawn:
            return False
        return not version or _hit(told, name, Version(version))

    def _badly(self, question: dict[str, Any], answer: dict[str, Any]) -> None:
        whole = json.dumps(answer).encode()
        if self.ill in BODIES:
            return self._say(200, BODIES[self.ill])
        if self.ill in ("busy", "moved"):
            return self._say(503 if self.ill == "busy" else 302, whole, Location="/elsewhere/v1/query")
        if self.ill in ("loop", "endless"):
            token = f"again {question.get('version')}" if self.ill == "loop" else secrets.token_hex(8)
            self.tokens[token] = (json.dumps(question | {"page_token": ""}, sort_keys=True), 0)
            return self._say(200, json.dumps(answer | {"next_page_token": token}).encode())
        if self.ill == "other":
            return self._say(200, json.dumps({"vulns": [each for each in self.every if each["id"] == "A-1"]}).encode())
        if self.ill == "blind":  # it knows the package, and of no version that it is affected
            return self._say(200, b"{}" if "version" in question else whole)
        if self.ill == "mute":  # it knows which versions are affected, and nothing of the package
            return self._say(200, whole if "version" in question else b"{}")
        if self.ill.startswith("dripping"):
            return self._drip(whole, head=self.ill.endswith("head"))
        if self.ill == "slow":
            time.sleep(LONGEST_WAIT)
        if self.ill == "torn":
            self.send_response(200)
            self.send_header("Content-Length", str(len(whole) + 1))
            self.end_headers()
            self.close_connection = True
            self.wfile.write(whole)
            return None
        self._say(200, whole, **{"cached": {"Date": OLD}, "undated": {"Date": ""}}.get(self.ill, {}))

    def _drip(self, whole: bytes, *, head: bool) -> None:
        """A byte at a time, in the header or in the body, for much longer than anybody should wait."""
        self.close_connection = True
        self.send_response_only(200)
        self.send_header("Date", self.date_time_string())
        if not head:
            self.send_header("Content-Length", str(len(whole) + 10_000))
            self.end_headers()
        else:
            self.flush_headers()
            self.wfile.write(b"X-Slow: ")
        ends = time.monotonic() + 10 * LONGEST_WAIT
        with suppress(OSError):
            while time.monotonic() < ends:
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response_only(status)
        if headers.get("Date") != "":
            self.send_header("Date", headers.pop("Date", self.date_time_string()))
        for name, told in headers.items():
            self.send_header(name, told)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what was asked is kept."""


@contextmanager
def living(
    *every: dict[str, Any],
    ill: str = "",
    sick: str = "",
    size: int = 2,
    asked: list[dict[str, Any]] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """A service over these advisories, so many on a page; its URL. `ill` with `undated`: it says no `Date`."""
    kept = {"every": list(every), "asked": [] if asked is None else asked, "tokens": {}, "ill": ill, "sick": sick}
    with behind(type("Handler", (Service,), kept | {"size": size}), tls) as url:
        yield url
