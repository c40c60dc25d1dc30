"""The traps that other evaluators fell into, each as one case."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.engines.iam import Grants, by_acl, by_policy, parse, tls_current, tls_only
from security.errors import CannotTell

B = "arn:aws:s3:::lake"
BOTH = [B, f"{B}/*"]
ALL = "http://acs.amazonaws.com/groups/global/AllUsers"


def statement(effect: str = "Allow", **given: Any) -> dict[str, Any]:
    made = {"Effect": effect, "Principal": "*", "Action": "s3:GetObject", "Resource": f"{B}/*", **given}
    for name in ("Principal", "Action", "Resource"):
        if f"Not{name}" in made:
            del made[name]
    return made


def deny(**given: Any) -> dict[str, Any]:
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    return statement("Deny", **{"Action": "s3:*", "Resource": BOTH, "Condition": condition, **given})


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def grants(*statements: dict[str, Any]) -> Grants:
    return by_policy(parse(policy(*statements)))


@pytest.mark.parametrize(
    "who",
    [
        {"Principal": "*"},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"AWS": ["*"]}},
        {"Principal": {"AWS": ["123456789012", "*"]}},
        {"Principal": {"AWS": "arn:aws:iam::*:root"}},
        {"Principal": {"Federated": "*"}},
        {"Principal": {"CanonicalUser": "*"}},
        {"NotPrincipal": {"AWS": "123456789012"}},
        {"Principal": "*", "Condition": {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/x"}}},
        {"Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}}},
        {"Principal": "*", "Condition": {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}},
        {"Principal": "*", "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}},
    ],
)
def test_everybody_whatever_the_form_and_the_condition(who: dict[str, Any]) -> None:
    assert grants(statement(**who)) == Grants(read=True, write=False, named=())
    assert grants(statement("Deny", **who)) == Grants(read=False, write=False, named=())


@pytest.mark.parametrize(
    ("action", "read", "write"),
    [
        ("s3:GetObject", True, False),
        ("S3:GETOBJECT", True, False),
        ("s3:List*", True, False),
        ("s3:GetObject*", True, False),
        ("s3:PutObject", False, True),
        ("s3:Put*", False, True),
        ("s3:DeleteObject", False, True),
        ("s3:AbortMultipartUpload", False, True),
        ("*", True, True),
        ("s3:*", True, True),
        ("s?:*", True, True),
        ("s3:*Object", True, True),
        ("s3:?etObject", True, True),
        (["s3:GetObject", "s3:PutObject"], True, True),
    ],
)
def test_what_an_action_does(action: Any, read: bool, write: bool) -> None:
    assert grants(statement(Action=action)) == Grants(read=read, write=write, named=())


def test_all_but_some_actions_is_everything() -> None:
    assert grants(statement(NotAction="s3:PutObject")) == Grants(read=True, write=True, named=())


def test_a_part_of_the_bucket_is_the_bucket() -> None:
    assert grants(statement(Resource=f"{B}/one/object")).read
    assert grants(statement(NotResource=f"{B}/private/*")).read


@pytest.mark.parametrize(
    ("principal", "named"),
    [
        ({"AWS": "210987654321"}, ("210987654321",)),
        ({"AWS": "arn:aws:iam::210987654321:root"}, ("210987654321",)),
        ({"AWS": ["arn:aws:iam::210987654321:user/u", "210987654321"]}, ("210987654321",)),
        ({"AWS": "arn:aws:sts::210987654321:assumed-role/r/s"}, ("210987654321",)),
        ({"AWS": "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1"}, ("cloudfront",)),
        ({"AWS": "AIDAEXAMPLE"}, ("AIDAEXAMPLE",)),
        ({"AWS": "arn:aws:iam:::user/pipeline"}, ("arn:aws:iam:::user/pipeline",)),
        ({"AWS": "arn:aws:iam::tenant:user/pipeline"}, ("tenant",)),
        ({"Service": "logging.s3.amazonaws.com"}, ("service:logging.s3.amazonaws.com",)),
        ({"Federated": "accounts.example"}, ("federated:accounts.example",)),
        ({"CanonicalUser": "79a5"}, ("canonical:79a5",)),
    ],
)
def test_who_is_named(principal: dict[str, Any], named: tuple[str, ...]) -> None:
    assert grants(statement(Principal=principal)) == Grants(read=False, write=False, named=named)
    assert grants(statement("Deny", Principal=principal)).named == ()


@pytest.mark.parametrize(
    "statements",
    [
        [deny()],
        [deny(Condition={"BoolIfExists": {"aws:SecureTransport": "false"}})],
        [deny(Condition={"Bool": {"aws:SecureTransport": ["false"]}})],
        [deny(Condition={"Bool": {"AWS:securetransport": False}})],
        [deny(Principal={"AWS": "*"})],
        [deny(Principal={"AWS": ["*"]})],
        [deny(Action="*")],
        [deny(Action=["s3:GetObject", "S3:*"])],
        [deny(Resource="*")],
        [deny(Resource=f"{B}*")],
        [deny(Resource=["arn:aws-cn:s3:::lake", "arn:aws-cn:s3:::lake/*"])],
        [deny(Resource=B), deny(Resource=f"{B}/*")],
        [statement(), deny()],
    ],
)
def test_tls_is_needed(statements: list[dict[str, Any]]) -> None:
    assert tls_only(parse(policy(*statements)), "lake")


@pytest.mark.parametrize(
    "wrong",
    [
        {"Effect": "Allow"},
        {"Principal": {"AWS": "arn:aws:iam::210987654321:root"}},
        {"NotPrincipal": {"AWS": "210987654321"}},
        {"Action": "s3:GetBucketAc*"},
        {"Action": "s3:Get*"},
        {"Principal": {"Service": "*"}},
        {"Principal": {"Federated": "*"}},
        {"Principal": {"CanonicalUser": "*"}},
        {"Principal": {"AWS": "arn:aws:iam::*:user/nobody"}},
        {"Action": ["s3:Get*", "s3:Put*"]},
        {"NotAction": "s3:GetObject"},
        {"Resource": B},
        {"Resource": f"{B}/*"},
        {"Resource": [B, f"{B}/one"]},
        {"Resource": [B, f"{B}/?"]},
        {"Resource": [B, f"{B}/a*"]},
        {"Resource": ["arn:aws:s3:::other", "arn:aws:s3:::other/*"]},
        {"Resource": ["lake", "lake/*"]},
        {"NotResource": f"{B}/public/*"},
        {"Condition": {}},
        {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": ["false", "true"]}}},
        {"Condition": {"StringEquals": {"aws:SecureTransport": "false"}}},
        {"Condition": {"ForAllValues:Bool": {"aws:SecureTransport": "false"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "false"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "false"}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
    ],
)
def test_tls_is_not_needed(wrong: dict[str, Any]) -> None:
    assert not tls_only(parse(policy(deny(**wrong))), "lake")


def old(**given: Any) -> dict[str, Any]:
    return deny(**{"Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}, **given})


@pytest.mark.parametrize(
    "statements",
    [
        [old()],
        [old(Condition={"NumericLessThan": {"s3:TlsVersion": 1.2}})],
        [old(Condition={"NumericLessThan": {"S3:tlsversion": ["1.2"]}})],
        [old(Condition={"NumericLessThan": {"s3:TlsVersion": ["1.0", "1.3"]}})],
        [old(Condition={"NumericLessThanIfExists": {"s3:TlsVersion": "1.3"}})],
        [old(Principal={"AWS": "*"}, Action="*", Resource="*")],
        [old(Resource=B), old(Resource=f"{B}/*")],
        [deny(), old()],
    ],
)
def test_a_current_tls_is_needed(statements: list[dict[str, Any]]) -> None:
    assert tls_current(parse(policy(*statements)), "lake")
    assert tls_only(parse(policy(*statements)), "lake") is (deny() in statements)


@pytest.mark.parametrize(
    "wrong",
    [
        {"Effect": "Allow"},
        {"Principal": {"AWS": "arn:aws:iam::210987654321:root"}},
        {"NotPrincipal": {"AWS": "210987654321"}},
        {"Action": "s3:Get*"},
        {"NotAction": "s3:GetObject"},
        {"Resource": f"{B}/*"},
        {"NotResource": f"{B}/public/*"},
        {"Condition": {}},
        {"Condition": {"NumericLessThan": {"s3:TlsVersion": "1.1"}}},
        {"Condition": {"NumericLessThan": {"s3:TlsVersion": []}}},
        {"Condition": {"NumericLessThan": {"s3:TlsVersion": "nan"}}},
        {"Condition": {"NumericLessThan": {"s3:TlsVersion": ["1.2", "inf"]}}},
        {"Condition": {"NumericLessThan": {"s3:TlsVersion": True}}},
        {"Condition": {"NumericLessThanEquals": {"s3:TlsVersion": "1.0"}}},
        {"Condition": {"NumericGreaterThan": {"s3:TlsVersion": "1.2"}}},
        {"Condition": {"NumericEquals": {"s3:TlsVersion": "1.0"}}},
        {"Condition": {"StringLike": {"s3:TlsVersion": "1.0"}}},
        {"Condition": {"ForAllValues:NumericLessThan": {"s3:TlsVersion": "1.2"}}},
        {"Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2", "s3:max-keys": "9"}}},
        {"Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}, "Bool": {"aws:SecureTransport": "false"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "false"}}},
    ],
)
def test_a_current_tls_is_not_needed(wrong: dict[str, Any]) -> None:
    assert not tls_current(parse(policy(old(**wrong))), "lake")


@pytest.mark.parametrize(
    "document",
    [
        {},
        policy(),
        {"Statement": None},
        {"Statement": ["Allow"]},
        {**policy(statement()), "Statements": []},
        policy({**statement(), "Effect": "allow"}),
        policy({**statement(), "Principle": "*"}),
        policy({**statement(), "NotPrincipal": "*"}),
        policy({key: value for key, value in statement().items() if key != "Action"}),
        policy({key: value for key, value in statement().items() if key != "Principal"}),
        policy(statement(Principal={})),
        policy(statement(Principal={"Everyone": "*"})),
        policy(statement(Principal={"AWS": []})),
        policy(statement(Action=[])),
        policy(statement(Action=[1])),
        policy(statement(Condition=[])),
        policy(statement(Condition={"Bool": "false"})),
    ],
)
def test_what_is_not_understood_is_not_judged(document: dict[str, Any]) -> None:
    with pytest.raises(CannotTell):
        parse(document)


def test_one_statement_needs_no_list() -> None:
    assert parse({"Statement": statement()}) == parse(policy(statement()))


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        ({"type": "Group", "uri": ALL, "permission": "READ"}, Grants(read=True, write=False, named=())),
        ({"type": "Group", "uri": ALL, "permission": "READ_ACP"}, Grants(read=True, write=False, named=())),
        ({"type": "Group", "uri": ALL, "permission": "WRITE"}, Grants(read=False, write=True, named=())),
        ({"type": "Group", "uri": ALL, "permission": "FULL_CONTROL"}, Grants(read=True, write=True, named=())),
        (
            {"type": "Group", "uri": ALL.replace("AllUsers", "AuthenticatedUsers"), "permission": "READ"},
            Grants(read=True, write=False, named=()),
        ),
        (
            {"type": "Group", "uri": "http://acs.amazonaws.com/groups/s3/LogDelivery", "permission": "WRITE"},
            Grants(read=False, write=False, named=("group:LogDelivery",)),
        ),
        ({"type": "CanonicalUser", "id": "me", "permission": "WRITE"}, Grants(read=False, write=False, named=())),
        (
            {"type": "CanonicalUser", "id": "you", "permission": "READ"},
            Grants(read=False, write=False, named=("canonical:you",)),
        ),
    ],
)
def test_acl(grant: dict[str, str], expected: Grants) -> None:
    own = {"type": "CanonicalUser", "id": "me", "permission": "FULL_CONTROL"}
    assert by_acl("me", [own, grant]) == expected


@pytest.mark.parametrize(
    "grant",
    [
        {"type": "Group", "uri": ALL, "permission": "EXECUTE"},
        {"type": "Group", "permission": "READ"},
        {"type": "CanonicalUser", "permission": "READ"},
        {"type": "Someone", "id": "x", "permission": "READ"},
        {},
    ],
)
def test_acl_that_is_not_understood(grant: dict[str, str]) -> None:
    with pytest.raises(CannotTell):
        by_acl("me", [grant])


SOME = st.builds(
    statement,
    effect=st.sampled_from(["Allow", "Deny"]),
    Principal=st.sampled_from(["*", {"AWS": "210987654321"}, {"Service": "x.example"}, {"AWS": ["*", "1"]}]),
    Action=st.sampled_from(["s3:*", "s3:GetObject", ["s3:Put*"], "*"]),
    Resource=st.sampled_from([B, f"{B}/*", "*", BOTH]),
    Condition=st.sampled_from(
        [
            {},
            {"Bool": {"aws:SecureTransport": "false"}},
            {"Null": {"aws:x": "true"}},
            {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
        ]
    ),
)


@given(st.lists(SOME, min_size=1, max_size=4), st.lists(SOME, min_size=1, max_size=4))
def test_more_statements_never_grant_less_nor_deny_less(some: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    part, whole = parse(policy(*some)), parse(policy(*some, *more))
    less, all_ = by_policy(part), by_policy(whole)
    assert less.read <= all_.read
    assert less.write <= all_.write
    assert set(less.named) <= set(all_.named)
    assert tls_only(part, "lake") <= tls_only(whole, "lake")
    assert tls_current(part, "lake") <= tls_current(whole, "lake")


@given(st.permutations([deny(Resource=B), deny(Resource=f"{B}/*"), statement(), statement(Principal={"AWS": "1"})]))
def test_the_order_of_statements_means_nothing(shuffled: list[dict[str, Any]]) -> None:
    statements = parse(policy(*shuffled))
    assert by_policy(statements) == Grants(read=True, write=False, named=("1",))
    assert tls_only(statements, "lake")
