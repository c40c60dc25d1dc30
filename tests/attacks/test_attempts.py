"""The same test slice, again and again: with other seeds, thresholds and policies, and with the index in the way."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from configs import load
from flows.audit import audit
from flows.shell import once
from security.errors import LogBroken
from security.gate import judge
from security.log import kind_of, looks, read
from security.registry import GATES
from security.verdict import Observation
from security.verify import verify
from tasks.home import Home
from tasks.run import REFUSED, Quiet, Run
from tasks.store import current
from tests.attacks.attacker import Attacker, Ground
from tests.attacks.bucket import Operator
from tests.attacks.conftest import BUCKET, Pair
from tests.security.test_verify import chained

Statements = list[dict[str, Any]]


@pytest.fixture
def ran(home: Home, pair: Pair, operator: Operator) -> Callable[..., tuple[Any, Run]]:
    """Runs the pipeline with changes, without its last stage."""

    def run(name: str, *, listener: Any = None, **changes: Any) -> tuple[Any, Run]:
        document, policy = pair(name=name, **{"metric_thresholds": {"attempts": 3}} | changes)
        state, made = once(listener or Quiet(), document=document, policy=policy, deploy=False)
        assert made is not None, state
        made.notes["asked"] = {"document": document, "policy": policy}
        return state, made

    return run


def attempts(run: Run) -> dict[str, Any]:
    """What the gate counted."""
    told = [seen.facts["attempts"] for (_, _, gate, _), seen in run.heard.items() if gate == "metric_thresholds"]
    found: dict[str, Any] = told[-1]
    return found


def entered(home: Home, run: Run) -> int:
    """How many looks of a run the index has."""
    return sum(each.run == run.plan.run for each in looks(home.index, run.trust.key))


def test_again_with_another_seed_until_it_passes(ran: Any, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Another seed, another threshold, another policy: each is another plan, and all of them look at one slice. A run
    that breaks off while it makes its lists has looked too."""

    def broken(run: Run, at: Any) -> None:
        raise OSError("the machine is gone")

    state, run = ran("attempted", seed=1)
    assert state.is_completed(), state.message
    assert (attempts(run)["count"], run.notes["attempt"]) == (1, "attempt 1 of 3 on this data")
    assert "attempt 1 of 3 on this data" in Path(run.notes["page"]).read_text()
    with pytest.MonkeyPatch.context() as patch:
        crashing = Attacker(Ground(home, None, BUCKET, "good", run), {"written": broken})  # type: ignore[arg-type]
        crashing.wait(patch)
        state, killed = ran("attempted", seed=2, listener=crashing)
    assert not state.is_completed()
    assert "scores" not in killed.published
    assert entered(home, killed) == 1
    last = {"thresholds": {"precision@10": 0.14}, "metric_thresholds": {"attempts": 3, "min_users": 90}}
    state, third = ran("attempted", seed=3, **last)
    assert state.is_completed(), state.message
    assert [each["run"] for each in attempts(third)["newest"]] == [each.plan.run for each in (run, killed, third)]
    assert third.plan.policy_sha256 != run.plan.policy_sha256
    assert third.plan.document_sha256 != run.plan.document_sha256
    for made in (run, third):
        key = home.root / "trust" / "producer.pub"
        assert audit(home.evidence(made.plan.run), key, made.notes["asked"]["policy"]) == 0, capsys.readouterr()

    pointer, heads = current(home, "serving"), sorted((home.root / "chains").rglob("*"))
    state, fourth = ran("attempted", seed=4)
    assert (state.is_failed(), state.name) == (True, REFUSED)
    assert "[metric_thresholds] fail: MET-ATTEMPTS test: found 4 runs that looked at this test slice" in state.message
    assert all(each.plan.run in state.message for each in (run, killed, third, fourth))
    assert state.message.endswith("allowed: 3")
    assert "scores" not in fourth.published
    assert (current(home, "serving"), sorted((home.root / "chains").rglob("*"))) == (pointer, heads)
    state, other = ran("another", seed=4)
    assert state.is_completed(), state.message
    assert attempts(other)["count"] == 1


@pytest.fixture
def indexed(home: Home) -> Iterator[Path]:
    """The index, to be altered, and put back with what was appended meanwhile left out."""
    whole = home.index.read_bytes()
    yield home.index
    home.index.write_bytes(whole)


def _cut(run: Run, at: Ground) -> None:
    lines = run.home.index.read_bytes().splitlines(keepends=True)
    run.home.index.write_bytes(b"".join(lines[:-1]))


def _gone(run: Run, at: Ground) -> None:
    run.home.index.unlink()


