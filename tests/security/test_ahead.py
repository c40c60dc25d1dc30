"""Work ahead: the same items in the same order, errors in their place, and no thread left behind."""

import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.gates.contract import ContractLimits
from security.rows import read
from security.rows.ahead import ahead
from security.rows.columns import COLUMNS
from security.rows.scan import Profile, scan
from security.verdict import Frozen
from tasks.clean import REJECTS, clean

WHERE: ContextVar[str] = ContextVar("WHERE")


def threads() -> list[str]:
    """Threads that work ahead."""
    return [thread.name for thread in threading.enumerate() if thread.name == "ahead"]


@given(st.lists(st.none() | st.integers()), st.integers(1, 4))
def test_items_come_in_order(items: list[int | None], most: int) -> None:
    assert list(ahead(items, most)) == items
    assert not threads()


def test_an_error_is_raised_after_what_came_before_it() -> None:
    def source() -> Iterator[int]:
        yield from (1, 2, 3)
        raise KeyError("here")

    found = ahead(source())
    assert [next(found) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(KeyError, match="here"):
        next(found)
    assert not threads()


def test_what_is_no_source_is_an_error_at_once() -> None:
    with pytest.raises(TypeError):
        list(ahead(5))
    assert not threads()


def test_an_error_of_the_end_is_raised_by_who_stops_early() -> None:
    def source() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            raise KeyError("late")

    found = ahead(source())
    assert next(found) == 1
    with pytest.raises(KeyError, match="late"):
        found.close()
    assert not threads()


def test_no_thread_stays_when_a_look_fails_and_its_error_is_kept(tmp_path: Path) -> None:
    class Broken(Profile):
        def add(self, batch: pa.RecordBatch) -> None:
            raise KeyError("here")

        def merge(self, other: "Broken") -> None: ...

        def facts(self) -> Frozen:
            return Frozen()

    columns = {name: ["x"] * 300_000 for name in COLUMNS[:3]}
    columns["timestamp"] = pa.array(range(300_000), pa.timestamp("us", "UTC"))
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(KeyError, match="here") as kept:
        scan(read([path], ["x"]), {"broken": Broken})
    assert not threads()
    limits = ContractLimits.model_validate({"since": "", "until": "2099-12-31"})
    (tmp_path / REJECTS).mkdir()
    with pytest.raises(FileExistsError) as also:
        clean(read([path], ["x"]), tmp_path / "out", tmp_path, limits, [], key=b"k" * 16)
    assert not threads()
    assert (kept.type, also.type) == (KeyError, FileExistsError)  # both are still held


def test_who_stops_early_stops_the_source() -> None:
    made, closed = [], threading.Event()

    def source() -> Iterator[int]:
        try:
            for number in range(1_000):
                made.append(number)
                yield number
        finally:
            closed.set()

    found = ahead(source(), 2)
    assert next(found) == 0
    found.close()
    assert closed.is_set()
    assert not threads()
    assert len(made) <= 1 + 2 + 1


def test_one_within_another_stops_with_it() -> None:
    outer = ahead(each + 1 for each in ahead(range(1_000)))
    assert next(outer) == 1
    outer.close()
    assert not threads()


def test_it_works_in_the_context_of_who_asks() -> None:
    WHERE.set("here")
    assert list(ahead(WHERE.get() for _ in range(2))) == ["here", "here"]
