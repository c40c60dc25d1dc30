"""Which trails of CloudTrail surely record all that is read and written: by botocore's stubber, and by moto."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from botocore.stub import Stubber

from security.engines import account, s3
from security.engines.asker import _answer
from security.engines.trails import OBJECT, recording
from security.verdict import Outcome
from tests.security.engines.test_settings import AWS, GOOD, KEYS, OWNER, verdict

HERE, THERE = AWS.region, "eu-west-1"
TARGET = "arn:aws:s3:::lake/p/2023/"
DATA = {"Field": "eventCategory", "Equals": ["Data"]}
KIND = {"Field": "resources.type", "Equals": [OBJECT]}
NONE = {"status": 200, "trail": ""}
Listed = tuple[dict[str, Any], Any, Any]
"""A trail, its status, its selectors; a text instead of one of them is the code of a refusal."""


def arn(name: str, region: str = HERE) -> str:
    return f"arn:aws:cloudtrail:{region}:{OWNER}:trail/{name}"


def trail(name: str, region: str = HERE, **more: Any) -> dict[str, Any]:
    return {"Name": name, "HomeRegion": region, "TrailARN": arn(name, region), "IsMultiRegionTrail": False, **more}


def basic(*values: str, **more: Any) -> dict[str, Any]:
    data = [{"Type": OBJECT, "Values": list(values)}]
    return {"EventSelectors": [{"ReadWriteType": "All", "DataResources": data, **more}]}


def advanced(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"AdvancedEventSelectors": [{"Name": "lake", "FieldSelectors": list(fields)}]}


def together(*parts: dict[str, Any]) -> dict[str, Any]:
    """The selectors of one trail, which are all of one kind."""
    (kind,) = {name for part in parts for name in part}
    return {kind: [each for part in parts for each in part[kind]]}


def begins(*values: str, how: str = "StartsWith") -> dict[str, Any]:
    return {"Field": "resources.ARN", how: list(values)}


LOGS = {"IsLogging": True}
GOES: Listed = (trail("one"), LOGS, basic("arn:aws:s3"))


def asked(*listed: Listed, denied: str = "") -> dict[str, Any]:
    """What is answered of these trails; that nothing else is asked of them is looked at too."""
    places = [AWS.model_copy(update={"region": region}) for region in (HERE, THERE)]
    clients = {place.region: account.service(place, KEYS, "cloudtrail") for place in places}
    with ExitStack() as stack:
        stubs = {region: stack.enter_context(Stubber(client)) for region, client in clients.items()}

        def put(region: str, call: str, said: Any, **about: Any) -> None:
            if isinstance(said, str):
                stubs[region].add_client_error(call, said, "no", 400, expected_params=about)
            else:
                stubs[region].add_response(call, said, about)

        put(HERE, "describe_trails", denied or {"trailList": [each for each, _, _ in listed]}, includeShadowTrails=True)
        for each, status, selectors in listed:
            if status is not None:
                put(HERE, "get_trail_status", status, Name=each["TrailARN"])
            if selectors is not None:
                put(each["HomeRegion"], "get_event_selectors", selectors, TrailName=each["TrailARN"])
        answer = _answer(lambda: recording(clients.__getitem__, HERE, TARGET))
        for stub in stubs.values():
            stub.assert_no_pending_responses()
    return answer


TAKES = [
    basic("arn:aws:s3"),
    basic("arn:aws:s3:::"),
    basic("arn:aws:s3:::lake/"),
    basic("arn:aws:s3:::lake/p"),
    basic("arn:aws:s3:::lake/p/2023/"),
    basic("arn:aws:s3:::other/", "arn:aws:s3:::lake/"),
    together(basic("arn:aws:s3", ReadWriteType="ReadOnly"), basic("arn:aws:s3")),
    advanced(DATA, KIND),
    advanced(KIND, DATA, begins("arn:aws:s3:::lake/p/")),
    advanced(DATA, KIND, begins("arn:aws:s3:::other/", "arn:aws:s3:::la")),
    advanced(DATA, KIND, {"Field": "readOnly", "Equals": ["false", "true"]}),
    together(advanced(DATA), advanced(DATA, KIND)),
]


@pytest.mark.parametrize("selectors", TAKES, ids=str)
def test_a_selector_that_takes_every_read_and_write(selectors: dict[str, Any]) -> None:
    told = asked((trail("one"), LOGS, selectors))
    assert told == {"status": 200, "trail": arn("one")}
    seen = verdict("access_control_s3", {**GOOD, "logging": {"status": 200, "on": False}, "data_events": told})
    assert (seen.outcome, seen.advice) == (Outcome.PASS, ())


LEAVES = [
    {"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": True}]},
    {"EventSelectors": []},
    {"EventSelectors": [], "AdvancedEventSelectors": []},
    basic("arn:aws:s3", ReadWriteType="ReadOnly"),
    basic("arn:aws:s3", ReadWriteType="WriteOnly"),
    together(basic("arn:aws:s3", ReadWriteType="ReadOnly"), basic("arn:aws:s3", ReadWriteType="WriteOnly")),
    {"EventSelectors": [{"DataResources": [{"Type": OBJECT, "Values": ["arn:aws:s3"]}]}]},
    basic(DataResources=[{"Type": "AWS::Lambda::Function", "Values": ["arn:aws:s3"]}]),
    basic(),
    basic("arn:aws:s3:::lake"),
    basic("arn:aws:s3:::la"),
    basic("arn:aws:s3:::lake2/"),
    basic("arn:aws:s3:::lake/*"),
    basic("arn:aws:s3:::lake/p/2023/1"),
    basic("arn:aws:s3:::lake/q"),
    basic("arn:aws-cn:s3"),
    basic("arn:aws"),
    basic("arn:aws:s3::"),
    basic(""),
    advanced(),
    advanced(DATA),
    advanced(KIND),
    advanced({"Field": "eventCategory", "Equals": ["Management"]}, KIND),
    advanced({"Field": "eventCategory", "StartsWith": ["Data"]}, KIND),
    advanced(DATA, {"Field": "resources.type", "Equals": ["AWS::S3::AccessPoint"]}),
    advanced(DATA, {"Field": "resources.type", "NotEquals": [OBJECT]}),
    advanced(DATA, {"Field": "resources.type", "StartsWith": [OBJECT]}),
    advanced(DATA, KIND, begins("arn:aws:s3:::lake/p/2023/1")),
    advanced(DATA, KIND, begins("arn:aws:s3:::other/")),
    advanced(DATA, KIND, begins("arn:aws:s3:::lake/*")),
    advanced(DATA, KIND, begins()),
    advanced(DATA, KIND, begins("")),
    *(
        advanced(DATA, KIND, begins(TARGET, how=how))
        for how in ("Equals", "EndsWith", "NotEquals", "NotStartsWith", "NotEndsWith")
    ),
    advanced(DATA, KIND, {**begins("arn:aws:s3:::lake/"), "NotStartsWith": ["arn:aws:s3:::lake/p/"]}),
    advanced(DATA, KIND, {"Field": "resources.ARN"}),
    advanced(DATA, KIND, begins("arn:aws:s3:::lake/"), begins("arn:aws:s3:::lake/q/")),
    advanced(DATA, KIND, {"Field": "readOnly", "Equals": ["true"]}),
    advanced(DATA, KIND, {"Field": "readOnly", "Equals": ["false"]}),
    advanced(DATA, KIND, {"Field": "readOnly", "Equals": []}),
    advanced(DATA, KIND, {"Field": "readOnly", "NotEquals": ["false", "true"]}),
    advanced(DATA, KIND, {"Field": "readOnly", "Equals": ["false", "true", "perhaps"]}),
    advanced(DATA, KIND, {"Field": "eventName", "Equals": ["GetObject"]}),
    advanced(DATA, KIND, {"Field": "eventName", "NotEquals": ["GetObject"]}),
    advanced(DATA, KIND, {"Field": "userIdentity.arn", "StartsWith": ["arn:"]}),
    advanced(DATA, KIND, {"Field": "somethingNew", "Equals": ["x"]}),
    advanced(DATA, KIND, KIND),
    together(advanced(DATA), advanced(KIND)),
]


@pytest.mark.parametrize("selectors", LEAVES, ids=str)
def test_a_selector_that_leaves_something_out(monkeypatch: pytest.MonkeyPatch, selectors: dict[str, Any]) -> None:
    monkeypatch.setattr("botocore.stub.validate_parameters", lambda *_: None)  # also what AWS would not have let in
    told = asked((trail("one"), LOGS, selectors))
    assert told == NONE
    seen = verdict("access_control_s3", {**GOOD, "logging": {"status": 200, "on": False}, "data_events": told})
    assert [each.rule for each in seen.advice] == ["S3-LOG"]


@pytest.mark.parametrize(
    "status", [{"IsLogging": False}, {"IsLogging": True, "LatestDeliveryError": "NoSuchBucket"}], ids=str
)
def test_a_trail_that_does_not_log_or_delivers_nothing_records_nothing(status: dict[str, Any]) -> None:
    assert asked((trail("one"), status, None)) == NONE
    assert asked((trail("one"), status, None), (trail("two"), LOGS, basic("arn:aws:s3"))) == {
        "status": 200,
        "trail": arn("two"),
    }


def test_no_trail_and_a_trail_of_another_region_record_nothing() -> None:
    assert asked() == NONE
    assert asked((trail("one", THERE), None, None)) == NONE


def test_a_trail_of_all_regions_tells_its_selectors_at_home() -> None:
    everywhere = trail("all", THERE, IsMultiRegionTrail=True)
    assert asked((everywhere, LOGS, basic("arn:aws:s3"))) == {"status": 200, "trail": arn("all", THERE)}


@pytest.mark.parametrize("refused", [("AccessDeniedException", None), (LOGS, "TrailNotFoundException")])
def test_a_trail_that_cannot_be_asked_is_an_answer_only_where_no_other_records(refused: tuple[Any, Any]) -> None:
    closed: Listed = (trail("closed"), *refused)
    code = next(each for each in refused if isinstance(each, str))
    assert asked(closed, GOES) == {"status": 200, "trail": arn("one")}
    told = asked(closed, (trail("two"), LOGS, basic("arn:aws:s3:::other/")))
    assert told == {"status": 400, "code": code}
    for logged, outcome in ((False, Outcome.INCONCLUSIVE), (True, Outcome.PASS)):
        answers = {**GOOD, "logging": {"status": 200, "on": logged}, "data_events": told}
        assert verdict("access_control_s3", answers).outcome is outcome


def test_not_allowed_to_list_trails_is_an_answer_of_its_own() -> None:
    assert asked(denied="AccessDeniedException") == {"status": 400, "code": "AccessDeniedException"}


@pytest.mark.parametrize(
    ("listed", "error"),
    [
        (({"TrailARN": arn("one")}, None, None), "KeyError"),
        (({"HomeRegion": HERE, "Name": "one"}, None, None), "KeyError"),
        ((trail("one"), {}, None), "KeyError"),
        ((trail("one"), LOGS, {}), "ValueError"),
    ],
)
def test_a_trail_that_is_not_described_in_full_is_no_answer(listed: Listed, error: str) -> None:
    assert asked(listed) == {"error": error}


def test_without_a_list_there_is_no_answer() -> None:
    client = account.service(AWS, KEYS, "cloudtrail")
    with Stubber(client) as stub:
        stub.add_response("describe_trails", {})
        assert _answer(lambda: recording(lambda _: client, HERE, TARGET)) == {"error": "KeyError"}


@pytest.mark.usefixtures("moto")
@pytest.mark.parametrize("home", [HERE, THERE])
def test_requests_reach_the_trail_that_they_are_about(home: str) -> None:
    question = account.questions(AWS, KEYS, "lake", "p/")["data_events"]
    assert _answer(question) == NONE
    s3.client(AWS, KEYS).create_bucket(Bucket="logs", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client = account.service(AWS.model_copy(update={"region": home}), KEYS, "cloudtrail")
    client.create_trail(Name="lake", S3BucketName="logs", IsMultiRegionTrail=home != HERE)
    client.put_event_selectors(TrailName="lake", AdvancedEventSelectors=[
        {"FieldSelectors": [DATA, KIND, begins("arn:aws:s3:::lake/p/")]}])  # fmt: skip
    assert _answer(question) == NONE
    client.start_logging(Name="lake")
    assert _answer(question) == {"status": 200, "trail": arn("lake", home)}
    other = account.questions(AWS, KEYS, "lake", "q/")["data_events"]
    assert _answer(other) == NONE
    client.stop_logging(Name="lake")
    assert _answer(question) == NONE


def test_the_trails_of_china_are_asked_in_china(monkeypatch: pytest.MonkeyPatch) -> None:
    def heard(at: Any, region: str, target: str) -> dict[str, Any]:
        return {"status": 200, "url": at(region).meta.endpoint_url, "target": target}

    monkeypatch.setattr(account, "recording", heard)
    china = AWS.model_copy(update={"url": "https://s3.cn-north-1.amazonaws.com.cn", "region": "cn-north-1"})
    assert account.questions(china, KEYS, "lake", "p/")["data_events"]() == {
        "status": 200,
        "url": "https://cloudtrail.cn-north-1.amazonaws.com.cn",
        "target": "arn:aws-cn:s3:::lake/p/",
    }
