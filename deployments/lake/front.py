"""A strict HTTPS front over moto's S3: embedded, pip-installable, no root and no container.

moto without its own authorisation serves anybody; with it, it ignores the Conditions of policies. Here moto only
stores and answers. This front decides alone, from policies, ACLs and public access blocks read back from the store,
and refuses what it does not understand. It listens on the loopback, speaks TLS 1.2 or newer and nothing else, and
forgets every object when it closes.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import IO, Any, Self, cast
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from werkzeug.serving import DechunkedInput

from deployments.lake import store
from deployments.lake.access import authorise
from deployments.lake.certs import certificates
from deployments.lake.payload import unwrap
from deployments.lake.sigv4 import Principal, Request, S3Error, authenticate

MAX_BODY = 512 << 20
PIECE = 1 << 20
SECONDS = 60
PLAIN = b"HTTPS required\n"


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, and answers each with what the store says or with S3's XML of a refusal."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = SECONDS
    server: Front

    def answer(self) -> None:
        """Do one request, or refuse it."""
        try:
            req = self.read()
            who = authenticate(req, self.server.principals)
            unwrap(req)
            authorise(who, req)
            status, headers, body = store.serve(req)
        except S3Error as refusal:
            status, headers, body = _refused(refusal)
        except Exception as error:  # Whatever goes wrong refuses the request; nothing of it is told to the client.
            print(f"lake: {self.command} {self.path.partition('?')[0]}: {error!r}", file=sys.stderr)
            self.close_connection = True
            status, headers, body = _refused(S3Error(500, "InternalError"))
        if self.command == "HEAD" or status in (204, 304):
            body = b""
        if self.command != "HEAD" or "content-length" not in headers:
            headers["content-length"] = str(len(body))
        if self.close_connection:
            headers["connection"] = "close"
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the parent's names

    def read(self) -> Request:
        """One whole request.

        Raises:
            S3Error: it is too long, or could be read in two ways. Then the connection ends with it, since where the
                next request would begin is not known.
        """
        ends, self.close_connection = self.close_connection, True
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            name = name.lower()
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        body = self.body(headers.get("content-length"), headers.get("transfer-encoding"))
        path, _, query = self.path.partition("?")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50, errors="strict")
        except ValueError:
            raise S3Error(400, "InvalidURI") from None
        if "#" in self.path or not self.path.isascii() or len(dict(pairs)) != len(pairs):
            raise S3Error(400, "InvalidURI")
        self.close_connection = ends
        spoken = (cast(ssl.SSLSocket, self.connection).version() or "").removeprefix("TLSv")
        return Request(self.command, path, dict(pairs), headers, body, self.client_address[0], spoken)

    def body(self, length: str | None, coding: str | None) -> bytes:
        """The body, by exactly one of its length and `chunked`, up to `MAX_BODY` bytes."""
        if coding is None:
            if not (length or "0").isdecimal():
                raise S3Error(400, "InvalidRequest", "Content-Length")
            if int(length or "0") > MAX_BODY:
                raise S3Error(400, "EntityTooLarge")
            body = self.rfile.read(int(length or "0"))
            if len(body) != int(length or "0"):
                raise S3Error(400, "IncompleteBody")
            return body
        if coding != "chunked" or length is not None:
            raise S3Error(400, "InvalidRequest", "Transfer-Encoding")
        source, parts, size = DechunkedInput(cast(IO[bytes], self.rfile)), list[bytes](), 0
        try:
            while part := source.read(PIECE):
                parts.append(part)
                size += len(part)
                if size > MAX_BODY:
                    raise S3Error(400, "EntityTooLarge")
        except OSError:
            raise S3Error(400, "IncompleteBody") from None
        return b"".join(parts)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the caller's own logs tell what it asked for."""


def _refused(error: S3Error) -> tuple[int, dict[str, str], bytes]:
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{error.code}</Code>'
        f"<Message>{escape(error.message)}</Message><RequestId>{uuid.uuid4().hex}</RequestId></Error>"
    )
    return error.status, {"content-type": "application/xml"}, text.encode()


class Front(ThreadingHTTPServer):
    """`with Front(principals, state) as front: ...` serves on `front.url`; clients trust `front.ca`.

    Args:
        principals: by access key; read anew at every request.
        state: folder of the CA and of the server's certificate, made where it is absent.
        port: 0 for any free one.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_port = False  # Two servers on one port would share the requests between them.

    def __init__(self, principals: Mapping[str, Principal], state: Path, port: int = 0) -> None:
        """Take the port; nothing is served before `with`."""
        self.principals, self.ca = principals, state / "ca.pem"
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(certificates(state))
        self._open, self._closed, self._guard = set[socket.socket](), False, threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"https://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        """Serve, in threads of its own."""
        store.open_door(self)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Serve no more: close the port and every connection that is still open."""
        self.shutdown()
        self.server_close()
        with self._guard:
            self._closed = True
            for connection in self._open:
                _hang_up(connection)
        store.close_door(self)

    def server_bind(self) -> None:
        """Bind without asking a name server what 127.0.0.1 is called, as the parent's way does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection, in its thread, so that who never finishes a handshake stops nobody else."""
        request.settimeout(SECONDS)
        try:
            if request.recv(1, socket.MSG_PEEK) not in (b"\x16", b""):
                request.recv(1 << 16)
                head = f"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: {len(PLAIN)}\r\n\r\n"
                request.sendall(head.encode() + PLAIN)
                return
            with self.context.wrap_socket(request, server_side=True) as tls:
                with self._guard:
                    if self._closed:
                        return
                    self._open.add(tls)
                try:
                    Handler(tls, client_address, self)
                finally:
                    with self._guard:
                        self._open.discard(tls)
        except OSError:
            return  # The client went away, or does not trust the CA.


def _hang_up(connection: socket.socket) -> None:
    try:
        # Not the TLS socket's own shutdown: after that one, its thread could go on in plain text.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # It was closed already.
