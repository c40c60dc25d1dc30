"""Bodies: every hash given for one is checked, and every wrapping taken off is known."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.lake import payload
from deployments.lake.payload import unwrap
from deployments.lake.sigv4 import Request, S3Error
from tests.deployments.lake.door import Door, code

STREAMED = {
    "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "x-amz-trailer": "x-amz-checksum-crc32",
    "x-amz-decoded-content-length": "4",
    "content-encoding": "aws-chunked",
}


def crc(body: bytes) -> bytes:
    """The trailer's value for a body."""
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big"))


def put(body: bytes, **headers: str) -> Request:
    """A put of this body, with these headers after the streaming ones."""
    plain = {name.lower(): value for name, value in STREAMED.items()}
    return Request("PUT", "/out/x", {}, {**plain, **headers}, body, "127.0.0.1")


def test_bad_checksum_refused(op: Any) -> None:
    assert code(op.put_object, Bucket="out", Key="c", Body=b"x", ChecksumSHA256="A" * 43 + "=") == "BadDigest"
    assert code(op.put_object, Bucket="out", Key="c", Body=b"x", ContentMD5="A" * 22 + "==") == "BadDigest"
    assert code(op.head_object, Bucket="out", Key="c") == "404"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_good_checksum_is_kept(op: Any, algorithm: str) -> None:
    said = op.put_object(Bucket="out", Key="s", Body=b"x", ChecksumAlgorithm=algorithm)
    found = op.head_object(Bucket="out", Key="s", ChecksumMode="ENABLED")
    assert found[f"Checksum{algorithm}"] == said[f"Checksum{algorithm}"]
    assert "ContentEncoding" not in found


@pytest.mark.parametrize(
    ("tail", "want"), [(b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n", b"BadDigest"), (b"\r\n", b"IncompleteBody")]
)
def test_bad_trailer_refused(door: Door, op: Any, tail: bytes, want: bytes) -> None:
    body = b"4\r\ngood\r\n0\r\n" + tail
    headers = door.sign("PUT", "/out/bad", body, STREAMED)
    assert want in door.fetch("/out/bad", "PUT", headers, body)[1]
    assert code(op.head_object, Bucket="out", Key="bad") == "404"


def test_good_trailer(door: Door, op: Any) -> None:
    body = b"4\r\ngood\r\n0\r\nx-amz-checksum-crc32:" + crc(b"good") + b"\r\n\r\n"
    assert door.fetch("/out/tr", "PUT", door.sign("PUT", "/out/tr", body, STREAMED), body)[0] == 200
    assert op.get_object(Bucket="out", Key="tr")["Body"].read() == b"good"
    hashed = {**STREAMED, "X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}
    assert door.fetch("/out/tr", "PUT", door.sign("PUT", "/out/tr", body, hashed), body)[0] == 501
    signed = {**STREAMED, "X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
    assert door.fetch("/out/tr", "PUT", door.sign("PUT", "/out/tr", body, signed), body)[0] == 501


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
def test_chunks_come_together(parts: list[bytes]) -> None:
    body = b"".join(parts)
    wrapped = (
        b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nx-amz-checksum-crc32:" + crc(body)
    )
    req = put(wrapped + b"\r\n\r\n", **{"x-amz-decoded-content-length": str(len(body))})
    unwrap(req)
    assert req.body == body
    assert "content-encoding" not in req.headers


WRONG = [
    b"",
    b"0\r\n",
    b"-4\r\ngood\r\n0\r\n",
    b"0x4\r\ngood\r\n0\r\n",
    b"5\r\ngood\r\n0\r\n",
    b"3\r\ngood\r\n0\r\n",
    b"4\ngood\n0\n",
    b"fffffffffffffffff\r\ngood\r\n0\r\n",
]


@pytest.mark.parametrize("body", WRONG)
def test_wrong_chunks_refused(body: bytes) -> None:
    with pytest.raises(S3Error, match="IncompleteBody"):
        unwrap(put(body + b"x-amz-checksum-crc32:" + crc(b"good") + b"\r\n\r\n"))


@pytest.mark.parametrize("name", ["x-amz-acl", "x-amz-checksum-mode", "content-type"])
def test_trailer_is_a_checksum_or_nothing(name: str) -> None:
    body = b"4\r\ngood\r\n0\r\n%b:public-read\r\n\r\n" % name.encode()
    with pytest.raises(S3Error, match="IncompleteBody"):
        unwrap(put(body, **{"x-amz-trailer": name}))


def test_checksum_that_cannot_be_computed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(payload.CHECKSUMS, "x-amz-checksum-crc32c", raising=False)
    req = Request("PUT", "/out/x", {}, {"x-amz-checksum-crc32c": "AAAAAA=="}, b"x", "127.0.0.1")
    with pytest.raises(S3Error) as refusal:
        unwrap(req)
    assert refusal.value.status == 501


def test_other_encodings_stay() -> None:
    wrapped = b"4\r\ngood\r\n0\r\nx-amz-checksum-crc32:" + crc(b"good") + b"\r\n\r\n"
    req = put(wrapped, **{"content-encoding": "gzip, aws-chunked"})
    unwrap(req)
    assert req.headers["content-encoding"] == "gzip"
