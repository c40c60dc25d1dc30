"""A line to a registry: one request, one answer, within a time and a size that the other side cannot stretch.

What is not a registry's answer (a page, a redirect, half of one) is `CannotTell`; of codes of errors only known words
are kept, so that nothing of what a server says can carry a secret.
"""

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from security.engines import web
from security.engines.login import LACKS
from security.errors import CannotTell

if TYPE_CHECKING:
    import httpx

By = Literal["nobody", "basic", "bearer"]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TAKES = f"{MANIFEST}, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json"
TAKES += ", application/vnd.docker.distribution.manifest.list.v2+json"
MOST = 4 << 20
"""Bytes of an answer."""
SECONDS = 10.0
ALL = 600.0
"""Seconds of everything that one client asks."""
HELD = 1 << 16
"""Bytes of a request that are held for as long as somebody holds the request."""
NONE: Mapping[str, str] = MappingProxyType({})
CODES = frozenset({
    "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DENIED", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "MANIFEST_UNVERIFIED", "NAME_INVALID", "NAME_UNKNOWN", "PRECONDITION",
    "SIZE_INVALID", "TAG_INVALID", "TOOMANYREQUESTS", "UNAUTHORIZED", "UNKNOWN", "UNSUPPORTED",
    "ImageTagAlreadyExistsException", *LACKS,
})  # fmt: skip
"""What registries call their errors (OCI distribution 1.1, Harbor, ECR), and what they say of tokens."""


@dataclass(frozen=True)
class Reply:
    """One answer: status, the known code of its error (`other`: an unknown one), and as whom it was asked for."""

    status: int
    code: str
    by: By
    body: bytes = field(repr=False, default=b"")
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)

    def said(self) -> dict[str, Any]:
        """What is kept of it."""
        return {"status": self.status, "code": self.code, "by": self.by}


class Line:
    """Requests that are sent as they are told, to servers that are believed nothing. Whatever is no answer is
    `CannotTell`. `transport` is there for servers that are doubles; `seconds`: of everything that is asked;
    `patience`: of one piece of an answer (without: `SECONDS`), and twice of it for all."""

    def __init__(
        self,
        tls: bool,
        transport: "httpx.BaseTransport | None" = None,
        seconds: float = ALL,
        patience: float | None = None,
    ) -> None:
        import httpx

        self._all, self._ends = seconds, time.monotonic() + seconds
        self._patience = SECONDS if patience is None else patience
        verify: ssl.SSLContext | bool = ssl.create_default_context() if tls and transport is None else True
        self._web = httpx.Client(
            verify=verify, trust_env=False, follow_redirects=False, timeout=self._patience, transport=transport
        )

    def close(self) -> None:
        """Hang up."""
        self._web.close()

    def send(
        self, method: str, url: str, content: bytes, kind: str, login: str, by: By, more: Mapping[str, str] = NONE
    ) -> Reply:
        """The answer; `login`: what is sent as `Authorization`, as whom `by` says; `more`: further headers."""
        import httpx

        patience = self._patience
        if self._web.is_closed:
            raise CannotTell("the registry takes its time: nothing more is asked")
        headers = {"Accept": TAKES, "Accept-Encoding": "identity"}
        headers |= {"Authorization": login} if login else {}
        headers |= {"Content-Type": kind} if kind else {}
        headers |= more
        headers |= {"Content-Length": str(len(content))} if len(content) > HELD else {}
        until, body = min(time.monotonic() + 2 * patience, self._ends), b""
        if time.monotonic() > self._ends:
            raise CannotTell(f"the registry takes its time; allowed: {self._all:g} s for all that is asked")
        try:
            with (
                web.ended(self._web, until - time.monotonic()),  # nor does an answer outlast it that only begins
                self._web.stream(method, url, headers=headers, content=_let_go(content)) as response,
            ):
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise CannotTell("the registry answers in a coding that was not asked for; allowed: none")
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > MOST or time.monotonic() > until:
                        raise CannotTell(f"the registry's answer has no end; allowed: {MOST:,} bytes in {patience:g} s")
        except CannotTell:
            raise
        except Exception as why:  # whatever a client says that was closed while it waited
            if self._web.is_closed:
                raise CannotTell(f"the registry takes its time; allowed: {2 * patience:g} s for an answer") from None
            if not isinstance(why, httpx.HTTPError | httpx.InvalidURL | ssl.SSLError | OSError):
                raise
            half = isinstance(why, httpx.RemoteProtocolError | httpx.ReadError | httpx.ReadTimeout)
            word = "answers half, or nothing" if half else "cannot be reached"
            raise CannotTell(f"the registry {word} ({type(why).__name__})") from None
        if 300 <= response.status_code < 400:
            raise CannotTell(f"the registry sends onward ({response.status_code}); no redirect is followed")
        if "html" in response.headers.get("content-type", "").lower() or body[:512].lstrip()[:1] == b"<":
            raise CannotTell(f"a page was answered ({response.status_code}): something else than the registry spoke")
        return Reply(response.status_code, code(body, response.status_code), by, body, response.headers)


def _let_go(content: bytes) -> bytes | Iterator[bytes]:
    """What is sent, held no longer than it takes: a request and its answer hold each other until they are collected."""
    return content if len(content) <= HELD else iter((content,))


def code(body: bytes, status: int) -> str:
    """The first known code of an error; empty where there is none, `other` for what nobody knows."""
    if status < 400 or not body:
        return ""
    try:
        found = json.loads(body)["errors"][0]["code"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return "other"
    return found if isinstance(found, str) and found in CODES else "other"


def told(reply: Reply, who: str = "the registry") -> dict[str, Any]:
    """The object that an answer is; `CannotTell` of anything else."""
    try:
        found = json.loads(reply.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CannotTell(f"{who} answered {reply.status} with something else than JSON")
    return found
