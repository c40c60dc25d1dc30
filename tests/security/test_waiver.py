"""Waivers: what each of them binds, and everything that makes one count for nothing."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.load import Approval
from security.errors import KeyBroken, LogBroken
from security.gate import judge, observe
from security.keys import UnsafeLocalKeys, seal
from security.policy import Terms
from security.verdict import Effect, Finding, Observation, Outcome, Subject, Verdict, digest
from security.waiver import DAY, KIND, Claim, follows, read, readable, sign
from tests.security.advisories.test_ranges import advisory, span
from tests.security.gates.test_dependencies import GATE, KNOWN, LIMITS, mirror, opened

UNKNOWN = "-----BEGIN PUBLIC KEY-----\nMBAwCAYGKgMEBQYHAwQABAUGBw==\n-----END PUBLIC KEY-----\n"
"""A key of a kind that nobody knows."""
NOTHING = Effect(action="stop", because="enforced")
OTHER = advisory(span({"introduced": "0"}), name="beta", id="PYSEC-2")
CLAIM: dict[str, Any] = {"reason": "no path to it from here", "ticket": "SEC-1", "requester": "Grace"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> UnsafeLocalKeys:
    return UnsafeLocalKeys(tmp_path_factory.mktemp("waivers") / "keys")


@pytest.fixture(scope="module")
def approval(keys: UnsafeLocalKeys) -> Approval:
    return Approval(approvers={keys.public("approver").id: "Ada"}, days=30)


@pytest.fixture(scope="module")
def seen() -> Observation:
    """A lock of which one package is known to be vulnerable."""
    return observe(GATE, opened(known=mirror(KNOWN)), LIMITS, random.Random(1))


@pytest.fixture(scope="module")
def finding(seen: Observation) -> Finding:
    (found,) = judge(GATE, seen, LIMITS).findings
    return found


def terms(*waive: str, observe: tuple[str, ...] = (), **limits: Any) -> Terms:
    return Terms(limits=LIMITS | limits, accepts={}, observe=observe, waive=waive or ("DEP-04",))


Made = Callable[..., str]


@pytest.fixture(scope="module")
def made(keys: UnsafeLocalKeys, seen: Observation, finding: Finding) -> Made:
    """Makes a good waiver of the finding, but for what is told otherwise."""

    def make(role: Any = "approver", subject: Subject = seen.subject, of: Finding = finding, **claim: Any) -> str:
        given_ = {"issued": seen.taken - DAY, "expires": seen.taken + DAY} | CLAIM | claim
        return sign(of, claim.pop("gate", GATE.name), subject, keys.signer(role), **given_).decode()

    return make


def after(seen: Observation, approval: Approval | None, *waivers: str, **more: Any) -> Effect:
    given_ = more.pop("terms", terms())
    return follows(GATE, seen, verdict(seen, given_), given_, approval, waivers)


def verdict(seen: Observation, given_: Terms) -> Verdict:
    return judge(GATE, seen, given_.limits, given_.accepts, given_.enforce)


def test_a_finding_that_is_waived_is_still_found_and_the_run_goes_on(
    seen: Observation, approval: Approval, made: Made, finding: Finding
) -> None:
    assert after(seen, approval) == NOTHING
    waiver = made()
    held = read(waiver.encode(), approval)
    assert after(seen, approval, waiver) == Effect(action="proceed", because="waived", waivers=(held.id,))
    assert verdict(seen, terms()).outcome is Outcome.FAIL
    assert (held.claim.rule, held.claim.place, held.claim.requester) == ("DEP-04", finding.place, "Grace")
    assert after(seen, approval, waiver, made(ticket="SEC-2"), "{}").because == "waived"


@pytest.mark.parametrize(
    "change",
    [
        {"role": "producer"},
        {"role": "owner"},
        {"subject": Subject(kind="lock", name="requirements.lock", sha256="1" * 64)},
        {"requester": "A-d.A"},
        {"expires": 0.0},
        {"issued": 9e9, "expires": 9e9 + DAY},
    ],
    ids=["the-producer", "the-owner", "another-lock", "the-approver-asked", "ended", "not-begun"],
)
def test_one_that_does_not_count_changes_nothing(
    seen: Observation, approval: Approval, made: Made, change: dict[str, Any]
) -> None:
    assert after(seen, approval, made(**change)) == NOTHING
    assert after(seen, approval, made(**change), made()).because == "waived"


def test_it_ends_at_its_moment_and_lasts_no_longer_than_the_policy_lets_it(
    seen: Observation, approval: Approval, made: Made
) -> None:
    at = seen.taken
    assert after(seen, approval, made(expires=at)) == NOTHING
    assert after(seen, approval, made(expires=at + 0.001)).action == "proceed"
    assert after(seen, approval, made(issued=at)).action == "proceed"
    assert after(seen, approval, made(issued=at + 0.001)) == NOTHING
    assert after(seen, approval, made(issued=at - DAY, expires=at + 29 * DAY)).action == "proceed"
    assert after(seen, approval, made(issued=at - DAY, expires=at + 29.001 * DAY)) == NOTHING


def test_it_is_of_one_finding(seen: Observation, approval: Approval, made: Made, finding: Finding) -> None:
    for name, value in (("rule", "DEP-12"), ("place", "alpha 1.0: CVE-2")):
        changed = finding.model_copy(update={name: value})
        mine = {"gate": GATE.name, "rule": changed.rule, "place": changed.place}
        said = changed.model_copy(update={"fingerprint": digest([*mine.values()])})
        assert after(seen, approval, made(of=said)) == NOTHING
        with pytest.raises(LogBroken, match="something else than it says"):
            read(made(of=changed).encode(), approval)


def test_it_says_nothing_of_a_finding_that_got_worse(approval: Approval, made: Made, finding: Finding) -> None:
    """The same package, place and lock: what was high when it was approved is malware now, and no version fixes it."""
    worse = advisory(span({"introduced": "0"}), name="alpha", id="PYSEC-1", aliases=["CVE-1", "MAL-2026-1"])
    seen = observe(GATE, opened(known=mirror(worse)), LIMITS, random.Random(1))
    (found,) = verdict(seen, terms()).findings
    at = {"issued": seen.taken - DAY, "expires": seen.taken + DAY}
    assert (found.fingerprint, found.message != finding.message) == (finding.fingerprint, True)
    assert after(seen, approval, made(**at)) == NOTHING
    assert after(seen, approval, made(of=found, **at)).because == "waived"


def test_every_finding_needs_one(approval: Approval, made: Made) -> None:
    both = observe(GATE, opened(known=mirror(KNOWN, OTHER)), LIMITS, random.Random(1))
    first, second = verdict(both, terms()).findings
    at = {"issued": both.taken - DAY, "expires": both.taken + DAY}
    assert after(both, approval, made(of=first, **at)) == NOTHING
    assert after(both, approval, made(of=second, **at)) == NOTHING
    told = after(both, approval, made(of=first, **at), made(of=second, **at))
    assert (told.action, len(told.waivers)) == ("proceed", 2)


def test_only_what_the_policy_and_the_gate_let_be_waived_is(
    seen: Observation, approval: Approval, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert after(seen, None, made()) == NOTHING
    assert after(seen, approval, made(), terms=terms("DEP-10")) == NOTHING
    nobody = Approval(approvers={"0" * 64: "Eve"}, days=30)
    assert after(seen, nobody, made()) == NOTHING
    assert {rule.id for rule in GATE.rules.values() if rule.waivable} == {"DEP-04", "DEP-10", "DEP-12"}
    fixed = {id: rule.model_copy(update={"waivable": False}) for id, rule in GATE.rules.items()}
    monkeypatch.setattr(type(GATE), "rules", fixed)
    assert after(seen, approval, made()) == NOTHING


def test_what_is_left_without_it_must_let_the_run_go_on_too(seen: Observation, approval: Approval, made: Made) -> None:
    """A finding outranks everything: what it hid comes to light."""
    short = seen.model_copy(update={"coverage": seen.coverage.model_copy(update={"inspected": 1})})
    blind = seen.model_copy(update={"canaries": ()})
    for each in (short, blind):
        assert verdict(each, terms()).cause == "finding"
        assert after(each, approval, made()) == NOTHING
    index = terms(index=True)
    assert verdict(seen, index).cause == "finding"
    assert after(seen, approval, made(), terms=index) == NOTHING
    told = after(seen, approval, made(), terms=terms(index=True, observe=("index",)))
    assert (told.because, told.also.startswith("of 3 names nobody can tell")) == ("waived", True)


def test_a_pass_or_what_nobody_could_tell_needs_none(approval: Approval, made: Made) -> None:
    good = observe(GATE, opened(), LIMITS, random.Random(1))
    assert after(good, approval, made()) == Effect(action="proceed", because="enforced")
    assert after(good.model_copy(update={"canaries": ()}), approval, made()) == NOTHING


def test_what_is_no_waiver_is_told(keys: UnsafeLocalKeys, approval: Approval, made: Made, tmp_path: Path) -> None:
    good = made()
    for spoiled in ("", "{}", "[]", "7", good[:-2], good.replace('"payload":"', '"payload":"A'), good + "\n"):
        with pytest.raises((LogBroken, KeyBroken)):
            read(spoiled.encode(), approval)
    with pytest.raises(KeyBroken, match="who is no approver of the policy"):
        read(made(role="producer").encode(), approval)
    mine = read(good.encode(), approval).claim.model_dump(mode="json")
    signer = keys.signer("approver")
    for kind, subject, claim in (
        ("urn:sluice:policy/v1", {"a": "0" * 64}, mine),
        (KIND, {}, mine),
        (KIND, {"a": "0" * 64, "b": "1" * 64}, mine),
        (KIND, {"a": "0" * 64}, mine | {"more": 1}),
        (KIND, {"a": "0" * 64}, mine | {"reason": "short"}),
        (KIND, {"a": "0" * 64}, mine | {"reason": " " * 20}),
        (KIND, {"a": "0" * 64}, mine | {"requester": "Ada\u200b"}),
        (KIND, {"a": "0" * 64}, mine | {"requester": " "}),
        (KIND, {"a": "0" * 64}, mine | {"ticket": "\t"}),
        (KIND, {"a": "0" * 64}, {key: told for key, told in mine.items() if key != "ticket"}),
    ):
        with pytest.raises(LogBroken):
            read(seal(kind, subject, claim, signer), approval)
    for curve in (ec.SECP256K1(), ec.SECP384R1()):
        odd = ec.generate_private_key(curve).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(KeyBroken):
            read(seal(KIND, {"a": "0" * 64}, mine | {"key": odd.decode()}, signer), approval)
    with pytest.raises(KeyBroken, match="not a public key"):
        read(seal(KIND, {"a": "0" * 64}, mine | {"key": UNKNOWN}, signer), approval)
    forged = mine | {"key": keys.public("producer").pem.decode()}
    with pytest.raises(KeyBroken):
        read(seal(KIND, {"a": "0" * 64}, forged, signer), approval)
    other = mine | {"key": keys.public("approver").pem.decode()}
    with pytest.raises(LogBroken):
        read(seal(KIND, {"a": "0" * 64}, other, keys.signer("producer")), approval)


@settings(max_examples=60)
@given(at=st.integers(0, 4000), flip=st.integers(1, 255))
def test_no_byte_of_one_can_be_changed(made: Made, approval: Approval, at: int, flip: int) -> None:
    whole = bytearray(made().encode())
    whole[at % len(whole)] ^= flip
    with pytest.raises((LogBroken, KeyBroken)):
        read(bytes(whole), approval)


CLAIMS = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["approver", "producer"]),
        "requester": st.sampled_from(["Grace", "ada", "Ada"]),
        "begins": st.sampled_from([-2.0, -0.5, 0.0, 0.5]),
        "ends": st.sampled_from([-0.5, 0.0, 0.5, 29.0, 31.0]),
    }
)


@settings(max_examples=60)
@given(several=st.lists(CLAIMS, max_size=3))
def test_the_run_goes_on_just_where_one_of_them_counts(
    seen: Observation, approval: Approval, made: Made, several: list[dict[str, Any]]
) -> None:
    """Held against the rules in their own words. More waivers never make less of one."""
    at, waivers, good = seen.taken, [], False
    for each in several:
        issued, expires = at + each["begins"] * DAY, at + each["ends"] * DAY
        waivers.append(made(role=each["role"], requester=each["requester"], issued=issued, expires=expires))
        mine = each["role"] == "approver" and each["requester"] == "Grace"
        good |= mine and issued <= at < expires and expires - issued <= 30 * DAY
    assert (after(seen, approval, *waivers).action == "proceed") is good
    assert len(readable(waivers, approval)) == sum(each["role"] == "approver" for each in several)
    assert Claim.model_fields.keys() >= {"reason", "ticket", "requester", "issued", "expires", "fingerprint"}
