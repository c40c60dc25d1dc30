"""Approvals: what counts, what does not and why, and that the signature is verified wherever it is judged."""

import base64
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from security.errors import CannotTell, LogBroken
from security.fresh import Fresh
from security.gate import judge, observe
from security.gates.approval import NOBODY, Approval, Facts, Item, Limits, material, read, sign
from security.gates.approval.facts import APPROVAL, ASKED, OTHER, Asked
from security.material import Handed, Material
from security.verdict import Outcome, Subject

if TYPE_CHECKING:
    from tests.conformance.subjects import Case

DAY = 86_400.0
AT = 1_700_000_000.0
MODEL, OTHERS, IMAGE = "a" * 64, "b" * 64, "c" * 64
SUBJECT = Subject(kind="model", name="store:model", sha256=MODEL)
GATE = Approval()
ADA, BOB, EVE = (Fresh(random.Random(name)) for name in ("Ada", "Bob", "Eve"))
CLAIM: dict[str, Any] = {
    "name": "recommender",
    "target": "kubernetes_prod",
    "reason": "read the card and the groups",
    "requester": "Rosa",
    "approver": "Ada",
    "issued": AT - DAY,
    "expires": AT + DAY,
}
LIMITS: dict[str, Any] = {
    "persons": 1,
    "approvers": {ADA.public.id: "Ada", BOB.public.id: "Bob"},
    "days": 14,
    "name": "recommender",
    "target": "kubernetes_prod",
}


def signed(signer: Fresh = ADA, model: str = MODEL, **changes: Any) -> bytes:
    return sign(model, signer, **(CLAIM | changes))


GOOD = signed()


def opened(
    *envelopes: bytes, others: int = 0, revoked: tuple[str, ...] = (), at: float = AT, image: str = ""
) -> Material[Item]:
    asked = Asked(model=MODEL, image=image, at=at, revoked=revoked)
    return material(asked, envelopes, others, len(envelopes) + others, SUBJECT)


def found(
    *envelopes: bytes, at: float = AT, revoked: tuple[str, ...] = (), image: str = "", **limits: Any
) -> list[tuple[str, str]]:
    facts = GATE.look(opened(*envelopes, at=at, revoked=revoked, image=image).handed()[0])
    return [(each.rule, each.message) for each in GATE.judge(facts, Limits.model_validate(LIMITS | limits))]


def rules(*envelopes: bytes, **told: Any) -> list[str]:
    return sorted(rule for rule, _ in found(*envelopes, **told))


def test_one_good_approval_is_enough_and_is_told_in_few_words() -> None:
    assert found(GOOD) == []
    assert GATE.brief(GATE.look(opened(GOOD, others=3).handed()[0])) == "1 approvals of aaaaaaaaaaaa, 3 of others"
    assert found(GOOD, signed(EVE), signed(model=OTHERS)) == []


def test_nobody_is_too_few() -> None:
    assert found() == [("APR-01", "0 approvals of aaaaaaaaaaaa count; allowed: 1 or more")]
    facts = GATE.look(opened(others=2).handed()[0])
    (only,) = GATE.judge(facts, Limits.model_validate(LIMITS))
    assert "and 2 are of other models" in only.message


def test_a_model_in_an_image_is_approved_in_that_image_alone() -> None:
    mine, other = signed(image=IMAGE), signed(image=OTHERS)
    assert found(mine, image=IMAGE) == []
    said = "0 approvals of aaaaaaaaaaaa in image cccccccccccc count; allowed: 1 or more"
    for envelope, of in ((other, "image bbbbbbbbbbbb"), (GOOD, "no image")):
        told = found(envelope, image=IMAGE)
        assert told == [("APR-09", f"it is of {of}; allowed: image cccccccccccc"), ("APR-01", said)]
        assert found(envelope, mine, image=IMAGE) == [], "another one counts all the same"
    assert dict(found(mine))["APR-09"] == "it is of image cccccccccccc; allowed: no image"
    brief = GATE.brief(GATE.look(opened(mine, image=IMAGE).handed()[0]))
    assert brief == "1 approvals of aaaaaaaaaaaa in image cccccccccccc, 0 of others"


@pytest.mark.parametrize("image", ["c" * 63, "C" * 64, "sha256:" + "c" * 57, "c" * 64 + "\n", "latest"])
def test_what_is_no_digest_of_an_image_is_neither_signed_nor_asked_about(image: str) -> None:
    with pytest.raises(ValidationError):
        signed(image=image)
    with pytest.raises(ValidationError):
        opened(image=image)


