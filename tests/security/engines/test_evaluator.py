"""What one principal could do: each case with its reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.engines.caller import Caller
from security.engines.conditions import holds
from security.engines.evaluator import OF_BUCKET, OF_OBJECT, Could, could
from security.engines.iam import LARGEST, parse
from security.engines.patterns import Patterns
from security.errors import CannotTell
from security.verdict import canonical

OURS, THEIRS = "123456789012", "210987654321"
USER = f"arn:aws:iam::{OURS}:user/etl/pipeline"
ROLE = f"arn:aws:iam::{OURS}:role/etl/pipeline"
SESSION = f"arn:aws:sts::{OURS}:assumed-role/pipeline/now"
ROOT = f"arn:aws:iam::{OURS}:root"
B = "arn:aws:s3:::lake"
EVERY = {f"s3:{name}" for name in (*OF_BUCKET, *OF_OBJECT)}


def allow(**given_: Any) -> dict[str, Any]:
    made = {"Effect": "Allow", "Principal": {"AWS": USER}, "Action": "s3:PutObject", "Resource": f"{B}/*", **given_}
    for name in ("Principal", "Action", "Resource"):
        if f"Not{name}" in made:
            del made[name]
    return made


def deny(**given_: Any) -> dict[str, Any]:
    return allow(**{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [B, f"{B}/*"], **given_})


def asked(
    bucket: list[dict[str, Any]],
    own: list[dict[str, Any]] | None = None,
    *,
    arn: str = USER,
    owner: str = OURS,
    prefix: str = "p/",
) -> Could:
    mine = None
    if own is not None:
        bare = [{name: value for name, value in each.items() if name != "Principal"} for each in own]
        mine = parse({"Statement": bare}, own=True) if bare else ()
    policy = parse({"Statement": bucket}) if bucket else ()
    return could(policy, mine, Caller(arn, owner), "lake", prefix)


CHANGE: list[tuple[str, list[dict[str, Any]], bool]] = [
    ("named by its ARN", [allow()], True),
    ("named in a list", [allow(Principal={"AWS": [ROLE, USER]})], True),
    ("another user is named", [allow(Principal={"AWS": USER + "2"})], False),
    ("a name with more after it is another's", [allow(Principal={"AWS": f"arn:aws:iam::{OURS}:user/etl"})], False),
    ("everybody", [allow(Principal="*")], True),
    ("everybody, as an account", [allow(Principal={"AWS": "*"})], True),
    ("the account passes it on, and nobody read to whom", [allow(Principal={"AWS": ROOT})], True),
    ("the account, by its number", [allow(Principal={"AWS": OURS})], True),
    ("another account", [allow(Principal={"AWS": THEIRS})], False),
    ("a pattern of names, which AWS would refuse", [allow(Principal={"AWS": f"arn:aws:iam::{OURS}:user/*"})], True),
    ("a canonical id may be our account's", [allow(Principal={"CanonicalUser": "75aa57"})], True),
    ("a service is not a user", [allow(Principal={"Service": "logging.s3.amazonaws.com"})], False),
    ("a federation is not a user", [allow(Principal={"Federated": "accounts.example"})], False),
    ("all but somebody else", [allow(NotPrincipal={"AWS": f"arn:aws:iam::{OURS}:user/other"})], True),
    ("all but itself", [allow(NotPrincipal={"AWS": [ROOT, USER]})], False),
    ("all but its account: that excepts the root user", [allow(NotPrincipal={"AWS": ROOT})], True),
    ("a pattern of actions", [allow(Action="s3:Put*")], True),
    ("a pattern inside a name", [allow(Action="s3:P?tObject")], True),
    ("every action of every service", [allow(Action="*")], True),
    ("actions have no case", [allow(Action="S3:putobject")], True),
    ("a list of actions", [allow(Action=["s3:GetObject", "s3:PutObject"])], True),
    ("reads alone", [allow(Action=["s3:Get*", "s3:List*"])], False),
    ("all but reads", [allow(NotAction="s3:Get*")], True),
    ("all but everything of S3", [allow(NotAction="s3:*")], False),
    ("all but what is put", [allow(NotAction=["s3:*Object*", "s3:*Bucket*"])], False),
    ("every resource", [allow(Resource="*")], True),
    ("a bucket whose name begins with ours", [allow(Resource=f"{B}2/*")], False),
    ("a pattern that begins before our name", [allow(Resource="arn:aws:s3:::l*")], True),
    ("a part of our bucket", [allow(Resource=f"{B}/other/*")], True),
    ("one object", [allow(Resource=f"{B}/p/1")], True),
    ("the bucket is no object", [allow(Resource=B)], False),
    ("a question mark for a letter", [allow(Resource="arn:aws:s3:::lak?/*")], True),
    ("a list of resources", [allow(Resource=["arn:aws:s3:::other/*", f"{B}/p/*"])], True),
    ("all but another bucket", [allow(NotResource="arn:aws:s3:::other/*")], True),
    ("all but ours", [allow(NotResource=[B, f"{B}/*"])], False),
    ("all but a part of ours", [allow(NotResource=f"{B}/p/*")], True),
    ("a variable could be anything", [allow(Resource=f"{B}/${{aws:username}}/*")], True),
    ("a variable within one", [allow(Resource="arn:aws:s3:::${a${b}/*")], True),
    ("a variable that is never closed", [allow(Resource=f"{B}/${{aws:username/*")], True),
    ("a variable that is never closed, for the bucket", [allow(Resource="arn:aws:s3:::${aws:username/*")], False),
    ("a variable before the bucket", [allow(Resource="arn:aws:s3:::${aws:PrincipalTag/b}/*")], True),
]


@pytest.mark.parametrize(("bucket", "changes"), [case[1:] for case in CHANGE], ids=[case[0] for case in CHANGE])
def test_what_a_bucket_policy_lets_it_change(bucket: list[dict[str, Any]], changes: bool) -> None:
    assert ("s3:PutObject" in asked(bucket).change) is changes


CONDITIONS: list[tuple[str, dict[str, Any], bool, bool]] = [
    ("its own name", {"StringEquals": {"aws:PrincipalArn": USER}}, True, True),
    ("in a list", {"StringEquals": {"AWS:principalarn": ["x", USER]}}, True, True),
    ("another name", {"StringEquals": {"aws:PrincipalArn": ROLE}}, False, False),
    ("not another name", {"StringNotEquals": {"aws:PrincipalArn": [ROLE, ROOT]}}, True, True),
    ("not its own name", {"StringNotEquals": {"aws:PrincipalArn": [ROLE, USER]}}, False, False),
    ("names have a case", {"StringEquals": {"aws:PrincipalArn": USER.upper()}}, False, False),
    ("without a case", {"StringEqualsIgnoreCase": {"aws:PrincipalArn": USER.upper()}}, True, True),
    ("a pattern", {"StringLike": {"aws:PrincipalArn": f"arn:aws:iam::{OURS}:user/*"}}, True, True),
    ("equality takes no pattern", {"StringEquals": {"aws:PrincipalArn": "*"}}, False, False),
    ("not a pattern", {"StringNotLike": {"aws:PrincipalArn": "*:user/*"}}, False, False),
    ("an ARN's pattern", {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}, True, True),
    ("an ARN's pattern of one part is none", {"ArnLike": {"aws:PrincipalArn": "arn:*"}}, True, False),
    ("an ARN's part ends at its colon", {"ArnEquals": {"aws:PrincipalArn": "arn:*::*:*:user/*"}}, False, False),
    ("its account", {"StringEquals": {"aws:PrincipalAccount": OURS}}, True, True),
    ("another account", {"StringEquals": {"aws:PrincipalAccount": THEIRS}}, False, False),
    ("the bucket's account", {"StringNotEquals": {"aws:ResourceAccount": OURS}}, False, False),
    ("its user name", {"StringEquals": {"aws:username": "pipeline"}}, True, True),
    ("no service", {"Bool": {"aws:PrincipalIsAWSService": "false"}}, True, True),
    ("no service, as a truth value in a list", {"BoolIfExists": {"aws:PrincipalIsAWSService": [False]}}, True, True),
    ("a service", {"Bool": {"aws:PrincipalIsAWSService": "true"}}, False, False),
    ("if it exists, and it does", {"StringEqualsIfExists": {"aws:PrincipalAccount": THEIRS}}, False, False),
    ("a key that is there is not null", {"Null": {"aws:PrincipalArn": "true"}}, False, False),
    ("a key that is there", {"Null": {"aws:PrincipalArn": "false"}}, True, True),
    ("two ways to be null", {"Null": {"aws:PrincipalArn": ["true", "false"]}}, True, False),
    ("TLS is the caller's choice", {"Bool": {"aws:SecureTransport": "false"}}, True, False),
    ("TLS, if it is said at all", {"BoolIfExists": {"aws:SecureTransport": "false"}}, True, False),
    ("an address is the caller's choice", {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, True, False),
    ("two halves of all addresses", {"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}}, True, False),
    ("but an address", {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, True, False),
    ("an organisation that is not known", {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, True, False),
    ("an organisation, if there is one", {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}, True, False),
    ("no organisation", {"Null": {"aws:PrincipalOrgID": "true"}}, True, False),
    ("an operator that is not known", {"StringAlmost": {"aws:PrincipalArn": ROLE}}, True, False),
    ("all of a set, which may be empty", {"ForAllValues:StringEquals": {"aws:PrincipalArn": ROLE}}, True, False),
    ("any of a set", {"ForAnyValue:StringEquals": {"aws:PrincipalArn": USER}}, True, False),
    ("a variable", {"StringEquals": {"aws:PrincipalArn": "${aws:SourceArn}"}}, True, False),
    ("one that holds and one that cannot be told", {
        "StringEquals": {"aws:PrincipalArn": USER, "aws:PrincipalOrgID": "o-1"}}, True, False),
    ("one that fails and one that cannot be told", {
        "StringEquals": {"aws:PrincipalArn": ROLE}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False, False),
    ("an operator without a key", {"StringEquals": {}}, True, False),
    ("a key without a value", {"StringEquals": {"aws:PrincipalArn": []}}, True, False),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "lets", "stops"), [c[1:] for c in CONDITIONS], ids=[c[0] for c in CONDITIONS])
def test_an_allow_that_could_apply_counts_and_a_deny_that_might_not_does_not(
    condition: dict[str, Any], lets: bool, stops: bool
) -> None:
    """`lets`: whether an Allow under it counts; `stops`: whether a Deny under it does."""
    assert ("s3:PutObject" in asked([allow(Condition=condition)]).change) is lets
    assert ("s3:PutObject" not in asked([allow(), deny(Condition=condition)]).change) is stops
    assert ("s3:PutObject" not in asked([], [allow(), deny(Condition=condition)]).change) is stops


DENIED: list[tuple[str, dict[str, Any], bool]] = [
    ("everybody, everything", deny(), True),
    ("itself", deny(Principal={"AWS": USER}), True),
    ("its account", deny(Principal={"AWS": ROOT}), True),
    ("its account, by number", deny(Principal={"AWS": OURS}), True),
    ("another", deny(Principal={"AWS": ROLE}), False),
    ("a pattern of names", deny(Principal={"AWS": f"arn:aws:iam::{OURS}:user/*"}), False),
    ("a canonical id", deny(Principal={"CanonicalUser": "75aa57"}), False),
    ("every service", deny(Principal={"Service": "*"}), False),
    ("everybody who is known elsewhere", deny(Principal={"Federated": "*"}), False),
    ("every canonical id", deny(Principal={"CanonicalUser": "*"}), False),
    ("everybody and every service", deny(Principal={"AWS": "*", "Service": "*"}), True),
    ("all but every service", deny(NotPrincipal={"Service": "*"}), False),
    ("all but another account", deny(NotPrincipal={"AWS": THEIRS}), True),
    ("all but itself", deny(NotPrincipal={"AWS": [ROOT, USER]}), False),
    ("all but its account", deny(NotPrincipal={"AWS": ROOT}), False),
    ("all but a canonical id", deny(NotPrincipal={"CanonicalUser": "75aa57"}), False),
    ("this action", deny(Action="s3:PutObject"), True),
    ("this action in other letters", deny(Action="S3:PUTOBJECT"), True),
    ("another action", deny(Action="s3:PutObjectAcl"), False),
    ("all but reads", deny(NotAction=["s3:Get*", "s3:List*"]), True),
    ("all but this action", deny(NotAction=["s3:Put*"]), False),
    ("the objects", deny(Resource=f"{B}/*"), True),
    ("the bucket alone", deny(Resource=B), False),
    ("some objects", deny(Resource=f"{B}/p/*"), False),
    ("objects with one letter", deny(Resource=f"{B}/?"), False),
    ("every bucket that begins so", deny(Resource=f"{B}*"), True),
    ("all but another bucket", deny(NotResource="arn:aws:s3:::other/*"), True),
    ("all but a part of ours", deny(NotResource=f"{B}/p/*"), False),
    ("all but a variable", deny(NotResource=f"{B}/${{aws:username}}*"), False),
    ("all but a variable elsewhere", deny(NotResource="arn:aws:s3:::other/${aws:username}*"), True),
    ("a variable", deny(Resource=f"{B}/${{aws:username}}*"), False),
]


@pytest.mark.parametrize(("denied", "stops"), [case[1:] for case in DENIED], ids=[case[0] for case in DENIED])
def test_what_a_deny_surely_stops(denied: dict[str, Any], stops: bool) -> None:
    assert ("s3:PutObject" not in asked([allow(), denied]).change) is stops
    assert ("s3:PutObject" not in asked([denied, allow()]).change) is stops


def test_a_deny_need_only_cover_what_was_allowed() -> None:
    assert asked([allow(Resource=f"{B}/p/*"), deny(Resource=f"{B}/p*")]).change == ()
    assert asked([allow(Resource=f"{B}/p*"), deny(Resource=f"{B}/p/*")]).change == ("s3:PutObject",)


OWN: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]] | None, str, bool]] = [
    ("nobody allows", [], [], OURS, False),
    ("its own policy alone, in its account", [], [allow()], OURS, True),
    ("the bucket's alone, in its account", [allow()], [], OURS, True),
    ("passed on, and not taken up", [allow(Principal={"AWS": ROOT})], [], OURS, False),
    ("passed on, and taken up", [allow(Principal={"AWS": ROOT})], [allow()], OURS, True),
    ("passed on, and unread", [allow(Principal={"AWS": ROOT})], None, OURS, True),
    ("unread, and nothing passed on", [], None, OURS, False),
    ("denied by its own", [allow()], [deny()], OURS, False),
    ("denied by the bucket", [deny()], [allow()], OURS, False),
    ("across accounts its own is not enough", [], [allow()], THEIRS, False),
    ("across accounts the bucket's is not enough", [allow()], [], THEIRS, False),
    ("across accounts both", [allow()], [allow()], THEIRS, True),
    ("across accounts both, by its account", [allow(Principal={"AWS": OURS})], [allow()], THEIRS, True),
    ("across accounts, unread", [allow()], None, THEIRS, True),
    ("across accounts, another is named", [allow(Principal={"AWS": THEIRS})], [allow()], THEIRS, False),
]


@pytest.mark.parametrize(
    ("bucket", "own", "owner", "changes"), [case[1:] for case in OWN], ids=[case[0] for case in OWN]
)
def test_two_policies(
    bucket: list[dict[str, Any]], own: list[dict[str, Any]] | None, owner: str, changes: bool
) -> None:
    assert ("s3:PutObject" in asked(bucket, own, owner=owner).change) is changes


@pytest.mark.parametrize(
    ("arn", "named", "lets", "stops"),
    [
        (ROLE, ROLE, True, True),
        (ROLE, f"arn:aws:sts::{OURS}:assumed-role/pipeline/session", True, False),
        (ROLE, f"arn:aws:sts::{OURS}:assumed-role/etl/session", False, False),
        (SESSION, SESSION, True, True),
        (SESSION, ROLE, True, False),
        (SESSION, f"arn:aws:iam::{OURS}:role/other", False, False),
        (USER, ROLE, False, False),
        ("arn:aws-cn:iam::123456789012:user/u", "arn:aws-cn:iam::123456789012:root", True, True),
        ("arn:aws:iam:::user/pipeline", "arn:aws:iam:::user/pipeline", True, True),
        ("arn:aws:iam:::user/pipeline", "arn:aws:iam:::user/other", False, False),
        ("arn:aws:iam:::user/pipeline", "arn:aws:iam::tenant:user/pipeline", False, False),
    ],
)
def test_users_roles_and_their_sessions(arn: str, named: str, lets: bool, stops: bool) -> None:
    resource = B.replace("arn:aws:", f"arn:{arn.split(':')[1]}:")
    permit = allow(Principal={"AWS": named}, Resource=f"{resource}/*")
    assert ("s3:PutObject" in asked([permit], arn=arn).change) is lets
    refuse = deny(Principal={"AWS": named}, Resource=f"{resource}/*")
    everybody = allow(Principal="*", Resource=f"{resource}/*")
    assert ("s3:PutObject" not in asked([everybody, refuse], arn=arn).change) is stops


def test_a_session_has_a_name_that_no_condition_tells() -> None:
    only = {"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/x"}}
    assert asked([allow(Principal="*", Condition=only)], arn=ROLE).change == ()
    assert asked([allow(Principal="*", Condition=only)], arn=SESSION).change == ("s3:PutObject",)


def test_everything_is_every_change() -> None:
    assert set(asked([allow(Action="s3:*", Resource=[B, f"{B}/*"])]).change) == EVERY
    assert set(asked([allow(Action="s3:*", Resource=B)]).change) == {f"s3:{name}" for name in OF_BUCKET}
    assert asked([allow(Action="s3:*", Resource="*"), deny(NotAction=["s3:Get*", "s3:List*"])]).change == ()


def test_an_action_that_is_not_known_and_named_is_a_change() -> None:
    assert asked([allow(Action=["s3:EraseObject", "s3:GetMore", "sqs:Send"])]).change == ("s3:EraseObject",)
    assert asked([allow(Action="s3:EraseBucket", Resource=B)]).change == ("s3:EraseBucket",)
    assert asked([allow(Action="s3:EraseObject", Resource="arn:aws:s3:::other/*")]).change == ()


BEYOND: list[tuple[str, Any, str, tuple[str, ...]]] = [
    ("the prefix", f"{B}/p/*", "p/", ()),
    ("a part of the prefix", [f"{B}/p/2023*", f"{B}/p/x"], "p/", ()),
    ("a sibling whose name begins alike", f"{B}/p*", "p/", (f"{B}/p*",)),
    ("the whole bucket", f"{B}/*", "p/", (f"{B}/*",)),
    ("other buckets whose names begin alike", f"{B}*", "", (f"{B}*",)),
    ("the whole bucket is the prefix", f"{B}/*", "", ()),
    ("another bucket", [f"{B}/p/*", "arn:aws:s3:::other/x"], "p/", ("arn:aws:s3:::other/x",)),
    ("everything", "*", "p/", ("*",)),
    ("the bucket has no content", B, "p/", ()),
    ("a star in the prefix is only a star", f"{B}/a/x", "*/", (f"{B}/a/x",)),
]


@pytest.mark.parametrize(("resource", "prefix", "beyond"), [c[1:] for c in BEYOND], ids=[c[0] for c in BEYOND])
def test_what_it_could_read_beyond_its_prefix(resource: Any, prefix: str, beyond: tuple[str, ...]) -> None:
    reads = allow(Action=["s3:GetObject", "s3:ListBucket"], Resource=resource)
    assert asked([reads], prefix=prefix) == Could(change=(), beyond=beyond)
    assert asked([], [reads], prefix=prefix) == Could(change=(), beyond=beyond)


def test_what_is_denied_is_not_read() -> None:
    reads = allow(Action="s3:GetObject", Resource=f"{B}/*")
    assert asked([reads, deny(Action="s3:GetObject", Resource="*")]).beyond == ()
    assert asked([reads, deny(Action="s3:GetObject", Resource=f"{B}/q/*")]).beyond == (f"{B}/*",)


@pytest.mark.parametrize("name", ["Principal", "NotPrincipal"])
def test_a_policy_of_its_own_names_nobody(name: str) -> None:
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    assert parse({"Statement": [statement]}, own=True)
    with pytest.raises(CannotTell, match="names a principal"):
        parse({"Statement": [{**statement, name: {"AWS": USER}}]}, own=True)
    with pytest.raises(CannotTell, match="exactly one of"):
        parse({"Statement": [statement]})


ALLOWED = st.builds(
    allow,
    Effect=st.sampled_from(["Allow", "Deny"]),
    Principal=st.sampled_from(["*", {"AWS": USER}, {"AWS": ROOT}, {"AWS": THEIRS}]),
    Action=st.sampled_from(["s3:*", "s3:PutObject", "s3:Get*"]),
    Resource=st.sampled_from(["*", f"{B}/*", f"{B}/p/*", B]),
    Condition=st.sampled_from(
        [{}, {"StringEquals": {"aws:PrincipalArn": USER}}, {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}]
    ),
)


@given(st.lists(ALLOWED, min_size=1, max_size=4), ALLOWED)
def test_an_allow_never_takes_away_and_a_deny_never_gives(some: list[dict[str, Any]], more: dict[str, Any]) -> None:
    before, after = asked(some), asked([*some, more])
    lesser, greater = (before, after) if more["Effect"] == "Allow" else (after, before)
    assert set(lesser.change) <= set(greater.change)
    assert set(lesser.beyond) <= set(greater.beyond) or more["Effect"] == "Allow"


def test_no_condition_holds() -> None:
    assert holds({}, {}) is True


HOSTILE: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "actions": lambda n: [allow(Action=[f"s3:Pt{i}" for i in range(n)], Resource="*")],
    "patterns of actions": lambda n: [allow(Action=[f"s3:{name}{i}" for i in range(n) for name in ("Pt", "*x*")])],
    "actions that are denied": lambda n: [
        allow(Action=[f"s3:Pt{i}" for i in range(n)]),
        deny(Action=[f"s3:*t{i}" for i in range(n)]),
    ],
    "resources": lambda n: [
        allow(Resource=[f"{B}/a*{i}" for i in range(n)]),
        deny(Resource=[f"{B}/?*{i}*" for i in range(n)]),
    ],
    "all but resources": lambda n: [
        allow(Resource=[f"{B}/a*{i}" for i in range(n)]),
        deny(NotResource=[f"{B}/b*{i}*" for i in range(n)]),
    ],
    "two long resources": lambda n: [allow(Resource=B + "/" + "a*" * n), deny(Resource=B + "/" + "*a" * n)],
    "variables that are never closed": lambda n: [allow(Resource=B + "/" + "${" * n), deny(Resource=B + "${}" * n)],
    "many statements": lambda n: [
        each
        for i in range(n)
        for each in (allow(Action=f"s3:Pt{i}", Resource=f"{B}/{i}*"), deny(Action=f"s3:*{i}", Resource=f"{B}/{i}?*"))
    ],
    "principals": lambda n: [allow(Principal={"AWS": [f"arn:aws:iam::{OURS}:user/*{i}*" for i in range(n)]})],
    "conditions": lambda n: [
        allow(Condition={"StringLike": {"aws:PrincipalArn": [f"*{i}*{i}*" for i in range(n)]}}),
        deny(Condition={"ArnLike": {"aws:PrincipalArn": [f"arn:aws:*::*:*/*{i}*" for i in range(n)]}}),
    ],
}


@pytest.mark.parametrize("made", HOSTILE.values(), ids=HOSTILE)
def test_no_policy_is_slow_to_evaluate(monkeypatch: pytest.MonkeyPatch, made: Callable[[int], Any]) -> None:
    """As large as a policy may be: the steps are a few for each byte, and the time is far from a minute."""
    steps = 0

    def counted(real: Callable[[Patterns, int], int]) -> Callable[[Patterns, int], int]:
        def step(self: Patterns, at: int) -> int:
            nonlocal steps
            steps += 1
            return real(self, at)

        return step

    for name in ("_onward", "_upward"):
        monkeypatch.setattr(Patterns, name, counted(getattr(Patterns, name)))
    least, most = 1, LARGEST
    while most - least > 1:
        middle = (least + most) // 2
        fits = len(canonical({"Statement": made(middle)})) <= LARGEST
        least, most = (middle, most) if fits else (least, middle)
    began = time.monotonic()
    asked(made(least))
    assert time.monotonic() - began < 20.0
    assert 1_000 < steps < 10 * LARGEST


def test_a_policy_larger_than_any_should_be_is_not_evaluated() -> None:
    bare = len(canonical({"Statement": [allow(Sid="")]}))
    assert asked([allow(Sid="x" * (LARGEST - bare))]).change == ("s3:PutObject",)
    with pytest.raises(CannotTell, match=r"^65,537 bytes of policies are to be evaluated; allowed: 65,536$"):
        asked([allow(Sid="x" * (LARGEST - bare + 1))])
