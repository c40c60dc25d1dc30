"""Real ratings through the real pipeline: every month of MovieLens latest-small, by the shipped document and policy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from configs import load
from flows import intake
from flows.shell import once
from security.verdict import Outcome
from security.verify import verify
from tasks import process
from tasks.home import Home
from tasks.run import Quiet, Run

pytestmark = pytest.mark.prove
ROWS, PEOPLE = 100_004, 671


@pytest.fixture(scope="module")
def run(prefect: str, home: Home, shared: Path) -> Iterator[Run]:
    """The run over all months, once."""
    source = load.document(load.text(load.find("movielens", "pipelines"))).stages[0].source
    counts = intake.load(home, shared / "ml-latest-small" / "ratings.csv", {}, source)
    assert sum(counts.values()) == ROWS
    state, made = once(Quiet(), document="movielens", policy="local")
    assert state.is_completed(), state.message
    assert made is not None
    yield made
    process.stop(home.root / "service" / made.plan.run / "process.json")


def test_every_gate_passes_on_every_row(run: Run) -> None:
    proof = verify(run.log.path, run.trust)
    assert proof.closed
    assert {each.verdict.outcome for each in proof.held} == {Outcome.PASS}
    tasks = [sides for stage in run.plan.matrix.values() for sides in stage.values()]
    assert len(proof.held) == sum(len(sides["before"] + sides["after"]) for sides in tasks)
    assert run.notes["clean"]["rows in"] == ROWS
    assert run.notes["features"]["users"] == PEOPLE


def test_the_model_is_better_than_what_needs_none(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = {system: scores["precision@10"] for system, scores in run.notes["metrics"].items()}
    with capsys.disabled():
        print("\nMovieLens, precision@10: " + ", ".join(f"{name} {value:.4f}" for name, value in found.items()))
    threshold = run.plan.document["stages"][3]["thresholds"]["precision@10"]
    assert found["model"] >= threshold
    assert found["model"] > found["popularity"] > found["random"]
    assert found["shuffled"] < threshold
