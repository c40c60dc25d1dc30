"""One visit to a bucket, of which each gate gets what it asked."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from configs import load
from security.posture import Posture
from security.registry import GATES
from security.verdict import Ref, Snapshot
from tasks import material

BUCKET = [gate for gate in GATES.values() if isinstance(gate, Posture) and gate.kind == "bucket"]
DOCUMENT = load.text(load.find("sample", "pipelines"))


def ref(sha: str) -> Ref:
    return Ref(kind="bucket", uri="s3://my-data-lake/user_interactions/", sha256=sha, size=0, count=0, unit="objects")


@pytest.fixture
def visits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The visits that were made; each answers every question of every gate with its own number."""
    made: list[tuple[Any, ...]] = []

    def ask(*where: Any, stranger: Any) -> Snapshot:
        made.append((*where, stranger))
        names = {name for gate in BUCKET for name in gate.questions}
        answers = {name: {"visit": len(made)} for name in names}
        return Snapshot(kind="bucket", uri="s3://b/p/", taken=time.time(), answers=answers)

    monkeypatch.setattr(material, "ask", ask)
    return made


def running() -> Any:
    source = SimpleNamespace(endpoint="endpoint", credentials="own", stranger="stranger")
    return SimpleNamespace(visits={}, source=source, plan=SimpleNamespace(document=DOCUMENT))


def test_gates_of_one_bucket_judge_parts_of_one_visit(visits: list[tuple[Any, ...]]) -> None:
    run, told = running(), {}
    for gate in BUCKET:
        told[gate.name] = material._asked(run, gate, ref("1" * 64), ("ingest", "fetch"))
    assert visits == [("endpoint", "own", "my-data-lake", "user_interactions/", "stranger")]
    assert len(told) > 1
    assert {name: set(each.answers) for name, each in told.items()} == {g.name: set(g.questions) for g in BUCKET}
    assert len({each.taken for each in told.values()}) == 1
    assert len({each.sha256 for each in told.values()}) == len(told)


def test_another_reference_and_another_run_are_visited_anew(visits: list[tuple[Any, ...]]) -> None:
    run = running()
    for each in (ref("1" * 64), ref("2" * 64)):
        material._asked(run, BUCKET[0], each, ("ingest", "fetch"))
    material._asked(running(), BUCKET[0], ref("1" * 64), ("ingest", "fetch"))
    assert len(visits) == 3
