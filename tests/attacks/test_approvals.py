"""A policy that wants a person: deploys that nobody approved, that somebody approved otherwise, and one that goes."""

import base64
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import SetStateStatus

from configs import load
from flows.cli import main
from flows.shell import once
from security.errors import LogBroken
from security.gate import judge
from security.gates import approval
from security.keys import UnsafeLocalKeys
from security.registry import GATES
from security.verdict import Observation
from security.verify import pending, verify
from tasks import envelopes, process
from tasks.home import Home
from tasks.run import REFUSED, Listener, Quiet, Run
from tasks.store import current
from tests.attacks.bucket import Operator
from tests.attacks.conftest import Pair
from tests.security.test_verify import chained

pytestmark = pytest.mark.usefixtures("desk")
NAME = "awaited"
REASON = "read the card and the groups"
WAIT = 30
"""Seconds that a run waits for somebody: enough for who comes, and one test sits through them."""
TOLD = ["--target", "local", "--reason", REASON, "--requester", "Grace", "--approver", "Ada"]


@pytest.fixture(scope="module")
def asked(operator: Operator, pair: Pair, home: Home) -> dict[str, str]:
    """A document, and a policy under which Ada must approve what is served."""
    ada = UnsafeLocalKeys(home.root / "keys").public("approver").id
    terms = {"approval": {"limits": {"persons": 1, "approvers": {ada: "Ada"}, "days": 14, "wait": WAIT}}}
    document, policy = pair(name=NAME)
    path = load.find(policy, "policies", paths=False)
    told = json.loads(path.read_text())
    told["gates"] |= terms
    path.write_text(json.dumps(told))
    return {"document": document, "policy": policy}


@pytest.fixture(scope="module")
def before(asked: dict[str, str], home: Home, operator: Operator) -> Run:
    """A run up to the evaluation: its model is the registry's candidate."""
    state, run = once(Quiet(), **asked, stages=["ingest", "features", "train", "evaluate"])
    assert state.is_completed(), state.message
    assert run is not None
    return run


class Heard(Quiet):
    """Keeps what is said of the work."""

    said = ""

    def step(self, stage: str, text: str) -> None:
        """One line more."""
        self.said += f"{text}\n"


def deployed(asked: dict[str, str], before: Run, listener: Listener | None = None) -> tuple[Any, Run]:
    state, run = once(listener or Quiet(), **asked, after=before.plan.run, stages=["deploy"])
    assert run is not None
    return state, run


def give(*more: str, target: str = "local", requester: str = "Grace") -> int:
    told = [*TOLD, "--target", target, "--requester", requester, *more]
    return main(["approval", "give", f"{NAME}@candidate", *told])


def resume(flow_run: UUID, note: str) -> None:
    """As the page of Prefect does it."""
    with get_client(sync_client=True) as api:
        answered = api.resume_flow_run(flow_run, run_input={"note": note})
    assert answered.status is SetStateStatus.ACCEPT, answered


@contextmanager
def aside(work: Callable[[UUID], None]) -> Iterator[None]:
    """Beside a run: when it is paused, this is done."""

    def go() -> None:
        paused = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])))
        with get_client(sync_client=True) as api:
            for _ in range(300):
                if found := api.read_flow_runs(flow_run_filter=paused):
                    work(found[0].id)
                    return
                time.sleep(0.2)
        raise AssertionError("no run was paused")

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(go)
        yield
        done.result(timeout=60)


