"""A policy that wants a person for what an image brings: only an approval of that very image lets it be served."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from flows.approval import _image
from flows.cli import main
from flows.shell import once
from security.errors import LogBroken, PlanError, Refused
from security.gate import judge
from security.gates import approval
from security.keys import UnsafeLocalKeys
from security.log import read
from security.registry import GATES
from security.verdict import Observation
from security.verify import pending, verify
from tasks import build, process
from tasks.home import Home
from tasks.run import REFUSED, Quiet, Run
from tests.attacks.bucket import Operator
from tests.attacks.clusters import signed
from tests.attacks.conftest import SECRETS, Pair
from tests.security.gates import images
from tests.security.test_verify import chained

pytestmark = pytest.mark.usefixtures("desk")
TARGET = "kubernetes_test"
TOLD = ["--target", TARGET, "--reason", "read the card", "--requester", "Grace", "--approver", "Ada"]


@pytest.fixture(scope="module")
def asked(operator: Operator, pair: Pair, home: Home, base: str) -> dict[str, str]:
    """A policy under which an image is built, and Ada must approve it."""
    ada = UnsafeLocalKeys(home.root / "keys").public("approver").id
    built = {"base": base, "repository": "127.0.0.1:9/team/serving", "scheme": "UnsafeHttp"}
    built |= {"bases": [images.base()], "floor": 1, "secrets": SECRETS}
    limits: dict[str, Any] = {"persons": 1, "approvers": {ada: "Ada"}}
    terms = {"image_vulnerability_scanning": built, "approval": limits, "target_environment": TARGET}
    document, policy = pair(name="brought", **terms)
    return {"document": document, "policy": signed(home, policy)}


@pytest.fixture(scope="module")
def before(asked: dict[str, str]) -> Run:
    """A run up to the evaluation, which renders and builds nothing."""
    state, run = once(Quiet(), **asked, stages=["ingest", "features", "train", "evaluate"])
    assert state.is_completed(), state.message
    assert run is not None
    return run


def deployed(asked: dict[str, str], before: Run) -> tuple[Any, Run]:
    state, run = once(Quiet(), **asked, after=before.plan.run, stages=["deploy"])
    assert run is not None
    process.stop(run.home.root / "service" / run.plan.run / "process.json")
    return state, run


def test_it_is_refused_by_name_until_that_very_image_is_approved(
    asked: dict[str, str],
    before: Run,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = before.published["model"].sha256
    assert main(["approval", "give", before.plan.run, *TOLD]) == 0
    state, first = deployed(asked, before)
    image = build.image(first)
    assert len(image) == 64
    assert state.name == REFUSED
    assert f"APR-01 {TARGET}: 0 approvals of {model[:12]} in image {image[:12]} count" in state.message
    assert f"it is of no image; allowed: image {image[:12]}; APR-01" in state.message
    assert "image_vulnerability_scanning" not in {gate for (*_, gate, _) in first.heard}
    capsys.readouterr()
    assert main(["approval", "list", "--policy", asked["policy"], "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["wrong"] == "it is of no image; allowed: of one, as this policy has them built"
    # At a desk of hers she has no more than the evidence, which is verified to where it waits for her.
    desk = tmp_path / "desk"
    shutil.copytree(home.root / "keys", desk / "keys", ignore=lambda _, names: {*names} - {"approver.pem"})
    kept, given = home.evidence(first.plan.run), [*TOLD, "--policy", asked["policy"], "--key", "producer.pub"]
    given += ["--owner", "owner.pub"]
    for name in ("producer", "owner"):
        (tmp_path / f"{name}.pub").write_bytes(UnsafeLocalKeys(home.root / "keys").public(name).pem)
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setenv("SLUICE_HOME", str(desk))
        rendered = kept / build.MANIFESTS / "deployment.yaml"
        other = shutil.copytree(kept, tmp_path / first.plan.run)
        (other / build.MANIFESTS / "deployment.yaml").write_bytes(rendered.read_bytes().replace(b"team", b"tram"))
        assert main(["approval", "give", str(other), *given]) == 2
        shutil.rmtree(other / build.MANIFESTS)
        assert main(["approval", "give", str(other), *given]) == 2
        assert main(["approval", "give", str(kept), *given]) == 0
        statements = read(kept / "log.jsonl", first.trust.key)[0]
        assert _image(kept, statements, model) == image
        with pytest.raises(PlanError, match="not those that the run rendered"):
            _image(kept, statements, "1" * 64)
        statements[0]["predicate"]["plan"]["matrix"]["train"] = {}
        with pytest.raises(PlanError, match="has ended, and its image has its own log in it, which no other run has"):
            _image(kept, statements, model)
    (path,) = (desk / "approvals").iterdir()
    told = approval.read(path.read_bytes())
    assert (told.model, told.claim.image) == (model, image)
    shutil.copy(path, home.root / "approvals")
    state, second = deployed(asked, before)
    assert build.image(second) == image, "what is built again is what was approved"
    assert "[deployment_authorization] inconclusive: " in state.message  # it names no cluster
    (verdict,) = [seen for (*_, gate, _), seen in second.heard.items() if gate == "approval"]
    assert verdict.facts["image"] == image
    swapped(second, tmp_path / "swapped")


def swapped(run: Run, folder: Path) -> None:
    """Who holds the producer's key has the approval that she gave of no image judged in place of that of the image,
    and signs it: who verifies sees that another image was looked at than was asked about."""
    log = shutil.copytree(run.log.path.parent, folder) / "log.jsonl"
    limits = run.plan.terms["deploy"]["serve"]["approval"].limits

    def change(statements: list[dict[str, Any]]) -> None:
        said = next(each["predicate"] for each in statements if each["predicate"].get("gate") == "approval")
        facts = said["observation"]["facts"] | {"image": ""}
        kept = [each for each in facts["envelopes"] if not _of(each)]
        assert kept
        said["observation"]["facts"] = facts | {"envelopes": kept, "others": facts["others"] + 1}
        seen = Observation.model_validate(said["observation"])
        said["verdict"] = judge(GATES["approval"], seen, limits).model_dump(mode="json")
        assert said["verdict"]["outcome"] == "pass"

    with pytest.raises(Refused, match="deployment_authorization"):
        verify(log, run.trust)
    chained(log, run.trust.key, UnsafeLocalKeys(run.home.root / "keys").signer("producer"), change)
    said = "approval: is about no image; deploy/render: workload_hardening is about image [0-9a-f]{12}"
    with pytest.raises(LogBroken, match=said):
        verify(log, run.trust)


def _of(envelope: str) -> str:
    """The image that an approval is of."""
    return approval.read(envelope.encode()).claim.image


def test_what_waits_for_nobody_is_no_run_that_waits(before: Run, asked: dict[str, str], tmp_path: Path) -> None:
    """Only a stop by that gate, at the end of the log, is taken for waiting."""
    _, run = deployed(asked, before)
    with pytest.raises(Refused, match=r"\[approval\] fail"):
        verify(run.log.path, run.trust)
    with pytest.raises(Refused, match=r"\[approval\] fail"):
        pending(run.log.path, run.trust, "model_versioning")
    proof = pending(run.log.path, run.trust, "approval")
    assert (proof.closed, proof.available["train"].sha256) == (False, before.published["model"].sha256)
    log = shutil.copytree(run.log.path.parent, tmp_path / "on") / "log.jsonl"
    lines, key = log.read_bytes().splitlines(keepends=True), UnsafeLocalKeys(run.home.root / "keys").signer("producer")
    for left in (1, 2):
        log.write_bytes(b"".join(lines[:-left]))  # its end is cut off, as of one that waits
        assert not pending(log, run.trust, "approval").closed
    for left, says in ((1, "deploy/render: never ran"), (0, "does not begin with its one plan")):
        log.write_bytes(b"".join(lines[:left]))
        with pytest.raises(LogBroken, match=says):
            pending(log, run.trust, "approval")
    log.write_bytes(b"".join(lines))
    with pytest.raises(LogBroken, match=r"data_contract is before \d tasks of the plan; allowed: one"):
        pending(before.log.path, before.trust, "data_contract")

    def went_on(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
        told = copy.deepcopy(next(each for each in statements if each["predicate"].get("gate") == "approval"))
        told["predicate"]["gate"] = "model_signature"
        return [*statements[:-1], told, statements[-1]]

    chained(log, run.trust.key, key, went_on)
    with pytest.raises(LogBroken, match="the run went on after it was stopped"):
        pending(log, run.trust, "approval")

    def passed(statements: list[dict[str, Any]]) -> None:
        statements[-1]["predicate"]["outcome"] = "passed"

    log.write_bytes(b"".join(lines))
    chained(log, run.trust.key, key, passed)
    with pytest.raises(LogBroken, match="closed as 'passed', and not for want of what approval looks for"):
        pending(log, run.trust, "approval")
