"""The home's own registry: what readers refuse of the producer, tried on a copy; and that a folder asks nobody."""

import base64
import json
import random
import secrets
from pathlib import Path
from typing import Any

import pytest

from configs import load
from security.errors import KeyBroken, LogBroken
from security.gate import judge, observe
from security.gates.authorization import Limits, RegistryAuthorization
from security.keys import UnsafeLocalKeys
from security.models import chain, standing
from security.models.chain import Keys
from security.policy import Terms, effect
from security.posture import asked
from security.signer.serve import answer
from security.verdict import Observation, Outcome, Verdict
from tasks import authority, chains
from tasks.credentials import login
from tasks.home import Home
from tests.security.gates.doubled import LOGIN, listening
from tests.security.gates.test_versions import own
from tests.security.models.chains import sha

GATE = RegistryAuthorization()
FOLDER = (Outcome.INCONCLUSIVE, "folder")


class World:
    """A home, with or without models in its registry."""

    def __init__(self, folder: Path, *versions: int) -> None:
        self.home, self.local = Home(folder), UnsafeLocalKeys(folder / "keys")
        self.keys: Keys = own(self.local)
        self.limits: dict[str, Any] = {"name": "sample", "signer": self.local.public("producer").id}
        self.known: tuple[str, ...] = ()
        for version in versions:
            told: dict[str, Any] = {"manifest": sha(version), "release": sha(version), "run": "run", "data": (sha(9),)}
            made = told | {"name": "sample", "version": version, "expires": 4e9}
            chains.enter(self.home, self.local.signer("producer"), self.keys, **made)
            for alias, role in (("candidate", "producer"), ("approved", "verifier"), ("production", "verifier")):
                said = {"reason": "all gates passed", "log": sha(7) if alias == "production" else ""}
                signer = self.local.signer(role)  # type: ignore[arg-type]
                chains.move(self.home, signer, self.keys, "sample", alias, version, **said)  # type: ignore[arg-type]

    def opened(self, role: Any = "producer", **limits: Any) -> Any:
        known = self.known or chains.heads(self.home, "sample")
        return authority.opened(self.home, self.limits | limits, self.keys, self.local.signer(role), known)

    def seen(self, seed: int = 1, **limits: Any) -> Observation:
        terms = self.limits | limits
        return observe(GATE, asked(GATE, self.opened(**limits)), terms, random.Random(seed))

    def judged(self, seed: int = 1, **limits: Any) -> Verdict:
        return judge(GATE, self.seen(seed, **limits), self.limits | limits)


def files(home: Home) -> dict[str, bytes]:
    return {str(path.relative_to(home.root)): path.read_bytes() for path in home.root.rglob("*") if path.is_file()}


@pytest.fixture(params=[(), (3,), (3, 5)], ids=str)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path / "home", *request.param)


def test_what_readers_refuse_and_that_a_folder_asks_nobody(world: World) -> None:
    before = files(world.home)
    for seed in range(10):
        verdict = world.judged(seed)
        assert (verdict.outcome, verdict.cause, verdict.findings) == (*FOLDER, ()), verdict.reason
    assert "whoever runs as its user can write and delete every file" in verdict.reason
    assert files(world.home) == before  # nothing of what was tried is kept
    told = world.seen().facts["folder"]["refused"]
    assert (told["write"], told["read"]) == ("", "")
    assert "versions only increase" in told["overwrite"]
    assert "approved signed by the producer; allowed: verifier or approver" in told["approved"]
    assert "production signed by the producer; allowed: verifier" in told["production"]
    assert "revoked signed by the producer; allowed: owner or verifier" in told["delete"]
    assert "cut off" in told["untag"]
    assert "cut off" in told["erase"]


class Withholding:
    """The producer's key behind who signs for a run, who signs what a run says and no more."""

    def __init__(self, local: UnsafeLocalKeys) -> None:
        self.public, self.local = local.public("producer"), local

    def sign(self, body: bytes) -> bytes:
        got = answer(b'{"ask": "sign", "role": "producer"}\n' + body, self.local)
        if got[:1] != b"+":
            raise KeyBroken(got[1:].decode())
        return got[1:]