def refused(asked: dict[str, str], before: Run, says: str) -> str:
    """A run that waits, is resumed by a click, and is refused; why."""
    pointer = current(before.home, "serving")
    with aside(lambda flow_run: resume(flow_run, "looks good to me")):
        state, run = deployed(asked, before)
    assert state.name == REFUSED
    assert "[approval] fail: " in state.message
    assert says in state.message
    assert current(before.home, "serving") == pointer
    assert process.alive(run.home.root / "service" / run.plan.run / "process.json") is None
    return str(state.message)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"target": "kubernetes_test"}, f"it is for {NAME} on kubernetes_test; allowed: {NAME} on local"),
        ({"requester": "ADA"}, "Ada asked for it and approved it; allowed: two persons"),
    ],
    ids=["for-another-target", "by-who-asked"],
)
def test_what_was_approved_otherwise_is_not_served(
    asked: dict[str, str], before: Run, told: dict[str, str], says: str
) -> None:
    assert give(**told) == 0
    assert refused(asked, before, says)


def test_an_approval_for_longer_than_the_policy_allows(asked: dict[str, str], before: Run) -> None:
    assert give("--days", "15") == 0
    assert refused(asked, before, "APR-07")


def test_an_approval_by_the_pipelines_own_key(asked: dict[str, str], before: Run) -> None:
    keys = UnsafeLocalKeys(before.home.root / "keys")
    claim = {"name": NAME, "target": "local", "reason": REASON, "requester": "Grace", "approver": "Ada"}
    now = before.plan.started
    model = before.published["model"].sha256
    envelopes.keep(
        before.home,
        "approvals",
        approval.sign(model, keys.signer("producer"), **claim, issued=now, expires=now + 3600),
    )
    assert refused(asked, before, "APR-03")


def _of_another(told: dict[str, Any]) -> None:
    told["subject"]["sha256"] = "1" * 64


def _later(told: dict[str, Any]) -> None:
    told["facts"]["at"] += 100


def swapped(change: Callable[[dict[str, Any]], None], limits: dict[str, Any]) -> Callable[[list[dict[str, Any]]], None]:
    """Whoever holds the producer's key has approvals judged that are of something else, and signs the verdict anew."""

    def told(statements: list[dict[str, Any]]) -> None:
        said = next(each["predicate"] for each in statements if each["predicate"].get("gate") == "approval")
        change(said["observation"])
        seen = Observation.model_validate(said["observation"])
        said["verdict"] = judge(GATES["approval"], seen, limits).model_dump(mode="json")
        assert said["verdict"]["outcome"] == "pass"

    return told


