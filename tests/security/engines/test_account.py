"""What an account and a principal say of themselves: AWS's answers by botocore's stubber, and moto's."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from botocore.stub import Stubber

from security.engines import account, s3
from security.engines.asker import _answer
from security.errors import CannotTell
from security.verdict import Outcome
from tests.security.engines.test_settings import AWS, BLOCKED, GOOD, KEYS, OWNER, SOME, USER, verdict

UNASKED = ("account_block", "access_points", "multi_region_points", "data_events", "identity")
ROLE = f"arn:aws:iam::{OWNER}:role/etl/pipeline"


@pytest.fixture
def control() -> Any:
    return account.service(AWS, KEYS, "s3control")


def test_the_account_is_asked_at_aws_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", "_CLOUDTRAIL", "_IAM", "_S3_CONTROL", "_STS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL{name}", "http://127.0.0.1:9")
    told = {name: account.service(AWS, KEYS, name).meta.endpoint_url for name in get_args(account.Service)}
    assert told == {
        "cloudtrail": "https://cloudtrail.eu-central-1.amazonaws.com",
        "iam": "https://iam.amazonaws.com",
        "s3control": "https://s3-control.eu-central-1.amazonaws.com",
        "sts": "https://sts.eu-central-1.amazonaws.com",
    }
    elsewhere = AWS.model_copy(update={"region": "nowhere.example/#"})
    with pytest.raises((CannotTell, ValueError)):
        account.service(elsewhere, KEYS, "s3control")


@pytest.mark.parametrize("name", get_args(account.Service))
@pytest.mark.parametrize("how", ["elsewhere", "plain", "unverified", "proxy"])
def test_a_client_that_came_out_otherwise_is_refused(
    monkeypatch: pytest.MonkeyPatch, how: str, name: account.Service
) -> None:
    class Turned:
        """A session that makes another client than it was asked for."""

        def client(self, name: str, **options: Any) -> Any:
            urls = {"elsewhere": f"https://{name}.example", "plain": f"http://{name}.eu-central-1.amazonaws.com"}
            made: Any = s3.deaf().client(name, **({"endpoint_url": urls[how]} if how in urls else {}), **options)  # type: ignore[call-overload]
            if how == "unverified":
                made._endpoint.http_session._verify = False
            if how == "proxy":
                made._endpoint.http_session._proxy_config._proxies = {"https": "http://127.0.0.1:9"}
            return made

    monkeypatch.setattr(account, "deaf", Turned)
    with pytest.raises(CannotTell, match=f"the {name} client was resolved to another"):
        account.service(AWS, KEYS, name)


@pytest.mark.parametrize("url", ["https://127.0.0.1:8000", "https://s3.example", "https://amazonaws.com.example"])
def test_another_store_has_no_account_to_ask(url: str) -> None:
    questions = account.questions(AWS.model_copy(update={"url": url}), KEYS, "lake", "p/")
    told = {name: ask() for name, ask in questions.items()}
    assert told.pop("principal") == {"status": 200, "arn": USER}
    assert told == dict.fromkeys(UNASKED, {"asked": False})
    unknown = account.questions(AWS.model_copy(update={"url": url, "principal": ""}), KEYS, "lake", "p/")
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


class Lists:
    """Both listings of points, a page for each of these tokens."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = iter(tokens)

    def list_access_points(self, **_: str) -> dict[str, Any]:
        return {"AccessPointList": [], "NextToken": next(self.tokens)}

    def list_multi_region_access_points(self, **_: str) -> dict[str, Any]:
        return {"AccessPoints": [], "NextToken": next(self.tokens)}


@pytest.mark.parametrize("ask", [account.points, account.multi_region])
@pytest.mark.parametrize("tokens", [("again", "again"), ("one", "two", "one"), ("",)])
def test_a_listing_of_points_that_does_not_say_where_it_goes_on_is_no_answer(ask: Any, tokens: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="a listing is cut off, and does not say where it goes on"):
        ask(Lists(*tokens), OWNER, "lake")


def everywhere(name: str, *buckets: str, **blocks: bool) -> dict[str, Any]:
    made = {"Name": name, "Status": "READY", "Regions": [{"Bucket": each, "Region": "eu-west-1"} for each in buckets]}
    return {**made, "PublicAccessBlock": blocks} if blocks else made


def test_multi_region_points_of_all_pages(control: Any) -> None:
    with Stubber(control) as stub:
        first = [everywhere("closed", "other", "lake", **BLOCKED), everywhere("others", "lake2", **SOME)]
        second = [everywhere("silent", "lake"), everywhere("open", "lake", "lake2", **SOME)]
        stub.add_response("list_multi_region_access_points", {"AccessPoints": first, "NextToken": "2"}, {
            "AccountId": OWNER})  # fmt: skip
        stub.add_response("list_multi_region_access_points", {"AccessPoints": second}, {
            "AccountId": OWNER, "NextToken": "2"})  # fmt: skip
        told = account.multi_region(control, OWNER, "lake")
        stub.assert_no_pending_responses()
        assert told == {"status": 200, "count": 3, "unblocked": ["open", "silent"]}
        seen = verdict("access_control_s3", {**GOOD, "multi_region_points": told})
        assert [(each.rule, each.place) for each in seen.advice] == [("S3-AP", "open"), ("S3-AP", "silent")]
        for unclear in ({"Name": "no regions"}, {"Name": "no bucket", "Regions": [{"Region": "eu-west-1"}]}):
            stub.add_response("list_multi_region_access_points", {"AccessPoints": [unclear]})
            assert _answer(lambda: account.multi_region(control, OWNER, "lake")) == {"error": "KeyError"}
        stub.add_response("list_multi_region_access_points", {})
        assert _answer(lambda: account.multi_region(control, OWNER, "lake")) == {"error": "KeyError"}
        stub.add_client_error("list_multi_region_access_points", "AccessDenied", "no", 403)
        denied = _answer(lambda: account.multi_region(control, OWNER, "lake"))
    assert verdict("access_control_s3", {**GOOD, "multi_region_points": denied}).cause == "unreadable"


