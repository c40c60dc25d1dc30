"""The model of a real run in the registry: entered from what its log proves, promoted by it, and what does not work."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from configs import load
from configs.card import card
from flows.cli import main
from flows.models import keys, promote
from flows.shell import once
from security.errors import KeyBroken, LogBroken
from security.gates.model import release
from security.keys import UnsafeLocalKeys
from security.models import statement
from security.models.bill import Metric
from security.models.proof import judged
from security.verify import Trust, verify
from tasks import chains, models, process
from tasks.home import Home
from tasks.run import REFUSED, Quiet, Run
from tasks.store import current

Said = pytest.CaptureFixture[str]
Parts = tuple[dict[str, bytes], dict[str, bytes]]


@pytest.fixture(scope="module")
def parts(home: Home, passed: Run) -> Parts:
    """The model that a run published, and what is said about it."""
    proof = verify(passed.log.path, passed.trust, head=passed.log.head)
    (ref,) = proof.published["train"]
    told = card(load.text(load.find("recommender", "cards")), "recommender.yaml")
    return models.attach(
        passed.path(ref),
        proof.plan,
        models.datasets(proof),
        judged(proof.held),
        told,
        models.figures(proof),
        passed.keys.signer("producer"),
        seconds=sum(epoch[3] for epoch in passed.notes["epochs"]),
        frameworks={},
    )


def asked(capsys: Said, *argv: str) -> tuple[int, Any]:
    code = main(["model", *argv, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_runs_model_goes_all_the_way(home: Home, passed: Run, capsys: Said) -> None:
    """What a run whose log verifies has entered, approved and put into production by itself."""
    policy = passed.notes["asked"]["policy"]
    with_ = keys(home, policy)
    entered = chains.standing(home, "attacked", with_).at("production")
    assert (entered.release, entered.run) == (passed.published["model"].sha256, passed.plan.run)
    code, told = asked(capsys, "show", "attacked@production", "--policy", policy)
    assert (code, told["holds"], told["missing"], told["schema"]) == (0, True, [], "CycloneDX 1.6")
    assert [(each["alias"], each["by"]) for each in told["moves"]] == [
        ("candidate", "producer"),
        ("approved", "verifier"),
        ("production", "verifier"),
    ]
    assert told["moves"][2]["log"] == passed.log.head
    proof = verify(passed.log.path, passed.trust, head=passed.log.head)
    assert [each["observation"] for each in told["verdicts"]] == [each.verdict.observation for each in proof.held]


def test_a_log_that_does_not_verify_promotes_nothing(home: Home, passed: Run, capsys: Said) -> None:
    policy = passed.notes["asked"]["policy"]
    with_ = keys(home, policy)
    entered = chains.standing(home, "attacked", with_).at("production")
    move = ("promote", "attacked", "--policy", policy, "--reason", "the log verifies", "--to")
    log = passed.log.path
    good = log.read_bytes()
    for bad in (good[:-20], good.replace(b"\n", b"\n\n", 1), b"".join(good.splitlines(keepends=True)[:-1])):
        log.write_bytes(bad)
        code, told = asked(capsys, *move, "approved")
        assert (code, told["holds"]) == (1, False), told
    log.write_bytes(good)
    code, told = asked(capsys, *move, "approved")
    assert (code, told["log"]) == (0, passed.log.head)
    code, told = asked(capsys, *move, "production")
    assert (code, told["log"]) == (0, passed.log.head)
    assert chains.standing(home, "attacked", with_).at("production") == entered
    assert asked(capsys, "promote", "attacked", "--to", "production", "--reason", "another policy's run")[0] == 1


def redeployed(passed: Run) -> Any:
    """The model of the run that passed, deployed again."""
    state, run = once(Quiet(), **passed.notes["asked"], after=passed.plan.run)
    assert run is not None
    return state, run


def test_what_was_revoked_is_not_deployed_again(home: Home, passed: Run) -> None:
    """Every other gate holds, but the dataset that it was trained on counts no more."""
    with_ = keys(home, passed.notes["asked"]["policy"])
    data = passed.published["features"].sha256
    signer = UnsafeLocalKeys(home.root / "keys").signer("owner")
    chains.revoke(home, signer, with_, what="data", target=data, reason="it was withdrawn")
    pointer = current(home, "serving")
    try:
        state, run = redeployed(passed)
    finally:
        max((home.root / "chains" / "revoked").iterdir(), key=lambda path: int(path.name)).unlink()
    assert state.name == REFUSED
    assert re.search(r"\[model_versioning\] fail: VER-0[79] .*revoked: it was withdrawn", state.message), state.message
    assert current(home, "serving") == pointer
    assert process.alive(home.root / "service" / run.plan.run / "process.json") is None


def test_a_chain_that_was_cut_since_the_plan_deploys_nothing(
    home: Home, passed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As whoever can write there would, to have a revocation or a newer version forgotten."""
    real, cut = chains.there, [False]
    monkeypatch.setattr(
        chains, "there", lambda home, name: real(home, name)[: -1 if cut[0] and name == "attacked" else None]
    )
    gone = models.register
    monkeypatch.setattr(models, "register", lambda run, proof: [cut.__setitem__(0, True), gone(run, proof)][1])
    pointer = current(home, "serving")
    state, _ = redeployed(passed)
    assert state.name == REFUSED
    assert "cut off: entry " in state.message
    assert current(home, "serving") == pointer


def test_a_statement_that_leaves_out_a_verdict_is_not_promoted(
    home: Home, passed: Run, parts: Parts, tmp_path: Path, capsys: Said
) -> None:
    """Also by the producer: what the log says of the run is asked again."""
    proof = verify(passed.log.path, passed.trust)
    files, attached = parts
    without = {name: data for name, data in attached.items() if name != "statement.dsse"}
    few = [each for each in judged(proof.held) if each.gate != "dependency_scanning"]
    said = statement.sign(files, without, models.datasets(proof), few, passed.keys.signer("producer"))
    other = Home(tmp_path / "other")
    shutil.copytree(home.root / "keys", other.root / "keys")
    shutil.copytree(home.evidence(passed.plan.run), other.evidence(passed.plan.run))
    shutil.copyfile(home.index, other.index)
    policy = passed.notes["asked"]["policy"]
    with_ = keys(other, policy)
    signer = UnsafeLocalKeys(other.root / "keys").signer("producer")
    models.enter(other, files, {**without, "statement.dsse": said}, signer, with_, "nobody will see")
    with pytest.raises(LogBroken, match="the verdicts are not those of the log"):
        promote(other, "attacked", "approved", "verifier", "the log verifies", policy)


def test_what_is_slipped_into_the_store_is_not_entered(passed: Run, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(passed.path(passed.published["model"]), folder)
    (folder / ".git").mkdir()
    (folder / ".git" / "evil.py").write_bytes(b"import os")
    trust: Trust = passed.trust
    proof = verify(passed.log.path, trust)
    told = card(load.text(load.find("recommender", "cards")), "recommender.yaml")
    figures: list[Metric] = models.figures(proof)
    signer, data = passed.keys.signer("producer"), models.datasets(proof)
    with pytest.raises(KeyBroken, match=r"'\.git' is hidden"):
        models.attach(folder, proof.plan, data, judged(proof.held), told, figures, signer, seconds=1.0, frameworks={})


def test_the_release_is_the_one_that_the_service_counts(passed: Run, parts: Parts) -> None:
    assert release(parts[0]) == passed.published["model"].sha256
