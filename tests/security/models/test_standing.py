"""What of a registry is valid: who may say what, only forward, and nothing of what was revoked; and that no entry can
be moved, cut out, doubled or changed."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.errors import KeyBroken, LogBroken, Refused
from security.keys import UnsafeLocalKeys, seal
from security.log import head_of
from security.models import chain
from security.models.chain import Keys
from security.models.standing import Standing, stands
from tests.security.models.chains import History, keys, sha
from tests.security.models.making import DAY, NOW


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> UnsafeLocalKeys:
    return UnsafeLocalKeys(tmp_path_factory.mktemp("chains") / "keys")


@pytest.fixture(scope="module")
def trusted(local: UnsafeLocalKeys) -> Keys:
    return keys(local, local.public("approver"))


@pytest.fixture
def history(local: UnsafeLocalKeys) -> History:
    return History(local)


def wrong(found: Standing) -> dict[int, str]:
    return {row.claim.version: row.wrong for row in found.rows if row.wrong}


def test_a_version_goes_step_by_step(history: History, trusted: Keys) -> None:
    history.version(3)
    found = history.standing(trusted)
    assert (found.newest, found.aliases, wrong(found)) == (3, {}, {})
    with pytest.raises(Refused, match="candidate names nothing: it never named"):
        found.at("candidate")
    history.move("candidate", 3).move("approved", 3, "approver").move("production", 3)
    history.version(5).move("candidate", 5)
    found = history.standing(trusted)
    assert {alias: made.version for alias, made in found.aliases.items()} == {
        "candidate": 5,
        "approved": 3,
        "production": 3,
    }
    assert found.at("production").release == sha(103)
    assert [row.aliases for row in found.rows] == [("approved", "production"), ("candidate",)]
    assert [move.role for move in found.row(3).moves] == ["producer", "approver", "verifier"]
    assert (found.head, found.revocations) == (head_of(history.lines[-1]), "")
    with pytest.raises(Refused, match="no version 4 was entered; the newest: 3, 5"):
        found.row(4)


@pytest.mark.parametrize(
    ("act", "roles"),
    [
        ("version", {"producer"}),
        ("candidate", {"producer"}),
        ("approved", {"verifier", "approver"}),
        ("production", {"verifier"}),
        ("revoked", {"owner", "verifier"}),
    ],
)
def test_who_may_say_what(local: UnsafeLocalKeys, trusted: Keys, act: str, roles: set[str]) -> None:
    for role in ("producer", "verifier", "owner", "approver", "issuer"):
        history = History(local).through(1)
        if act in ("approved", "production"):
            history.version(2).move("candidate", 2)
        if act == "production":
            history.move("approved", 2)
        if act == "version":
            history.version(2, role)  # type: ignore[arg-type]
        elif act == "revoked":
            history.revoke("data", sha(600), role)  # type: ignore[arg-type]
        else:
            history.move(act, 1 if act == "candidate" else 2, role)  # type: ignore[arg-type]
        if role in roles:
            history.standing(trusted)
            continue
        said = {"issuer": "whose key was not given", "approver": "the key of an approver|signed by the approver"}
        with pytest.raises(LogBroken, match=said.get(role, f"{act} signed by the {role}; allowed: ")):
            history.standing(trusted)


def test_an_approver_is_one_whom_the_policy_lists(local: UnsafeLocalKeys, history: History) -> None:
    history.version(1).move("candidate", 1).move("approved", 1, "approver")
    with pytest.raises(LogBroken, match="whose key was not given"):
        history.standing(keys(local))
    other = keys(local, local.public("issuer"))
    with pytest.raises(LogBroken, match="whose key was not given"):
        history.standing(other)
    listed = keys(local, local.public("approver"))
    assert history.standing(listed).at("approved").version == 1
    for said in ("", "x", local.public("issuer").pem.decode(), local.public("verifier").pem.decode()):
        odd = History(local).version(1).move("candidate", 1).move("approved", 1, "approver", key=said)
        with pytest.raises(LogBroken):
            odd.standing(listed)


def test_who_makes_a_model_approves_none(local: UnsafeLocalKeys) -> None:
    producer, other = local.public("producer"), local.public("verifier")
    for given_ in (((producer,), (producer,)), ((other, producer), (), (producer,)), ((producer,), (other,), (other,))):
        with pytest.raises(KeyBroken, match="has two roles; who makes a model approves none"):
            Keys(*given_)
    for id in (producer.id, other.id):
        with pytest.raises(KeyBroken, match="has two roles"):
            Keys((producer,), (), (other,), {id: "Ada"})
    assert Keys((producer, producer), (other,)).find(other.id, "") == ("verifier", other)
    with pytest.raises(KeyBroken, match="no producer's key"):
        Keys(())


@pytest.mark.parametrize("version", [1, 3])
def test_an_older_version_cannot_be_entered_and_none_twice(history: History, trusted: Keys, version: int) -> None:
    history.through(3).version(version, manifest=sha(9))
    with pytest.raises(LogBroken, match=f"entry 5: version {version} after 3; versions only increase"):
        history.standing(trusted)


@pytest.mark.parametrize("alias", ["candidate", "approved", "production"])
def test_no_alias_goes_back(history: History, trusted: Keys, alias: str) -> None:
    history.through(1, 2).move(alias, 1)
    with pytest.raises(LogBroken, match=f"{alias} back from 2 to 1"):
        history.standing(trusted)


def test_no_step_is_left_out(local: UnsafeLocalKeys, trusted: Keys) -> None:
    with pytest.raises(LogBroken, match="approved for version 1, which was never candidate"):
        History(local).version(1).move("approved", 1).standing(trusted)
    with pytest.raises(LogBroken, match="production for version 1, which was never approved"):
        History(local).version(1).move("candidate", 1).move("production", 1).standing(trusted)
    with pytest.raises(LogBroken, match="production for version 2, which was never approved"):
        History(local).through(1).version(2).move("candidate", 2).move("production", 2).standing(trusted)
    history = History(local).version(2).move("candidate", 2).move("approved", 2).move("production", 2, log="")
    with pytest.raises(LogBroken, match="without the head of the log of run run-2"):
        history.standing(trusted)


def test_an_alias_names_what_was_entered(local: UnsafeLocalKeys, trusted: Keys) -> None:
    with pytest.raises(LogBroken, match="version 2, which was not entered so"):
        History(local).version(1).move("candidate", 2).standing(trusted)
    with pytest.raises(LogBroken, match="version 1, which was not entered so"):
        History(local).version(1).move("candidate", 1, manifest=sha(2)).standing(trusted)
    with pytest.raises(LogBroken, match="is about the model other"):
        History(local).version(1, name="other").standing(trusted)


def revoked(history: History, what: str, trusted: Keys) -> tuple[str, dict[str, Any]]:
    target = {"model": sha(2), "data": sha(502), "key": trusted.producer[0].id}[what]
    return target, {"name": "sample", "version": 2} if what == "model" else {}


@pytest.mark.parametrize("what", ["model", "data", "key"])
@pytest.mark.parametrize("role", ["owner", "verifier"])
def test_what_is_revoked_does_not_stand(history: History, trusted: Keys, what: str, role: Any) -> None:
    history.through(1, 2)
    target, told = revoked(history, what, trusted)
    history.revoke(what, target, role, **told)
    found = history.standing(trusted)
    assert (1 in wrong(found), "it leaked" in wrong(found)[2]) == (what == "key", True)
    for alias in ("candidate", "approved", "production"):
        with pytest.raises(Refused, match=f"{alias} names nothing: .*it leaked|does not stand any more"):
            found.at(alias)  # and never the version before
    assert found.newest == 2
    history.version(3).move("candidate", 3)
    if what != "key":
        assert history.standing(trusted).at("candidate").version == 3


def test_what_was_revoked_in_one_model_is_so_in_a_later_one(local: UnsafeLocalKeys, trusted: Keys) -> None:
    history = History(local).revoke("data", sha(600)).version(9)
    assert history.standing(trusted).barred == {sha(600): "it leaked"}
    assert "comes from the dataset" in wrong(history.standing(trusted))[9]


def test_a_move_by_a_revoked_key_falls_and_what_built_on_it(local: UnsafeLocalKeys, trusted: Keys) -> None:
    history = History(local).version(1).move("candidate", 1).move("approved", 1, "approver").move("production", 1)
    assert history.standing(trusted).at("production").version == 1
    found = history.revoke("key", local.public("approver").id).standing(trusted)
    assert (set(found.aliases), set(found.fallen), wrong(found)) == ({"candidate"}, {"approved", "production"}, {})
    with pytest.raises(Refused, match="was approved does not stand any more"):
        found.at("production")
    found = history.move("approved", 1).move("production", 1).standing(trusted)  # by the verifier, again
    assert (found.at("production").version, found.fallen) == (1, {})


def test_an_older_version_does_not_come_back_when_a_newer_falls(history: History, trusted: Keys) -> None:
    history.through(1, 2).revoke("model", sha(2), name="sample", version=2)
    with pytest.raises(Refused):
        history.standing(trusted).at("production")
    with pytest.raises(LogBroken, match="production back from 2 to 1"):
        history.move("production", 1).standing(trusted)


def test_a_key_that_is_revoked_is_still_the_floor(local: UnsafeLocalKeys, tmp_path: Path, trusted: Keys) -> None:
    """A new producer goes on from where the old one was."""
    other = UnsafeLocalKeys(tmp_path / "other")
    both = Keys((*trusted.producer, other.public("producer")), trusted.verifier, trusted.owner)
    history = History(local).through(4).revoke("key", trusted.producer[0].id)
    history.local = other
    with pytest.raises(LogBroken, match="versions only increase"):
        history.version(4).standing(both)
    history.lines.pop()
    found = history.version(5).move("candidate", 5).standing(both)
    assert (found.at("candidate").version, list(wrong(found))) == (5, [4])


def test_what_has_only_expired_is_told_apart_from_what_was_revoked(history: History, trusted: Keys) -> None:
    history.through(1)
    late = NOW + 31 * DAY
    assert history.standing(trusted).past == {}
    found = history.standing(trusted, late)
    assert {alias: claim.version for alias, claim in found.past.items()} == dict.fromkeys(found.fallen, 1)
    assert "approved" in found.past
    assert found.row(1).expired
    history.revoke("model", sha(1), name="sample", version=1)
    for now in (NOW, late):
        found = history.standing(trusted, now)
        assert found.past == {}
        assert not found.row(1).expired


def test_what_has_expired_does_not_stand(history: History, trusted: Keys) -> None:
    history.through(1)
    assert history.standing(trusted, NOW + 30 * DAY - 1).at("production").version == 1
    with pytest.raises(Refused, match="version 1 expired on"):
        history.standing(trusted, NOW + 30 * DAY).at("production")
    with pytest.raises(LogBroken, match="of days to come"):
        history.standing(trusted, NOW - 61)


def test_a_cut_is_told_where_somebody_knows_better(history: History, trusted: Keys) -> None:
    history.through(1, 2).revoke("model", sha(2), name="sample", version=2).version(3)
    known = [head_of(line) for line in (*history.lines, *history.gone)]
    assert history.standing(trusted, known=["", *known]).newest == 3
    cut = history.lines.pop()
    assert history.standing(trusted).newest == 2  # nobody can tell from the chain alone
    for head in (head_of(cut), sha(1)):
        with pytest.raises(LogBroken, match="cut off: entry .* was there, and is gone"):
            history.standing(trusted, known=[head])
    history.lines.append(cut)
    history.gone.pop()
    with pytest.raises(LogBroken, match="entry 9: the revocations are cut off"):
        history.standing(trusted)


def test_no_entry_knows_less_than_the_one_before(local: UnsafeLocalKeys, trusted: Keys) -> None:
    history = History(local).revoke("data", sha(1)).version(1)
    gone, history.gone = history.gone, []
    history.version(2)
    history.gone = gone
    with pytest.raises(LogBroken, match="entry 2: the revocations are cut off"):
        history.standing(trusted)


def test_a_revocation_knows_those_before_it(local: UnsafeLocalKeys, trusted: Keys) -> None:
    history = History(local).revoke("data", sha(1))
    odd = chain.sealed(history.gone, [], local.signer("owner"), chain.Revocation, **REVOKES)
    with pytest.raises(LogBroken, match="revoked, entry 2: knows other revocations"):
        stands([], [*history.gone, odd], trusted, "sample", now=NOW)


def test_each_chain_has_its_own_kinds(local: UnsafeLocalKeys, trusted: Keys) -> None:
    history = History(local).version(1)
    odd = chain.sealed(history.lines, [], local.signer("owner"), chain.Revocation, **REVOKES)
    with pytest.raises(LogBroken, match="sample, entry 2: is of another chain"):
        stands([*history.lines, odd], [], trusted, "sample", now=NOW)
    with pytest.raises(LogBroken, match="revoked, entry 1: is of another chain"):
        stands([], history.lines, trusted, "sample", now=NOW)


REVOKES: dict[str, Any] = {"what": "data", "target": sha(2), "reason": "it leaked", "at": NOW}


def test_a_fork_is_told_between_two_ends(local: UnsafeLocalKeys) -> None:
    one = History(local).version(1).version(2).lines
    two = [one[0], History(local).version(1).version(3).lines[1]]
    chain.extends(one, one[:1], "sample")
    chain.extends(one, one, "sample")
    chain.extends(one, [], "sample")
    with pytest.raises(LogBroken, match="forked at entry 1|forked at entry 2"):
        chain.extends(two, one, "sample")
    with pytest.raises(LogBroken, match="cut off: found 1 entries; there were 2"):
        chain.extends(one[:1], one, "sample")


@pytest.fixture(scope="module")
def long(local: UnsafeLocalKeys) -> History:
    return History(local).revoke("data", sha(1)).revoke("data", sha(2)).through(1, 2, 5)


@settings(max_examples=150)
@given(data=st.data())
def test_any_reordering_deletion_doubling_or_edit_is_refused(long: History, trusted: Keys, data: st.DataObject) -> None:
    """Of the whole chain, what still holds is a beginning of it, and nothing else."""
    lines = list(long.lines)
    act = data.draw(st.sampled_from(["move", "cut out", "double", "flip", "swap", "join"]))
    at = data.draw(st.integers(0, len(lines) - 1))
    to = data.draw(st.integers(0, len(lines) - 1))
    if act == "move":
        lines.insert(to, lines.pop(at))
    elif act == "cut out":
        del lines[at : at + 1 + to]
    elif act == "double":
        lines.insert(to, lines[at])
    elif act == "swap":
        lines[at], lines[to] = lines[to], lines[at]
    elif act == "join":
        lines = lines[:at] + long.gone + lines[at:]
    else:
        body = bytearray(lines[at])
        body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
        lines[at] = bytes(body)
    if lines == long.lines[: len(lines)]:
        return
    with pytest.raises(LogBroken):
        stands(lines, long.gone, trusted, "sample", now=NOW)
    with pytest.raises(LogBroken):
        stands(long.lines, lines, trusted, "sample", now=NOW)


ACTS = st.tuples(
    st.sampled_from(["version", "candidate", "approved", "production", "revoke"]),
    st.integers(1, 3),
)


@settings(max_examples=60)
@given(acts=st.lists(ACTS, max_size=9))
def test_it_agrees_with_the_rules_in_their_own_words(
    local: UnsafeLocalKeys, trusted: Keys, acts: list[tuple[str, int]]
) -> None:
    history, entered, had, gone = History(local), list[int](), dict[str, list[int]](), set[int]()
    sound = True
    before = {"candidate": "version", "approved": "candidate", "production": "approved"}
    for what, n in acts:
        if what == "revoke":
            history.revoke("model", sha(n), name="sample", version=n)
            gone.add(n)
        elif what == "version":
            history.version(n)
            sound &= not entered or n > entered[-1]
            entered.append(n)
        else:
            history.move(what, n)
            stepped = n in (entered if before[what] == "version" else had.get(before[what], []))
            sound &= n in entered and stepped and n >= max(had.get(what, [0]))
            had.setdefault(what, []).append(n)
    if not sound:
        with pytest.raises(LogBroken):
            history.standing(trusted)
        return
    found = history.standing(trusted)
    assert found.newest == max(entered, default=0)
    assert {a: v.version for a, v in found.aliases.items()} == {a: n[-1] for a, n in had.items() if n[-1] not in gone}
    assert set(wrong(found)) == gone & set(entered)


def test_what_is_no_entry_is_told(local: UnsafeLocalKeys, trusted: Keys) -> None:
    good = History(local).version(1).lines[0]
    claim = json.loads(base64.b64decode(json.loads(good)["payload"]))["predicate"]
    signer, kind, subject = local.signer("producer"), "urn:sluice:model-version/v1", {"sample": sha(1)}
    assert stands([seal(kind, subject, claim, signer)], [], trusted, "sample", now=NOW).newest == 1
    for odd in (
        seal("urn:sluice:model/v1", subject, claim, signer),
        seal(kind, {"sample": sha(2)}, claim, signer),
        seal(kind, {"other": sha(1)}, claim, signer),
        seal(kind, subject | {"more": sha(1)}, claim, signer),
        seal(kind, {}, claim, signer),
        seal(kind, subject, claim | {"more": 1}, signer),
        seal(kind, subject, claim | {"version": "1"}, signer),
        seal(kind, subject, claim | {"version": 0}, signer),
        seal(kind, subject, claim | {"version": 1e20}, signer),
        seal(kind, subject, claim | {"data": []}, signer),
        seal(kind, subject, claim | {"data": ["x"]}, signer),
        seal(kind, subject, {name: told for name, told in claim.items() if name != "expires"}, signer),
        good[:-2],
        good.replace(b'"payload":"', b'"payload":"A'),
        good + b" ",
        b"",
        b"{}",
        b"[]",
        b'{"payload":"e30=","signatures":[{"keyid":[]}]}',
    ):
        with pytest.raises(LogBroken, match="sample, entry 1: "):
            stands([odd], [], trusted, "sample", now=NOW)
    for told in ({"what": "model", "name": ""}, {"what": "data", "name": "x"}, {"what": "key", "version": 1}):
        with pytest.raises(LogBroken, match="revocation: "):
            History(local).revoke(target=sha(1), **told)  # type: ignore[arg-type]
    for reason in ("", "ab", "two  spaces", "unseen\u200b"):
        with pytest.raises(LogBroken, match="reason"):
            History(local).version(1).move("candidate", 1, reason=reason)


def test_a_chain_is_one_file_and_back(long: History) -> None:
    whole = chain.joined(long.lines)
    assert chain.lines(whole, "sample") == long.lines
    assert chain.lines(b"", "sample") == []
    with pytest.raises(LogBroken, match="cut off"):
        chain.lines(whole[:-1], "sample")
    with pytest.raises(LogBroken, match="or there are more than"):
        chain.lines(b"\n" * (chain.MOST + 1), "sample")
