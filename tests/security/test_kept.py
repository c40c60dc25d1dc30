"""Rows that are kept while they are gone through first: the same come again, and nothing that was not whole is kept."""

import os
import threading
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.errors import BadInput, CannotTell, StoreError
from security.gates.contract import batches
from security.rows import buckets, kept
from security.rows.kept import Kept
from tests.security.test_scan import batches as made
from tests.security.test_scan import files

LINE = '{"user_id":"u","item_id":"i%d","interaction_type":"view","timestamp":%d}\n'


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Two files with rows and one without."""
    told = [tmp_path / f"{name}.jsonl" for name in "abc"]
    for path, count in zip(told, (40_000, 0, 3), strict=True):
        path.write_text("".join(LINE % (n % 50, 1_700_000_000 + n) for n in range(count)))
    return told


def opened(paths: list[Path]) -> Iterator[pa.RecordBatch]:
    """As a gate is handed them."""
    return batches(paths, [path.name for path in paths], lambda name: f"2023-0{'abc'.index(name[0]) + 1}")


def told(each: list[pa.RecordBatch]) -> list[tuple[pa.RecordBatch, dict[bytes, bytes]]]:
    """Batches with what is said of them, which `==` leaves out."""
    return [(batch, dict(batch.schema.metadata or {})) for batch in each]


@settings(max_examples=100)
@given(files, st.randoms(use_true_random=False))
def test_what_was_handed_out_comes_again(held: list[list[dict[str, object]]], draw: object) -> None:
    given_ = made(held, draw)  # type: ignore[arg-type]
    rows = Kept(lambda: given_)
    first, second, third = (told(list(rows())) for _ in range(3))
    assert first == told(given_)
    assert second == third == first
    rows.close()


def test_files_are_read_once_and_may_be_gone_afterwards(paths: list[Path]) -> None:
    rows = Kept(lambda: opened(paths))
    first = told(list(rows()))
    assert [each[1] for each in first if not each[0].num_rows] == [{b"empty": b"b.jsonl", b"partition": b"2023-02"}]
    assert {each[1][b"partition"] for each in first} == {b"2023-01", b"2023-02", b"2023-03"}
    paths[0].write_text(LINE % (7, 0))
    paths[2].unlink()
    assert told(list(rows())) == first
    rows.close()


def test_whoever_stops_early_has_kept_nothing(paths: list[Path]) -> None:
    rows = Kept(lambda: opened(paths))
    assert len(list(islice(rows(), 2))) == 2
    assert rows.file is None
    paths[2].write_text(LINE % (7, 0))
    again = list(rows())
    assert [batch.num_rows for batch in again if batch.num_rows][-1] == 1
    assert rows.file is not None
    rows.close()


def test_what_breaks_while_it_is_read_is_kept_by_nobody(paths: list[Path]) -> None:
    paths[2].write_text("{\n")
    rows = Kept(lambda: opened(paths))
    for _ in range(2):
        with pytest.raises(BadInput, match=r"c\.jsonl, row 1"):
            list(rows())
    assert rows.file is None
    rows.close()


def test_nobody_finds_them_by_name(paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = tmp_path / "private"
    private.mkdir()
    monkeypatch.setattr(buckets, "FOLDER", [private])
    rows = Kept(lambda: opened(paths))
    going = rows()
    next(going)
    assert list(private.iterdir()) == []
    list(going)
    assert list(private.iterdir()) == []
    assert rows.file is not None
    state = os.fstat(rows.file.fileno())
    assert (state.st_nlink, state.st_mode & 0o777, state.st_dev) == (0, 0o600, private.stat().st_dev)
    assert state.st_size > 40_000 * 8
    rows.close()


def test_two_at_once_each_get_all(paths: list[Path]) -> None:
    rows = Kept(lambda: opened(paths))
    found: dict[int, list[tuple[pa.RecordBatch, dict[bytes, bytes]]]] = {}
    one, other = rows(), rows()
    first = [next(one), next(other)]
    assert first[0] == first[1]
    list(one)
    list(other)
    threads = [threading.Thread(target=lambda at=at: found.update({at: told(list(rows()))})) for at in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 4
    assert all(each == told(list(opened(paths))) for each in found.values())
    rows.close()


def test_nothing_comes_after_the_end_of_a_stage(paths: list[Path]) -> None:
    rows = Kept(lambda: opened(paths))
    late, second = rows(), rows()
    next(late)
    next(second)
    list(second)
    third, never = rows(), rows()
    next(third)
    file = rows.file
    assert file is not None
    with open(f"/proc/self/fd/{file.fileno()}", "rb") as still:
        rows.close()
        assert still.read() == b""
    assert file.closed
    assert rows.file is None
    for each in (late, third, never):
        with pytest.raises(CannotTell, match="after their stage has ended"):
            list(each)
    with pytest.raises(CannotTell, match="after their stage has ended"):
        rows()


@pytest.mark.parametrize("how", ["byte", "cut", "more", "batch", "schema"])
def test_what_was_altered_since_is_noticed(paths: list[Path], how: str) -> None:
    """Whoever runs as the same user can open the file by way of /proc."""
    rows = Kept(lambda: opened(paths))
    first = list(rows())
    file = rows.file
    assert file is not None
    with open(f"/proc/self/fd/{file.fileno()}", "r+b") as other:
        whole = other.read()
        if how == "byte":
            at = whole.index(b"i49")
            other.seek(at)
            other.write(b"i00")
        elif how == "cut":
            other.truncate(len(whole) // 2)
        elif how == "more":
            other.write(b"\0")
        elif how == "batch":
            shorter = Kept(lambda: first[:-1])
            list(shorter())
            assert shorter.file is not None
            with open(f"/proc/self/fd/{shorter.file.fileno()}", "rb") as held:
                other.seek(0)
                other.truncate(0)
                other.write(held.read())
            shorter.close()
        else:
            other.seek(0)
            other.write(b"x" * 64)
    with pytest.raises(StoreError, match="rows that were kept (are others than|can no longer be)"):
        list(rows())
    rows.close()


def test_a_full_disk_is_told(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "nameless", partial(Path("/dev/full").open, "r+b", buffering=0))
    rows = Kept(lambda: opened(paths))
    with pytest.raises(CannotTell, match="rows cannot be kept while they are read: No space left on device") as why:
        list(rows())
    assert why.value.cause == "unreadable"
    assert rows.file is None


def test_whoever_stops_lets_go_of_the_source(paths: list[Path]) -> None:
    let_go = []

    def source() -> Iterator[pa.RecordBatch]:
        try:
            yield from opened(paths)
        finally:
            let_go.append(True)

    held = source()
    going = Kept(lambda: held)()
    next(going)
    going.close()  # type: ignore[attr-defined]
    assert let_go == [True]
