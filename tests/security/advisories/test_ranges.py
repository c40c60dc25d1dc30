"""Which versions an advisory affects: the OSV evaluation, twice, by code that shares nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from security.advisories import ranges
from security.advisories.mirror import Head, Mirror
from security.advisories.record import Advisory, read
from security.advisories.server import Answers
from security.errors import BadInput

LINE = ["0.9", "1.0a1", "1.0", "1.0.post1", "1.1", "2.0rc1", "2.0", "2.0.1", "3!0.1", "3!1.0"]
"""Versions in the order of PEP 440."""


def advisory(*affected: dict[str, Any], name: str = "Some.Package", **more: Any) -> Advisory:
    of = {"package": {"ecosystem": "PyPI", "name": name}}
    told = {"id": "A-1", "modified": "2024-01-01T00:00:00Z", "affected": [of | each for each in affected]} | more
    return read(json.dumps(told).encode(), "A-1.json")


def span(*events: dict[str, str], kind: str = "ECOSYSTEM", **more: Any) -> dict[str, Any]:
    return {"ranges": [{"type": kind, "events": list(events)}], **more}


def served(told: Advisory, at: str, name: str = "some-package") -> bool:
    head = Head(source="", checked="", newest="", count=1, sha256="")
    mirror = Mirror(head, dict.fromkeys(told.names, (told,)))
    answer = Answers(mirror).query({"package": {"name": name, "ecosystem": "PyPI"}, "version": at})
    return bool(answer.get("vulns"))


def hit(told: Advisory, at: str) -> bool | None:
    found = ranges.affects(told, "some-package", Version(at))
    assert served(told, at) is (found is not False)
    return found


@pytest.mark.parametrize(
    ("events", "inside"),
    [
        ([{"introduced": "0"}, {"fixed": "1.0"}], ["0.9", "1.0a1"]),
        ([{"introduced": "0"}], LINE),
        ([{"introduced": "1.0"}, {"last_affected": "1.1"}], ["1.0", "1.0.post1", "1.1"]),
        ([{"introduced": "1.0"}, {"last_affected": "1.0"}], ["1.0"]),
        ([{"introduced": "2.0"}, {"limit": "2.0.1"}], ["2.0"]),
        ([{"introduced": "2.0"}, {"limit": "*"}], ["2.0", "2.0.1", "3!0.1", "3!1.0"]),
        ([{"fixed": "1.0"}, {"introduced": "0"}, {"introduced": "2.0"}, {"fixed": "2.0.1"}], ["0.9", "1.0a1", "2.0"]),
        ([{"introduced": "1.0"}, {"fixed": "1.0"}], [each for each in LINE if Version(each) >= Version("1.0")]),
        ([{"introduced": "0"}, {"fixed": "3!1.0"}], LINE[:-1]),
    ],
)
def test_a_range_holds_what_lies_between_its_events(events: list[dict[str, str]], inside: list[str]) -> None:
    told = advisory(span(*events))
    assert [each for each in LINE if hit(told, each)] == inside


def test_a_version_is_affected_if_it_is_listed_however_it_is_spelled() -> None:
    told = advisory(span({"introduced": "0"}, {"fixed": "1.0"}, versions=["2.0.0", "v2.0rc1", "not-a-version"]))
    assert [each for each in LINE if hit(told, each)] == ["0.9", "1.0a1", "2.0rc1", "2.0"]


def test_a_local_version_stands_for_its_public_one() -> None:
    told = advisory(span({"introduced": "2.0"}, {"last_affected": "2.0"}), {"versions": ["1.0"]})
    assert [hit(told, each) for each in ("2.0+cpu", "1.0+cu121", "1.1+x")] == [True, True, False]


@pytest.mark.parametrize("kind", ["fixed", "limit"])
def test_what_a_local_version_ends_is_not_ended_at_its_public_one(kind: str) -> None:
    told = advisory(span({"introduced": "1.0"}, {kind: "2.0+fix.2"}))
    versions = ("0.9+x", "1.0", "2.0", "2.0+fix.1", "2.0+fix.2", "2.0.1")
    assert [hit(told, each) for each in versions] == [False, True, True, True, False, False]
    once = advisory(span({"introduced": "2.0"}, {kind: "2.0+fix"}))
    assert [hit(once, each) for each in ("2.0", "2.0+fix", "2.1")] == [True, False, False]


def test_names_are_compared_as_pep_503_spells_them() -> None:
    told = advisory(span({"introduced": "0"}), name="Some_PACKAGE")
    assert hit(told, "1.0") is True
    assert ranges.affects(told, "another", Version("1.0")) is False


@pytest.mark.parametrize(
    "affected",
    [
        {},
        {"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]},
        span({"introduced": "0"}, {"fixed": "0.2.0-n653"}),
        span({"fixed": "1.0"}),
        {"ranges": [{"type": "ECOSYSTEM", "events": []}]},
    ],
)
def test_what_does_not_say_which_versions_lets_nobody_tell(affected: dict[str, Any]) -> None:
    assert hit(advisory(affected), "1.0") is None


def test_a_list_of_versions_answers_where_a_range_cannot_be_ordered() -> None:
    told = advisory(span({"introduced": "0"}, {"fixed": "0.2.0-n653"}, versions=["1.0"]))
    assert [hit(told, "1.0"), hit(told, "1.1")] == [True, False]


def test_the_package_of_another_ecosystem_is_another_package() -> None:
    told = advisory(span({"introduced": "0"}) | {"package": {"ecosystem": "npm", "name": "some-package"}})
    assert hit(told, "1.0") is False


@pytest.mark.parametrize(("ecosystem", "ours"), [("PyPI:https://example.org/simple", True), ("PyPIx", False)])
def test_the_package_of_another_index_is_known_by_its_name(ecosystem: str, ours: bool) -> None:
    told = advisory(span({"introduced": "0"}) | {"package": {"ecosystem": ecosystem, "name": "some-package"}})
    assert hit(told, "1.0") is ours


def test_a_list_may_be_null_where_the_schema_lets_it() -> None:
    told = advisory(span({"introduced": "0"}, severity=None), aliases=None, severity=None)
    assert hit(told, "1.0") is True
    assert advisory(affected=None).names == frozenset()
    for wrong in ({"affected": [{"ranges": None}]}, {"aliases": None, "affected": "x"}, {"aliases": None, "id": None}):
        with pytest.raises(BadInput):
            advisory(**wrong)


def test_fixes_are_those_that_can_be_ordered_in_order() -> None:
    told = advisory(
        span({"introduced": "0"}, {"fixed": "10.0"}, {"introduced": "11"}, {"fixed": "0.2.0-n653"}),
        span({"introduced": "0"}, {"fixed": "9.0"}),
        span({"introduced": "0"}, {"fixed": "abcdef"}, kind="GIT"),
    )
    assert ranges.fixes(told, "some-package") == ("9.0", "10.0")


KINDS = st.sampled_from(["introduced", "fixed", "last_affected", "limit"])
EVENTS = st.lists(st.tuples(KINDS, st.sampled_from(["0", *LINE])), min_size=1, max_size=6)


def oracle(events: list[tuple[str, str]], at: str) -> bool:
    """The schema's own words: of all events up to the version, in order, the last one says."""
    rank = {"fixed": 0, "limit": 0, "introduced": 1, "last_affected": 2}
    inside = False
    points = sorted((0 if told == "0" else 1 + LINE.index(told), rank[kind], kind) for kind, told in events)
    place = 1 + LINE.index(at)
    for point, _, kind in points:
        if kind == "introduced" and place >= point:
            inside = True
        elif (kind in ("fixed", "limit") and place >= point) or (kind == "last_affected" and place > point):
            inside = False
    return inside


@given(EVENTS, st.sampled_from(LINE))
def test_both_ways_agree_with_the_schema(events: list[tuple[str, str]], at: str) -> None:
    told = advisory(span(*({kind: point} for kind, point in events)))
    found = hit(told, at)
    if any(kind == "introduced" for kind, _ in events):
        assert found is oracle(events, at)
    else:
        assert found is None
