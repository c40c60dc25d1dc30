"""Every known way to end green past a gate that says no, or that never looked: each ends Failed, SecurityGateFailed."""

import contextlib
import copy
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from prefect import allow_failure, flow, task
from prefect.settings import (
    PREFECT_FLOWS_DEFAULT_RETRIES,
    PREFECT_RESULTS_PERSIST_BY_DEFAULT,
    PREFECT_TASKS_DEFAULT_RETRIES,
    temporary_settings,
)
from prefect.states import Completed
from prefect.transactions import transaction

from security.errors import PlanError, Refused
from security.gates.contract import DataContract
from security.log import read
from security.verdict import Ref
from security.verify import verify
from tasks.home import Home
from tasks.run import REFUSED, Run, close, current, inside
from tasks.stage import MATRIX, guarded, held, stage
from tests.conformance.miniature import BAD, GOOD, POLICY, start, work


@pytest.fixture(autouse=True)
def _declared() -> Iterator[None]:
    yield
    for name in [name for name in MATRIX if name.startswith("odd")]:
        del MATRIX[name]


@pytest.fixture
def run(prefect: str, home: Home) -> Iterator[Run]:
    """A run whose rows break the contract."""
    made = start(home, BAD)
    yield made
    close(made, "refused")


def ended(run: Run, body: Any, **options: Any) -> Any:
    """The state that a flow with this body ends in."""
    with inside(run):
        return flow(stage("ends")(body), name="ends", retries=0, **options)(return_state=True)


def swallowed() -> Any:
    with contextlib.suppress(BaseException):
        work()
    return "fine"


def swallowed_then_good() -> Any:
    with contextlib.suppress(Exception):
        work()
    return work()


def crashed() -> Any:
    try:
        work()
    finally:
        raise ValueError("later trouble")


def exits() -> Any:
    try:
        work()
    finally:
        sys.exit(0)


def never() -> Any:
    return "fine"


def exits_at_once() -> Any:
    sys.exit(0)


def completed() -> Any:
    with contextlib.suppress(Exception):
        work()
    return Completed(message="fine")


def in_a_thread() -> Any:
    thread = threading.Thread(target=swallowed)
    thread.start()
    thread.join()
    return "fine"


def submitted_and_left() -> Any:
    task(work.__wrapped__, name="left").submit()  # type: ignore[attr-defined]
    return "fine"


def state_ignored() -> Any:
    task(lambda: work(), name="ignored")(return_state=True)
    return "fine"


def state_in_a_dict() -> Any:
    return {"state": task(lambda: work(), name="kept")(return_state=True)}


def failure_allowed() -> Any:
    first = task(lambda: work(), name="first").submit()
    first.wait()
    return task(lambda _: "fine", name="second").submit(allow_failure(first)).result()


def in_a_transaction() -> Any:
    with transaction(), contextlib.suppress(Exception):
        work()
    return "fine"


def in_a_hook() -> Any:
    def look(*_: Any) -> None:
        work()

    return task(lambda: "fine", name="hooked", on_completion=[look])()


def in_a_child_flow() -> Any:
    child = flow(stage("ends")(swallowed), name="child", retries=0)
    child(return_state=True)
    return "fine"


def past_the_gate() -> Any:
    """The task's plain function, without its gates: its output is nowhere in the log."""
    return work.__wrapped__()  # type: ignore[attr-defined]


def made_up() -> Any:
    return Ref(kind="rows", uri="staging:rows", sha256="0" * 64, size=1, count=1, unit="rows")


def a_verdict_of_its_own() -> Any:
    run = current()
    with contextlib.suppress(Exception):
        work()
    said = [each["predicate"] for each in read(run.log.path, run.trust.key)[0]][-1]
    lie = said["verdict"] | {"outcome": "pass", "findings": [], "cause": ""}
    kept = {name: said[name] for name in ("stage", "task", "gate", "observation")}
    run.log.append("verdict", None, **kept, verdict=lie, effect={"action": "proceed", "because": "enforced"})
    return "fine"


def log_cut() -> Any:
    run = current()
    kept = run.log.path.read_bytes()
    with contextlib.suppress(Exception):
        work()
    run.log.path.write_bytes(kept)
    return "fine"


def log_gone() -> Any:
    with contextlib.suppress(Exception):
        work()
    current().log.path.unlink()
    return "fine"


