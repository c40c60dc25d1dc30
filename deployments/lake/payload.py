"""The body of an S3 request against every hash given for it, and out of its `aws-chunked` wrapping.

Source: AWS, "Checking object integrity" and "Signature calculations for trailing headers", Amazon S3 API Reference.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.util
import io
import re
import zlib
from collections.abc import Callable

from deployments.lake.sigv4 import Request, S3Error


def _checksums() -> dict[str, Callable[[bytes], bytes]]:
    known: dict[str, Callable[[bytes], bytes]] = {
        "content-md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
        "x-amz-checksum-crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
        "x-amz-checksum-sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
        "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
    }
    # pyarrow's writer sends these two; where nothing here can compute them, they are refused and not skipped.
    if importlib.util.find_spec("awscrt"):
        crt = importlib.import_module("awscrt.checksums")
        known["x-amz-checksum-crc32c"] = lambda body: int(crt.crc32c(body)).to_bytes(4, "big")
        known["x-amz-checksum-crc64nvme"] = lambda body: int(crt.crc64nvme(body)).to_bytes(8, "big")
    return known


CHECKSUMS = _checksums()
SAYINGS = frozenset(f"x-amz-checksum-{what}" for what in ("mode", "algorithm", "type"))


def unwrap(req: Request) -> None:
    """Check the body against every hash given for it; turn `aws-chunked` into a plain body.

    Raises:
        S3Error: a hash differs or cannot be computed here, or the body is wrapped in a way that is not known here.
    """
    mode, trailers = req.headers.pop("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), req.headers.pop("x-amz-trailer", "")
    if mode == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
        _dechunk(req, {name.strip() for name in trailers.split(",") if name.strip()})
    elif trailers or "aws-chunked" in req.headers.get("content-encoding", ""):
        raise S3Error(501, "NotImplemented", f"aws-chunked with payload mode {mode}")
    elif re.fullmatch(r"[0-9a-f]{64}", mode):
        if hashlib.sha256(req.body).hexdigest() != mode:
            raise S3Error(400, "XAmzContentSHA256Mismatch")
    elif mode != "UNSIGNED-PAYLOAD":
        raise S3Error(501, "NotImplemented", f"payload mode {mode}")
    # Where a multipart upload is completed, the checksum is that of the whole object and not of this body.
    whole = req.method == "POST" and "uploadId" in req.query
    for name, said in req.headers.items():
        if name in SAYINGS or not (name == "content-md5" or (name.startswith("x-amz-checksum-") and not whole)):
            continue
        if name not in CHECKSUMS:
            raise S3Error(501, "NotImplemented", name)
        if base64.b64encode(CHECKSUMS[name](req.body)).decode() != said:
            raise S3Error(400, "BadDigest", name)


def _dechunk(req: Request, trailers: set[str]) -> None:
    source, parts = io.BytesIO(req.body), list[bytes]()
    try:
        while size := _size(source.readline(64)):
            parts.append(source.read(size))
            if len(parts[-1]) != size or source.read(2) != b"\r\n":
                raise ValueError("a chunk is not as long as it says")
        body = b"".join(parts)
        tail = dict(line.split(":", 1) for line in source.read(4096).decode().split())
        if len(body) != int(req.headers.pop("x-amz-decoded-content-length")):
            raise ValueError("the body is not as long as it says")
        # A trailer's value is not signed, so it may be nothing but a checksum.
        if set(tail) != trailers or any(n in SAYINGS or not n.startswith("x-amz-checksum-") for n in trailers):
            raise ValueError("the trailers are not those that were announced")
    except (ValueError, KeyError):
        raise S3Error(400, "IncompleteBody") from None
    req.body = body
    req.headers.update(tail)
    kept = [part.strip() for part in req.headers.pop("content-encoding", "").split(",")]
    if kept := [part for part in kept if part not in ("", "aws-chunked")]:
        req.headers["content-encoding"] = ",".join(kept)


def _size(line: bytes) -> int:
    if not re.fullmatch(rb"[0-9a-fA-F]{1,8}\r\n", line):
        raise ValueError("a chunk does not say how long it is")
    return int(line, 16)
