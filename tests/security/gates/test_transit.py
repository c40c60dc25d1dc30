"""The gate `data_encryption_in_transit`: against answers made by hand, and against a lake that really serves or not."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from deployments.lake.server import Lake
from security.engines.asker import ask
from security.engines.s3 import Credentials, Endpoint
from security.gate import judge, observe
from security.gates.transit import DataEncryptionInTransit, Limits
from security.gates.transit.facts import QUESTIONS, REFUSALS, Facts
from security.material import Material
from security.posture import asked, part
from security.verdict import Basis, Outcome, Snapshot, Verdict

Keys = Callable[[str], Credentials]

GATE, LIMITS = DataEncryptionInTransit(), Limits()
EVERYTHING = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/*"],
}
CLEAR = {**EVERYTHING, "Condition": {"BoolIfExists": {"aws:SecureTransport": "false"}}}
OLD = {**EVERYTHING, "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}}
REFUSED = {"taken": False, "alert": 70}
GOOD: dict[str, dict[str, Any]] = {
    "endpoint": {
        "url": "https://s3.example",
        "wanted": "https://s3.example",
        "region": "us-east-1",
        "account": "123456789012",
        "ca": "public",
        "proxies": 0,
        "tls": "TLSv1.3",
    },
    "location": {"status": 200, "region": "us-east-1"},
    "policy": {"status": 200, "document": {"Version": "2012-10-17", "Statement": [CLEAR, OLD]}},
    "plain_http": {"status": 0, "code": "ConnectError", "control": 200, "onward": False, "told": False},
    "tls_1_0": REFUSED,
    "tls_1_1": REFUSED,
    "tls_1_2": {"taken": True},
    "tls_1_3": {"taken": True},
    "other_authority": {"taken": False},
    "other_name": {"taken": False},
}


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


def material(given: dict[str, dict[str, Any]]) -> Material[Any]:
    return asked(GATE, Snapshot(kind="bucket", uri="s3://lake/p/", taken=time.time(), answers=given))


def verdict(given: dict[str, dict[str, Any]], **limits: Any) -> Verdict:
    return judge(GATE, observe(GATE, material(given), limits, random.Random(1)), limits)


def broken(given: Verdict) -> list[tuple[str, str]]:
    return [(each.rule, each.place) for each in given.findings]


def test_a_good_way_passes() -> None:
    seen = verdict(GOOD)
    assert (seen.outcome, seen.reason) == (Outcome.PASS, "10/10 questions, 5 rules, TLSv1.3")


BAD: list[tuple[str, str, dict[str, Any]]] = [
    ("S3-TLS", "policy", {"policy": statements(OLD)}),
    ("S3-TLS", "policy", {"policy": statements({**CLEAR, "Principal": {"AWS": "210987654321"}}, OLD)}),
    ("S3-TLS", "policy", {"policy": statements({**CLEAR, "Action": "s3:GetBucketAc*"}, OLD)}),
    ("S3-TLS", "policy", {"policy": statements({**CLEAR, "Resource": ["arn:aws:s3:::x", "arn:aws:s3:::x/*"]}, OLD)}),
    ("S3-TLS", "plain_http", {"plain_http": {"status": 200}}),
    ("S3-TLS", "plain_http", {"plain_http": {"status": 206}}),
    ("S3-TLS", "plain_http", {"plain_http": {"status": 307, "onward": True, "told": True}}),
    ("S3-TLS", "plain_http", {"plain_http": {"status": 403, "told": True}}),
    ("S3-TLS-VERSION", "policy", {"policy": statements(CLEAR)}),
    ("S3-TLS-VERSION", "policy", {"policy": statements(CLEAR, {**OLD, "Resource": "arn:aws:s3:::lake/*"})}),
    (
        "S3-TLS-VERSION",
        "policy",
        {"policy": statements(CLEAR, {**OLD, "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.1"}}})},
    ),
    ("S3-TLS-OLD", "TLSv1.0", {"tls_1_0": {"taken": True}}),
    ("S3-TLS-OLD", "TLSv1.1", {"tls_1_1": {"taken": True}}),
    ("S3-TLS-CERT", "other_authority", {"other_authority": {"taken": True}}),
    ("S3-TLS-CERT", "other_name", {"other_name": {"taken": True}}),
    ("S3-END", "endpoint", {"endpoint": {"url": "http://s3.example", "wanted": "http://s3.example"}}),
    ("S3-END", "endpoint", {"endpoint": {"tls": "TLSv1.1"}}),
    ("S3-END", "client", {"endpoint": {"url": "https://elsewhere.example"}}),
    ("S3-END", "proxies", {"endpoint": {"proxies": 1}}),
    ("S3-END", "authority", {"endpoint": {"ca": "none"}}),
    ("S3-END", "location", {"location": {"region": "eu-west-1"}}),
]


@pytest.mark.parametrize(("rule", "place", "changed"), BAD)
def test_smallest_violation_trips_its_rule_and_no_other(rule: str, place: str, changed: dict[str, Any]) -> None:
    seen = verdict(answers(**changed))
    assert (seen.outcome, broken(seen)) == (Outcome.FAIL, [(rule, place)])
    assert "allowed: " in seen.findings[0].message


def test_every_rule_has_a_smallest_violation() -> None:
    assert {rule for rule, _, _ in BAD} == set(GATE.rules) == set(GATE.violations)


def test_no_policy_at_all_is_two_findings() -> None:
    seen = verdict({**GOOD, "policy": {"status": 404, "code": "NoSuchBucketPolicy"}})
    assert broken(seen) == [("S3-TLS", "policy"), ("S3-TLS-VERSION", "policy")]


@pytest.mark.parametrize(
    "changed",
    [
        *({"plain_http": {"status": status}} for status in (400, 401, 403, 426)),
        *({"plain_http": {"status": status, "onward": True}} for status in (301, 302, 307, 308)),
        *({"tls_1_0": {"taken": False, "alert": alert}} for alert in sorted(REFUSALS)),
        {"tls_1_3": REFUSED},
        {"tls_1_2": REFUSED},
        {"endpoint": {"tls": "TLSv1.2"}},
        {"endpoint": {"ca": "given"}},
    ],
)
def test_other_good_answers_pass(changed: dict[str, Any]) -> None:
    assert verdict(answers(**changed)).outcome is Outcome.PASS


def test_limits() -> None:
    assert broken(verdict(GOOD, authorities=["given"])) == [("S3-END", "authority")]
    assert verdict(GOOD, authorities=[]).outcome is Outcome.INCONCLUSIVE
    assert verdict(GOOD, authority=["given"]).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("name", QUESTIONS)
def test_each_answer_is_needed(name: str) -> None:
    for lost in (answers(**{name: None}), {**GOOD, name: {"error": "ConnectTimeout"}}, {**GOOD, name: {}}):
        seen = verdict(lost)
        assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")
        assert name in seen.reason or "in the clear" in seen.reason


@pytest.mark.parametrize("name", ["policy", "location"])
@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (500, "InternalError"), (503, "SlowDown")])
def test_not_allowed_to_look_is_inconclusive(name: str, status: int, code: str) -> None:
    seen = verdict({**GOOD, name: {"status": status, "code": code}})
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    assert code in seen.reason


@pytest.mark.parametrize(
    "changed",
    [
        {"tls_1_2": REFUSED, "tls_1_3": REFUSED},
        {"tls_1_0": {"taken": False, "alert": 112}},
        {"tls_1_0": {"taken": False, "alert": True}},
        {"tls_1_0": {"taken": None}},
        {"other_name": {"taken": 0}},
        {"plain_http": {"status": 404}},
        {"plain_http": {"status": 301}},
        {"plain_http": {"status": 500}},
        {"plain_http": {"control": 403}},
        {"plain_http": {"control": 500}},
        {"plain_http": {"status": True}},
        {"plain_http": {"told": "no"}},
        {"endpoint": {"ca": "mine"}},
        {"endpoint": {"proxies": "none"}},
        {"policy": {"document": {"Statement": []}}},
        {"policy": statements(CLEAR, {**OLD, "Unless": {}})},
        {"another": {"status": 200}},
    ],
)
def test_what_is_not_understood_is_inconclusive(changed: dict[str, Any]) -> None:
    seen = verdict(answers(**changed))
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")


def test_one_question_answered_twice_is_inconclusive() -> None:
    given = material(GOOD)
    twice = [*given.source(), ("policy", GOOD["policy"])]
    doubled = Material(given.subject, lambda: twice, expected=len(twice), unit="questions", sample=len(twice))
    seen = judge(GATE, observe(GATE, doubled, {}), {})
    assert (seen.outcome, seen.reason) == (Outcome.INCONCLUSIVE, "policy was answered twice")


@pytest.mark.parametrize("rule", sorted(GATE.rules))
def test_canary_is_caught_by_its_own_rule_and_no_other(rule: str) -> None:
    sample = sorted(GOOD.items())
    kept = copy.deepcopy(sample)
    made = set()
    for seed in range(80):
        decoy = GATE.violations[rule](sample, random.Random(seed))
        made.add(repr(decoy))
        facts = GATE.look(material(GOOD).decoy(decoy).handed()[0])
        assert {each.rule for each in GATE.judge(facts, LIMITS)} == {rule}, decoy
    assert sample == kept
    assert len(made) > 1


@pytest.mark.parametrize("start", [answers(policy={"status": 404, "code": "NoSuchBucketPolicy"}), answers(policy={
    "document": {"Statement": CLEAR}})])  # fmt: skip
@pytest.mark.parametrize("rule", sorted(GATE.rules))
def test_canary_can_be_made_of_any_policy(rule: str, start: dict[str, Any]) -> None:
    for seed in range(30):
        decoy = GATE.violations[rule](sorted(start.items()), random.Random(seed))
        facts = GATE.look(material(start).decoy(decoy).handed()[0])
        assert rule in {each.rule for each in GATE.judge(facts, LIMITS)}


def test_a_rule_that_vanished_is_seen() -> None:
    seen = observe(GATE, material(GOOD), {})
    rows = seen.facts["rows"]
    assert set(rows) == set(GATE.rules)
    assert rows["S3-TLS-OLD"] == {
        "tls_1_0": "refused", "tls_1_1": "refused", "tls_1_2": "taken up", "tls_1_3": "taken up",
    }  # fmt: skip
    for rule in GATE.rules:
        kept = {name: row for name, row in rows.items() if name != rule}
        for other in (kept, {**rows, rule: {}}, {**rows, "S3-NEW": rows[rule]}):
            found = judge(GATE, seen.model_copy(update={"facts": {**seen.facts, "rows": other}}), {})
            assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "facts"), rule


def test_facts_are_a_declared_vocabulary() -> None:
    facts = GATE.look(material(GOOD).handed()[0]).model_dump()
    for name, value in (("taken", ["TLSv1.4"]), ("plain", "perhaps"), ("unheard_of", 1)):
        with pytest.raises(ValidationError):
            Facts.model_validate({**facts, name: value})


def test_on_another_basis_it_cannot_tell() -> None:
    seen = observe(GATE, material(GOOD), {}).model_copy(update={"basis": Basis.DECLARED})
    assert judge(GATE, seen, {}).cause == "basis"


def visit(endpoint: Endpoint, keys: Keys, bucket: str) -> Verdict:
    snapshot = ask(endpoint, keys("pipeline"), bucket, "p/", stranger=None)
    return judge(GATE, observe(GATE, asked(GATE, part(GATE, snapshot)), {}), {})


def test_lake_good_way_passes(endpoint: Endpoint, keys: Keys) -> None:
    seen = visit(endpoint, keys, "good")
    assert (seen.outcome, seen.reason) == (Outcome.PASS, "10/10 questions, 5 rules, TLSv1.3")


def test_lake_public_copy_keeps_its_way_closed(endpoint: Endpoint, keys: Keys) -> None:
    assert visit(endpoint, keys, "open").outcome is Outcome.PASS


@pytest.mark.parametrize(("kept", "lost"), [("aws:SecureTransport", "S3-TLS-VERSION"), ("s3:TlsVersion", "S3-TLS")])
def test_lake_bucket_that_lost_a_statement_fails(
    embedded: Lake, endpoint: Endpoint, keys: Keys, kept: str, lost: str
) -> None:
    bucket, operator = f"lost-{lost.lower()}", embedded.client("operator")
    embedded.make_bucket(bucket)
    embedded.publish(bucket, "p/1", b"x")
    document = json.loads(operator.get_bucket_policy(Bucket=bucket)["Policy"])
    document["Statement"] = [each for each in document["Statement"] if kept in json.dumps(each)]
    operator.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    assert broken(visit(endpoint, keys, bucket)) == [(lost, "policy")]
    operator.delete_bucket_policy(Bucket=bucket)
    assert broken(visit(endpoint, keys, bucket)) == [("S3-TLS", "policy"), ("S3-TLS-VERSION", "policy")]


def test_lake_down_is_inconclusive(endpoint: Endpoint, keys: Keys) -> None:
    seen = visit(endpoint.model_copy(update={"url": "https://127.0.0.1:9"}), keys, "good")
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    assert "ConnectionRefusedError" in seen.reason
