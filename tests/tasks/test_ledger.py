"""The file of scores: a line a look; what is damaged or foreign is skipped and counted, and only the end is read."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from tasks import ledger
from tasks.history import Point
from tasks.home import Home

DIGEST = "ab" * 32
PLACE = "features/protect"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def point(partition: str, value: float | None = 0.25, **changes: Any) -> Point:
    usual = {"column": "item_id", "score": "js", "limit": 0.1, "drifted": False}
    return Point(**{"partition": partition, "value": value, **usual, **changes})


def keep(home: Home, partition: str, *points: Point, place: str = PLACE, run: str = "r") -> None:
    told = ledger.line(run, partition, place, DIGEST, points or [point(partition)])
    ledger.append(home, "sample", told)


def text(home: Home) -> bytes:
    return (home.root / "history" / "sample.jsonl").read_bytes()


def test_what_was_kept_is_read_by_place_in_its_order(home: Home) -> None:
    assert ledger.read(home, "sample") == ledger.Past({})
    points = [point("2023-10-26", drifted=True), point("2023-10-26", None, column="rows", score="volume", limit=3.0)]
    keep(home, "2023-10-26", *points)
    keep(home, "2023-10-27", place="ingest/fetch")
    keep(home, "2023-10-25")
    found = ledger.read(home, "sample")
    assert found.points == {PLACE: [*points, point("2023-10-25")], "ingest/fetch": [point("2023-10-27")]}
    assert found.skipped == 0
    assert ledger.read(home, "other") == ledger.Past({})


def test_a_line_says_what_it_is_of(home: Home) -> None:
    keep(home, "2023-10")
    (line,) = text(home).splitlines()
    told = json.loads(line)
    assert {name: told[name] for name in ("run", "partition", "place", "baseline")} == {
        "run": "r",
        "partition": "2023-10",
        "place": PLACE,
        "baseline": DIGEST,
    }
    assert told["points"] == [{"column": "item_id", "score": "js", "value": 0.25, "limit": 0.1, "drifted": False}]


@pytest.mark.parametrize(
    "changes",
    [
        {"partition": "2023-10-26<script>"},
        {"partition": 5},
        {"place": "<b>/x"},
        {"baseline": "ab"},
        {"more": 1},
        {"points": None},
        {"points": [{"column": "c", "score": "js", "value": "0.1", "limit": 0.1, "drifted": False}]},
        {"points": [{"column": "c" * 999, "score": "js", "value": 0.1, "limit": 0.1, "drifted": False}]},
        {"points": [{"column": "c", "score": "js", "value": float("nan"), "limit": 0.1, "drifted": False}]},
        {"points": [{"column": "c", "score": "js", "value": 0.1, "limit": float("inf"), "drifted": False}]},
        {"points": [{"column": "c", "score": "js", "value": 0.1, "limit": 0.1}]},
    ],
)
def test_a_line_that_is_not_ours_is_skipped_and_counted(home: Home, changes: dict[str, Any]) -> None:
    keep(home, "2023-10-26")
    path = home.root / "history" / "sample.jsonl"
    told = json.loads(text(home))
    path.write_text(path.read_text() + json.dumps(told) + "\n" + json.dumps(told | changes) + "\n")
    found = ledger.read(home, "sample")
    assert (len(found.points[PLACE]), found.skipped) == (2, 1)


@pytest.mark.parametrize(
    "damage", [b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"{}\n", b"null\n", b'{"run": "r"', b"\0" * 50]
)
def test_damage_takes_no_other_line_along(home: Home, damage: bytes) -> None:
    keep(home, "2023-10-26")
    with (home.root / "history" / "sample.jsonl").open("ab") as file:
        file.write(damage)
    keep(home, "2023-10-27")
    found = ledger.read(home, "sample")
    assert ([each.partition for each in found.points[PLACE]], found.skipped) == (["2023-10-26", "2023-10-27"], 1)


def test_only_the_last_lines_are_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(10, 20):
        keep(home, f"2023-10-{day}")
    monkeypatch.setattr(ledger, "LINES", 4)
    found = ledger.read(home, "sample")
    assert [each.partition for each in found.points[PLACE]] == [f"2023-10-{day}" for day in range(16, 20)]
    assert found.skipped == 0


def test_only_the_last_bytes_are_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(10, 20):
        keep(home, f"2023-10-{day}")
    length = len(text(home)) // 10
    monkeypatch.setattr(ledger, "BYTES", 3 * length + length // 2)
    found = ledger.read(home, "sample")
    assert [each.partition for each in found.points[PLACE]] == ["2023-10-17", "2023-10-18", "2023-10-19"]
    assert found.skipped == 0, "a line of which the start was not read is not a damaged one"


def test_a_line_has_an_end(home: Home) -> None:
    keep(home, "2023-10-26", *[point("2023-10-26", float(n)) for n in range(ledger.MANY + 5)])
    assert len(ledger.read(home, "sample").points[PLACE]) == ledger.MANY


def _keep(root: Path, run: str) -> None:
    points = [point("2023-10-26", n / 7, column=f"column {n}") for n in range(200)]
    for _ in range(20):
        keep(Home(root), "2023-10-26", *points, run=run)


def test_processes_do_not_mix_their_lines(home: Home) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_keep, args=(home.root, str(n))) for n in range(3)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(60)
    assert [each.exitcode for each in workers] == [0, 0, 0]
    found = ledger.read(home, "sample")
    assert (len(found.points[PLACE]), found.skipped) == (3 * 20 * 200, 0)