@pytest.mark.parametrize(
    ("host", "region", "asked"),
    [
        ("s3.eu-central-1.amazonaws.com", "eu-central-1", "https://s3-control.us-west-2.amazonaws.com"),
        ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1", ""),
        ("s3.us-gov-west-1.amazonaws.com", "us-gov-west-1", ""),
    ],
)
def test_oregon_answers_for_points_of_all_regions_where_there_are_any(
    monkeypatch: pytest.MonkeyPatch, host: str, region: str, asked: str
) -> None:
    urls: list[str] = []

    def heard(control: Any, *_: str) -> dict[str, Any]:
        urls.append(control.meta.endpoint_url)
        return {"status": 200}

    monkeypatch.setattr(account, "multi_region", heard)
    there = AWS.model_copy(update={"url": f"https://{host}", "region": region})
    told = account.questions(there, KEYS, "lake", "p/")["multi_region_points"]()
    assert (told, urls) == (({"status": 200}, [asked]) if asked else ({"asked": False}, []))


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


@pytest.mark.usefixtures("moto")
def test_requests_reach_the_account_that_they_are_about() -> None:
    questions, control = account.questions(AWS, KEYS, "lake", "p/"), account.service(AWS, KEYS, "s3control")
    code = "NoSuchPublicAccessBlockConfiguration"
    assert _answer(questions["account_block"]) == {"status": 404, "code": code}
    assert _answer(questions["access_points"]) == {"status": 200, "count": 0, "unblocked": 0}
    control.put_public_access_block(AccountId=OWNER, PublicAccessBlockConfiguration=SOME)
    for name, settings in (("one", BLOCKED), ("two", SOME)):
        control.create_access_point(AccountId=OWNER, Name=name, Bucket="lake", PublicAccessBlockConfiguration=settings)
    control.create_access_point(AccountId=OWNER, Name="other", Bucket="other", PublicAccessBlockConfiguration=SOME)
    assert _answer(questions["account_block"]) == {"status": 200, "on": sorted(set(BLOCKED) - {"BlockPublicPolicy"})}
    assert _answer(questions["access_points"]) == {"status": 200, "count": 2, "unblocked": 1}


@pytest.mark.usefixtures("moto")
def test_requests_reach_the_points_of_several_regions() -> None:
    question = account.questions(AWS, KEYS, "lake", "p/")["multi_region_points"]
    control = account.service(AWS.model_copy(update={"region": account.OREGON}), KEYS, "s3control")
    assert _answer(question) == {"status": 200, "count": 0, "unblocked": []}
    for name, bucket, settings in (("one", "lake", BLOCKED), ("two", "lake", SOME), ("three", "other", SOME)):
        details = {"Name": name, "PublicAccessBlock": settings, "Regions": [{"Bucket": bucket}]}
        control.create_multi_region_access_point(AccountId=OWNER, ClientToken=name, Details=details)
    assert _answer(question) == {"status": 200, "count": 2, "unblocked": ["two"]}


@pytest.mark.usefixtures("moto")
def test_what_a_group_lets_its_user_do_is_found() -> None:
    iam = account.service(AWS, KEYS, "iam")
    iam.create_user(UserName="pipeline")
    iam.put_user_policy(UserName="pipeline", PolicyName="reads", PolicyDocument=document("reads"))
    put = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::lake/*"}
    made = iam.create_policy(PolicyName="puts", PolicyDocument=json.dumps({**DOCUMENT, "Statement": put}))
    iam.create_group(GroupName="etl")
    iam.add_user_to_group(UserName="pipeline", GroupName="etl")
    principal = {"status": 200, "arn": f"arn:aws:iam::{OWNER}:user/pipeline"}
    before = account.policies(iam, principal["arn"])  # type: ignore[arg-type]
    iam.attach_group_policy(GroupName="etl", PolicyArn=made["Policy"]["Arn"])
    after = account.policies(iam, principal["arn"])  # type: ignore[arg-type]
    passed, failed = (
        verdict("access_control_s3", {**GOOD, "principal": principal, "identity": each}) for each in (before, after)
    )
    assert (passed.outcome, [each.rule for each in passed.advice]) == (Outcome.PASS, ["S3-WIDE"])
    assert [(each.rule, each.place) for each in failed.findings] == [("S3-LP", "policies")]


@pytest.mark.usefixtures("moto")
def test_a_key_of_nobody_known_is_no_principal() -> None:
    questions = account.questions(AWS, KEYS, "lake", "p/")
    assert _answer(questions["principal"]) == _answer(questions["identity"]) == {"error": "CannotTell"}
