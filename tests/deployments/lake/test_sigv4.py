"""Signatures: what is signed wrongly, too old, tampered with, or not signed at all."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from deployments.lake import sigv4
from deployments.lake.sigv4 import Principal, Request, S3Error, authenticate
from tests.deployments.lake.door import PEOPLE, Door, code

ANONYMOUS = [
    ("GET", "/lake/k/one"),
    ("HEAD", "/lake/k/one"),
    ("GET", "/lake"),
    ("GET", "/"),
    ("PUT", "/lake/new"),
    ("DELETE", "/lake/k/one"),
    ("GET", "/lake?policy"),
    ("PUT", "/newbucket"),
    ("POST", "/moto-api/reset"),
    ("GET", "/moto-api/data.json"),
    ("GET", "/nosuch/x"),
]


@pytest.mark.parametrize(("method", "path"), ANONYMOUS)
def test_anonymous_refused(door: Door, op: Any, method: str, path: str) -> None:
    assert door.fetch(path, method, data=b"x" if method == "PUT" else None)[0] in (400, 403, 501)
    assert op.get_object(Bucket="lake", Key="k/one")["Body"].read() == b"one"


def test_signature_v2_refused(door: Door, op: Any) -> None:
    assert door.fetch("/lake/k/one?Signature=x&AWSAccessKeyId=OPKEY&Expires=9999999999")[0] in (403, 501)
    assert door.fetch("/lake/k/one", headers={"Authorization": "AWS OPKEY:abc"})[0] == 400
    assert door.fetch("/", headers={"Host": "lake.s3.amazonaws.com"})[0] == 403


def test_wrong_secret_and_unknown_key(door: Door, op: Any) -> None:
    assert code(door.client("OPKEY", "wrong").list_buckets) == "SignatureDoesNotMatch"
    assert code(door.client("NOKEY", "wrong").list_buckets) == "InvalidAccessKeyId"


def test_presigned_get_and_put(door: Door, op: Any) -> None:
    v4, old = door.client("OPKEY", signature_version="s3v4"), door.client("OPKEY", signature_version="s3")
    get, put = {"Bucket": "lake", "Key": "k/one"}, {"Bucket": "out", "Key": "pre"}
    assert door.fetch(v4.generate_presigned_url("get_object", Params=get, ExpiresIn=60)) == (200, b"one")
    url = v4.generate_presigned_url("put_object", Params=put, ExpiresIn=60)
    assert door.fetch(url, "PUT", data=b"by url")[0] == 200
    assert op.get_object(Bucket="out", Key="pre")["Body"].read() == b"by url"
    as_text = {**get, "ResponseContentType": "text/x"}
    assert door.fetch(v4.generate_presigned_url("get_object", Params=as_text, ExpiresIn=60)) == (200, b"one")
    v2 = old.generate_presigned_url("get_object", Params=get, ExpiresIn=60)
    assert "X-Amz-Signature" not in v2
    assert door.fetch(v2)[0] in (400, 403, 501)


def test_presigned_expired_or_tampered(door: Door, op: Any) -> None:
    v4 = door.client("OPKEY", signature_version="s3v4")
    url = v4.generate_presigned_url("get_object", Params={"Bucket": "lake", "Key": "k/one"}, ExpiresIn=1)
    assert door.fetch(url.replace("one", "two"))[0] == 403
    assert door.fetch(url.replace("X-Amz-Expires=1&", "X-Amz-Expires=9999&"))[0] == 403
    assert door.fetch(url.replace("X-Amz-Expires=1&", "X-Amz-Expires=999999&"))[0] == 403
    assert door.fetch(url.replace("X-Amz-Expires=1&", "X-Amz-Expires=x&"))[0] == 400
    assert door.fetch(url.replace("X-Amz-Expires=1&", ""))[0] == 400
    assert door.fetch(url + "&versionId=x")[0] == 403
    assert door.fetch(url, headers={"x-amz-acl": "public-read"})[0] == 403
    assert door.fetch(url, headers=door.sign("GET", "/lake/k/one"))[0] == 400
    time.sleep(2.1)
    assert door.fetch(url)[0] == 403


def test_tampered_body_header_and_replay(door: Door, op: Any) -> None:
    digest = {"X-Amz-Content-SHA256": hashlib.sha256(b"good").hexdigest()}
    headers = door.sign("PUT", "/out/t", b"good", digest)
    assert door.fetch("/out/t", "PUT", headers, b"good")[0] == 200
    assert b"XAmzContentSHA256Mismatch" in door.fetch("/out/t", "PUT", headers, b"evil")[1]
    assert door.fetch("/out/other", "PUT", headers, b"good")[0] == 403
    assert door.fetch("/out/t", "PUT", {**headers, "x-amz-acl": "public-read"}, b"good")[0] == 403
    unsigned = {**headers, "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    assert door.fetch("/out/t", "PUT", unsigned, b"evil")[0] == 403
    assert op.get_object(Bucket="out", Key="t")["Body"].read() == b"good"


def test_old_date_refused(door: Door, op: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Old(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Old:
            return cls.fromtimestamp(time.time() - 3600, tz or UTC)

    headers = door.sign("GET", "/lake/k/one")
    assert door.fetch("/lake/k/one", headers=headers)[0] == 200
    monkeypatch.setattr(sigv4, "datetime", Old)
    assert b"RequestTimeTooSkewed" in door.fetch("/lake/k/one", headers=headers)[1]


TAMPERED = [
    ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
    ("/us-east-1/", "/eu-west-1/"),
    ("/s3/", "/iam/"),
    ("aws4_request", "aws4_other"),
    ("Credential=OPKEY", "Credential=OP/KEY"),
    ("Signature=", "Sig="),
    ("SignedHeaders=", "Signed="),
]


@pytest.mark.parametrize(("old", "new"), TAMPERED)
def test_malformed_authorization_refused(door: Door, op: Any, old: str, new: str) -> None:
    headers = door.sign("GET", "/lake/k/one")
    headers["Authorization"] = headers["Authorization"].replace(old, new)
    assert b"AuthorizationHeaderMalformed" in door.fetch("/lake/k/one", headers=headers)[1]


def test_signature_must_be_whole(door: Door, op: Any) -> None:
    headers = door.sign("GET", "/lake/k/one")
    for end in ("", "é"):
        changed = {**headers, "Authorization": headers["Authorization"][:-1] + end}
        assert b"SignatureDoesNotMatch" in door.fetch("/lake/k/one", headers=changed)[1]


def request(**headers: str) -> Request:
    """A request for a list of buckets."""
    return Request("GET", "/", {}, {name.replace("_", "-"): value for name, value in headers.items()}, b"", "127.0.0.1")


def test_known_answer() -> None:
    # AWS's own example, "Example: GET Object" in the S3 API Reference, with its bucket in the path's place.
    claim = sigv4.Claim(
        access="AKIAIOSFODNN7EXAMPLE",
        day="20130524",
        headers=("host", "range", "x-amz-content-sha256", "x-amz-date"),
        stamp="20130524T000000Z",
        life=sigv4.SKEW,
        payload=hashlib.sha256(b"").hexdigest(),
        signature="",
    )
    req = request(
        host="examplebucket.s3.amazonaws.com",
        range="bytes=0-9",
        x_amz_content_sha256=claim.payload,
        x_amz_date=claim.stamp,
    )
    req.path = "/test.txt"
    made = sigv4._signature(claim, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", sigv4._canonical(claim, req, {}))
    assert made == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"


def test_no_credentials_is_nobody_and_bad_ones_are_refused() -> None:
    assert authenticate(request(), PEOPLE) is None
    with pytest.raises(S3Error, match="Malformed"):
        authenticate(request(authorization=""), PEOPLE)


def test_secret_is_not_shown() -> None:
    assert "hush" not in repr(Principal("p", "hush", ()))
