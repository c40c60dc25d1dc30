"""Rows that spill: where, who may look, that nothing stays, and that what comes back is what went in, in order."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.errors import BadInput
from tasks.parts import Part, whole
from tasks.spill import ROWS, Spill

Row = tuple[str, str, str, int]
names = st.sampled_from(["a", "ab", "b", "é", "z", "\U0001f600", "\uffff", "A", "a\0", "x" * 20])
rows = st.lists(st.tuples(names, names, names, st.integers(-3, 3)), max_size=40)


def batches(held: list[Row], size: int = 7) -> list[pa.RecordBatch]:
    """Batches of rows."""
    made = [dict(zip(ROWS.names, row, strict=True)) for row in held]
    return [pa.RecordBatch.from_pylist(made[start : start + size], ROWS) for start in range(0, len(made), size)]


def told(found: Iterator[pa.RecordBatch]) -> list[tuple[Any, ...]]:
    """Rows of batches."""
    return [tuple(row.values()) for batch in found for row in batch.to_pylist()]


@settings(max_examples=60, deadline=None)
@given(rows, st.sets(names, max_size=3))
def test_rows_come_back_by_account_and_time(held: list[Row], gone: set[str]) -> None:
    with Spill(batches(held)) as spill:
        found = told(spill.ordered())
        assert Counter(found) == Counter(held)
        assert [(row[0], row[3]) for row in found] == sorted((row[0], row[3]) for row in held)
        assert spill.catalogue() == len({row[1] for row in held})
        assert spill.catalogue(gone) == len({row[1] for row in held if row[0] not in gone})
        assert told(spill.ordered()) == found or len({(row[0], row[3]) for row in held}) < len(held)


def many(count: int) -> Iterator[pa.RecordBatch]:
    """So many rows, in no order."""
    draw = np.random.default_rng(7)
    for _ in range(0, count, 50_000):
        ids = pa.array(draw.integers(0, 10**12, 50_000)).cast(pa.string())
        yield pa.RecordBatch.from_arrays([ids, ids, ids, pa.array(draw.integers(0, 10**9, 50_000))], schema=ROWS)


def test_what_does_not_fit_lies_in_a_private_folder_that_is_wiped(tmp_path: Path) -> None:
    most = 0
    with Spill(many(1_000_000), tmp_path, memory="60MB") as spill:
        (folder,) = tmp_path.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.stat().st_uid == os.getuid()
        last, count = "", 0
        for batch in spill.ordered():
            users = batch.column("user_id").to_pylist()
            assert users == sorted(users)
            assert users[0] >= last
            last, count = users[-1], count + len(users)
            most = max(most, sum(path.stat().st_size for path in folder.rglob("*")))
        assert count == 1_000_000
    assert most > 10 << 20
    assert not list(tmp_path.iterdir())


def test_nothing_stays_when_rows_cannot_be_had_and_their_error_is_told(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from many(200_000)
        assert list(tmp_path.iterdir())
        raise BadInput("x", "row 7", "this", "that")

    with pytest.raises(BadInput, match="row 7"):
        Spill(broken(), tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyError):
        _ends_badly(tmp_path)
    assert not list(tmp_path.iterdir())


def _ends_badly(within: Path) -> None:
    with Spill(many(100_000), within) as spill:
        assert next(iter(spill.ordered())).num_rows
        raise KeyError("a stage that ends badly")


def test_it_reads_no_file_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    with Spill(batches([("u", "i", "view", 1)]), tmp_path) as spill, pytest.raises(Exception, match="(?i)disabled"):
        spill._run(f"select * from '{tmp_path / 'x.csv'}'")


def test_what_arrow_cannot_hold_in_one_piece_is_an_error() -> None:
    """Of a column of more than 2 GiB, the first piece alone would be gone through."""
    table = pa.Table.from_batches(batches([("u", "i", "view", 1)] * 9))
    assert len(Part(table).user) == 9
    wide = SimpleNamespace(combine_chunks=lambda: table)
    assert table["user_id"].num_chunks == 2
    with pytest.raises(OverflowError, match="9 rows of whole accounts"):
        Part(wide)


accounts = st.lists(st.integers(1, 9), max_size=12)


@settings(deadline=None)
@given(accounts, st.integers(1, 12), st.data())
def test_accounts_are_never_cut(sizes: list[int], least: int, data: st.DataObject) -> None:
    users = [f"u{number:02d}" for number, size in enumerate(sizes) for _ in range(size)]
    made, left = [], users
    while left:
        size = data.draw(st.integers(0, len(left)))
        made.append(pa.RecordBatch.from_pydict({"user_id": pa.array(left[:size], pa.string())}))
        left = left[size:]
    found = [table["user_id"].to_pylist() for table in whole(made, least)]
    assert [user for table in found for user in table] == users
    assert sum(len(set(table)) for table in found) == len(sizes)
    assert all(len(table) >= least for table in found[:-1])
    assert all(len(table) < least + 2 * max(sizes) + max(map(len, made)) for table in found)
