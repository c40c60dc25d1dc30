"""Looks in the index of runs: entered, counted by pipeline and data, and missed where the index was cut."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.errors import LogBroken
from security.keys import Signer, UnsafeLocalKeys
from security.log import Index, Log, Look, counted, cut, looks

A, B = "a" * 64, "b" * 64


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return UnsafeLocalKeys(tmp_path / "keys").signer("producer")


@pytest.fixture
def index(tmp_path: Path, signer: Signer) -> Index:
    return Index(tmp_path / "evidence" / "index.jsonl", signer)


def enter(index: Index, run: str, data: str = A, pipeline: str = "shop", partition: str = "2024-01-05") -> Look:
    """A look of a run, as the index has it."""
    told: dict[str, Any] = {"run": run, "pipeline": pipeline, "partition": partition, "data": data, "at": 1e9}
    return Look(entry=index.append("looked", **told), **told)


def begun(index: Index, run: str) -> Log:
    """A run that was opened, and its log."""
    plan = {"index": index.head}
    index.append("opened", run=run, plan="0" * 64)
    log = Log(index.path.parent / run / "log.jsonl", index.signer)
    log.append("plan", plan=plan)
    return log


def test_they_are_read_as_they_were_entered_among_all_else(index: Index) -> None:
    index.append("opened", run="one")
    first = enter(index, "one")
    index.append("ended", run="one")
    second = enter(index, "two", B)
    assert looks(index.path, index.signer.public) == [first, second]


def test_alike_are_those_of_one_pipeline_and_slice_whatever_the_run_or_partition(index: Index) -> None:
    made = [
        enter(index, "one"),
        enter(index, "two", B),
        enter(index, "three", pipeline="other"),
        enter(index, "four", partition="2024-01-06"),
        enter(index, "one"),
    ]
    assert [each.run for each in made[0].alike(made)] == ["one", "four", "one"]


@given(st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from((A, B))), min_size=1, max_size=12))
def test_each_look_has_one_number_and_numbers_have_no_gap(told: list[tuple[str, str]]) -> None:
    made = [Look(str(n), f"run-{n}", pipeline, "2024-01-05", data, 0.0) for n, (pipeline, data) in enumerate(told)]
    numbers: dict[tuple[str, str], list[int]] = {}
    for n, each in enumerate(made):
        numbers.setdefault((each.pipeline, each.data), []).append(len(each.alike(made[: n + 1])))
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


def test_a_verdict_counts_what_the_index_has(index: Index) -> None:
    key = index.signer.public
    first, second = enter(index, "one"), enter(index, "two")
    enter(index, "three")
    counted(index.path, key, first, 1)
    counted(index.path, key, second, 2)  # of those that came later it knew nothing
    for number in (0, 1, 3):
        with pytest.raises(LogBroken, match=f"has 2 looks at this test slice, and the verdict counted {number}"):
            counted(index.path, key, second, number)


@pytest.mark.parametrize(
    "change", [{"entry": B}, {"run": "three"}, {"data": B}, {"pipeline": "other"}, {"partition": "2024"}, {"at": 2e9}]
)
def test_a_look_that_the_index_has_otherwise_is_none(index: Index, change: dict[str, Any]) -> None:
    look = enter(index, "one")
    with pytest.raises(LogBroken, match="does not have this run's look"):
        counted(index.path, index.signer.public, replace(look, **change), 1)


def _without(path: Path) -> None:
    path.unlink()


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _dropped(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))


@pytest.mark.parametrize("spoil", [_without, _torn, _flipped, _dropped])
def test_an_index_that_is_gone_or_broken_tells_of_no_look(index: Index, spoil: Callable[[Path], None]) -> None:
    look = enter(index, "one")
    for n in range(3):
        enter(index, str(n))
    spoil(index.path)
    with pytest.raises(LogBroken):
        looks(index.path, index.signer.public)
    with pytest.raises(LogBroken):
        counted(index.path, index.signer.public, look, 1)


def test_an_entry_of_another_form_is_broken(index: Index) -> None:
    index.append("looked", run="one", pipeline="shop")
    with pytest.raises(LogBroken, match="a look without 'partition'"):
        looks(index.path, index.signer.public)


def test_an_index_that_was_cut_misses_what_logs_saw_in_it(index: Index) -> None:
    """In their plans, and where they looked; at every length that somebody may cut it to."""
    runs = index.path.parent
    for run in ("one", "two", "three"):
        log = begun(index, run)
        log.append("looked", stage="evaluate", task="score", index=enter(index, run).entry, data=A)
    whole = index.path.read_bytes().splitlines(keepends=True)
    assert cut(index.path, runs) == []
    index.append("ended", run="three")  # of which no log knows
    assert cut(index.path, runs) == []
    for length in range(len(whole)):
        index.path.write_bytes(b"".join(whole[:length]))
        assert "three" in cut(index.path, runs), length
    index.path.unlink()
    assert cut(index.path, runs) == ["one", "three", "two"]


def test_another_index_in_its_place_misses_them_too(index: Index, tmp_path: Path) -> None:
    log = begun(index, "one")
    log.append("looked", stage="evaluate", task="score", index=enter(index, "one").entry, data=A)
    index.path.unlink()
    index.append("opened", run="one", plan="0" * 64)
    assert cut(index.path, index.path.parent) == ["one"]


def test_a_log_that_cannot_be_read_names_nothing(index: Index) -> None:
    """Whether it holds is another question: it must not stop every other run."""
    runs = index.path.parent
    draw = random.Random(1)
    for n, text in enumerate((b"", b"\n\n", b"{}\n", b'{"payload": 3}\n', b"[" * 9999, draw.randbytes(300))):
        path = runs / str(n) / "log.jsonl"
        path.parent.mkdir(parents=True)
        path.write_bytes(text + json.dumps({"payload": "e30="}).encode())
    assert cut(index.path, runs) == []
