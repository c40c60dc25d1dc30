"""What AWS documents that it answers, put in by botocore's stubber, through the readers and into the gates' verdicts.

Where the embedded lake's store and AWS differ, this is what counts: a code for "nothing is configured" is a finding,
"not allowed to look", an error of the server and silence are inconclusive.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from botocore.stub import Stubber

from security.engines import account
from security.engines.asker import _answer
from security.engines.s3 import Credentials, Endpoint, client
from security.engines.settings import READERS, Whose
from security.errors import CannotTell
from security.gate import Posture, asked, judge, observe, part
from security.registry import GATES
from security.verdict import Outcome, Snapshot, Verdict
from tests.security.gates import test_bucket, test_transit

OWNER = "123456789012"
USER, ROLE = f"arn:aws:iam::{OWNER}:user/etl/pipeline", f"arn:aws:iam::{OWNER}:role/etl/pipeline"
AWS = Endpoint(url="https://s3.eu-central-1.amazonaws.com", region="eu-central-1", account=OWNER, principal=USER)
KEYS = Credentials("AKIDEXAMPLE", "secret")
TO = Whose(Bucket="lake", ExpectedBucketOwner=OWNER)
GOOD = {**test_transit.GOOD, **test_bucket.GOOD, "endpoint": test_transit.GOOD["endpoint"]}
BLOCKED = dict.fromkeys(account.ALL, True)
SOME = BLOCKED | {"BlockPublicPolicy": False}
Stubbed = tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any]]

READ: list[Stubbed] = [
    (
        "public_access_block",
        "get_public_access_block",
        {},
        {"PublicAccessBlockConfiguration": BLOCKED},
        {"on": sorted(BLOCKED)},
    ),
    (
        "public_access_block",
        "get_public_access_block",
        {},
        {"PublicAccessBlockConfiguration": SOME},
        {"on": sorted(set(BLOCKED) - {"BlockPublicPolicy"})},
    ),
    ("policy", "get_bucket_policy", {}, {"Policy": '{"Statement": []}'}, {"document": {"Statement": []}}),
    ("policy_status", "get_bucket_policy_status", {}, {"PolicyStatus": {"IsPublic": True}}, {"public": True}),
    (
        "acl",
        "get_bucket_acl",
        {},
        {
            "Owner": {"ID": "75aa57", "DisplayName": "somebody"},
            "Grants": [
                {
                    "Grantee": {"Type": "CanonicalUser", "ID": "75aa57", "DisplayName": "somebody"},
                    "Permission": "FULL_CONTROL",
                }
            ],
        },
        {"owner": "75aa57", "grants": [{"type": "CanonicalUser", "id": "75aa57", "permission": "FULL_CONTROL"}]},
    ),
    (
        "ownership",
        "get_bucket_ownership_controls",
        {},
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
        {"rules": ["BucketOwnerEnforced"]},
    ),
    ("versioning", "get_bucket_versioning", {}, {}, {"state": "", "mfa": False}),
    (
        "versioning",
        "get_bucket_versioning",
        {},
        {"Status": "Enabled", "MFADelete": "Disabled"},
        {"state": "Enabled", "mfa": False},
    ),
    (
        "versioning",
        "get_bucket_versioning",
        {},
        {"Status": "Enabled", "MFADelete": "Enabled"},
        {"state": "Enabled", "mfa": True},
    ),
    ("location", "get_bucket_location", {}, {}, {"region": "us-east-1"}),
    ("location", "get_bucket_location", {}, {"LocationConstraint": "EU"}, {"region": "eu-west-1"}),
    ("location", "get_bucket_location", {}, {"LocationConstraint": "eu-central-1"}, {"region": "eu-central-1"}),
    (
        "object_lock",
        "get_object_lock_configuration",
        {},
        {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
        {"on": False},
    ),
    (
        "object_lock",
        "get_object_lock_configuration",
        {},
        {
            "ObjectLockConfiguration": {
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}},
            }
        },
        {"on": True},
    ),
    ("logging", "get_bucket_logging", {}, {}, {"on": False}),
    (
        "logging",
        "get_bucket_logging",
        {},
        {"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "lake/"}},
        {"on": True},
    ),
    (
        "encryption",
        "get_bucket_encryption",
        {},
        {
            "ServerSideEncryptionConfiguration": {
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            }
        },
        {"kms": False, "key": False, "customers": False},
    ),
    (
        "encryption",
        "get_bucket_encryption",
        {},
        {
            "ServerSideEncryptionConfiguration": {
                "Rules": [
                    {
                        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"},
                        "BucketKeyEnabled": True,
                        "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
                    }
                ]
            }
        },
        {"kms": True, "key": True, "customers": True},
    ),
]


@pytest.mark.parametrize(("question", "call", "params", "said", "answer"), READ)
def test_what_aws_says_is_what_is_kept(
    question: str, call: str, params: dict[str, Any], said: dict[str, Any], answer: dict[str, Any]
) -> None:
    s3 = client(AWS, KEYS)
    with Stubber(s3) as stub:
        stub.add_response(call, said, {**TO, **params})
        assert READERS[question](s3, TO) == {"status": 200, **answer}
        stub.assert_no_pending_responses()


CALLS = {question: call for question, call, *_ in READ}
NOTHING = [
    ("public_access_block", 404, "NoSuchPublicAccessBlockConfiguration", "access_control_s3", "S3-PAB"),
    ("ownership", 404, "OwnershipControlsNotFoundError", "access_control_s3", "S3-ACL"),
    ("policy", 404, "NoSuchBucketPolicy", "data_encryption_in_transit", "S3-TLS"),
    ("object_lock", 404, "ObjectLockConfigurationNotFoundError", "access_control_s3", "S3-LOCK"),
    ("encryption", 404, "ServerSideEncryptionConfigurationNotFoundError", "access_control_s3", "S3-SSE-C"),
]


def verdict(gate: str, answers: Mapping[str, dict[str, Any]], enforce: tuple[str, ...] = ()) -> Verdict:
    posture = GATES[gate]
    assert isinstance(posture, Posture)
    whole = Snapshot(kind="bucket", uri="s3://lake/p/", taken=time.time(), answers=dict(answers))
    return judge(
        posture, observe(posture, asked(posture, part(posture, whole)), {}, random.Random(2)), {}, None, enforce
    )


def refused(question: str, status: int, code: str) -> dict[str, Any]:
    s3 = client(AWS, KEYS)
    with Stubber(s3) as stub:
        stub.add_client_error(CALLS[question], code, "no", status, expected_params=TO)
        return _answer(lambda: READERS[question](s3, TO))


def test_every_reader_has_an_answer_of_aws() -> None:
    assert set(CALLS) == set(READERS)


@pytest.mark.parametrize(("question", "status", "code", "gate", "rule"), NOTHING)
def test_a_code_for_nothing_is_a_finding(question: str, status: int, code: str, gate: str, rule: str) -> None:
    seen = verdict(gate, {**GOOD, question: refused(question, status, code)}, (rule,) if rule in ADVICE else ())
    assert seen.outcome is Outcome.FAIL
    assert rule in {each.rule for each in seen.findings}


ADVICE = {rule for gate in GATES.values() for rule, told in gate.rules.items() if told.advisory}


def timeout(*_: Any) -> Any:
    raise ReadTimeoutError(endpoint_url="https://s3")


def unconnected(*_: Any) -> Any:
    raise ConnectTimeoutError(endpoint_url="https://s3")


@pytest.mark.parametrize("question", sorted(READERS))
@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (500, "InternalError"), (503, "SlowDown"), (404, "NoSuchBucket")]
)
def test_not_allowed_to_look_is_inconclusive(question: str, status: int, code: str) -> None:
    answers = {**GOOD, question: refused(question, status, code)}
    gates = [name for name, gate in GATES.items() if isinstance(gate, Posture) and question in gate.questions]
    assert gates
    for name in gates:
        seen = verdict(name, answers)
        assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable"), name
        assert code in seen.reason


@pytest.mark.parametrize("question", sorted(READERS))
@pytest.mark.parametrize("silent", [timeout, unconnected])
def test_silence_is_inconclusive(question: str, silent: Callable[..., Any]) -> None:
    answers = {**GOOD, question: _answer(lambda: silent())}
    for name, gate in GATES.items():
        if isinstance(gate, Posture) and question in gate.questions:
            seen = verdict(name, answers)
            assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")
            assert f"{question}: {'Read' if silent is timeout else 'Connect'}TimeoutError" in seen.reason


def test_a_policy_that_can_be_read_in_two_ways_is_no_answer() -> None:
    s3 = client(AWS, KEYS)
    for text in ('{"Statement": [], "Statement": []}', '{"Statement": [NaN]}', "{"):
        with Stubber(s3) as stub:
            stub.add_response("get_bucket_policy", {"Policy": text}, TO)
            assert "error" in _answer(lambda: READERS["policy"](s3, TO))


@pytest.fixture
def control() -> Any:
    return account.service(AWS, KEYS, "s3control")


def test_the_account_is_asked_at_aws_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL_S3_CONTROL", "AWS_ENDPOINT_URL_STS"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    told = {name: account.service(AWS, KEYS, name).meta.endpoint_url for name in ("iam", "s3control", "sts")}  # type: ignore[arg-type]
    assert told == {
        "iam": "https://iam.amazonaws.com",
        "s3control": "https://s3-control.eu-central-1.amazonaws.com",
        "sts": "https://sts.eu-central-1.amazonaws.com",
    }
    elsewhere = AWS.model_copy(update={"region": "nowhere.example/#"})
    with pytest.raises((CannotTell, ValueError)):
        account.service(elsewhere, KEYS, "s3control")


@pytest.mark.parametrize("url", ["https://127.0.0.1:8000", "https://s3.example", "https://amazonaws.com.example"])
def test_another_store_has_no_account_to_ask(url: str) -> None:
    questions = account.questions(AWS.model_copy(update={"url": url}), KEYS, "lake")
    told = {name: ask() for name, ask in questions.items()}
    assert told.pop("principal") == {"status": 200, "arn": USER}
    assert told == dict.fromkeys(("account_block", "access_points", "identity"), {"asked": False})
    unknown = account.questions(AWS.model_copy(update={"url": url, "principal": ""}), KEYS, "lake")
    assert unknown["principal"]() == {"asked": False}
    seen = verdict("access_control_s3", {**GOOD, **told})
    assert seen.outcome is Outcome.PASS
    assert {each.rule for each in seen.advice} == {"S3-ACCOUNT", "S3-IDENTITY"}


def test_the_accounts_block(control: Any) -> None:
    with Stubber(control) as stub:
        stub.add_response("get_public_access_block", {"PublicAccessBlockConfiguration": SOME}, {"AccountId": OWNER})
        told = account.block(control, OWNER)
        stub.add_client_error("get_public_access_block", "NoSuchPublicAccessBlockConfiguration", "none", 404)
        none = _answer(lambda: account.block(control, OWNER))
        stub.add_client_error("get_public_access_block", "AccessDenied", "no", 403)
        denied = _answer(lambda: account.block(control, OWNER))
    assert told == {"status": 200, "on": sorted(set(BLOCKED) - {"BlockPublicPolicy"})}
    for answer in (told, none):
        assert {each.rule for each in verdict("access_control_s3", {**GOOD, "account_block": answer}).findings} == {
            "S3-PAB-ACCT"
        }
    assert verdict("access_control_s3", {**GOOD, "account_block": denied}).cause == "unreadable"


def point(name: str) -> dict[str, Any]:
    return {"Name": name, "NetworkOrigin": "Internet", "Bucket": "lake"}


def test_access_points_of_all_pages(control: Any) -> None:
    with Stubber(control) as stub:
        first = {"AccountId": OWNER, "Bucket": "lake"}
        stub.add_response("list_access_points", {"AccessPointList": [point("one")], "NextToken": "2"}, first)
        stub.add_response("get_access_point", {"PublicAccessBlockConfiguration": BLOCKED}, {
            "AccountId": OWNER, "Name": "one"})  # fmt: skip
        stub.add_response("list_access_points", {"AccessPointList": [point("two"), point("three")]}, {
            **first, "NextToken": "2"})  # fmt: skip
        stub.add_response("get_access_point", {"PublicAccessBlockConfiguration": SOME})
        stub.add_response("get_access_point", {})
        assert account.points(control, OWNER, "lake") == {"status": 200, "count": 3, "unblocked": 2}
        stub.assert_no_pending_responses()
        for _ in range(2):
            stub.add_response("list_access_points", {"AccessPointList": [], "NextToken": "again"})
        with pytest.raises(ValueError, match="goes on where it was"):
            account.points(control, OWNER, "lake")


@pytest.mark.parametrize(
    ("given", "found", "told"),
    [
        ("", USER, USER),
        (USER, USER, USER),
        (ROLE, f"arn:aws:sts::{OWNER}:assumed-role/pipeline/now", ROLE),
        ("", f"arn:aws:sts::{OWNER}:assumed-role/pipeline/now", f"arn:aws:sts::{OWNER}:assumed-role/pipeline/now"),
        (USER, USER + "2", None),
        (ROLE, f"arn:aws:sts::{OWNER}:assumed-role/other/now", None),
        (ROLE, "arn:aws:sts::210987654321:assumed-role/pipeline/now", None),
        ("", f"arn:aws:iam::{OWNER}:root", None),
        ("", f"arn:aws:sts::{OWNER}:federated-user/x", None),
    ],
)
def test_who_the_key_belongs_to(given: str, found: str, told: str | None) -> None:
    sts = account.service(AWS, KEYS, "sts")
    with Stubber(sts) as stub:
        stub.add_response("get_caller_identity", {"Arn": found, "Account": OWNER, "UserId": "U"})
        if told is None:
            with pytest.raises(CannotTell, match="the key is"):
                account.caller(sts, given)
        else:
            assert account.caller(sts, given) == told


DOCUMENT = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}


def document(sid: str) -> str:
    return json.dumps({**DOCUMENT, "Id": sid})


def attached(stub: Stubber, kind: str, name: str, arn: str) -> None:
    who = {f"{kind.title()}Name": name}
    stub.add_response(
        f"list_attached_{kind}_policies", {"AttachedPolicies": [{"PolicyName": "a", "PolicyArn": arn}]}, who
    )
    stub.add_response("get_policy", {"Policy": {"DefaultVersionId": "v2"}}, {"PolicyArn": arn})
    said = {"PolicyVersion": {"Document": document(f"{kind} attached"), "VersionId": "v2"}}
    stub.add_response("get_policy_version", said, {"PolicyArn": arn, "VersionId": "v2"})


def inline(stub: Stubber, kind: str, name: str) -> None:
    who = {f"{kind.title()}Name": name}
    more = {"PolicyNames": [], "IsTruncated": True, "Marker": "m"}
    stub.add_response(f"list_{kind}_policies", more, who)
    stub.add_response(f"list_{kind}_policies", {"PolicyNames": ["in"], "IsTruncated": False}, {**who, "Marker": "m"})
    said = {f"{kind.title()}Name": name, "PolicyName": "in", "PolicyDocument": document(f"{kind} inline")}
    stub.add_response(f"get_{kind}_policy", said, {**who, "PolicyName": "in"})


def ids(answer: dict[str, Any]) -> list[str]:
    assert all(each["Statement"] == DOCUMENT["Statement"] for each in answer["documents"])
    return [each["Id"] for each in answer["documents"]]


ARN = f"arn:aws:iam::{OWNER}:policy/reading-lake"


def test_the_policies_of_a_user_and_of_its_groups() -> None:
    iam = account.service(AWS, KEYS, "iam")
    with Stubber(iam) as stub:
        group = {"Path": "/", "GroupName": "etl", "GroupId": "G" * 16, "Arn": f"arn:aws:iam::{OWNER}:group/etl"}
        stub.add_response(
            "list_groups_for_user",
            {"Groups": [group | {"CreateDate": "2026-01-01T00:00:00Z"}], "IsTruncated": False},
            {"UserName": "pipeline"},
        )
        for kind, name in (("user", "pipeline"), ("group", "etl")):
            inline(stub, kind, name)
            attached(stub, kind, name, ARN)
        found = account.policies(iam, USER)
        stub.assert_no_pending_responses()
    assert ids(found) == ["user inline", "user attached", "group inline", "group attached"]


@pytest.mark.parametrize("arn", [ROLE, f"arn:aws:sts::{OWNER}:assumed-role/pipeline/now"])
def test_the_policies_of_a_role(arn: str) -> None:
    iam = account.service(AWS, KEYS, "iam")
    with Stubber(iam) as stub:
        inline(stub, "role", "pipeline")
        attached(stub, "role", "pipeline", ARN)
        assert ids(account.policies(iam, arn)) == ["role inline", "role attached"]


def test_policies_that_may_not_be_read_are_advice_and_errors_are_not() -> None:
    iam = account.service(AWS, KEYS, "iam")
    for code, status, outcome in (("AccessDenied", 403, Outcome.PASS), ("ServiceFailure", 500, Outcome.INCONCLUSIVE)):
        with Stubber(iam) as stub:
            stub.add_client_error("list_groups_for_user", code, "no", status)
            answer = _answer(lambda: account.policies(iam, USER))
        seen = verdict("access_control_s3", {**GOOD, "identity": answer})
        assert seen.outcome is outcome
        assert [each.rule for each in seen.advice] == (["S3-IDENTITY"] if outcome is Outcome.PASS else [])


def test_a_listing_that_is_cut_off_is_no_answer() -> None:
    iam = account.service(AWS, KEYS, "iam")
    with Stubber(iam) as stub:
        stub.add_response("list_role_policies", {"PolicyNames": [], "IsTruncated": True})
        with pytest.raises(ValueError, match="does not say where"):
            account.policies(iam, ROLE)


def test_errors_of_the_client_are_answers_with_a_code() -> None:
    def no() -> Any:
        raise ClientError({"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": 418}}, "Any")  # type: ignore[typeddict-item]

    assert _answer(no) == {"status": 418, "code": "X"}
