"""What AWS documents that it answers, put in by botocore's stubber, through the readers and into the gates' verdicts.

Where the embedded lake's store and AWS differ, this is what counts: a code for "nothing is configured" is a finding,
"not allowed to look", an error of the server and silence are inconclusive.
"""

from __future__ import annotations

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
from security.gate import judge, observe
from security.posture import Posture, asked, part
from security.registry import GATES
from security.verdict import Outcome, Snapshot, Verdict
from tests.security.gates import test_bucket, test_transit

OWNER = "123456789012"
USER = f"arn:aws:iam::{OWNER}:user/etl/pipeline"
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


def test_errors_of_the_client_are_answers_with_a_code() -> None:
    def no() -> Any:
        raise ClientError({"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": 418}}, "Any")  # type: ignore[typeddict-item]

    assert _answer(no) == {"status": 418, "code": "X"}