def test_two_persons_are_two_keys_of_two_names() -> None:
    again = signed(reason="once more, to be sure of it")
    assert rules(GOOD, again, persons=2) == ["APR-01"]
    assert found(GOOD, signed(BOB, approver="Bob"), persons=2) == []


def test_two_keys_of_one_person_are_one_person() -> None:
    both = {ADA.public.id: "Ada", BOB.public.id: "ada"}
    assert rules(GOOD, signed(BOB), persons=2, approvers=both) == ["APR-01"]


@pytest.mark.parametrize(
    ("envelope", "rule", "said"),
    [
        (signed(EVE, approver="Eve"), "APR-03", "allowed: Ada, Bob"),
        (signed(EVE), "APR-03", "allowed: Ada, Bob"),
        (signed(BOB), "APR-03", "signed as Ada; allowed: Bob, whose key it is"),
        (signed(model=OTHERS), "APR-05", "it is of bbbbbbbbbbbb; allowed: aaaaaaaaaaaa"),
        (signed(target="kubernetes_test"), "APR-06", "it is for recommender on kubernetes_test"),
        (signed(name="other"), "APR-06", "it is for other on kubernetes_prod"),
        (signed(expires=AT), "APR-07", "allowed: at the moment of the look, 2023-11-14"),
        (signed(issued=AT + 1), "APR-07", "allowed: at the moment of the look"),
        (signed(expires=AT + 13.1 * DAY), "APR-07", "it lasts 14.1 days; allowed: 14"),
        (signed(requester="ada"), "APR-08", "Ada asked for it and approved it; allowed: two persons"),
        (signed(requester="\uff21da".replace("\uff21", "A-")), "APR-08", "allowed: two persons"),
    ],
)
def test_what_does_not_count_says_why(envelope: bytes, rule: str, said: str) -> None:
    told = dict(found(envelope))
    assert set(told) == {rule, "APR-01"}
    assert said in told[rule]
    assert found(envelope, signed(BOB, approver="Bob")) == [], "another one counts all the same"


def test_a_revoked_key_approves_nothing() -> None:
    assert rules(GOOD, revoked=(ADA.public.id,)) == ["APR-01", "APR-04"]
    assert found(GOOD, signed(BOB, approver="Bob"), revoked=(ADA.public.id,)) == []


def _with(envelope: bytes, **claim: Any) -> bytes:
    told = json.loads(envelope)
    body = json.loads(base64.b64decode(told["payload"]))
    body["predicate"] |= claim
    payload = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps(told | {"payload": base64.b64encode(payload).decode()}, sort_keys=True).encode()


ALTERED = [
    b"",
    b"{}",
    b"[]",
    b"null",
    GOOD[:-1],
    GOOD + b"\n",
    _with(GOOD, expires=AT + 300 * DAY),
    _with(GOOD, key=EVE.public.pem.decode()),
    _with(GOOD, requester="Ro  sa"),
    GOOD.replace(b'"sig"', b'"sign"'),
    b"x" * (1 << 15),
    b"\xff\xfe",
]


@pytest.mark.parametrize("envelope", ALTERED, ids=range(len(ALTERED)))
def test_what_was_altered_is_told_even_beside_a_good_one_and_where_nobody_is_asked(envelope: bytes) -> None:
    assert rules(envelope) == ["APR-01", "APR-02"]
    assert rules(GOOD, envelope) == ["APR-02"]
    assert rules(GOOD, envelope, persons=NOBODY) == ["APR-02"]


def test_where_nobody_is_asked_nothing_else_is_judged() -> None:
    assert found(persons=NOBODY) == []
    assert found(signed(EVE), persons=NOBODY) == []
    assert GATE.active(Limits.model_validate(LIMITS | {"persons": NOBODY})) == ("APR-02",)


def test_a_stored_observation_is_verified_again_not_believed() -> None:
    seen = observe(GATE, opened(GOOD), LIMITS, random.Random(1))
    assert judge(GATE, seen, LIMITS).outcome is Outcome.PASS
    forged = seen.model_copy(
        update={"facts": seen.facts | {"envelopes": [_with(GOOD, target="kubernetes_prod2").decode()]}}
    )
    assert {each.rule for each in judge(GATE, forged, LIMITS).findings} == {"APR-01", "APR-02"}
    later = seen.model_copy(update={"facts": seen.facts | {"model": OTHERS}})
    assert {each.rule for each in judge(GATE, later, LIMITS).findings} == {"APR-01", "APR-05"}


