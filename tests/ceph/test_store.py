"""What radosgw stores, and three of its bugs, each of which one of our checks must notice."""

import hashlib
import io
import os
import secrets

import pytest

from security.engines.s3 import Object, fetch, listing
from security.errors import StoreError
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
