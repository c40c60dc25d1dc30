"""What radosgw stores, and three of its bugs, each of which one of our checks must notice."""

import hashlib
import io
import os
import secrets
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig

from security.engines.race import conditional
from security.engines.s3 import Object, fetch, listing
from security.errors import CannotTell, StoreError
from security.verdict import Ref
from tasks.home import Home
from tasks.store import check, hashed
from tests.ceph.gateway import KEY, Gateway

BUCKET = "stored"


@pytest.fixture(scope="module")
def bucket(gateway: Gateway) -> str:
    return gateway.make(BUCKET, key="")


def mark() -> bytes:
    return secrets.token_hex(20).encode()


def pinned(gateway: Gateway, key: str) -> Object:
    """The one version of an object, as it is listed for the pipeline."""
    (found,) = listing(gateway.endpoint, gateway.credentials("pipeline"), BUCKET, key)
    return found


def test_the_marker_of_a_plain_object_is_in_the_stored_bytes_and_of_an_encrypted_one_is_not(
    gateway: Gateway, bucket: str
) -> None:
    plain, sealed = mark(), mark()
    gateway.put(bucket, "at-rest/plain", plain * 50)
    gateway.put(bucket, "at-rest/sealed", sealed * 50, ServerSideEncryption="aws:kms", SSEKMSKeyId=KEY)
    assert gateway.stored(plain)
    assert not gateway.stored(sealed)
    for key, wanted in (("plain", plain), ("sealed", sealed)):
        out = io.BytesIO()
        told = fetch(gateway.endpoint, gateway.credentials("pipeline"), bucket, pinned(gateway, f"at-rest/{key}"), out)
        assert out.getvalue() == wanted * 50
        assert told == (hashlib.sha256(wanted * 50).hexdigest(), len(wanted) * 50)


def test_the_default_of_a_bucket_encrypts(gateway: Gateway) -> None:
    sealed = mark()
    gateway.make("by-default")
    gateway.put("by-default", "k", sealed * 50)
    assert not gateway.stored(sealed)
    assert gateway.s3.get_object(Bucket="by-default", Key="k")["Body"].read() == sealed * 50


def test_our_hashes_notice_the_wrong_bytes_of_a_range(gateway: Gateway, bucket: str, tmp_path: Path) -> None:
    """It answers 206 with as many bytes as were asked for, from the beginning. Longer ranges end the server."""
    gateway.put(bucket, "range/digits", b"0123456789")
    with (tmp_path / "whole").open("xb") as out:
        sha, size = fetch(
            gateway.endpoint, gateway.credentials("pipeline"), bucket, pinned(gateway, "range/digits"), out
        )
    parts = [
        gateway.s3.get_object(Bucket=bucket, Key="range/digits", Range=f"bytes={first}-{first + 4}") for first in (0, 5)
    ]
    assert [part["ContentRange"] for part in parts] == ["bytes 0-4/10", "bytes 5-9/10"]
    (tmp_path / "parts").write_bytes(b"".join(part["Body"].read() for part in parts))
    assert hashed(tmp_path / "whole") == (sha, size)
    assert hashed(tmp_path / "parts")[1] == size
    assert hashed(tmp_path / "parts")[0] != sha


def upload(gateway: Gateway, bucket: str, body: bytes) -> None:
    """In three parts, completed with 200."""
    piece = 5 << 20
    config = TransferConfig(multipart_threshold=piece, multipart_chunksize=piece, use_threads=False)
    gateway.s3.upload_fileobj(io.BytesIO(body), bucket, "multipart/big", Config=config)


def test_our_hashes_notice_the_wrong_bytes_of_a_multipart_upload(gateway: Gateway, tmp_path: Path) -> None:
    gateway.s3.create_bucket(Bucket="unversioned")
    body, home = os.urandom(11 << 20), Home(tmp_path)
    place = home.path("staging:big", "run")
    place.write_bytes(body)
    sha, size = hashed(place)
    ref = Ref(kind="rows", uri="staging:big", sha256=sha, size=size, count=1, unit="objects")
    assert check(home, ref, "run") == place
    upload(gateway, "unversioned", body)
    place.write_bytes(gateway.s3.get_object(Bucket="unversioned", Key="multipart/big")["Body"].read())
    assert place.stat().st_size == size
    with pytest.raises(StoreError, match=f"found SHA-256 .* the reference says {sha[:12]}"):
        check(home, ref, "run")


def test_a_multipart_upload_that_cannot_be_read_back_is_told(gateway: Gateway, bucket: str) -> None:
    upload(gateway, bucket, os.urandom(11 << 20))
    with pytest.raises(CannotTell, match="multipart/big cannot be read: NoSuchKey"):
        fetch(gateway.endpoint, gateway.credentials("pipeline"), bucket, pinned(gateway, "multipart/big"), io.BytesIO())


def test_an_object_without_a_version_is_not_listed_for_a_run(gateway: Gateway) -> None:
    gateway.s3.create_bucket(Bucket="never-versioned")
    gateway.s3.put_object(Bucket="never-versioned", Key="p/x", Body=b"x")
    with pytest.raises(CannotTell, match="no version that it could be pinned to"):
        listing(gateway.endpoint, gateway.credentials("operator"), "never-versioned", "p/")


def test_the_race_notices_that_conditional_puts_are_not_conditional(gateway: Gateway, bucket: str) -> None:
    assert not conditional(gateway.endpoint, gateway.credentials("operator"), bucket, "race/")
    assert "Versions" not in gateway.s3.list_object_versions(Bucket=bucket, Prefix="race/")
