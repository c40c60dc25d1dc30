"""How a store is asked for its encryption: by version, by owner, and every way in which it does not answer."""

from __future__ import annotations

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
    assert told == [(name, expected) for name in ("", "p/0", "p/1", "p/2")]


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
        if "refusal" in self.told:
            error = {"Error": {"Code": self.told["refusal"]}, "ResponseMetadata": {"HTTPStatusCode": 404}}
            raise ClientError(error, "GetBucketEncryption")  # type: ignore[arg-type]
        rules = [{"ApplyServerSideEncryptionByDefault": each} for each in self.told["defaults"]]
        return {"ServerSideEncryptionConfiguration": {"Rules": rules}}

    def head_object(self, **_: Any) -> Any:
        return self.told["head"]


@pytest.mark.parametrize(
    ("told", "default", "head"),
    [
        (
            {"defaults": [{"SSEAlgorithm": "AES256"}], "head": {"VersionId": "v", "ServerSideEncryption": "AES256"}},
            {"status": 200, "algorithm": "AES256", "key": ""},
            {"status": 200, "algorithm": "AES256", "key": ""},
        ),
        (
            {"refusal": "ServerSideEncryptionConfigurationNotFoundError", "head": {"VersionId": "v"}},
            {"status": 404, "code": "ServerSideEncryptionConfigurationNotFoundError"},
            {"status": 200, "algorithm": "none", "key": ""},
        ),
        ({"defaults": [], "head": {"VersionId": "another"}}, {"error": "ValueError"}, {"error": "ValueError"}),
    ],
)
def test_other_answers(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint, told: Any, default: Any, head: Any) -> None:
    monkeypatch.setattr(cipher, "client", lambda *_: Answers(**told))
    assert cipher.ask(endpoint, Credentials("a", "b"), "good", [("p/0", "v")]) == [("", default), ("p/0", head)]