def test_an_approver_needs_no_more_than_the_evidence_and_a_public_key(
    before: Run,
    asked: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At a desk of her own, where no pipeline runs."""
    shutil.copytree(before.home.evidence(before.plan.run), tmp_path / before.plan.run)
    (tmp_path / "producer.pub").write_bytes(before.trust.key.pem)
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "desk"))
    told = ["approval", "give", str(tmp_path / before.plan.run), *TOLD, "--policy", asked["policy"]]
    assert main([*told, "--key", str(tmp_path / "producer.pub")]) == 0
    (path,) = (tmp_path / "desk" / "approvals").iterdir()
    given = approval.read(path.read_bytes())
    assert given.model == before.published["model"].sha256
    assert given.signer == UnsafeLocalKeys(tmp_path / "desk" / "keys").public("approver").id
    assert sorted(each.name for each in (tmp_path / "desk" / "keys").iterdir()) == ["approver.pem"]
    capsys.readouterr()
    other = UnsafeLocalKeys(tmp_path / "other").public("producer")
    (tmp_path / "producer.pub").write_bytes(other.pem)
    assert main([*told, "--key", str(tmp_path / "producer.pub")]) == 2
    (tmp_path / before.plan.run / "log.jsonl").unlink()
    assert main([*told, "--key", str(tmp_path / "producer.pub")]) == 2
    assert "no log.jsonl in it; allowed with --key: the folder of a run's evidence" in capsys.readouterr().err


def test_a_person_approves_and_it_is_served_and_anyone_can_check_it(
    asked: dict[str, str], before: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert give() == 0
    capsys.readouterr()
    assert main(["approval", "list", "--policy", asked["policy"], "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["target"], listed["wrong"]) == (NAME, "local", "")
    state, run = deployed(asked, before)
    assert state.is_completed(), state.message
    (held,) = [each for each in verify(run.log.path, run.trust).held if each.verdict.gate == "approval"]
    assert (held.verdict.outcome, held.effect.because) == ("pass", "enforced")
    told = f"1 approvals of {before.published['model'].sha256[:12]}, 0 of others"
    assert held.verdict.reason == f"2/2 questions and approvals, {told}"
    process.stop(run.home.root / "service" / run.plan.run / "process.json")
    limits = run.plan.terms["deploy"]["serve"]["approval"].limits
    for change in (_of_another, _later):
        folder = shutil.copytree(run.log.path.parent, tmp_path / change.__name__)  # with the log that it goes on from
        log = folder / "log.jsonl"
        key = UnsafeLocalKeys(run.home.root / "keys").signer("producer")
        chained(log, run.trust.key, key, swapped(change, limits))
        with pytest.raises(LogBroken, match="looked at approvals of another model, or at another moment, than it says"):
            verify(log, run.trust)


def test_an_approval_that_was_altered_stops_the_run(asked: dict[str, str], before: Run) -> None:
    assert give() == 0
    (path,) = (before.home.root / "approvals").glob("*.json")
    spoiled = path.read_bytes()[:-9]
    path.unlink()
    envelopes.keep(before.home, "approvals", spoiled)
    assert refused(asked, before, "APR-02")


def test_an_approval_whose_model_was_altered_stops_it_beside_a_good_one(asked: dict[str, str], before: Run) -> None:
    assert give() == 0
    (path,) = (before.home.root / "approvals").glob("*.json")
    told = json.loads(path.read_bytes())
    body = base64.b64decode(told["payload"]).replace(before.published["model"].sha256.encode(), b"1" * 64)
    told["payload"] = base64.b64encode(body).decode()
    envelopes.keep(before.home, "approvals", json.dumps(told).encode())
    assert refused(asked, before, "APR-02")


def test_a_run_waits_for_a_person_and_a_click_alone_approves_nothing(asked: dict[str, str], before: Run) -> None:
    assert refused(asked, before, "APR-01 local: 0 approvals of ")


def test_a_run_waits_for_a_person_who_signs(asked: dict[str, str], before: Run) -> None:
    def sign(flow_run: UUID) -> None:
        (told,) = re.findall(r"approval give (\S+) --target", listener.said)
        assert main(["approval", "give", told, *TOLD]) == 0
        resume(flow_run, "")

    listener = Heard()
    with aside(sign):
        state, run = deployed(asked, before, listener)
    assert state.is_completed(), state.message
    process.stop(run.home.root / "service" / run.plan.run / "process.json")


def test_what_was_approved_goes_on_though_nobody_resumed_it(asked: dict[str, str], before: Run) -> None:
    listener = Heard()
    with aside(lambda _: give(target="local")):
        state, run = deployed(asked, before, listener)
    assert f"nobody came within {WAIT} s" in listener.said
    assert state.is_completed(), state.message
    assert verify(run.log.path, run.trust).closed
    with get_client(sync_client=True) as api:
        assert api.read_flow_run(state.state_details.flow_run_id).state_name == "Completed"
    process.stop(run.home.root / "service" / run.plan.run / "process.json")


def test_a_run_for_which_nobody_comes_is_refused(asked: dict[str, str], before: Run) -> None:
    listener = Heard()
    state, run = deployed(asked, before, listener)
    assert (state.is_failed(), state.name) == (True, REFUSED)
    model = before.published["model"].sha256
    assert f"nobody came within {WAIT} s: it waited for 1 to approve model {model[:12]} for local" in listener.said
    assert f"`sluice approval give {run.plan.run} --target local" in listener.said
    assert f"[approval] fail: APR-01 local: 0 approvals of {model[:12]} count; allowed: 1 or more" in state.message
    assert "deploy" not in run.published
    assert pending(run.log.path, run.trust, "approval").available["train"].sha256 == model, "it can be approved still"
