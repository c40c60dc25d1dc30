"""moto's S3 as a store: it keeps and answers, and decides nothing about who may.

Everything goes to one account and one partition, with the bucket taken from the path, whatever headers, host names or
environment variables say otherwise. moto keeps its objects by process, not by server: two fronts in one process are
two doors to one store, which is emptied when the last of them closes.
"""

from __future__ import annotations

import io
import sys
import threading
from typing import Any
from urllib.parse import quote, unquote, urlencode

from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY, environ_key_for_header
from moto.core.request import Request as MotoRequest
from moto.iam.access_control import PermissionResult
from moto.s3 import models
from moto.s3.models import FakeBucket, S3Backend, s3_backends
from moto.s3.responses import S3Response

from deployments.lake.sigv4 import ACCOUNT, REGION, Request

# moto applies a policy's Deny on objects whatever its Condition says, so that a Deny without TLS would refuse objects
# over TLS too; here only the front decides. This holds for the moto that is pinned: its tests fail when it moves.
FakeBucket.get_permission = lambda *_: PermissionResult.PERMITTED  # type: ignore[method-assign]

# moto writes objects of more than 5 MiB to temporary files; what is said to be in memory stays there.
models.get_s3_default_key_buffer_size = lambda: sys.maxsize  # type: ignore[attr-defined]

KEPT = ("x-amz-", "if-", "content-", "cache-control", "expires", "range")
DROPPED = frozenset({"content-length", "x-amz-date", "x-amz-expected-bucket-owner"})
CREDENTIAL = f"AWS4-HMAC-SHA256 Credential=front/20000101/{REGION}/s3/aws4_request"
_writing, _counting, _doors = threading.Lock(), threading.Lock(), set[int]()


class Response(S3Response):
    """moto's answer to one request, with the account, the partition and the style of path fixed."""

    @property
    def backend(self) -> S3Backend:
        """The one store there is."""
        return s3_backends[ACCOUNT]["aws"]

    @staticmethod
    def subdomain_based_buckets(request: Any) -> bool:
        """Never: the bucket is in the path."""
        return False

    def get_current_account(self) -> str:
        """The one account there is."""
        return ACCOUNT

    def head_object(self, bucket_name: str, query: dict[str, Any], key_name: str, headers: dict[str, Any]) -> Any:
        """What moto answers, and of a checksum of parts that it is one, which moto says to GET alone."""
        status, said, body = super().head_object(bucket_name, query, key_name, headers)
        if status == 200 and headers.get("x-amz-checksum-mode") == "ENABLED":
            kept = self.backend.head_object(bucket_name, key_name, version_id=query.get("versionId", [None])[0])
            said |= {"x-amz-checksum-type": kept.checksum_type} if kept and kept.checksum_type else {}
        return status, said, body


def open_door(door: object) -> None:
    """Count a front that uses the store."""
    with _counting:
        _doors.add(id(door))


def close_door(door: object) -> None:
    """Count a front out; with the last one everything stored is gone."""
    with _counting:
        if id(door) in _doors:
            _doors.remove(id(door))
            if not _doors:
                s3_backends[ACCOUNT]["aws"].reset()


def bucket(name: str) -> FakeBucket | None:
    """A bucket as it is stored; None where there is none of this name."""
    return s3_backends[ACCOUNT]["aws"].buckets.get(name)


def serve(req: Request) -> tuple[int, dict[str, str], bytes]:
    """Do what an authorised request asks: status, headers by lower-case name, body."""
    request = MotoRequest(_environ(req))
    handler = Response.key_dispatch if req.key else Response.bucket_dispatch
    if req.method in ("GET", "HEAD"):
        status, headers, body = handler(request, request.raw_url, request.headers)
    else:
        # A conditional put looks and then writes; with one writer at a time nothing comes in between.
        with _writing:
            status, headers, body = handler(request, request.raw_url, request.headers)
    plain = {str(name).lower(): str(value) for name, value in headers.items()}
    return int(status), plain, body.encode() if isinstance(body, str) else bytes(body)


def _environ(req: Request) -> dict[str, Any]:
    # WSGI makes - of _ in a name; moto knows how to undo that for metadata, and nobody for anything else.
    kept = {
        name: value
        for name, value in req.headers.items()
        if name.startswith(KEPT) and name not in DROPPED and ("_" not in name or name.startswith("x-amz-meta-"))
    }
    query = urlencode(req.query, quote_via=quote)
    return {
        "REQUEST_METHOD": req.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(req.path).encode().decode("latin-1"),
        "RAW_URI": f"{req.path}?{query}",
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "HTTP_AUTHORIZATION": CREDENTIAL,
        "REMOTE_ADDR": req.client,
        "CONTENT_LENGTH": str(len(req.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(req.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        PRESERVED_HEADER_NAMES_ENVIRON_KEY: {environ_key_for_header(name): name for name in kept if "_" in name},
        **{environ_key_for_header(name): value for name, value in kept.items()},
    }
