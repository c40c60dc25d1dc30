"""How a store is asked for its encryption: by version, by owner, and every way in which it does not answer."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.lake.server import KMS_KEY, Lake
from security.engines import cipher
from security.engines.s3 import Credentials, Endpoint, listing

Keys = Callable[[str], Credentials]


def versions(endpoint: Endpoint, own: Credentials) -> list[tuple[str, str]]:
    return [(each.key, each.version) for each in listing(endpoint, own, "good", "p/")]


def test_the_bucket_and_each_version_answer(endpoint: Endpoint, keys: Keys) -> None:
    own = keys("pipeline")
    told = cipher.ask(endpoint, own, "good", versions(endpoint, own))
    expected = {"status": 200, "algorithm": "aws:kms", "key": KMS_KEY}
    bodies = {f"p/{number}": b"x" * (number + 1) for number in range(3)}
    held = {key: {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()} for key, body in bodies.items()}
    assert told == [("", expected), *((key, expected | held[key]) for key in bodies)]


def test_an_object_that_was_put_without_a_checksum_has_none(embedded: Lake, endpoint: Endpoint, keys: Keys) -> None:
    version = embedded.client("operator").put_object(Bucket="good", Key="unsummed", Body=b"xy")["VersionId"]
    told = dict(cipher.ask(endpoint, keys("pipeline"), "good", [("unsummed", version)]))
    assert (told["unsummed"]["status"], told["unsummed"]["size"], told["unsummed"]["sha256"]) == (200, 2, "")


def test_a_checksum_of_parts_is_none_of_the_whole(embedded: Lake, endpoint: Endpoint, keys: Keys) -> None:
    operator = embedded.client("operator")
    where: Any = {"Bucket": "good", "Key": "parts"}
    upload = operator.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
    part = operator.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"xyz", ChecksumAlgorithm="SHA256")
    named: Any = {"ETag": part["ETag"], "PartNumber": 1, "ChecksumSHA256": part["ChecksumSHA256"]}
    done = operator.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": [named]})
    kept = operator.head_object(**where, ChecksumMode="ENABLED")
    whole = base64.b64encode(hashlib.sha256(b"xyz").digest()).decode()
    assert (kept["ChecksumType"], kept["ChecksumSHA256"] == whole) == ("COMPOSITE", False)
    told = dict(cipher.ask(endpoint, keys("pipeline"), "good", [("parts", done["VersionId"])]))
    assert (told["parts"]["status"], told["parts"]["size"], told["parts"]["sha256"]) == (200, 3, "")


def test_it_is_the_version_that_answers_not_the_newest(embedded: Lake, endpoint: Endpoint, keys: Keys) -> None:
    own, operator = keys("pipeline"), embedded.client("operator")
    before = versions(endpoint, own)
    weak = operator.put_object(Bucket="good", Key="p/1", Body=b"x", ServerSideEncryption="AES256")["VersionId"]
    pinned = dict(cipher.ask(endpoint, own, "good", before))
    newest = dict(cipher.ask(endpoint, own, "good", [("p/1", weak)]))
    operator.delete_object(Bucket="good", Key="p/1", VersionId=weak)
    assert pinned["p/1"]["algorithm"] == "aws:kms"
    assert newest["p/1"]["algorithm"] == "AES256"


def test_who_may_not_look_is_told_so(endpoint: Endpoint, keys: Keys) -> None:
    told = cipher.ask(endpoint, keys("stranger"), "good", versions(endpoint, keys("pipeline")))
    assert [answer["status"] for _, answer in told] == [403] * 4
    assert all("algorithm" not in answer for _, answer in told)


def test_a_bucket_of_somebody_else_is_refused(endpoint: Endpoint, keys: Keys) -> None:
    other = endpoint.model_copy(update={"account": "000000000001"})
    told = cipher.ask(other, keys("pipeline"), "good", versions(endpoint, keys("pipeline")))
    assert [answer["status"] for _, answer in told] == [403] * 4


class Answers:
    """AWS's own answers, as it documents them, where the embedded lake has others."""

    def __init__(self, **told: Any) -> None:
        self.told = told

    def get_bucket_encryption(self, **_: Any) -> Any:
        if self.told.get("refusal"):
            error = {"Error": {"Code": self.told["refusal"]}, "ResponseMetadata": {"HTTPStatusCode": 404}}
            raise ClientError(error, "GetBucketEncryption")  # type: ignore[arg-type]
        rules = [{"ApplyServerSideEncryptionByDefault": each} for each in self.told["defaults"]]
        return {"ServerSideEncryptionConfiguration": {"Rules": rules}}

    def head_object(self, **asked: Any) -> Any:
        assert asked["ChecksumMode"] == "ENABLED"
        return self.told["head"]


SUM = hashlib.sha256(b"x")
OF_X = base64.b64encode(SUM.digest()).decode()


def headed(**told: Any) -> dict[str, Any]:
    """A version's answer to HEAD, and the bucket's that has no default."""
    return {"refusal": "NoSuchBucket", "head": {"VersionId": "v", "ContentLength": 1} | told}


NONE = {"status": 404, "code": "NoSuchBucket"}
PLAIN = {"status": 200, "algorithm": "none", "key": "", "size": 1, "sha256": ""}


@pytest.mark.parametrize(
    ("told", "default", "head"),
    [
        (
            headed(ServerSideEncryption="AES256") | {"refusal": "", "defaults": [{"SSEAlgorithm": "AES256"}]},
            {"status": 200, "algorithm": "AES256", "key": ""},
            PLAIN | {"algorithm": "AES256"},
        ),
        (
            headed() | {"refusal": "ServerSideEncryptionConfigurationNotFoundError"},
            {"status": 404, "code": "ServerSideEncryptionConfigurationNotFoundError"},
            PLAIN,
        ),
        ({"defaults": [], "head": {"VersionId": "another"}}, {"error": "ValueError"}, {"error": "ValueError"}),
        ({"refusal": "NoSuchBucket", "head": {"VersionId": "v"}}, NONE, {"error": "KeyError"}),
        (headed(ChecksumSHA256=OF_X), NONE, PLAIN | {"sha256": SUM.hexdigest()}),
        (headed(ChecksumSHA256=OF_X, ChecksumType="FULL_OBJECT"), NONE, PLAIN | {"sha256": SUM.hexdigest()}),
        (headed(ChecksumSHA256=OF_X, ChecksumType="COMPOSITE"), NONE, PLAIN),
        (headed(ChecksumSHA256=f"{OF_X}-3"), NONE, PLAIN),
        (headed(ChecksumCRC32="AAAAAA=="), NONE, PLAIN),
        (headed(ChecksumSHA256="x"), NONE, {"error": "ValueError"}),
        (headed(ChecksumSHA256=f"{OF_X}\n"), NONE, {"error": "ValueError"}),
        (headed(ChecksumSHA256=SUM.hexdigest()), NONE, {"error": "ValueError"}),
        (headed(ChecksumSHA256=base64.b64encode(b"x" * 33).decode()), NONE, {"error": "ValueError"}),
    ],
)
def test_other_answers(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint, told: Any, default: Any, head: Any) -> None:
    monkeypatch.setattr(cipher, "client", lambda *_: Answers(**told))
    assert cipher.ask(endpoint, Credentials("a", "b"), "good", [("p/0", "v")]) == [("", default), ("p/0", head)]
