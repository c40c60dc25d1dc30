"""What a visit asks, that a probe leaves nothing behind, and that what was not answered is not called an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from deployments.lake.server import Lake
from security.engines.asker import _Visit, ask
from security.engines.s3 import Credentials, Endpoint
from security.engines.settings import READERS
from security.engines.tamper import MALFORMED
from security.gates.bucket import AccessControlS3
from security.gates.transit import DataEncryptionInTransit

Keys = Callable[[str], Credentials]


def test_every_question_is_asked_and_no_secret_is_told(endpoint: Endpoint, keys: Keys) -> None:
    seen = ask(endpoint, keys("pipeline"), "good", "p/", stranger=keys("stranger"))
    assert set(seen.answers) == {*AccessControlS3.questions, *DataEncryptionInTransit.questions}
    assert seen.uri == "s3://good/p/"
    text = seen.model_dump_json()
    for who in ("pipeline", "stranger"):
        assert keys(who).secret not in text
        assert keys(who).access not in text


def test_good_bucket_refuses_for_the_right_reason(endpoint: Endpoint, keys: Keys) -> None:
    answers = ask(endpoint, keys("pipeline"), "good", "p/", stranger=keys("stranger")).answers
    codes = {name: answers[name]["code"] for name in ("wrong_secret", "unknown_key", "stranger_get", "own_policy")}
    assert codes == {
        "wrong_secret": "SignatureDoesNotMatch",
        "unknown_key": "InvalidAccessKeyId",
        "stranger_get": "AccessDenied",
        "own_policy": "AccessDenied",
    }
    assert answers["plain_http"] == {
        "status": 403, "code": "", "control": 200, "onward": False, "told": False,
    }  # fmt: skip
    assert answers["endpoint"] == {
        "url": endpoint.url,
        "wanted": endpoint.url,
        "region": "us-east-1",
        "account": "123456789012",
        "ca": "given",
        "proxies": 0,
        "tls": "TLSv1.3",
    }
    assert answers["other_authority"] == answers["other_name"] == {"taken": False}


def test_a_principal_that_may_do_all_leaves_all_as_it_was(embedded: Lake, endpoint: Endpoint, keys: Keys) -> None:
    operator = embedded.client("operator")
    before = operator.list_object_versions(Bucket="good"), operator.get_bucket_policy(Bucket="good")["Policy"]
    answers = ask(endpoint, keys("operator"), "good", "p/", stranger=None).answers
    after = operator.list_object_versions(Bucket="good"), operator.get_bucket_policy(Bucket="good")["Policy"]
    assert answers["own_put"] == {"status": 200, "removed": True}
    assert answers["own_delete"] == {"status": 204, "removed": True}
    assert answers["own_policy"] == {"status": 400, "code": "MalformedPolicy"}
    assert answers["stranger_get"] == {"asked": False}
    assert [each["VersionId"] for each in after[0]["Versions"]] == [each["VersionId"] for each in before[0]["Versions"]]
    assert after[0].get("DeleteMarkers") is None
    assert after[1] == before[1]


@pytest.mark.parametrize(("own", "removed"), [("operator", True), ("pipeline", False)])
def test_a_bucket_that_anybody_may_write_to(
    embedded: Lake, endpoint: Endpoint, keys: Keys, own: str, removed: bool
) -> None:
    bucket = f"writable-{own}"
    embedded.make_bucket(bucket)
    embedded.publish(bucket, "p/1", b"x")
    operator = embedded.client("operator")
    operator.delete_public_access_block(Bucket=bucket)
    put = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    operator.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [put]}))
    answer = ask(endpoint, keys(own), bucket, "p/", stranger=None).answers["anonymous_put"]
    assert answer == {"status": 200, "code": "", "removed": removed}
    left = [each["Key"] for each in operator.list_object_versions(Bucket=bucket)["Versions"]]
    assert (set(left) == {"p/1"}) is removed
    assert all(key == "p/1" or key.startswith("p/sluice-probe-") for key in left)


class Lenient:
    """A store that takes any policy at all, and keeps the last one."""

    def __init__(self, former: str | None, readable: bool = True) -> None:
        self.policy, self.readable = former, readable

    def get_bucket_policy(self, **_: Any) -> dict[str, Any]:
        if self.policy is None or not self.readable:
            code = "NoSuchBucketPolicy" if self.readable else "AccessDenied"
            raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 404}}, "GetBucketPolicy")  # type: ignore[typeddict-item]
        return {"Policy": self.policy}

    def put_bucket_policy(self, Policy: str, **_: Any) -> None:  # noqa: N803 - boto3's name
        self.policy = Policy

    def delete_bucket_policy(self, **_: Any) -> None:
        self.policy = None


@pytest.mark.parametrize("former", ["{}", None])
def test_a_store_that_takes_any_policy_gets_the_old_one_back(
    endpoint: Endpoint, keys: Keys, former: str | None
) -> None:
    visit, store = _Visit(endpoint, keys("pipeline"), "b", "p/", None), Lenient(former)
    visit.__dict__["s3"] = store
    assert visit.tamper.policy() == {"status": 200, "restored": True}
    assert store.policy == former


def test_a_policy_that_could_not_be_put_back_is_not_tried(endpoint: Endpoint, keys: Keys) -> None:
    visit, store = _Visit(endpoint, keys("pipeline"), "b", "p/", None), Lenient("{}", readable=False)
    visit.__dict__["s3"] = store
    assert _answered(visit, "own_policy") == {"error": "CannotTell"}
    assert store.policy == "{}"


def _answered(visit: _Visit, question: str) -> dict[str, Any]:
    from security.engines.asker import _answer

    return _answer(visit.questions()[question])


def test_the_malformed_policy_is_no_json() -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(MALFORMED)


def test_a_policy_that_names_a_member_twice_is_no_answer(endpoint: Endpoint, keys: Keys) -> None:
    visit = _Visit(endpoint, keys("pipeline"), "b", "p/", None)
    visit.__dict__["s3"] = Lenient('{"Statement": [{"Effect": "Allow", "Effect": "Deny"}]}')
    assert _answered(visit, "policy") == {"error": "ValueError"}


def test_no_server_is_no_answer_to_anything(endpoint: Endpoint, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("security.engines.s3.ATTEMPTS", 1)
    away = endpoint.model_copy(update={"url": "https://127.0.0.1:9"})
    answers = ask(away, keys("pipeline"), "good", "p/", stranger=keys("stranger")).answers
    assert {name for name, answer in answers.items() if "error" not in answer} == set()


def test_an_unknown_authority_is_no_answer_to_anything(endpoint: Endpoint, keys: Keys) -> None:
    answers = ask(
        endpoint.model_copy(update={"ca": ""}), keys("pipeline"), "good", "p/", stranger=keys("stranger")
    ).answers
    assert {name for name, answer in answers.items() if "error" not in answer} == set()


def test_nothing_under_the_prefix_is_no_answer_about_objects(endpoint: Endpoint, keys: Keys) -> None:
    answers = ask(endpoint, keys("pipeline"), "good", "nothing/", stranger=keys("stranger")).answers
    assert answers["signed_list"] == {"status": 200, "found": False}
    about = ("signed_get", "anonymous_get", "plain_http", "wrong_secret", "unknown_key", "stranger_get", "wrong_owner")
    assert {name: answers[name] for name in about} == dict.fromkeys(about, {"error": "NoObject"})


def test_wrong_credentials_answer_no_question_about_settings(endpoint: Endpoint, keys: Keys) -> None:
    wrong = Credentials(keys("pipeline").access, "wrong")
    answers = ask(endpoint, wrong, "good", "p/", stranger=None).answers
    assert {answers[name].get("code") for name in READERS} == {"SignatureDoesNotMatch"}
    assert answers["anonymous_get"] == {"error": "NoObject"}


@pytest.mark.parametrize(
    ("clear", "expected"),
    [
        (
            httpx.ConnectError("refused"),
            {"status": 0, "code": "ConnectError", "control": 200, "onward": False, "told": False},
        ),
        (
            httpx.RemoteProtocolError("no HTTP"),
            {"status": 0, "code": "RemoteProtocolError", "control": 200, "onward": False, "told": False},
        ),
        (httpx.ConnectTimeout("silence"), {"error": "ConnectTimeout"}),
        (
            ({"status": 200, "code": ""}, {}),
            {"status": 200, "code": "", "control": 200, "onward": False, "told": False},
        ),
        (
            ({"status": 301, "code": ""}, {"location": "https://s3.example/"}),
            {"status": 301, "code": "", "control": 200, "onward": True, "told": False},
        ),
        (
            ({"status": 307, "code": ""}, {"location": "https://s3.example/", "etag": "e"}),
            {"status": 307, "code": "", "control": 200, "onward": True, "told": True},
        ),
        (
            ({"status": 301, "code": ""}, {"location": "http://s3.example/"}),
            {"status": 301, "code": "", "control": 200, "onward": False, "told": False},
        ),
    ],
)
def test_what_plain_http_answers(
    endpoint: Endpoint, keys: Keys, monkeypatch: pytest.MonkeyPatch, clear: Any, expected: dict[str, Any]
) -> None:
    visit, sent = _Visit(endpoint, keys("pipeline"), "good", "p/", None), list[tuple[str, str]]()

    def send(method: str, url: str) -> tuple[dict[str, Any], dict[str, str]]:
        sent.append((method, url))
        if url.startswith("https://"):
            return {"status": 200, "code": ""}, {}
        if isinstance(clear, Exception):
            raise clear
        return clear[0], clear[1]

    monkeypatch.setattr(visit, "send", send)
    assert _answered(visit, "plain_http") == expected
    (first, over_tls), (second, in_the_clear) = sent
    assert (first, second) == ("HEAD", "HEAD")
    assert over_tls.removeprefix("https") == in_the_clear.removeprefix("http")
    assert "X-Amz-Signature=" in in_the_clear
    assert "X-Amz-Expires=10&" in in_the_clear
