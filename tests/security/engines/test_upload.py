"""What is put into a bucket lies there under its key, byte for byte, or it is an error."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from botocore.response import StreamingBody

from deployments.lake.server import KMS_KEY, Lake
from security.engines import s3
from security.engines import upload as uploading
from security.engines.s3 import Credentials, Endpoint, client, listing
from security.engines.upload import upload
from security.errors import CannotTell, StoreError

Keys = Callable[[str], Credentials]


@pytest.fixture
def own(keys: Keys) -> Credentials:
    return keys("pipeline")


def test_what_is_put_is_read_back_under_its_key(
    embedded: Lake, endpoint: Endpoint, keys: Keys, own: Credentials, tmp_path: Path
) -> None:
    embedded.make_bucket("written")
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 9000)
    made = upload(endpoint, keys("operator"), "written", "p/x", file, KMS_KEY)
    assert [made] == listing(endpoint, own, "written", "p/")
    told = client(endpoint, own).head_object(
        Bucket="written", Key="p/x", VersionId=made.version, ChecksumMode="ENABLED"
    )
    assert (told["ServerSideEncryption"], told["SSEKMSKeyId"]) == ("aws:kms", KMS_KEY)
    assert told["ChecksumSHA256"] == b64encode(sha256(file.read_bytes()).digest()).decode()


class Careless:
    """A store that keeps what it is given in another way than it was told to."""

    def __init__(self, body: bytes, **how: Any) -> None:
        self.body, self.how, self.asked = body, how, list[dict[str, Any]]()

    def put_object(self, **asked: Any) -> dict[str, Any]:
        self.asked.append({**asked, "Body": asked["Body"].read()})
        return {"VersionId": "v"}

    def head_object(self, **asked: Any) -> dict[str, Any]:
        return {"ETag": "e", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY, **self.how}

    def get_object(self, **asked: Any) -> dict[str, Any]:
        return {"Body": StreamingBody(io.BytesIO(self.body), len(self.body)), "VersionId": "v"}


@pytest.mark.parametrize(
    ("body", "how", "sentence"),
    [
        (b"abc", {"SSEKMSKeyId": "another"}, "found encrypted by aws:kms and another; allowed: aws:kms and arn"),
        (b"abc", {"ServerSideEncryption": "AES256", "SSEKMSKeyId": ""}, "found encrypted by AES256; allowed"),
        (b"abc", {"ServerSideEncryption": "nothing", "SSEKMSKeyId": ""}, "found encrypted by nothing; allowed"),
        (b"abd", {}, "what lies there is not what was put"),
        (b"ab", {}, "2 bytes or more were sent; 3 were listed"),
        (b"abcd", {}, "4 bytes or more were sent; 3 were listed"),
    ],
)
def test_what_is_put_and_lies_there_otherwise_is_an_error(
    endpoint: Endpoint,
    own: Credentials,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: bytes,
    how: Any,
    sentence: str,
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    store = Careless(body, **how)
    for module in (s3, uploading):
        monkeypatch.setattr(module, "kept", lambda *_: store)
    with pytest.raises(StoreError, match=sentence):
        upload(endpoint, own, "b", "p/x", file, KMS_KEY)
    (asked,) = store.asked
    assert (asked["Body"], asked["SSEKMSKeyId"], asked["ExpectedBucketOwner"]) == (b"abc", KMS_KEY, endpoint.account)


def test_who_may_not_put_is_told_so(embedded: Lake, endpoint: Endpoint, own: Credentials, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    with pytest.raises(CannotTell, match="s3://good/p/mine cannot be put: AccessDenied"):
        upload(endpoint, own, "good", "p/mine", file, KMS_KEY)
