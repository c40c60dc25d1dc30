"""The decision to release: what it binds, where it lies, and what is none."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from security.errors import LogBroken, PlanError, StoreError
from security.keys import UnsafeLocalKeys, seal, unseal
from tasks import decision, store
from tasks.decision import SUMMARY, Decision
from tasks.home import Home

TARGET = "kubernetes_test"
POINTER = store.pointer(TARGET, "sample")
MODEL, LOG, POLICY = "a" * 64, "b" * 64, "c" * 64
PLAN: Any = SimpleNamespace(document={"pipeline_name": "sample"}, target=TARGET, policy_sha256=POLICY)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def keys(home: Home) -> UnsafeLocalKeys:
    return UnsafeLocalKeys(home.root / "keys")


def released(home: Home, keys: UnsafeLocalKeys, run: str, **to: str) -> None:
    """A run that was released."""
    told = {"run": run, "model": MODEL, **to}
    home.evidence(run).mkdir(parents=True, exist_ok=True)
    seen = store.current(home, POINTER)[0]
    with decision.kept(home, run, seen + 1, decision.sign(PLAN, LOG, told, keys.signer("verifier"))):
        store.move(home, POINTER, seen, told)


def test_what_was_decided_is_read_again_by_the_verifiers_key(home: Home, keys: UnsafeLocalKeys) -> None:
    released(home, keys, "run-1", release="0123456789ab")
    released(home, keys, "run-2")
    released(home, keys, "run-1", release="0123456789ab")
    found = decision.made(home, TARGET, "sample", keys.public("verifier"))
    assert found == [Decision("run-1", MODEL, LOG, POLICY, "0123456789ab"), Decision("run-2", MODEL, LOG, POLICY, "")]
    assert sorted(path.name for path in home.evidence("run-1").glob("*.dsse")) == ["release-3.dsse", "release.dsse"]
    assert decision.made(home, "local", "sample", keys.public("verifier")) == []
    with pytest.raises(LogBroken):
        decision.made(home, TARGET, "sample", keys.public("producer"))
    assert [decision.one(found, each).run for each in ("run-2", "0123")] == ["run-2", "run-1"]
    for spelled in ("", "aaaa", "zzzz"):
        with pytest.raises(PlanError, match="allowed: one of those of run-1, run-2"):
            decision.one(found, spelled)


Change = Callable[[dict[str, Any]], object]
CHANGES: dict[str, Change] = {
    "another target": lambda told: told.update(verifiedLevels=["SLUICE_TARGET_LOCAL"]),
    "another policy": lambda told: told["policy"].update(uri="urn:sluice:policy:local"),
    "a refusal": lambda told: told.update(verificationResult="FAILED"),
    "no log": lambda told: told.update(inputAttestations=[]),
    "no policy": lambda told: told.pop("policy"),
    "another spelling": lambda told: told.update(resourceUri="model"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_says_something_else_is_no_decision(name: str, keys: UnsafeLocalKeys) -> None:
    verifier = keys.signer("verifier")
    good = unseal(decision.sign(PLAN, LOG, {"model": MODEL}, verifier), verifier.public)["predicate"]
    CHANGES[name](good)
    with pytest.raises(LogBroken, match="is none for the target|cannot be read"):
        decision.read(seal(SUMMARY, {"model": MODEL}, good, verifier), "run-1", TARGET, verifier.public)


def test_a_pointer_and_its_decision_that_do_not_agree_are_believed_in_nothing(
    home: Home, keys: UnsafeLocalKeys
) -> None:
    released(home, keys, "run-1", release="0123456789ab")
    path = home.root / "pointers" / POINTER / "1"
    told = json.loads(path.read_text())
    for change in ({"model": "d" * 64}, {"release": "ba9876543210"}):
        path.chmod(0o600)
        path.write_text(json.dumps(told | change))
        with pytest.raises(LogBroken, match="run run-1: the pointer names"):
            decision.made(home, TARGET, "sample", keys.public("verifier"))
    path.write_text(json.dumps(told))
    (home.evidence("run-1") / "release.dsse").unlink()
    with pytest.raises(LogBroken, match="its decision cannot be read"):
        decision.made(home, TARGET, "sample", keys.public("verifier"))


def test_where_the_pointer_does_not_move_there_is_no_decision(home: Home, keys: UnsafeLocalKeys) -> None:
    released(home, keys, "run-1")
    envelope = decision.sign(PLAN, LOG, {"model": MODEL}, keys.signer("verifier"))
    home.evidence("run-2").mkdir(parents=True)
    with (
        pytest.raises(StoreError, match="has moved since it was read"),
        decision.kept(home, "run-2", 1, envelope),
    ):
        store.move(home, POINTER, 0, {"run": "run-2", "model": MODEL})
    assert list(home.evidence("run-2").iterdir()) == []
    assert [each.run for each in decision.made(home, TARGET, "sample", keys.public("verifier"))] == ["run-1"]