BODIES = [
    swallowed, swallowed_then_good, crashed, exits, never, exits_at_once, completed, in_a_thread, submitted_and_left,
    state_ignored, state_in_a_dict, failure_allowed, in_a_transaction, in_a_hook, in_a_child_flow, past_the_gate,
    made_up, a_verdict_of_its_own, log_cut, log_gone,
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_no_body_ends_green(run: Run, body: Any) -> None:
    state = ended(run, body)
    assert state.is_failed()
    assert state.name == REFUSED
    assert not any((run.home.root / "store").glob(f"*{run.plan.run}*"))


def test_the_reason_is_the_gates(run: Run) -> None:
    state = ended(run, swallowed_then_good)
    assert state.message.startswith("[data_contract] fail: CON-TYPE")
    assert "jane" not in state.message


def test_good_passes_and_is_published(prefect: str, home: Home) -> None:
    run = start(home, GOOD)
    state = ended(run, lambda: work())
    close(run, "passed")
    assert state.is_completed(), state.message
    proof = verify(run.log.path, run.trust)
    assert [each.verdict.gate for each in proof.held] == ["data_contract"]
    assert (home.root / "store" / proof.published["ends"][0].sha256 / "rows.parquet").is_file()


def test_inherited_retries_and_persistence_run_a_gate_once(run: Run) -> None:
    settings = {
        PREFECT_TASKS_DEFAULT_RETRIES: 2,
        PREFECT_FLOWS_DEFAULT_RETRIES: 2,
        PREFECT_RESULTS_PERSIST_BY_DEFAULT: True,
    }
    with temporary_settings(settings):
        state = ended(run, swallowed)
    said = [each for each in read(run.log.path, run.trust.key)[0] if "verdict" in each["predicate"]]
    assert state.name == REFUSED
    assert len(said) == 1


def test_a_pass_is_never_remembered(prefect: str, home: Home) -> None:
    for rows, name in ((GOOD, "Completed"), (BAD, REFUSED)):
        run = start(home, rows)
        assert ended(run, lambda: work(), persist_result=True).name == name
        close(run, "over")


@pytest.mark.parametrize("kind", ["async", "generator", "async-generator"])
def test_bodies_that_would_never_run_are_refused(kind: str) -> None:
    async def coroutine() -> None: ...

    def generator() -> Iterator[int]:
        yield 1

    async def stream() -> Any:
        yield 1

    body = {"async": coroutine, "generator": generator, "async-generator": stream}[kind]
    for wrap in (stage("ends"), held, guarded("odd", before=[], after=["data_contract"])):
        with pytest.raises(TypeError, match="only plain functions"):
            wrap(body)  # type: ignore[operator, arg-type]


def test_a_task_without_a_gate_is_refused() -> None:
    with pytest.raises(PlanError, match="at least one gate"):
        guarded("odd", before=[], after=[])


def test_guarded_work_outside_a_run_is_refused() -> None:
    with pytest.raises(PlanError, match="inside a run"):
        work()


def test_a_parent_cannot_swallow_a_childs_refusal(prefect: str, home: Home) -> None:
    run = start(home, BAD)
    child = flow(stage("ends")(lambda: work()), name="ends", retries=0)
    parent = flow(lambda: held(lambda _: child(return_state=True))(run), name="parent", retries=0)
    state = parent(return_state=True)
    assert (state.name, state.is_failed()) == (REFUSED, True)


class Exits(DataContract):
    def look(self, material: Any) -> Any:
        sys.exit(0)


class Hangs(DataContract):
    seconds = 0.3

    def look(self, material: Any) -> Any:
        threading.Event().wait(30)
        return super().look(material)


class Returns(DataContract):
    def look(self, material: Any) -> Any:
        return True


@pytest.mark.parametrize("gate", [Exits, Hangs, Returns])
def test_a_gate_that_breaks_stops_the_run(prefect: str, home: Home, gate: type[DataContract]) -> None:
    run = start(home, GOOD, gates={"data_contract": gate()})
    state = ended(run, lambda: work())
    close(run, "refused")
    assert state.name == REFUSED
    assert "inconclusive" in state.message


class Advises(DataContract):
    """Rows of another type are advice."""

    rules = DataContract.rules | {"CON-TYPE": DataContract.rules["CON-TYPE"].model_copy(update={"advisory": True})}


@pytest.mark.parametrize("enforced", [[], ["CON-TYPE"]], ids=["shown", "enforced"])
def test_advice_stops_a_run_where_the_policy_enforces_it_and_nowhere_else(
    prefect: str, home: Home, enforced: list[str]
) -> None:
    policy = copy.deepcopy(POLICY)
    policy["gates"]["data_contract"]["enforce"] = enforced
    run = start(home, BAD, gates={"data_contract": Advises()}, policy=policy)
    state = ended(run, lambda: work())
    close(run, "refused" if enforced else "passed")
    if enforced:
        assert state.name == REFUSED
        assert "fail: CON-TYPE" in state.message
        with pytest.raises(Refused, match="CON-TYPE"):
            verify(run.log.path, run.trust)
    else:
        assert state.is_completed(), state.message
        (held,) = verify(run.log.path, run.trust).held
        assert [each.rule for each in held.verdict.advice] == ["CON-TYPE"]