def test_what_is_not_even_signed_is_told_and_readers_are_tried_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> Observation:
        known = chains.heads(world.home, "sample")
        told = authority.opened(world.home, world.limits, world.keys, Withholding(world.local), known)
        return observe(GATE, asked(GATE, told), world.limits, random.Random(1))

    seen, folder = look(), world.seen().facts["folder"]
    assert (seen.facts["folder"]["unsigned"], folder["unsigned"]) == (["approved", "delete", "production"], [])
    for name in ("write", "read", "overwrite", "approved", "production", "delete"):
        assert seen.facts["folder"]["refused"][name] == folder["refused"][name]
    verdict = judge(GATE, seen, world.limits)
    assert (verdict.outcome, verdict.cause) == FOLDER
    assert "nor does who signs for it sign to approved, delete, production" in verdict.reason
    monkeypatch.setitem(chain.MAY, "approved", (*chain.MAY["approved"], "producer"))
    assert [each.rule for each in judge(GATE, look(), world.limits).findings] == ["RA-APPROVED"]


def test_a_laptop_observes_that_and_production_does_not(world: World) -> None:
    verdict = world.judged()
    told = {}
    for name in ("local", "kubernetes_test", "kubernetes_prod"):
        terms = load.policy(load.text(load.find(name, "policies"))).gates["registry_authorization"]
        told[name] = effect(verdict, Terms(limits={}, accepts={}, observe=tuple(terms.observe))).action
    assert told == {"local": "proceed", "kubernetes_test": "stop", "kubernetes_prod": "stop"}


@pytest.mark.parametrize("rule", GATE.rules)
def test_a_canary_of_each_rule_is_caught_by_it_alone(world: World, rule: str) -> None:
    sample = list(asked(GATE, world.opened()).source())
    for seed in range(12):
        items = GATE.violations[rule](sample, random.Random(seed))
        seen = GATE.look(asked(GATE, world.opened()).decoy(items).handed()[0])
        found: set[str] = set()
        with pytest.raises(Exception, match="folder|proves nothing"):
            found.update(each.rule for each in GATE.judge(seen, Limits.model_validate(world.limits)))
        terms = Limits.model_validate(world.limits)
        judged_ = GATE.judge(seen, terms)
        assert next(iter(judged_)).rule == rule, seed


