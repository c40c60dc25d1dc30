"""A finding that a person lets go, in real runs: who may, for what, and for how long."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from configs import load
from flows.cli import main
from flows.shell import once
from security import waiver
from security.errors import LogBroken
from security.keys import UnsafeLocalKeys, seal
from security.verify import verify
from tasks import envelopes, process
from tasks.home import Home
from tasks.run import REFUSED, Quiet, Run
from tests.attacks.attacker import Ground
from tests.attacks.bucket import Operator
from tests.attacks.conftest import BUCKET, Pair
from tests.attacks.packages import VULNERABLE, known

NAME = "dependency_scanning"
Ran = Callable[[], tuple[Any, Run]]


@pytest.fixture(scope="module")
def asked(operator: Operator, pair: Pair, home: Home) -> dict[str, str]:
    """A document, and a policy under which Ada may let vulnerabilities go."""
    document, policy = pair(name="waived")
    path = load.find(policy, "policies", paths=False)
    told = json.loads(path.read_text())
    ada = UnsafeLocalKeys(home.root / "keys").public("approver").id
    told["waivers"] = {"approvers": {ada: "Ada"}, "days": 30}
    told["gates"][NAME]["waive"] = ["DEP-04"]
    path.write_text(json.dumps(told))
    return {"document": document, "policy": policy}


@pytest.fixture(scope="module")
def before(asked: dict[str, str], home: Home, operator: Operator) -> Iterator[Run]:
    """A run that passed: what is trained again goes on from it."""
    state, run = once(Quiet(), **asked)
    assert state.is_completed(), state.message
    assert run is not None
    yield run
    process.stop(home.root / "service" / run.plan.run / "process.json")


@pytest.fixture
def ran(asked: dict[str, str], before: Run, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ran]:
    """Trains again, now that a package is known to be vulnerable."""
    ground = Ground(before.home, operator, BUCKET, "waived", before)
    monkeypatch.setattr(Home, "advisories", known(ground, (VULNERABLE, "PYSEC-2026-7")))

    def go() -> tuple[Any, Run]:
        state, run = once(Quiet(), **asked, after=before.plan.run, stages=["train"])
        assert run is not None
        return state, run

    yield go
    for path in (before.home.root / "waivers").glob("*"):
        path.unlink()


@pytest.fixture
def refused(ran: Ran) -> Run:
    """Such a run, which nobody has let go."""
    state, run = ran()
    assert state.name == REFUSED
    assert f"[{NAME}] fail: DEP-04 {VULNERABLE}" in state.message
    return run


def fingerprint(run: Run, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["waiver", "findings", run.plan.run, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["gate"], found["rule"], found["waivable"]) == (NAME, "DEP-04", True)
    assert found["subject"] == run.plan.lock
    return str(found["fingerprint"])


def approve(run: Run, finding: str, *more: str, requester: str = "Grace") -> int:
    told = ["--reason", "nothing here calls it", "--ticket", "SEC-7", "--requester", requester, *more]
    return main(["waiver", "approve", run.plan.run, finding, *told])


def test_what_a_person_lets_go_is_found_all_the_same_and_the_run_goes_on(
    refused: Run, ran: Ran, asked: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert approve(refused, fingerprint(refused, capsys)[:16]) == 0
    assert main(["waiver", "list", "--policy", asked["policy"]]) == 0
    said = capsys.readouterr().out
    assert "SEC-7" in said
    assert "counts" in said
    state, run = ran()
    assert state.is_completed(), state.message
    (held,) = [each for each in verify(run.log.path, run.trust).held if each.verdict.gate == NAME]
    assert (held.effect.because, len(held.effect.waivers)) == ("waived", 1)
    assert held.verdict.findings[0].rule == "DEP-04"
    assert run.published["model"].kind == "model"
    assert "no advisories" not in held.effect.also
    assert "SLUICE_INDEX names no index" in held.effect.also
    public = str(run.home.root / "trust" / "producer.pub")
    capsys.readouterr()
    path = str(load.find(asked["policy"], "policies", paths=False))
    assert main(["verify", str(run.log.path.parent), "--key", public, "--policy", path]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"waived: DEP-04 {VULNERABLE}" in said
    assert "by Ada for Grace, SEC-7, until 2" in said


def test_an_auditor_who_trusts_another_approver_refuses_the_run(
    refused: Run, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    assert approve(refused, fingerprint(refused, capsys)) == 0
    state, run = ran()
    assert state.is_completed(), state.message
    other = run.trust.policy.model_copy(update={"waivers": load.Approval(approvers={"0" * 64: "Eve"}, days=30)})
    with pytest.raises(LogBroken, match=rf"train/fit: {NAME}: fail leads to stop, not to what was recorded"):
        verify(run.log.path, replace(run.trust, policy=other))


def altered(home: Home, envelope: bytes) -> bytes:
    return envelope.replace(b'"payload":"', b'"payload":"A')


def by_the_producer(home: Home, envelope: bytes) -> bytes:
    told = opened(envelope)
    keys = UnsafeLocalKeys(home.root / "keys")
    told["predicate"]["key"] = keys.public("producer").pem.decode()
    return resealed(told, keys, "producer")


def of_another_lock(home: Home, envelope: bytes) -> bytes:
    told = opened(envelope)
    told["subject"][0]["digest"]["sha256"] = "1" * 64
    return resealed(told, UnsafeLocalKeys(home.root / "keys"), "approver")


def ended(home: Home, envelope: bytes) -> bytes:
    told = opened(envelope)
    told["predicate"] |= {"issued": 1.0, "expires": 2.0}
    return resealed(told, UnsafeLocalKeys(home.root / "keys"), "approver")


def too_long(home: Home, envelope: bytes) -> bytes:
    told = opened(envelope)
    told["predicate"]["expires"] += 31 * waiver.DAY
    return resealed(told, UnsafeLocalKeys(home.root / "keys"), "approver")


def asked_by_the_approver(home: Home, envelope: bytes) -> bytes:
    told = opened(envelope)
    told["predicate"]["requester"] = "ada"
    return resealed(told, UnsafeLocalKeys(home.root / "keys"), "approver")


def opened(envelope: bytes) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    return told


def resealed(told: dict[str, Any], keys: UnsafeLocalKeys, role: Any) -> bytes:
    subject = {each["name"]: each["digest"]["sha256"] for each in told["subject"]}
    return seal(waiver.KIND, subject, told["predicate"], keys.signer(role))


@pytest.mark.parametrize(
    "change",
    [altered, by_the_producer, of_another_lock, ended, too_long, asked_by_the_approver],
    ids=lambda f: f.__name__,
)
def test_one_that_does_not_count_lets_nothing_go(
    refused: Run,
    ran: Ran,
    asked: dict[str, str],
    change: Callable[[Home, bytes], bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = refused.home
    assert approve(refused, fingerprint(refused, capsys)) == 0
    (path,) = (home.root / "waivers").iterdir()
    spoiled = change(home, path.read_bytes())
    path.unlink()
    envelopes.keep(home, "waivers", spoiled)
    capsys.readouterr()
    assert main(["waiver", "list", "--policy", asked["policy"], "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert said["wrong"] or change is of_another_lock
    state, run = ran()
    assert state.name == REFUSED
    assert f"[{NAME}] fail: DEP-04 {VULNERABLE}" in state.message
    assert "model" not in run.published
