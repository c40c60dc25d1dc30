"""Policies by themselves: conditions, principals, and what is not fit to be stored."""

from __future__ import annotations

import fnmatch
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.lake.policy import Ask, applying, condition, glob, open_to_all, problem
from deployments.lake.sigv4 import ACCOUNT
from tests.deployments.lake.door import PIPELINE, statement

ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def effects(said: dict[str, Any], caller: str | None = None, **context: str | None) -> list[str]:
    """What of this statement applies to a read of b/k."""
    ask = Ask("s3:GetObject", "arn:aws:s3:::b/k", caller, ACCOUNT, {n.replace("_", ":"): v for n, v in context.items()})
    return [effect for effect, _ in applying(json.dumps({"Statement": [said]}), ask)]


@pytest.mark.parametrize(
    ("block", "secure", "applies"),
    [
        ({"Bool": {"aws:SecureTransport": "false"}}, "false", True),
        ({"Bool": {"aws:SecureTransport": "false"}}, None, False),
        ({"Bool": {"aws:SecureTransport": "no"}}, "true", True),
        ({"BoolIfExists": {"aws:SecureTransport": False}}, None, True),
        ({"Null": {"aws:SecureTransport": "true"}}, None, True),
        ({"Null": {"aws:SecureTransport": True}}, None, True),
        ({"Null": {"aws:SecureTransport": "true"}}, "true", False),
        ({"Null": {"aws:SecureTransport": ["true", "false"]}}, "true", True),
        ({"ForAnyValue:Bool": {"aws:SecureTransport": "false"}}, "true", True),
    ],
)
def test_condition_of_a_deny(block: Any, secure: str | None, applies: bool) -> None:
    said = statement("Deny", "s3:*", "b", Condition=block)
    assert effects(said, aws_securetransport=secure) == (["Deny"] if applies else [])


@pytest.mark.parametrize(
    ("operator", "have", "want", "held"),
    [
        ("StringEquals", "a", ["b", "a"], True),
        ("StringNotEquals", "a", ["b", "a"], False),
        ("StringNotEquals", None, "a", True),
        ("StringLike", "abc", "a*", True),
        ("StringNotLike", "abc", "a*", False),
        ("StringEqualsIgnoreCase", "A", "a", True),
        ("IpAddress", "127.0.0.1", "127.0.0.0/8", True),
        ("NotIpAddress", "127.0.0.1", "127.0.0.0/8", False),
        ("IpAddress", "127.0.0.1", "nowhere", None),
        ("NumericLessThan", "3", "10", True),
        ("NumericGreaterThanEquals", "3", 3, True),
        ("NumericEquals", "x", "3", None),
        ("ArnLike", "arn:aws:iam::1:user/p", "arn:aws:iam::*:user/p", True),
        ("DateLessThan", "2020-01-01", "2021-01-01", None),
    ],
)
def test_operators(operator: str, have: str | None, want: Any, held: bool | None) -> None:
    assert condition({operator: {"Key": want}}, {"key": have}) is held


def test_every_condition_must_hold() -> None:
    block = {"StringEquals": {"a": "1", "b": "2"}}
    assert condition(block, {"a": "1", "b": "2"}) is True
    assert condition(block, {"a": "1", "b": "3"}) is False
    assert condition(block, {"a": "1"}) is None


@pytest.mark.parametrize(
    ("effect", "key", "named", "applies"),
    [
        ("Allow", "Principal", {"AWS": PIPELINE.arn}, True),
        ("Allow", "Principal", {"AWS": [ROOT]}, False),
        ("Deny", "Principal", {"AWS": ROOT}, True),
        ("Deny", "Principal", {"AWS": ACCOUNT}, True),
        ("Deny", "NotPrincipal", {"AWS": PIPELINE.arn}, False),
        ("Deny", "NotPrincipal", {"AWS": ROOT}, True),
        ("Allow", "NotPrincipal", {"AWS": ROOT}, False),
        ("Allow", "NotPrincipal", {"AWS": "arn:aws:iam::1:user/other"}, True),
        ("Allow", "Principal", {"Service": "s3.amazonaws.com"}, False),
    ],
)
def test_principals(effect: str, key: str, named: Any, applies: bool) -> None:
    said = {"Effect": effect, key: named, "Action": "s3:Get*", "Resource": "*"}
    assert effects(said, PIPELINE.arn) == ([effect] if applies else [])


def test_nobody_is_not_in_the_account() -> None:
    assert effects(statement("Deny", "s3:*", "b", {"AWS": ROOT})) == []
    assert effects(statement("Deny", "s3:*", "b", {"AWS": "*"})) == ["Deny"]


def test_all_but() -> None:
    said = {"Effect": "Deny", "Principal": "*", "NotAction": "s3:put*", "NotResource": "arn:aws:s3:::other/*"}
    assert effects(said) == ["Deny"]
    assert effects({**said, "NotAction": ["S3:getobject"]}) == []
    assert effects({**said, "NotResource": "arn:aws:s3:::b/*"}) == []


def test_open_to_all() -> None:
    condition = {"StringEquals": {"aws:username": "p"}}
    assert open_to_all(statement("Allow", "s3:GetObject", "b", {"AWS": ["*"]}, Condition=condition))
    assert open_to_all({"Effect": "Allow", "NotPrincipal": {"AWS": PIPELINE.arn}})
    assert not open_to_all(statement("Allow", "s3:GetObject", "b", {"AWS": PIPELINE.arn}))
    assert not open_to_all(statement("Deny", "s3:GetObject", "b"))


GOOD = statement("Allow", "s3:GetObject", "b")
BAD: list[Any] = [
    [],
    [{"Effect": "Deny"}],
    [{**GOOD, "Effect": "allow"}],
    [{**GOOD, "NotAction": "s3:*"}],
    [{**GOOD, "Action": []}],
    [{**GOOD, "Action": ""}],
    [{**GOOD, "Action": 5}],
    [{**GOOD, "Resource": [""]}],
    [{**GOOD, "Principal": "everybody"}],
    [{**GOOD, "Principal": ["*"]}],
    [{**GOOD, "Principal": {}}],
    [{**GOOD, "Principal": {"AWS": []}}],
    [{**GOOD, "Condition": []}],
    [{**GOOD, "Condition": {"Bool": {}}}],
    [{**GOOD, "Condition": {"Bool": {"aws:SecureTransport": []}}}],
    [{**GOOD, "Condition": {"Bool": "aws:SecureTransport"}}],
    [{**GOOD, "Conditions": {}}],
    [{**GOOD, "Resource": "arn:aws:s3:::b/${aws:username}"}],
    ["text"],
    5,
]


@pytest.mark.parametrize("listed", BAD)
def test_not_fit_to_be_stored(listed: Any) -> None:
    assert problem(json.dumps({"Statement": listed})) is not None


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{", b"\xff", b'{"Statement": [], "Other": 1}', json.dumps({"Statement": GOOD}).encode("utf-16")],
)
def test_not_a_policy(text: bytes) -> None:
    assert problem(text) is not None


def test_name_that_stands_twice_is_not_fit_to_be_stored() -> None:
    text = json.dumps({"Statement": [GOOD]})
    assert problem(text) is None
    assert problem(text.replace('"Effect": "Allow"', '"Effect": "Deny", "Effect": "Allow"')) is not None


@given(st.text("ab*?[.\n", max_size=6), st.text("ab[.\n", max_size=6))
def test_glob_is_shell_matching_without_classes(pattern: str, text: str) -> None:
    assert glob(text, pattern) == fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))
