"""What a run may train on: a manifest that its producer signed, over the partitions and versions that are named."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from security.errors import CannotTell
from security.gate import judge, observe
from security.gates.inputs import DATASET, ApprovedInputs, Facts, Item, Limits, material, version
from security.gates.inputs.decoys import _foreign
from security.keys import STATEMENT, PublicKey
from security.material import Handed
from security.verdict import Outcome, Subject, digest

SUBJECT = Subject(kind="rows", name="staging:rows", sha256="0" * 64)
GATE = ApprovedInputs()
MADE = "a" * 64
SOURCES: dict[str, list[dict[str, Any]]] = {
    day: [
        {"key": f"p/{day}/part-{n}", "version": f"v{n}", "sha256": digest([day, n]), "size": 100 + n} for n in range(2)
    ]
    for day in ("2023-10-26", "2023-10-27")
}
NAMED = {day: version((each["key"], each["version"], each["size"]) for each in SOURCES[day]) for day in SOURCES}


def signed(sources: Any, seed: int = 1, **claim: Any) -> tuple[PublicKey, bytes]:
    """A manifest over sources, signed by the key of a seed."""
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": "manifest.json", "digest": {"sha256": MADE}}],
        "predicateType": DATASET,
        "predicate": {"manifest": {"sources": sources}},
    }
    pem, envelope = _foreign(statement | claim, random.Random(f"producer {seed}"))
    return PublicKey(pem), envelope


KEY, ENVELOPE = signed(SOURCES)
LIMITS: dict[str, Any] = {"producer": KEY.id, "named": NAMED}


def look(envelope: bytes = ENVELOPE, key: PublicKey = KEY, revoked: tuple[str, ...] = ()) -> Facts:
    return GATE.look(Handed(SUBJECT, iter(material(SUBJECT, envelope, key, revoked))))


def found(facts: Facts, **limits: Any) -> list[tuple[str, str]]:
    return [(each.rule, each.place) for each in GATE.judge(facts, Limits.model_validate(LIMITS | limits))]


def test_good_is_told_in_few_words() -> None:
    facts = look()
    assert (facts.signer, facts.manifest, facts.revoked) == (KEY.id, MADE, ())
    assert {name: part.version for name, part in facts.partitions.items()} == NAMED
    assert found(facts) == []
    assert GATE.brief(facts) == "2 partitions, 4 objects"


def test_a_manifest_by_somebody_else_lists_nothing() -> None:
    facts = look(signed(SOURCES, seed=2)[1])
    assert facts == Facts(signer="", manifest="", partitions={}, revoked=())
    assert found(facts) == [("INP-SIGNED", "manifest.dsse")]


def test_another_key_than_the_plan_s_is_not_known_because_it_was_handed_out() -> None:
    other, envelope = signed(SOURCES, seed=2)
    assert found(look(envelope, other)) == [("INP-SIGNED", "manifest.dsse")]


@pytest.mark.parametrize(
    "junk", [b"", b"{}", ENVELOPE[:-1], ENVELOPE + b"\n", ENVELOPE.replace(b"payload", b"Payload")]
)
def test_what_is_no_envelope_is_signed_by_nobody(junk: bytes) -> None:
    assert found(look(junk)) == [("INP-SIGNED", "manifest.dsse")]


def changed(day: str = "2023-10-27", **change: Any) -> dict[str, Any]:
    """The sources with the first object of a day changed."""
    return {**SOURCES, day: [SOURCES[day][0] | change, *SOURCES[day][1:]]}


@pytest.mark.parametrize(
    ("sources", "wanted"),
    [
        (changed(version="v9"), ("INP-VERSION", "2023-10-27")),
        (changed(size=99), ("INP-VERSION", "2023-10-27")),
        (changed(key="p/2023-10-27/other"), ("INP-VERSION", "2023-10-27")),
        ({**SOURCES, "2023-10-27": SOURCES["2023-10-27"][:1]}, ("INP-VERSION", "2023-10-27")),
        ({**SOURCES, "2023-10-27": []}, ("INP-VERSION", "2023-10-27")),
        ({**SOURCES, "2023-10-27": SOURCES["2023-10-26"]}, ("INP-VERSION", "2023-10-27")),
        ({day: SOURCES[day] for day in ("2023-10-26",)}, ("INP-MISSING", "2023-10-27")),
        ({**SOURCES, "2023-10-25": SOURCES["2023-10-26"]}, ("INP-EXTRA", "2023-10-25")),
        ({**SOURCES, "": SOURCES["2023-10-26"]}, ("INP-EXTRA", "")),
    ],
)
def test_other_partitions_than_the_plan_names(sources: dict[str, Any], wanted: tuple[str, str]) -> None:
    key, envelope = signed(sources)
    assert found(look(envelope, key)) == [wanted]


def test_two_partitions_in_each_other_s_place() -> None:
    days = sorted(SOURCES)
    key, envelope = signed(dict(zip(days, (SOURCES[day] for day in reversed(days)), strict=True)))
    assert found(look(envelope, key)) == [("INP-VERSION", day) for day in days]


def test_a_plan_that_names_nothing_approves_nothing() -> None:
    assert found(look(), named={}) == [("INP-EXTRA", day) for day in sorted(SOURCES)]
    key, envelope = signed({})
    assert found(look(envelope, key)) == [("INP-MISSING", day) for day in sorted(SOURCES)]


OBJECT = SOURCES["2023-10-26"][1]["sha256"]


@pytest.mark.parametrize(
    ("sha", "place"), [(MADE, "manifest.dsse"), (NAMED["2023-10-27"], "2023-10-27"), (OBJECT, "2023-10-26")]
)
def test_a_revoked_digest_is_seen_by_the_look_and_by_the_judge(sha: str, place: str) -> None:
    assert found(look(revoked=(sha, "f" * 64))) == [("INP-REVOKED", place)]
    assert found(look(), revoked={sha: "the shop's test accounts were in it"}) == [("INP-REVOKED", place)]
    assert found(look(revoked=(sha,)), revoked={sha: "why"}) == [("INP-REVOKED", place)]


def test_what_is_revoked_later_is_found_in_an_observation_of_today() -> None:
    seen = observe(GATE, material(SUBJECT, ENVELOPE, KEY, ()), LIMITS, random.Random(3))
    assert judge(GATE, seen, LIMITS).outcome is Outcome.PASS
    later = judge(GATE, seen, LIMITS | {"revoked": {OBJECT: "poisoned"}})
    assert (later.outcome, later.findings[0].rule) == (Outcome.FAIL, "INP-REVOKED")
    assert "poisoned" in later.reason


@pytest.mark.parametrize(
    "claim",
    [
        {"predicateType": "urn:sluice:output/v1"},
        {"subject": []},
        {"subject": [{"name": "manifest.json", "digest": {}}]},
        {"predicate": {}},
        {"predicate": {"manifest": {"sources": []}}},
        {"predicate": {"manifest": {"sources": {"2023-10-27": [{"key": "k"}]}}}},
        {"predicate": {"manifest": {"sources": {"2023-10-27": [{**SOURCES["2023-10-27"][0], "size": -1}]}}}},
        {"predicate": {"manifest": {"sources": {"2023-10-27": [{**SOURCES["2023-10-27"][0], "more": 1}]}}}},
    ],
)
def test_what_the_producer_signed_and_nobody_can_read_is_no_look(claim: dict[str, Any]) -> None:
    key, envelope = signed(SOURCES, **claim)
    with pytest.raises(CannotTell):
        look(envelope, key)


@pytest.mark.parametrize(
    "items",
    [
        [],
        [Item("key", KEY.pem), Item("manifest", ENVELOPE)],
        [Item("key", KEY.pem), Item("revoked", b"[]"), Item("manifest", ENVELOPE), Item("manifest", ENVELOPE)],
        [Item("key", b"none"), Item("revoked", b"[]"), Item("manifest", ENVELOPE)],
        [Item("key", KEY.pem), Item("revoked", b"{"), Item("manifest", ENVELOPE)],
        [Item("key", KEY.pem), Item("revoked", b"[]"), Item("manifest", ENVELOPE), Item("more", b"")],
    ],
)
def test_what_is_missing_twice_or_unreadable_is_no_look(items: list[Item]) -> None:
    with pytest.raises(CannotTell):
        GATE.look(Handed(SUBJECT, iter(items)))


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"named": NAMED},
        {"producer": KEY.id},
        LIMITS | {"revoked": {"short": "why"}},
        LIMITS | {"revoked": {MADE: ""}},
    ],
)
def test_limits_name_producer_and_versions_and_say_why_something_is_revoked(limits: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate(limits)


piece = st.tuples(st.text(min_size=1, max_size=4), st.text(min_size=1, max_size=4), st.integers(0, 9))


@given(st.lists(piece, max_size=4), st.randoms(use_true_random=False))
def test_a_version_does_not_depend_on_the_order(pieces: list[tuple[str, str, int]], draw: random.Random) -> None:
    again = list(pieces)
    draw.shuffle(again)
    assert version(again) == version(pieces)


@given(st.lists(piece, max_size=4, unique=True), st.lists(piece, max_size=4, unique=True))
def test_other_objects_are_another_version(one: list[Any], other: list[Any]) -> None:
    assert (version(one) == version(other)) == (sorted(one) == sorted(other))


def test_the_list_of_revoked_digests_travels_sorted() -> None:
    handed = dict(material(SUBJECT, ENVELOPE, KEY, ("f" * 64, "0" * 64)))
    assert json.loads(handed["revoked"]) == ["0" * 64, "f" * 64]