@pytest.mark.parametrize(
    "items",
    [
        [Item(APPROVAL, GOOD)],
        [Item(ASKED, b"{}"), Item(APPROVAL, GOOD)],
        [Item(ASKED, b"no JSON")],
        [Item(ASKED, Asked(model=MODEL, image="", at=AT, revoked=()).model_dump_json().encode())] * 2,
        [Item("something", b"")],
    ],
)
def test_it_cannot_tell_what_is_asked(items: list[Item]) -> None:
    with pytest.raises(CannotTell):
        GATE.look(Handed(SUBJECT, iter(items)))


def test_an_approval_that_nobody_looked_at_is_no_pass() -> None:
    lost = material(Asked(model=MODEL, image="", at=AT, revoked=()), [GOOD], 0, 2, SUBJECT)
    assert judge(GATE, observe(GATE, lost, LIMITS), LIMITS).cause == "coverage"


@pytest.mark.parametrize("words", ["", "short", "two  spaces in it", "unseen \u200b words in it", "a\nline of words"])
def test_words_that_say_nothing_are_not_signed(words: str) -> None:
    with pytest.raises(ValidationError):
        signed(reason=words)


def test_what_nobody_could_read_again_is_not_signed() -> None:
    with pytest.raises(LogBroken, match="found 1.,... bytes; allowed: 16,384"):
        signed(reason="a long reason " * 900 + "end")
    assert read(GOOD).model == MODEL
    with pytest.raises(LogBroken, match="it is no approval"):
        read(b"{}")


@given(
    signer=st.sampled_from([ADA, BOB, EVE]),
    approver=st.sampled_from(["Ada", "Bob", "Eve"]),
    requester=st.sampled_from(["Rosa", "Ada", "BOB"]),
    model=st.sampled_from([MODEL, OTHERS]),
    target=st.sampled_from(["kubernetes_prod", "local"]),
    issued=st.sampled_from([AT - 20 * DAY, AT - DAY, AT, AT + 1]),
    lasts=st.sampled_from([0.5 * DAY, 2 * DAY, 14 * DAY, 15 * DAY]),
    revoked=st.sampled_from([(), (ADA.public.id,), (EVE.public.id,)]),
    image=st.sampled_from(["", IMAGE, OTHERS]),
    brings=st.sampled_from(["", IMAGE]),
)
def test_it_counts_where_all_of_it_holds_and_nowhere_else(
    signer: Fresh, approver: str, requester: str, model: str, target: str, issued: float, lasts: float,
    revoked: tuple[str, ...], image: str, brings: str,
) -> None:  # fmt: skip
    told = {"approver": approver, "requester": requester, "target": target, "issued": issued, "expires": issued + lasts}
    told["image"] = image
    good = (
        {ADA: "Ada", BOB: "Bob"}.get(signer) == approver
        and requester.lower() != approver.lower()
        and (model, target, image) == (MODEL, "kubernetes_prod", brings)
        and issued <= AT < issued + lasts
        and lasts <= 14 * DAY
        and signer.public.id not in revoked
    )
    assert (found(signed(signer, model, **told), revoked=revoked, image=brings) == []) == good


def test_facts_say_who_is_asked_about_and_nothing_of_others() -> None:
    facts = GATE.look(opened(GOOD, others=1).handed()[0])
    assert facts == Facts(model=MODEL, image="", at=AT, revoked=(), envelopes=(GOOD.decode(),), others=1)
    assert [item.kind for item in opened(GOOD, others=1).source()] == [ASKED, APPROVAL, OTHER]


def case(_: Any) -> "Case":
    """A model that Ada approved; beside the bad one's approval lies one that was altered."""
    from tests.conformance.subjects import Case  # which has this one among its own

    alone = frozenset({"APR-01"})
    beside = dict.fromkeys(("APR-03", "APR-04"), alone)
    beside |= {rule: alone | {"APR-03"} for rule in ("APR-05", "APR-06", "APR-07", "APR-08", "APR-09")}
    return Case(
        LIMITS,
        LIMITS | {"approvers": {}},
        good=lambda: opened(signed(image=IMAGE), others=1, image=IMAGE),
        bad=lambda: opened(signed(image=IMAGE), ALTERED[6], image=IMAGE),
        rule="APR-02",
        beside=beside,
    )
