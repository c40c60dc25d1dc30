"""The gate `access_control_s3`: against answers made by hand, and against a lake that really serves or refuses."""

from __future__ import annotations

import copy
import json
import random
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from pydantic import ValidationError

from deployments.lake.server import Lake
from security.engines.asker import ask
from security.engines.s3 import Credentials, Endpoint
from security.gate import judge, observe
from security.gates.bucket import AccessControlS3, Limits
from security.gates.bucket.facts import DECLARED, REFUSED, Facts
from security.material import Material
from security.posture import asked, part
from security.verdict import Basis, Breach, Outcome, Snapshot, Verdict

Keys = Callable[[str], Credentials]

GATE, LIMITS = AccessControlS3(), Limits()
UNASKED = {"asked": False}
NO = {"status": 403, "code": "AccessDenied"}
OWNER = "75aa57"
TLS = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/*"],
    "Condition": {"BoolIfExists": {"aws:SecureTransport": "false"}},
}
BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
TRAIL = "arn:aws:cloudtrail:eu-central-1:123456789012:trail/lake"
PIPELINE = "arn:aws:iam::123456789012:role/pipeline"
READS = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectVersion"], "Resource": "arn:aws:s3:::lake/p/*"}
GOOD: dict[str, dict[str, Any]] = {
    "endpoint": {"url": "https://s3.example", "account": "123456789012"},
    "public_access_block": {"status": 200, "on": list(BLOCKS)},
    "policy": {"status": 200, "document": {"Version": "2012-10-17", "Statement": [TLS]}},
    "policy_status": {"status": 200, "public": False},
    "acl": {
        "status": 200,
        "owner": OWNER,
        "grants": [{"type": "CanonicalUser", "id": OWNER, "permission": "FULL_CONTROL"}],
    },
    "ownership": {"status": 200, "rules": ["BucketOwnerEnforced"]},
    "versioning": {"status": 200, "state": "Enabled", "mfa": True},
    "object_lock": {"status": 200, "on": True},
    "logging": {"status": 200, "on": True},
    "encryption": {"status": 200, "kms": True, "key": True, "customers": True},
    "account_block": {"status": 200, "on": list(BLOCKS)},
    "access_points": {"status": 200, "count": 1, "unblocked": 0},
    "multi_region_points": {"status": 200, "count": 1, "unblocked": []},
    "data_events": {"status": 200, "trail": ""},
    "principal": {"status": 200, "arn": PIPELINE},
    "identity": {"status": 200, "documents": [{"Version": "2012-10-17", "Statement": [READS]}]},
    "signed_list": {"status": 200, "found": True},
    "signed_head": {"status": 200, "version": "v1"},
    "signed_get": {"status": 200, "version": "v1"},
    **dict.fromkeys(REFUSED, NO),
}
ALLOW = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/*"}
EVERYBODY = {"type": "Group", "uri": "http://acs.amazonaws.com/groups/global/AllUsers", "permission": "READ"}


def answers(**changed: Any) -> dict[str, dict[str, Any]]:
    """Good answers, each of which may be changed in some members; None takes an answer away."""
    made = copy.deepcopy(GOOD)
    for name, members in changed.items():
        if members is None:
            del made[name]
        else:
            made[name] = {**made.get(name, {}), **members}
    return made


def statements(*listed: dict[str, Any]) -> dict[str, Any]:
    return {"document": {"Version": "2012-10-17", "Statement": list(listed)}}


def mine(**given: Any) -> dict[str, Any]:
    """A statement for the pipeline itself."""
    return {**ALLOW, "Principal": {"AWS": PIPELINE}, **given}


def documents(*listed: Any) -> dict[str, Any]:
    return {"documents": [{"Version": "2012-10-17", "Statement": each} for each in listed]}


def material(given: dict[str, dict[str, Any]]) -> Material[Any]:
    return asked(GATE, Snapshot(kind="bucket", uri="s3://lake/p/", taken=time.time(), answers=given))


def verdict(given: dict[str, dict[str, Any]], gate: AccessControlS3 = GATE, **limits: Any) -> Verdict:
    return judge(gate, observe(gate, material(given), limits, random.Random(1)), limits)


def broken(given: Verdict) -> list[tuple[str, str]]:
    return [(each.rule, each.place) for each in given.findings]


def test_good_bucket_passes() -> None:
    seen = verdict(GOOD)
    assert (seen.outcome, seen.reason) == (Outcome.PASS, "29/29 questions, 20 rules, 10 probes, logged by the server")


BAD: list[tuple[str, str, dict[str, Any]]] = [
    ("S3-PAB", "public_access_block", {"public_access_block": {"on": ["BlockPublicAcls"]}}),
    (
        "S3-PAB",
        "public_access_block",
        {"public_access_block": {"status": 404, "code": "NoSuchPublicAccessBlockConfiguration"}},
    ),
    ("S3-PAB-ACCT", "account_block", {"account_block": {"on": ["BlockPublicAcls"]}}),
    (
        "S3-PAB-ACCT",
        "account_block",
        {"account_block": {"status": 404, "code": "NoSuchPublicAccessBlockConfiguration"}},
    ),
    ("S3-PUB-READ", "anonymous_get", {"anonymous_get": {"status": 200}}),
    ("S3-PUB-READ", "anonymous_list", {"anonymous_list": {"status": 206}}),
    ("S3-PUB-READ", "policy", {"policy": statements(TLS, ALLOW)}),
    ("S3-PUB-READ", "policy_status", {"policy_status": {"public": True}}),
    ("S3-PUB-READ", "acl", {"acl": {"grants": [EVERYBODY]}}),
    ("S3-PUB-WRITE", "anonymous_put", {"anonymous_put": {"status": 200, "removed": True}}),
    ("S3-PUB-WRITE", "policy", {"policy": statements(TLS, {**ALLOW, "Action": "s3:PutObject"})}),
    ("S3-PUB-WRITE", "acl", {"acl": {"grants": [{**EVERYBODY, "permission": "WRITE"}]}}),
    ("S3-XACCT", "210987654321", {"policy": statements(TLS, {**ALLOW, "Principal": {"AWS": "210987654321"}})}),
    (
        "S3-XACCT",
        "canonical:beef",
        {"acl": {"grants": [{"type": "CanonicalUser", "id": "beef", "permission": "READ"}]}},
    ),
    ("S3-XACCT", "stranger_get", {"stranger_get": {"status": 200}}),
    ("S3-XACCT", "stranger_get", {"stranger_get": {"asked": False}}),
    ("S3-ACL", "ownership", {"ownership": {"rules": ["ObjectWriter"]}}),
    ("S3-ACL", "ownership", {"ownership": {"status": 404, "code": "OwnershipControlsNotFoundError"}}),
    ("S3-VER", "versioning", {"versioning": {"state": "Suspended"}}),
    ("S3-VER", "versioning", {"versioning": {"state": ""}}),
    ("S3-VER", "signed_head", {"signed_head": {"version": "null"}}),
    ("S3-LP", "own_put", {"own_put": {"status": 200, "removed": False}}),
    ("S3-LP", "own_delete", {"own_delete": {"status": 204, "removed": True}}),
    ("S3-LP", "own_policy", {"own_policy": {"status": 400, "code": "MalformedPolicy"}}),
    ("S3-LP", "own_policy", {"own_policy": {"status": 200, "restored": True}}),
    ("S3-LP", "policies", {"policy": statements(TLS, mine(Action="s3:DeleteObject"))}),
    (
        "S3-LP",
        "policies",
        {
            "policy": statements(TLS, mine(Principal={"AWS": "123456789012"}, Action="s3:PutObject")),
            "identity": documents(READS | {"Action": "s3:PutObject"}),
        },
    ),
    (
        "S3-LP",
        "policies",
        {
            "identity": documents(
                READS
                | {
                    "Action": ["s3:GetObject", "s3:PutBucketPolicy"],
                    "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/p/*"],
                }
            )
        },
    ),
    ("S3-LP", "principal", {"principal": UNASKED}),
    ("S3-OWN", "wrong_owner", {"wrong_owner": {"status": 200}}),
    ("S3-SIG", "wrong_secret", {"wrong_secret": {"status": 200}}),
    ("S3-SIG", "unknown_key", {"unknown_key": {"status": 200}}),
    ("S3-POS", "signed_get", {"signed_get": {"status": 403, "code": "AccessDenied"}}),
    ("S3-POS", "signed_head", {"signed_head": {"status": 403, "code": "403"}}),
]


@pytest.mark.parametrize(("rule", "place", "changed"), BAD)
def test_smallest_violation_trips_its_rule_and_no_other(rule: str, place: str, changed: dict[str, Any]) -> None:
    seen = verdict(answers(**changed))
    assert (seen.outcome, broken(seen)) == (Outcome.FAIL, [(rule, place)])
    assert "allowed: " in seen.findings[0].message


ADVICE: list[tuple[str, str, dict[str, Any]]] = [
    ("S3-ACCOUNT", "account", {"account_block": UNASKED}),
    ("S3-ACCOUNT", "account", {"access_points": UNASKED}),
    ("S3-ACCOUNT", "account", {"multi_region_points": UNASKED}),
    ("S3-ACCOUNT", "account", {"account_block": UNASKED, "access_points": UNASKED}),
    ("S3-AP", "access_points", {"access_points": {"count": 2, "unblocked": 1}}),
    ("S3-AP", "everywhere", {"multi_region_points": {"count": 2, "unblocked": ["everywhere"]}}),
    ("S3-IDENTITY", "identity", {"identity": UNASKED}),
    ("S3-IDENTITY", "identity", {"identity": {"status": 403, "code": "AccessDenied"}}),
    ("S3-WIDE", "arn:aws:s3:::lake/*", {"policy": statements(TLS, mine())}),
    ("S3-WIDE", "arn:aws:s3:::lake/p*", {"identity": documents({**READS, "Resource": "arn:aws:s3:::lake/p*"})}),
    ("S3-WIDE", "arn:aws:s3:::lake*", {"identity": documents(READS, {**READS, "Resource": "arn:aws:s3:::lake*"})}),
    ("S3-LOCK", "object_lock", {"object_lock": {"on": False}}),
    ("S3-LOCK", "object_lock", {"object_lock": {"status": 404, "code": "ObjectLockConfigurationNotFoundError"}}),
    ("S3-LOG", "logging", {"logging": {"on": False}}),
    ("S3-LOG", "logging", {"logging": {"status": 501, "code": "NotImplemented"}}),
    ("S3-LOG", "logging", {"logging": {"on": False}, "data_events": UNASKED}),
    ("S3-MFA", "versioning", {"versioning": {"mfa": False}}),
    ("S3-KEY", "encryption", {"encryption": {"key": False}}),
    ("S3-SSE-C", "encryption", {"encryption": {"customers": False}}),
    ("S3-SSE-C", "encryption", {"encryption": {"kms": False, "key": False, "customers": False}}),
    (
        "S3-SSE-C",
        "encryption",
        {"encryption": {"status": 404, "code": "ServerSideEncryptionConfigurationNotFoundError"}},
    ),
]


@pytest.mark.parametrize(("rule", "place", "changed"), ADVICE)
def test_advice_is_shown_stops_nothing_and_is_enforced_where_the_policy_says_so(
    rule: str, place: str, changed: dict[str, Any]
) -> None:
    seen = observe(GATE, material(answers(**changed)), {}, random.Random(1))
    shown = judge(GATE, seen, {})
    assert (shown.outcome, shown.findings) == (Outcome.PASS, ())
    assert [(each.rule, each.place, each.severity) for each in shown.advice] == [(rule, place, "low")]
    assert shown.reason.endswith(f", advice: {rule}")
    assert "allowed: " in shown.advice[0].message
    held = judge(GATE, seen, {}, enforce=[rule])
    assert (held.outcome, broken(held), held.advice) == (Outcome.FAIL, [(rule, place)], ())


def test_advice_beside_a_finding_is_no_finding() -> None:
    seen = verdict(answers(logging={"on": False}, anonymous_get={"status": 200}))
    assert broken(seen) == [("S3-PUB-READ", "anonymous_get")]
    assert [each.rule for each in seen.advice] == ["S3-LOG"]


def test_each_open_point_is_named_and_what_could_not_be_asked_is_too() -> None:
    seen = verdict(answers(multi_region_points={"count": 3, "unblocked": ["one", "two"]}))
    assert [(each.place, each.message) for each in seen.advice] == [
        (name, f"the multi-region access point {name} does not block public access; allowed: all four settings on")
        for name in ("one", "two")
    ]
    (told,) = verdict(answers(access_points=UNASKED, multi_region_points=UNASKED)).advice
    assert told.message.startswith("the store has no account to ask for its access points, multi-region points; ")


@pytest.mark.parametrize(
    ("logging", "trail", "told"),
    [
        (True, {"trail": ""}, "10 probes, logged by the server"),
        (True, {"trail": TRAIL}, "10 probes, logged by the server"),
        (True, UNASKED, "10 probes, logged by the server"),
        (False, {"trail": TRAIL}, "10 probes, logged by a trail"),
        (False, {"trail": ""}, "10 probes, advice: S3-LOG"),
        (False, UNASKED, "10 probes, advice: S3-LOG"),
    ],
)
def test_the_server_or_a_trail_logs_and_the_message_says_which(logging: bool, trail: dict[str, Any], told: str) -> None:
    seen = verdict(answers(logging={"on": logging}, data_events=trail))
    assert (seen.outcome, seen.reason) == (Outcome.PASS, f"29/29 questions, 20 rules, {told}")
    alone = "the server keeps no access log; allowed: one"
    both = "the server keeps no access log, and no trail records all data events; allowed: either"
    assert [each.message for each in seen.advice] == ([alone if trail == UNASKED else both] if "S3" in told else [])


@pytest.mark.parametrize("status", [400, 403, 500, 503])
@pytest.mark.parametrize("off", [{"on": False}, {"status": 501, "code": "NotImplemented"}])
def test_where_the_server_does_not_log_and_no_trail_can_be_read_nobody_can_tell(
    status: int, off: dict[str, Any]
) -> None:
    refused = {"status": status, "code": "Refused"}
    seen = verdict({**answers(logging=off), "data_events": refused})
    assert (seen.outcome, seen.cause, seen.advice) == (Outcome.INCONCLUSIVE, "unreadable", ())
    assert seen.reason == f"the server keeps no access log, and data_events was answered with {status} Refused"
    assert verdict({**GOOD, "data_events": refused}).outcome is Outcome.PASS


def test_every_rule_has_a_smallest_violation() -> None:
    assert {rule for rule, _, _ in (*BAD, *ADVICE)} == set(GATE.rules) == set(GATE.violations)
    assert {rule for rule, _, _ in ADVICE} == {rule.id for rule in GATE.rules.values() if rule.advisory}


@pytest.mark.parametrize(
    "changed",
    [
        {"policy_status": {"status": 404, "code": "NoSuchBucketPolicy"}},
        {"policy_status": {"status": 501, "code": "NotImplemented"}},
        {"anonymous_get": {"status": 401}},
        {"wrong_secret": {"code": "SignatureDoesNotMatch"}},
        {"policy": statements(TLS, mine(Resource="arn:aws:s3:::lake/p/*"))},
        {"policy": statements(TLS, mine(Action="s3:ListBucket", Resource="arn:aws:s3:::lake"))},
        {"policy": statements(TLS, mine(Action="s3:*"), {**ALLOW, "Effect": "Deny", "Action": "s3:*"})},
        {"policy": statements(TLS, mine(Action="s3:PutObject", Resource="arn:aws:s3:::other/*"))},
        {"identity": {"documents": []}},
        {"access_points": {"count": 0, "unblocked": 0}},
        {"multi_region_points": {"count": 0, "unblocked": []}},
        {"data_events": UNASKED},
        {"data_events": {"status": 400, "code": "AccessDeniedException"}},
        {"data_events": {"status": 400, "code": "TrailNotFoundException"}},
        {"logging": {"on": False}, "data_events": {"trail": TRAIL}},
        {"logging": {"status": 501, "code": "NotImplemented"}, "data_events": {"trail": TRAIL}},
        {"encryption": {"kms": False, "key": False}},
        {"policy": statements(TLS, {**ALLOW, "Principal": {"CanonicalUser": OWNER}, "Action": "s3:GetBucketAcl"})},
        {"policy": statements(TLS, {**ALLOW, "Effect": "Deny", "Action": "s3:PutObject"})},
    ],
)
def test_other_good_answers_pass(changed: dict[str, Any]) -> None:
    assert verdict(answers(**changed)).outcome is Outcome.PASS


def test_policies_that_are_too_large_are_inconclusive() -> None:
    many = [{**ALLOW, "Effect": "Deny", "Sid": f"s{i}"} for i in range(700)]
    seen = verdict(answers(policy=statements(TLS, *many)))
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    assert re.fullmatch(r"\d\d,\d{3} bytes of policies are to be evaluated; allowed: 65,536", seen.reason)
    some = [{**READS, "Sid": f"s{i}"} for i in range(400)]
    assert verdict(answers(identity=documents(some, some))).outcome is Outcome.PASS
    seen = verdict(answers(identity=documents(some, some, some)))
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    assert re.fullmatch(r"1\d\d,\d{3} bytes of policies are to be evaluated; allowed: 131,072", seen.reason)


def test_limits() -> None:
    shared = answers(policy=statements(TLS, {**ALLOW, "Principal": {"AWS": "210987654321"}}))
    assert verdict(shared, accounts=["210987654321"]).outcome is Outcome.PASS
    assert broken(verdict(shared, accounts=["111111111111"])) == [("S3-XACCT", "210987654321")]
    alone = {**GOOD, "stranger_get": {"asked": False}}
    seen = verdict(alone, stranger=False)
    assert (seen.outcome, seen.reason) == (Outcome.PASS, "29/29 questions, 20 rules, 9 probes, logged by the server")
    unknown = {**GOOD, "principal": UNASKED, "identity": UNASKED}
    assert broken(verdict(unknown)) == [("S3-LP", "principal")]
    assert verdict(unknown, principal=False).outcome is Outcome.PASS
    assert verdict(GOOD, account=["1"]).outcome is Outcome.INCONCLUSIVE


def test_where_everybody_reads_a_stranger_is_not_a_second_finding() -> None:
    seen = verdict(answers(anonymous_get={"status": 200}, stranger_get={"status": 200}))
    assert broken(seen) == [("S3-PUB-READ", "anonymous_get")]


@pytest.mark.parametrize("name", sorted(GOOD))
def test_each_answer_is_needed(name: str) -> None:
    for lost in (answers(**{name: None}), {**GOOD, name: {"error": "ConnectTimeout"}}, {**GOOD, name: {}}):
        seen = verdict(lost)
        assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")
        assert name in seen.reason


@pytest.mark.parametrize("name", [*DECLARED, "signed_list"])
@pytest.mark.parametrize("code", ["AccessDenied", "InternalError", "SlowDown"])
def test_not_allowed_to_look_is_inconclusive(name: str, code: str) -> None:
    seen = verdict({**GOOD, name: {"status": 403 if code == "AccessDenied" else 503, "code": code}})
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    assert code in seen.reason


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("status", [0, 301, 400, 404, 405, 429, 500, 503])
def test_neither_granted_nor_refused_is_inconclusive(name: str, status: int) -> None:
    seen = verdict({**GOOD, name: {"status": status, "code": "Other"}})
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")


@pytest.mark.parametrize(
    "changed",
    [
        {"signed_list": {"found": False}},
        {"signed_list": {"found": "yes"}},
        {"public_access_block": {"on": ["BlockEverything"]}},
        {"ownership": {"rules": ["BucketOwnerEnforced", "ObjectWriter"]}},
        {"ownership": {"rules": ["Somebody"]}},
        {"ownership": {"status": 500, "code": "InternalError"}},
        {"ownership": {"status": 403, "code": "AccessDenied"}},
        {"public_access_block": {"status": 501, "code": "NotImplemented"}},
        {"policy": {"status": 405, "code": "MethodNotAllowed"}},
        {"acl": {"status": 501, "code": "NotImplemented"}},
        {"versioning": {"status": 501, "code": "NotImplemented"}},
        {"location": {"status": 405, "code": "MethodNotAllowed"}},
        {"signed_list": {"status": 501, "code": "NotImplemented"}},
        {"stranger_get": {"status": 501, "code": "NotImplemented"}},
        {"own_policy": {"status": 405, "code": "MethodNotAllowed"}},
        {"versioning": {"state": "Perhaps"}},
        {"endpoint": {"account": 123456789012}},
        {"policy": {"document": {"Statement": []}}},
        {"policy": statements(TLS, {**ALLOW, "Unless": {}})},
        {"acl": {"grants": [{"type": "Group", "permission": "READ"}]}},
        {"principal": {"arn": "pipeline"}},
        {"principal": {"status": 200, "asked": 0, "arn": None}},
        {"stranger_get": {"status": None, "asked": None}},
        {"principal": {"arn": "arn:aws:iam::123456789012:root"}},
        {"principal": {"arn": "arn:aws:iam::123456789012:user/*"}},
        {"identity": {"documents": ["text"]}},
        {"identity": documents({**READS, "Principal": "*"})},
        {"identity": {"status": 500, "code": "ServiceFailure"}},
        {"account_block": {"on": ["BlockEverything"]}},
        {"access_points": {"unblocked": None}},
        {"multi_region_points": {"unblocked": None}},
        {"multi_region_points": {"unblocked": 1}},
        {"multi_region_points": {"unblocked": [None]}},
        {"data_events": {"trail": None}},
        {"data_events": {"status": None}},
        {"data_events": {"status": True}},
        {"logging": {"status": 403, "code": "AccessDenied"}, "data_events": {"trail": TRAIL}},
        {"object_lock": {"on": "yes"}},
        {"versioning": {"mfa": None}},
        {"encryption": {"kms": 1}},
        {"another": {"status": 200}},
    ],
)
def test_what_is_not_understood_is_inconclusive(changed: dict[str, Any]) -> None:
    seen = verdict(answers(**changed))
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")


UNANSWERED = (
    {"rules": []},
    {"status": 501, "code": "NotImplemented"},
    {"status": 405, "code": "MethodNotAllowed"},
)


@pytest.mark.parametrize("answer", UNANSWERED)
def test_a_store_without_ownership_controls_is_told_by_a_cause_of_its_own(answer: dict[str, Any]) -> None:
    seen = verdict(answers(ownership=answer))
    assert (seen.outcome, seen.cause, seen.findings) == (Outcome.INCONCLUSIVE, "ownership", ())
    assert "ownership" in GATE.causes


@pytest.mark.parametrize("answer", UNANSWERED)
def test_what_is_observed_with_that_cause_hides_nothing_else(answer: dict[str, Any]) -> None:
    given = answers(ownership=answer, anonymous_get={"status": 200})
    assert broken(verdict(given)) == [("S3-PUB-READ", "anonymous_get")]
    assert verdict(answers(ownership=answer, versioning={"status": 500})).cause == "unreadable"
    seen = observe(GATE, material(answers(ownership=answer)), {}, random.Random(1))
    for changed, cause in (
        ({"canaries": ()}, "canary"),
        ({"basis": Basis.DECLARED}, "basis"),
        ({"coverage": seen.coverage.model_copy(update={"inspected": 3})}, "coverage"),
        ({"facts": {}}, "facts"),
    ):
        assert judge(GATE, seen.model_copy(update=changed), {}).cause == cause


def test_where_an_owner_is_named_the_buckets_own_word_is_held_against_it() -> None:
    served = answers(wrong_owner={"status": 200, "code": ""})
    assert broken(verdict(served)) == [("S3-OWN", "wrong_owner")]
    assert verdict(served, owner=OWNER).outcome is Outcome.PASS
    for given in (served, GOOD):
        assert broken(verdict(given, owner="another")) == [("S3-OWN", "acl")]


def test_nothing_asked_is_inconclusive() -> None:
    assert verdict({}).outcome is Outcome.INCONCLUSIVE


def test_one_question_answered_twice_is_inconclusive() -> None:
    given = material(GOOD)
    twice = [*given.source(), ("acl", GOOD["acl"])]
    doubled = Material(given.subject, lambda: twice, expected=len(twice), unit="questions", sample=len(twice))
    seen = judge(GATE, observe(GATE, doubled, {}), {})
    assert (seen.outcome, seen.reason) == (Outcome.INCONCLUSIVE, "acl was answered twice")


@pytest.mark.parametrize("rule", sorted(GATE.rules))
def test_canary_is_caught_by_its_own_rule_and_no_other(rule: str) -> None:
    sample = sorted(GOOD.items())
    kept = copy.deepcopy(sample)
    made = set()
    for seed in range(60):
        decoy = GATE.violations[rule](sample, random.Random(seed))
        made.add(repr(decoy))
        facts = GATE.look(material(GOOD).decoy(decoy))
        assert {each.rule for each in GATE.judge(facts, LIMITS)} == {rule}
    assert sample == kept
    assert list(GATE.judge(GATE.look(material(GOOD)), LIMITS)) == []
    assert rule in ("S3-OWN", "S3-ACCOUNT", "S3-KEY", "S3-MFA", "S3-SSE-C") or len(made) > 1


@pytest.mark.parametrize("start", [GOOD, answers(policy={"status": 404, "code": "NoSuchBucketPolicy"})])
@pytest.mark.parametrize("rule", sorted(GATE.rules))
def test_canary_can_be_made_of_a_bucket_without_a_policy(rule: str, start: dict[str, Any]) -> None:
    for seed in range(20):
        decoy = GATE.violations[rule](sorted(start.items()), random.Random(seed))
        facts = GATE.look(material(start).decoy(decoy))
        assert rule in {each.rule for each in GATE.judge(facts, LIMITS)}


class Blind(AccessControlS3):
    """Returns the facts of a clean bucket, whatever it is given."""

    def look(self, material: Material[Any]) -> Facts:
        list(material)
        return GATE.look(_clean())


class Mute(AccessControlS3):
    """Finds nothing wrong, ever."""

    def judge(self, facts: Any, limits: Any) -> Iterable[Breach]:  # type: ignore[override]
        return []


def _clean() -> Material[Any]:
    return material(GOOD)


@pytest.mark.parametrize("gate", [Blind(), Mute()])
@pytest.mark.parametrize("given", [GOOD, answers(anonymous_get={"status": 200})])
def test_a_gate_that_does_not_look_or_judge_is_inconclusive(
    gate: AccessControlS3, given: dict[str, dict[str, Any]]
) -> None:
    seen = verdict(given, gate)
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "canary")


def test_judged_again_under_another_policy_and_on_another_basis() -> None:
    seen = observe(GATE, material({**GOOD, "stranger_get": {"asked": False}}), {"stranger": False})
    assert judge(GATE, seen, {"stranger": False}).outcome is Outcome.PASS
    assert judge(GATE, seen, {}).outcome is Outcome.FAIL
    rendered = judge(GATE, seen.model_copy(update={"basis": Basis.RENDERED}), {"stranger": False})
    assert (rendered.outcome, rendered.cause) == (Outcome.INCONCLUSIVE, "basis")


def test_no_key_and_no_object_of_the_bucket_is_in_the_observation() -> None:
    given = answers(acl={"grants": [{**EVERYBODY, "name": "somebody@example.com"}]}, signed_get={"version": "secret-v"})
    text = observe(GATE, material(given), {}).model_dump_json()
    assert "somebody" not in text
    assert "secret-v" not in text


def test_a_rule_that_vanished_is_seen() -> None:
    seen = observe(GATE, material(GOOD), {})
    rows = seen.facts["rows"]
    assert set(rows) == set(GATE.rules)
    assert rows["S3-PAB"] == {"public_access_block": "200"}
    for rule in GATE.rules:
        kept = {name: row for name, row in rows.items() if name != rule}
        for other in (kept, {**rows, rule: {}}, {**rows, "S3-NEW": rows[rule]}):
            found = judge(GATE, seen.model_copy(update={"facts": {**seen.facts, "rows": other}}), {})
            assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "facts"), rule


def test_facts_are_a_declared_vocabulary() -> None:
    facts = GATE.look(material(GOOD)).model_dump()
    for name, value in (("readable", ["by_magic"]), ("ownership", "me"), ("unheard_of", 1)):
        with pytest.raises(ValidationError):
            Facts.model_validate({**facts, name: value})


def visit(endpoint: Endpoint, keys: Keys, bucket: str, who: str = "pipeline") -> Verdict:
    snapshot = ask(endpoint, keys(who), bucket, "p/", stranger=keys("stranger"))
    return judge(GATE, observe(GATE, asked(GATE, part(GATE, snapshot)), {}), {})


def test_lake_good_bucket_passes(endpoint: Endpoint, keys: Keys) -> None:
    seen = visit(endpoint, keys, "good")
    assert (seen.outcome, broken(seen)) == (Outcome.PASS, [])
    assert seen.reason.startswith("29/29 questions, 20 rules, 10 probes, advice: ")
    told = [(each.rule, each.place) for each in seen.advice]
    assert told == [
        ("S3-ACCOUNT", "account"),
        ("S3-IDENTITY", "identity"),
        ("S3-LOCK", "object_lock"),
        ("S3-LOG", "logging"),
        ("S3-MFA", "versioning"),
        ("S3-SSE-C", "encryption"),
    ]


def test_lake_policy_that_lets_the_pipeline_write_fails_before_anybody_writes(
    embedded: Lake, endpoint: Endpoint, keys: Keys
) -> None:
    bucket, operator = "lets-write", embedded.client("operator")
    embedded.make_bucket(bucket)
    embedded.publish(bucket, "p/1", b"x")
    document = json.loads(operator.get_bucket_policy(Bucket=bucket)["Policy"])
    allow = {"Effect": "Allow", "Principal": {"AWS": endpoint.principal}, "Action": "s3:PutObject"}
    document["Statement"].append({**allow, "Resource": f"arn:aws:s3:::{bucket}/elsewhere/*"})
    operator.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    seen = visit(endpoint, keys, bucket)
    assert broken(seen) == [("S3-LP", "policies")]
    assert "could let the pipeline s3:PutObject;" in seen.findings[0].message


def test_lake_public_copy_fails(endpoint: Endpoint, keys: Keys) -> None:
    seen = visit(endpoint, keys, "open")
    assert seen.outcome is Outcome.FAIL
    assert broken(seen) == [
        ("S3-PAB", "public_access_block"),
        ("S3-PUB-READ", "anonymous_get"),
        ("S3-PUB-READ", "anonymous_list"),
        ("S3-PUB-READ", "policy"),
        ("S3-PUB-READ", "policy_status"),
    ]


def test_lake_key_that_may_write_fails(endpoint: Endpoint, keys: Keys) -> None:
    seen = visit(endpoint, keys, "good", "operator")
    assert broken(seen) == [("S3-LP", "own_put"), ("S3-LP", "own_delete"), ("S3-LP", "own_policy")]


def test_lake_key_without_rights_cannot_tell(endpoint: Endpoint, keys: Keys) -> None:
    seen = visit(endpoint, keys, "good", "stranger")
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")


@pytest.mark.parametrize("gone", ["versioning", "ownership"])
def test_lake_bucket_that_lost_a_setting_fails(embedded: Lake, endpoint: Endpoint, keys: Keys, gone: str) -> None:
    bucket, operator = f"lost-{gone}", embedded.client("operator")
    embedded.make_bucket(bucket)
    embedded.publish(bucket, "p/1", b"x")
    if gone == "versioning":
        operator.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
        expected = ("S3-VER", "versioning")
    else:
        operator.delete_bucket_ownership_controls(Bucket=bucket)
        expected = ("S3-ACL", "ownership")
    assert broken(visit(endpoint, keys, bucket)) == [expected]


def test_lake_down_is_inconclusive(endpoint: Endpoint, keys: Keys) -> None:
    seen = visit(endpoint.model_copy(update={"url": "https://127.0.0.1:9"}), keys, "good")
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    assert "ConnectionRefusedError" in seen.reason
