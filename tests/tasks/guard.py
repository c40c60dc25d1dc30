"""What stands before a real registry and decides who may do what: a strict front, and a server of tokens.

The front knows one user, who may read, upload, and put a manifest under a tag that is not there yet. Whatever else it
is told to let goes through to the registry behind it, which lets everybody do everything.
"""

import base64
import json
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey

from security.engines.line import TAKES
from security.engines.login import Login
from security.engines.probe import CANARY


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    of: Any

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        status, headers, content = self.of.answer(self.command, self.path, dict(self.headers), body)
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names of http.server


Told = tuple[int, dict[str, str], bytes]


def no(status: int, code: str, **headers: str) -> Told:
    """A refusal as registries write it."""
    said = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return status, said, json.dumps({"errors": [{"code": code, "message": "no"}]}).encode()


@contextmanager
def serving(of: Any, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Something that answers, behind a port of the loopback; HOST:PORT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"of": of}))
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Guard:
    """The strict front. `lets`: acts that it lets through beyond what the producer may; `scheme`: how it is asked."""

    def __init__(self, behind: str, scheme: str = "http") -> None:
        self.behind, self.login, self.lets = behind, Login("producer", secrets.token_hex(12)), set[str]()
        self.scheme = scheme
        self.odd: dict[str, Told] = {}
        """`METHOD PATH`, from its end -> what is answered in place of all else."""

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Told:
        """The answer to a request: a refusal, or what the registry says."""
        heads = {name.lower(): value for name, value in headers.items()}
        plain = urlsplit(path).path
        if heads.get("authorization") != self.login.basic():
            return no(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="guard"')
        for end, told in self.odd.items():
            if f"{method} {plain}".startswith(end.split(" ")[0]) and plain.endswith(end.split(" ")[1]):
                return told
        act = self._act(method, plain)
        if act and act not in self.lets:
            return no(403, "DENIED")
        kept = {name: heads[name] for name in ("host", "accept", "content-type") if name in heads}
        kept["x-forwarded-proto"] = self.scheme
        reply = httpx.request(method, f"http://{self.behind}{path}", headers=kept, content=body, trust_env=False)
        return reply.status_code, dict(reply.headers), reply.content

    def _act(self, method: str, path: str) -> str:
        """What the producer must not do; empty for what it may."""
        what, _, which = path.rpartition("/")
        if method == "DELETE":
            return "erase" if what.endswith("/blobs") else "delete" if ":" in which else "untag"
        if method != "PUT" or not what.endswith("/manifests"):
            return ""
        if which in ("approved", "production"):
            return which
        if ":" in which:
            return ""  # by what it is: no tag moves
        there = httpx.get(f"http://{self.behind}{path}", headers={"accept": TAKES}, trust_env=False)
        return ("overwrite" if which == CANARY else "version") if there.status_code == 200 else ""


class Tokens:
    """A token server as docker-registry believes one: whom it knows it grants what is asked for and on its list."""

    def __init__(self, folder: Path, *actions: str) -> None:
        self.actions, self.login, self.asked = actions, Login("producer", secrets.token_hex(12)), list[str]()
        self._key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, "tokens")]
        )  # fmt: skip
        now = datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self._key.public_key())
        made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        self._cert = made.add_extension(x509.BasicConstraints(True, None), True).sign(self._key, hashes.SHA256())
        self.bundle = folder / "tokens.pem"
        self.bundle.write_bytes(self._cert.public_bytes(Encoding.PEM))

    def configured(self, address: str) -> str:
        """The lines of docker-registry's configuration that name this server."""
        told = {"realm": f"http://{address}/token", "service": "registry", "issuer": "tokens"}
        return f"auth: {{token: {json.dumps(told | {'rootcertbundle': str(self.bundle)})}}}\n"

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Told:
        """A token, for the user alone."""
        heads = {name.lower(): value for name, value in headers.items()}
        if heads.get("authorization") != self.login.basic():
            return no(401, "UNAUTHORIZED")
        scopes = parse_qs(urlsplit(path).query).get("scope", [])
        self.asked += scopes
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            granted = [each for each in actions.split(",") if each in self.actions]
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims = {"iss": "tokens", "sub": "producer", "aud": "registry", "exp": now + 60, "nbf": now - 5, "iat": now}
        der = base64.b64encode(self._cert.public_bytes(Encoding.DER)).decode()
        header = {"alg": "ES256", "typ": "JWT", "x5c": [der]}
        token = jwt.encode(
            header, claims | {"access": access, "jti": secrets.token_hex(4)}, ECKey.import_key(self._key)
        )
        return 200, {"Content-Type": "application/json"}, json.dumps({"token": token}).encode()