def _flipped(run: Run, at: Ground) -> None:
    data = bytearray(run.home.index.read_bytes())
    data[len(data) // 2] ^= 1
    run.home.index.write_bytes(bytes(data))


TAMPERED = {
    "cut-after-the-look": ("written", _cut, "does not have this run's look at its test slice"),
    "gone-after-the-look": ("written", _gone, "how often this test slice was looked at: there is no log at index"),
    "altered-after-the-look": ("written", _flipped, "how often this test slice was looked at: line"),
    "gone-before-the-look": ("evaluate gate 2", _gone, "evaluate: there is no log at index"),
    "altered-before-the-look": ("evaluate gate 2", _flipped, "evaluate: line"),
    "begun-anew-before-the-look": ("evaluate gate 2", _cut, "knows nothing of this run any more"),
}


@pytest.mark.parametrize(("moment", "act", "says"), TAMPERED.values(), ids=TAMPERED)
def test_who_alters_the_index_while_a_run_works_is_noticed(
    moment: str, act: Any, says: str, home: Home, passed: Run, operator: Operator, indexed: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    attacker = Attacker(Ground(home, operator, BUCKET, "good", passed), {moment: act})
    attacker.wait(monkeypatch)
    state, run = once(attacker, **passed.notes["asked"], stages=["evaluate"], after=passed.plan.run)
    assert (state.name, attacker.acted) == (REFUSED, [moment])
    assert says in state.message
    assert run is not None
    assert "scores" not in run.published
    shutil.rmtree(home.evidence(run.plan.run))  # of a run that the index, as it is put back, does not know


def test_who_cuts_the_index_to_begin_anew_is_noticed(home: Home, passed: Run, indexed: Path) -> None:
    """Whatever is cut off behind the last entry that a log names is not missed; no look is among that."""
    whole = indexed.read_bytes().splitlines(keepends=True)
    own = next(each for each in looks(indexed, passed.trust.key) if each.run == passed.plan.run)
    at = next(n for n, line in enumerate(whole) if own.entry == _head(line))
    for length in (at, at - 1, 1, 0):
        indexed.write_bytes(b"".join(whole[:length]))
        state, _ = once(Quiet(), **passed.notes["asked"], stages=["evaluate"], after=passed.plan.run)
        assert state.name == REFUSED
        assert state.message.startswith("plan: the index of runs "), state.message
    indexed.unlink()
    state, _ = once(Quiet(), **passed.notes["asked"], stages=["evaluate"], after=passed.plan.run)
    assert state.message.startswith("plan: the index of runs knows nothing of run ")


def _head(line: bytes) -> str:
    from security.log import head_of

    return head_of(line.rstrip(b"\n"))


def _statement(statements: Statements, kind: str) -> dict[str, Any]:
    return next(each for each in statements if kind_of(each) == kind)


def _unlooked(statements: Statements) -> Statements:
    kept = [each for each in statements if kind_of(each) != "looked"]
    kept[-1]["predicate"]["count"] = len(kept) - 1
    return kept


def _moved(statements: Statements) -> Statements:
    """The look comes after the scores were made."""
    at = next(n for n, each in enumerate(statements) if kind_of(each) == "looked")
    statements[at], statements[at + 1] = statements[at + 1], statements[at]
    return statements


def _twice(statements: Statements) -> Statements:
    at = next(n for n, each in enumerate(statements) if kind_of(each) == "looked")
    statements.insert(at, json.loads(json.dumps(statements[at])))
    statements[-1]["predicate"]["count"] += 1
    return statements


def _elsewhere(statements: Statements) -> None:
    _statement(statements, "looked")["predicate"]["data"] = "0" * 64


def _misplaced(statements: Statements) -> None:
    _statement(statements, "looked")["predicate"] |= {"stage": "train", "task": "fit"}


def _fewer(statements: Statements) -> None:
    """The verdict is of fewer attempts than there were, and is what they deserve."""
    for each in statements:
        said = each["predicate"]
        if kind_of(each) == "verdict" and said["gate"] == "metric_thresholds":
            said["observation"]["facts"]["attempts"]["count"] = 999
            limits = statements[0]["predicate"]["plan"]["terms"]["evaluate"]["score"]["metric_thresholds"]["limits"]
            seen = Observation.model_validate(said["observation"])
            said["verdict"] = judge(GATES["metric_thresholds"], seen, limits).model_dump(mode="json")


def _other_code(statements: Statements) -> None:
    statements[0]["predicate"]["plan"]["evaluation"]["code"]["metric_thresholds"] = "0" * 64


def _unplanned(statements: Statements) -> None:
    statements[0]["predicate"]["plan"]["evaluation"] = {}


def _younger(statements: Statements) -> None:
    """The plan is of after the training."""
    plan = statements[0]["predicate"]["plan"]
    made = [e["predicate"]["observation"]["taken"] for e in statements if kind_of(e) == "verdict"]
    plan["started"] = max(made) + 5


def _lower(statements: Statements) -> None:
    """The threshold was another when the model was measured."""
    plan = statements[0]["predicate"]["plan"]
    plan["document"]["stages"][3]["thresholds"] = {"precision@10": 0.01}
    plan["document_sha256"] = load.sha256(plan["document"])


def _terms(statements: Statements) -> None:
    limits = statements[0]["predicate"]["plan"]["terms"]["evaluate"]["score"]["metric_thresholds"]["limits"]
    limits["thresholds"] = {"precision@10": 0.01}


def _unbounded(statements: Statements) -> None:
    limits = statements[0]["predicate"]["plan"]["terms"]["evaluate"]["score"]["metric_thresholds"]["limits"]
    limits["attempts"] = 999


FORGED = {
    "no-look": (_unlooked, "measured without an entry in the index of runs"),
    "a-look-afterwards": (_moved, "measured without an entry in the index of runs"),
    "two-looks": (_twice, "looked at a test slice twice"),
    "a-look-at-another-slice": (_elsewhere, "counted the looks at another test slice"),
    "a-look-of-what-measures-nothing": (_misplaced, "measures nothing"),
    "measured-by-other-code": (_other_code, "was measured by other code than the plan has sealed"),
    "nothing-planned": (_unplanned, "does not say what the model is measured by"),
    "planned-after-the-training": (_younger, "was looked at before the run began"),
    "another-document": (_lower, "does not pin the document"),
    "a-lower-threshold": (_terms, "not those of the policy given"),
    "more-attempts": (_unbounded, "not those of the policy given"),
}


@pytest.mark.parametrize(("change", "says"), FORGED.values(), ids=FORGED)
def test_even_the_producer_cannot_say_that_he_did_not_look(change: Any, says: str, passed: Run, tmp_path: Path) -> None:
    log = Path(shutil.copy(passed.log.path, tmp_path / "log.jsonl"))
    assert verify(log, passed.trust).looks
    chained(log, passed.trust.key, passed.keys.signer("producer"), change)
    with pytest.raises(LogBroken, match=says):
        verify(log, passed.trust)


def test_a_count_that_is_not_that_of_the_index_is_found(
    home: Home, passed: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its log holds together; the index, copied with it, counts the looks again."""
    runs = tmp_path / "evidence"
    shutil.copytree(home.evidence(passed.plan.run), runs / passed.plan.run)
    signer, policy = passed.keys.signer("producer"), passed.notes["asked"]["policy"]
    log, key = runs / passed.plan.run / "log.jsonl", home.root / "trust" / "producer.pub"
    shutil.copy(home.index, runs / "index.jsonl")
    assert audit(runs / passed.plan.run, key, policy) == 0, capsys.readouterr()
    before = read(log, passed.trust.key)[1]
    chained(log, passed.trust.key, signer, _fewer)
    head = read(log, passed.trust.key)[1]

    def ended(statements: Statements) -> None:
        for each in statements:
            if each["predicate"].get("head") == before:
                each["predicate"]["head"] = head

    chained(runs / "index.jsonl", passed.trust.key, signer, ended)
    assert audit(runs / passed.plan.run, key, policy) == 1
    said = capsys.readouterr().out
    assert "the verdict counted 999" in said or "does not have this run's look" in said or "has lost the entry" in said


OTHERWISE = {
    "other-code": lambda plan: plan["evaluation"]["code"].update(lists="0" * 64),
    "another-gate": lambda plan: plan["evaluation"]["code"].update(metric_thresholds="0" * 64),
    "another-split": lambda plan: plan["evaluation"]["split"].update(test=0.1),
    "other-data": lambda plan: plan["inputs"].update({next(iter(plan["inputs"])): "0" * 64}),
}


@pytest.mark.parametrize("change", OTHERWISE.values(), ids=OTHERWISE)
def test_what_was_trained_under_another_plan_is_not_measured(
    change: Callable[[dict[str, Any]], None], ran: Any, home: Home, passed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan that is made after the training must be the one that there was before it."""
    from flows import plan as planning

    real = planning.Plan

    def other(**given: Any) -> Any:
        given = json.loads(json.dumps(given, default=lambda value: value.model_dump(mode="json")))
        change(given)
        return real(**given)

    monkeypatch.setattr(planning, "Plan", other)
    state, run = once(Quiet(), **passed.notes["asked"], stages=["evaluate"], after=passed.plan.run)
    assert state.name == REFUSED
    assert "in another way, or on other data, than was planned before the training" in state.message
    assert run is None or "scores" not in run.published


def test_measured_again_as_it_was_planned(home: Home, passed: Run) -> None:
    """It counts: whoever looks looks, also with the same model."""
    state, run = once(Quiet(), **passed.notes["asked"], stages=["evaluate"], after=passed.plan.run)
    assert state.is_completed(), state.message
    assert run is not None
    assert (run.plan.evaluation, run.plan.inputs) == (passed.plan.evaluation, passed.plan.inputs)
    assert attempts(run)["count"] > attempts(passed)["count"]
    assert attempts(run)["data"] == attempts(passed)["data"]
    assert entered(home, run) == 1