@pytest.mark.parametrize(
    ("act", "rule"),
    [("approved", "RA-APPROVED"), ("production", "RA-PRODUCTION"), ("revoked", "RA-DELETE")],
)
def test_readers_that_let_the_producer_are_found(
    world: World, act: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules that a deploy believes by are the ones that are tried, and no copy of them."""
    monkeypatch.setitem(chain.MAY, act, (*chain.MAY[act], "producer"))
    verdict = world.judged()
    assert {each.rule for each in verdict.findings} == {rule}, verdict.reason


def test_readers_that_forget_what_was_there_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from security.gates.authorization import look

    real = standing.stands
    monkeypatch.setattr(look, "stands", lambda *args, known, **told: real(*args, **told))
    found = {(each.rule, each.place) for each in world.judged().findings}
    assert found == {("RA-DELETE", "untag"), ("RA-DELETE", "erase")}


def test_readers_that_let_a_version_be_entered_again_are_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "_ordered", lambda *_: None)
    assert ("RA-OVERWRITE", "overwrite") in {(each.rule, each.place) for each in world.judged().findings}


def test_a_chain_that_changes_meanwhile_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, real, asked_ = World(tmp_path, 3), chains.there, [0]

    def there(home: Home, name: str) -> list[bytes]:
        asked_[0] += name == "sample"
        return real(home, name)[: -1 if name == "sample" and asked_[0] > 2 else None]

    monkeypatch.setattr(chains, "there", there)
    verdict = world.judged()
    assert {(each.rule, each.place) for each in verdict.findings} == {("RA-KEPT", "chains")}


def test_another_key_or_registry_than_the_plans(world: World) -> None:
    seen = world.seen()
    verdict = judge(GATE, seen, world.limits | {"signer": "f" * 64})
    assert {(each.rule, each.place) for each in verdict.findings} == {("RA-PLACE", "key")}
    for change in ({"registry": "registry.example/models"}, {"name": "other"}):
        verdict = judge(GATE, seen, world.limits | change)
        assert {(each.rule, each.place) for each in verdict.findings} == {("RA-PLACE", "registry")}


def test_a_producer_whose_key_counts_no_more_shows_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, 3)
    target = world.local.public("producer").id
    chains.revoke(world.home, world.local.signer("owner"), world.keys, what="key", target=target, reason="it leaked")
    verdict = world.judged()
    assert (verdict.outcome, verdict.cause, verdict.findings) == (Outcome.INCONCLUSIVE, "control", ()), verdict.reason
    assert "a refusal proves nothing" in verdict.reason


def test_chains_that_do_not_hold_are_no_ground(tmp_path: Path) -> None:
    world = World(tmp_path, 3)
    world.known = chains.heads(world.home, "sample")
    newest = world.home.root / "chains" / "sample" / "4"
    line = newest.read_bytes()
    newest.unlink()
    verdict = world.judged()
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "control")
    newest.write_bytes(line.replace(b"a", b"b", 1))
    with pytest.raises(LogBroken):
        world.opened()


def test_a_registry_that_the_policy_names_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, 3)
    monkeypatch.setenv("PUSHES", f"{LOGIN.user}:{LOGIN.password}")
    with listening("sample", tags={"3": b"{}"}, asks="bearer") as of:
        named = {"registry": of.place.address, "scheme": "UnsafeHttp", "credentials": "env:PUSHES"}
        assert world.judged(**named).outcome is Outcome.PASS
        of.lets = {"production"}
        verdict = world.judged(**named)
        assert {each.rule for each in verdict.findings} == {"RA-PRODUCTION"}
        assert not LOGIN.within(world.seen(**named).model_dump_json())
    assert world.judged(**named).outcome is Outcome.INCONCLUSIVE


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def test_credentials_are_where_skopeo_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = secrets.token_hex(8), secrets.token_hex(8)
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert login("auths", "r.example:5000/models/sample") is None
    docker = tmp_path / ".docker" / "config.json"
    docker.parent.mkdir()
    docker.write_text(json.dumps({"auths": {"r.example:5000": {"auth": basic("a", one)}, "other.example": {}}}))
    made = login("auths", "r.example:5000/models/sample")
    assert (made.user, made.password) == ("a", one) if made else False
    assert login("auths", "r.example/models/sample") is None
    assert login("auths", "other.example/models") is None
    named = tmp_path / "auth.json"
    entries = {"r.example:5000/models": {"auth": basic("b", two)}, "r.example:5000": {"auth": basic("a", one)}}
    named.write_text(json.dumps({"auths": entries}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(named))
    made = login("auths", "r.example:5000/models/sample")
    assert (made.user, made.password) == ("b", two) if made else False
    assert one not in repr(made)
    assert two not in repr(made)
    named.write_text(json.dumps({"auths": {}, "credHelpers": {"r.example:5000": "pass"}}))
    with pytest.raises(KeyBroken, match=r"auth\.json: a program keeps the login of r\.example:5000"):
        login("auths", "r.example:5000/models/sample")
    for bad in (
        "[]",
        "{",
        json.dumps({"auths": {"r.example:5000": {"auth": "!"}}}),
        '{"auths": {"r.example:5000": 5}}',
    ):
        named.write_text(bad)
        with pytest.raises(KeyBroken, match=r"auth\.json: "):
            login("auths", "r.example:5000/models/sample")


def test_credentials_in_a_variable_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word = secrets.token_hex(8)
    monkeypatch.setenv("PUSHES", f"ada:{word}:more\n")
    (tmp_path / "login").write_text(f" ada:{word}:more ")
    for reference in ("env:PUSHES", f"file:{tmp_path / 'login'}"):
        made = login(reference, "r.example")
        assert (made.user, made.password) == ("ada", f"{word}:more") if made else False
    for value in ("", "ada", ":x", "ada:", "ada:a\x00b"):
        (tmp_path / "login").write_text(value)
        with pytest.raises(KeyBroken, match="found no login; allowed: USER:PASSWORD") as why:
            login(f"file:{tmp_path / 'login'}", "r.example")
        assert "ada:" not in str(why.value)
    with pytest.raises(KeyBroken, match="env:NOWHERE"):
        login("env:NOWHERE", "r.example")
