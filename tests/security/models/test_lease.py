"""A lease: what it says, whose word it is, and when and where it is good."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.errors import LogBroken, Refused
from security.keys import UnsafeLocalKeys, seal
from security.models import lease
from security.models.lease import Lease
from security.signer.lease import KIND, LATE, LONGEST
from tests.security.models.chains import sha

NOW = 1_800_000_000.0
TOLD: dict[str, Any] = {
    "name": "sample",
    "target": "kubernetes_test",
    "models": (sha(2), sha(1)),
    "chain": sha(11),
    "revocations": sha(12),
    "entries": 5,
    "at": NOW,
    "until": NOW + 3600,
}
GOOD: dict[str, Any] = {"name": "sample", "target": "kubernetes_test", "now": NOW}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> UnsafeLocalKeys:
    return UnsafeLocalKeys(tmp_path_factory.mktemp("leases") / "keys")


def made(local: UnsafeLocalKeys, role: Any = "verifier", **told: Any) -> bytes:
    return lease.sealed(local.signer(role), **TOLD | told)


def test_it_says_what_it_was_told(local: UnsafeLocalKeys) -> None:
    found = lease.read(made(local), local.public("verifier"), **GOOD)
    assert found.model_dump() == TOLD | {"models": (sha(1), sha(2))}
    assert lease.read(made(local, models=()), local.public("verifier"), **GOOD).models == ()


@pytest.mark.parametrize(
    ("told", "error", "said"),
    [
        ({"name": "other"}, Refused, "of other at kubernetes_test; allowed: sample at kubernetes_test"),
        ({"target": "kubernetes_prod"}, Refused, "of sample at kubernetes_prod; allowed"),
        ({"at": NOW - 3600, "until": NOW}, Refused, "has run out 0 s ago"),
        ({"at": NOW + LATE + 1}, LogBroken, "was given 61 s from now; allowed: 60"),
    ],
)
def test_it_is_good_at_one_place_and_for_a_while(
    local: UnsafeLocalKeys, told: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        lease.read(made(local, **told), local.public("verifier"), **GOOD)


def test_who_makes_models_lets_none_serve(local: UnsafeLocalKeys) -> None:
    for role in ("producer", "owner"):
        with pytest.raises(LogBroken, match="not signed by the key given"):
            lease.read(made(local, role), local.public("verifier"), **GOOD)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"until": NOW}, "good for 0 s; allowed: 1 to 86400"),
        ({"until": NOW - 1}, "good for -1 s"),
        ({"until": NOW + LONGEST + 1}, "good for 86401 s"),
        ({"models": ("*",)}, "models.0"),
        ({"models": (sha(1)[:12],)}, "models.0"),
        ({"name": ""}, "name"),
        ({"chain": "", "revocations": ""}, "counts entries of a registry that has none"),
        ({"entries": 0}, "none of one that has"),
        ({"models": tuple(map(sha, range(501)))}, "models"),
        ({"also": 1}, "also"),
    ],
)
def test_another_form_is_none(local: UnsafeLocalKeys, told: dict[str, Any], said: str) -> None:
    with pytest.raises(LogBroken, match=said):
        made(local, **told)
    usual = TOLD | told
    usual["models"] = sorted({*usual["models"]})
    forged = seal(KIND, {f"{usual['name']}:{each}": each for each in usual["models"]}, usual, local.signer("verifier"))
    with pytest.raises(LogBroken, match="a lease: "):
        lease.read(forged, local.public("verifier"), **GOOD)


def test_what_was_signed_as_something_else_is_no_lease(local: UnsafeLocalKeys) -> None:
    signer, key = local.signer("verifier"), local.public("verifier")
    said = TOLD | {"models": [sha(1), sha(2)]}
    subject = {f"sample:{each}": each for each in said["models"]}
    for kind, about, told, why in (
        ("urn:sluice:published/v1", subject, said, "of the type 'urn:sluice:published/v1'"),
        (KIND, {"sample": sha(1)}, said, "another subject"),
        (KIND, subject, said | {"models": [sha(2), sha(1)]}, "in their order"),
        (KIND, subject, said | {"models": [sha(1), sha(1)]}, "each once"),
        (KIND, subject, said | {"entries": "5"}, "entries"),
    ):
        with pytest.raises(LogBroken, match=why):
            lease.read(seal(kind, about, told, signer), key, **GOOD)
    for data in (b"", b"{}", b"[]", b"\xff", made(local) + b"\n", b" " * (lease.MOST + 1)):
        with pytest.raises(LogBroken):
            lease.read(data, key, **GOOD)


@settings(max_examples=40)
@given(st.data())
def test_no_byte_of_it_can_be_another(local: UnsafeLocalKeys, data: st.DataObject) -> None:
    envelope = bytearray(made(local))
    place = data.draw(st.integers(0, 1 << 20)) % len(envelope)  # a signature is not always as long
    envelope[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(LogBroken):
        lease.read(bytes(envelope), local.public("verifier"), **GOOD)


moments = st.floats(NOW - 10 * LONGEST, NOW + 10 * LONGEST)


@settings(max_examples=60)
@given(at=moments, length=st.floats(1e-3, LONGEST), now=moments)
def test_it_is_good_from_when_it_was_given_until_it_runs_out(
    local: UnsafeLocalKeys, at: float, length: float, now: float
) -> None:
    until = min(at + length, at + LONGEST)
    envelope = made(local, at=at, until=until)
    where: dict[str, Any] = GOOD | {"now": now}
    if at - LATE <= now < until:
        assert lease.read(envelope, local.public("verifier"), **where).until == until
    else:
        with pytest.raises((LogBroken, Refused)):
            lease.read(envelope, local.public("verifier"), **where)


told = st.builds(
    lambda at, entries: Lease(**TOLD | {"models": (), "at": NOW + at, "until": NOW + at + 60, "entries": entries}),
    st.integers(0, 3),
    st.integers(1, 4),
)


@given(told, told, told)
def test_one_that_follows_is_newer_and_knows_no_less(one: Lease, two: Lease, three: Lease) -> None:
    assert not one.follows(one)
    assert not (one.follows(two) and two.follows(one))
    if one.follows(two) and two.follows(three):
        assert one.follows(three)
    if one.entries < two.entries or one.at <= two.at:
        assert not one.follows(two)
