"""Rows that are put aside: they come back by bucket, whole and in order, from files that nobody else can open."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.rows import buckets
from security.rows.buckets import BUCKETS, Buckets

TYPE = np.dtype([("of", "i4"), ("number", "i8")])


@given(st.lists(st.lists(st.integers(0, 200), max_size=50), max_size=8), st.sampled_from([0, 100, 1_000, 1 << 20]))
def test_rows_come_back_by_bucket_in_the_order_in_which_they_were_put(parts: list[list[int]], held: int) -> None:
    wanted: dict[int, list[int]] = {}
    number, aside = 0, Buckets(TYPE, held)
    for part in parts:
        rows = np.array([(of, number + n) for n, of in enumerate(part)], TYPE)
        for of, at in rows.tolist():
            wanted.setdefault(of % BUCKETS, []).append(at)
        number += len(part)
        aside.add(rows["of"], rows)
    assert aside.size <= held or not parts
    for each in (aside, aside, pickle.loads(pickle.dumps(aside))):  # it can be read again, and elsewhere
        assert {int(rows["of"][0]) % BUCKETS: rows["number"].tolist() for rows in each} == wanted


def opened(folder: Path) -> list[str]:
    """The files in a folder that this process has open, by what the kernel calls them."""
    found = []
    for each in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{each}"))
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
    return [name for name in found if name.startswith(str(folder))]


def test_memory_holds_no_more_than_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "FOLDER", [tmp_path])
    rows = np.array([(n, n) for n in range(10_000)], TYPE)
    aside = Buckets(TYPE, 50_000)
    for _ in range(10):
        aside.add(rows["of"], rows)
        assert sum(part.nbytes for parts in aside.held for part in parts) <= 50_000
    assert list(tmp_path.iterdir()) == []
    files = opened(tmp_path)
    assert len(files) == BUCKETS
    assert all(name.endswith("(deleted)") for name in files)
    assert sum(len(each) for each in aside) == 100_000
    del aside
    assert opened(tmp_path) == []
