"""What may be drawn of rows: a bounded sample of them, and no value that few of them have."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.tame import CATEGORIES, COLUMNS, FOLDED, LABEL, RARE, Kind, Tamed, plain, sample, tame

N = 200
INF = float("inf")


def batches(count: int, size: int) -> list[pa.RecordBatch]:
    table = pa.table({"n": np.arange(count)})
    return list(table.to_batches(max_chunksize=size)) if count else []


def one(values: Any, kind: Kind, other: Any = None) -> Tamed:
    reference = pa.table({"c": values})
    return tame(reference, reference if other is None else pa.table({"c": other}), {"c": kind})


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 5000])
def test_a_sample_has_as_many_rows_as_there_are_up_to_a_bound_each_once_and_in_order(count: int) -> None:
    found = sample(batches(count, 37), 100).to_pydict().get("n", [])
    assert len(found) == min(count, 100)
    assert found == sorted(set(found))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 600), st.integers(1, 600), st.integers(0, 80), st.integers(0, 5))
def test_a_sample_does_not_depend_on_batches(size: int, other: int, most: int, seed: int) -> None:
    assert sample(batches(600, size), most, seed).equals(sample(batches(600, other), most, seed))


def test_every_row_has_the_same_chance() -> None:
    hits = Counter(n for seed in range(2000) for n in sample(batches(50, 7), 10, seed)["n"].to_pylist())
    # 400 each is expected, with a standard deviation of 18.
    assert set(hits) == set(range(50))
    assert min(hits.values()) > 320
    assert max(hits.values()) < 480


def test_another_seed_is_another_sample() -> None:
    assert sample(batches(5000, 100), 50, 1) != sample(batches(5000, 100), 50, 2)


def held(count: int) -> tuple[int, int]:
    """Bytes that are held at most while so many batches are sampled, and those of a batch."""
    before, most, size = pa.total_allocated_bytes(), 0, 0

    def stream() -> Iterator[pa.RecordBatch]:
        nonlocal most, size
        for n in range(count):
            most = max(most, pa.total_allocated_bytes() - before)
            batch = pa.record_batch({"s": pa.array([f"{n:020}"] * 10_000)})
            size = batch.nbytes
            yield batch

    assert len(sample(stream(), 1000)) == 1000
    return most, size


def test_memory_does_not_grow_with_the_rows() -> None:
    (few, size), (many, _) = held(10), held(200)
    assert many < few + size / 2


DRAWN: dict[str, tuple[Any, Kind, list[Any]]] = {
    "uint8": (pa.array([0, 255], pa.uint8()), "number", [0.0, 255.0]),
    "int64 with nulls": (pa.array([1, None], pa.int64()), "number", [1.0, None]),
    "half": (pa.array(np.array([1, 2], np.float16)), "number", [1.0, 2.0]),
    "bool as number": (pa.array([True, False]), "number", [1.0, 0.0]),
    "bool as category": (pa.array([True, False] * RARE), "category", ["true", "false"] * RARE),
    "dictionary of text": (pa.array(["a", "b"] * RARE).dictionary_encode(), "category", ["a", "b"] * RARE),
    "dictionary of numbers": (pa.array([3, 4]).dictionary_encode(), "number", [3.0, 4.0]),
    "decimal": (pa.array([Decimal("1.25"), Decimal("-2.50")]), "number", [1.25, -2.5]),
    "constant": (pa.array([7, 7]), "number", [7.0, 7.0]),
    "infinite": (pa.array([1.0, INF, -INF, np.nan]), "number", [1.0, None, None, None]),
    "integers as category": (pa.array([5] * RARE, pa.uint64()), "category", ["5"] * RARE),
    "dates as category": (pa.array([dt.date(2023, 1, 2)] * RARE), "category", ["2023-01-02"] * RARE),
    "zone": (pa.array([10, 20, 40], pa.timestamp("s", "Europe/Paris")), "time", [-10.0, 0.0, 20.0]),
    "ms": (pa.array([0, 500, 1500], pa.timestamp("ms")), "time", [-0.5, 0.0, 1.0]),
    "ns": (pa.array([0, None, 10**9], pa.timestamp("ns")), "time", [-0.5, None, 0.5]),
    "date": (pa.array([dt.date(2023, 1, 1), dt.date(2023, 1, 3)]), "time", [-86400.0, 86400.0]),
    "date64": (pa.array([dt.date(2023, 1, 1), dt.date(2023, 1, 3)], pa.date64()), "time", [-86400.0, 86400.0]),
    "time of day": (pa.array([dt.time(0, 0, 0), dt.time(0, 0, 4)]), "time", [-2.0, 2.0]),
    "seconds of day": (pa.array([0, 4], pa.time32("s")), "time", [-2.0, 2.0]),
    "seconds as integers": (pa.array([1_700_000_000, 1_700_000_002]), "time", [-1.0, 1.0]),
    "ids": (pa.array(["p", "q", "p", None]), "id", [2.0, 1.0, 2.0, None]),
    "ids of bytes": (pa.array([b"\xff", b"\xff"]), "id", [2.0, 2.0]),
    "view": (pa.array(["a"] * RARE, pa.string_view()), "category", ["a"] * RARE),
}


@pytest.mark.parametrize("what", DRAWN)
def test_what_becomes_of_each_type(what: str) -> None:
    values, kind, wanted = DRAWN[what]
    found = one(values, kind)
    assert found.left == {}
    assert found.reference["c"].to_pylist() == wanted
    assert found.current["c"].to_pylist() == wanted
    assert (found.categories if kind == "category" else found.numbers) == ["c"]
    missing = sum(each is None for each in wanted) / len(wanted)
    assert found.missing == {"c": (missing, missing)}


LEFT: dict[str, tuple[Any, Kind, str]] = {
    "null": (pa.nulls(2), "number", "reference: nothing but nulls"),
    "all null": (pa.array([None, None], pa.string()), "category", "reference: nothing but nulls"),
    "all infinite": (pa.array([INF, np.nan]), "number", "reference: nothing but nulls and infinities"),
    "all infinite times": (pa.array([INF, INF]), "time", "reference: nothing but nulls and infinities"),
    "empty": (pa.array([], pa.int64()), "number", "reference: no rows"),
    "bytes": (pa.array([b"\xff"]), "category", "reference: binary has no picture"),
    "bytes of one size": (pa.array([b"x"], pa.binary(1)), "number", "reference: fixed_size_binary[1] has no picture"),
    "text that is none": (
        pa.array([b"\xff\xfe"] * RARE).view(pa.string()),
        "category",
        "cannot be read as what it was declared (UnicodeDecodeError)",
    ),
    "list": (pa.array([[1]]), "id", "reference: list<item: int64> has no picture"),
    "struct": (pa.array([{"a": 1}]), "category", "reference: struct<a: int64> has no picture"),
    "text as number": (pa.array(["1"]), "number", "string is not a number"),
    "text as time": (pa.array(["1"]), "time", "string is not a number"),
    "duration": (pa.array([dt.timedelta(1)]), "number", "duration[us] is not a number"),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_is_left_out_is_named_with_the_reason(what: str) -> None:
    values, kind, why = LEFT[what]
    found = one(values, kind)
    assert found.left == {"c": why}
    assert not found.notes
    assert not found.reference
    assert not found.current


def test_one_side_is_enough_to_leave_a_column_out() -> None:
    good = pa.array([1.0, 2.0])
    assert one(good, "number", pa.nulls(2)).left == {"c": "current: nothing but nulls"}
    assert one(good, "number", pa.array([INF, INF])).left == {"c": "current: nothing but nulls and infinities"}
    assert one(pa.array([1], pa.timestamp("s")), "time", good).left == {"c": "timestamp[s] became double"}
    rows = pa.table({"a": [1], "b": [1], "c": [1]})
    found = tame(rows.select(["a", "c"]), rows.select(["b", "c"]), {"a": "number", "b": "number", "d": "number"})
    assert found.left == {
        "a": "not once in the current rows",
        "c": "no kind was declared",
        "b": "not once in the reference rows",
        "d": "not once in the reference rows",
    }
    assert tame(rows, rows, {"a": "word"}).left["a"] == "no such kind"  # type: ignore[dict-item]
    twice = pa.table([[1], [2]], ["a", "a"])
    assert tame(twice, twice, {"a": "number"}).left == {"a": "not once in the reference rows"}


def test_what_is_missing_is_told_of_each_side() -> None:
    found = one(pa.array([1.0, None]), "number", pa.array([1.0, None, None, INF]))
    assert found.missing == {"c": (0.5, 0.75)}
    assert found.notes == {"c": "numbers, 1 that are not finite left out"}


def test_columns_are_few() -> None:
    rows = pa.table({f"c{n}": [1.0] for n in range(COLUMNS + 2)})
    found = tame(rows, rows, dict.fromkeys(rows.column_names, "number"))
    assert len(found.notes) == len(found.reference) == COLUMNS
    assert found.left == dict.fromkeys(["c100", "c101"], "100 columns are drawn before it")


def test_rare_categories_are_nowhere_and_new_ones_are_seen() -> None:
    before = ["usual"] * 50 + ["rare"] * (RARE - 1) + [FOLDED] * 30
    after = ["usual"] * 50 + ["rare"] * (RARE - 1) + ["new"] * RARE
    found = one(before, "category", after)
    told = Counter(found.reference["c"].to_pylist()), Counter(found.current["c"].to_pylist())
    # A value that is called as the folded ones are is told apart from them.
    assert told[0] == {"usual": 50, FOLDED: RARE - 1, f"{FOLDED} (2)": 30}
    assert told[1] == {"usual": 50, FOLDED: RARE - 1, "new": RARE}
    assert found.notes == {"c": "categories; 1 rare ones folded into one"}


@pytest.mark.parametrize(("distinct", "named"), [(CATEGORIES, CATEGORIES), (CATEGORIES + 1, CATEGORIES - 1)])
def test_there_are_never_more_categories_than_the_bound(distinct: int, named: int) -> None:
    values = pa.array([f"v{n}" for n in range(distinct)] * RARE + ["v0"])
    found = one(values, "category")
    words = set(found.reference["c"].to_pylist())
    assert len(words - {FOLDED}) == named
    assert len(words) <= CATEGORIES
    assert "v0" in words


def test_a_million_distinct_values_become_one() -> None:
    found = one(pa.array(np.arange(1_000_000)), "category")
    assert found.reference["c"].unique().to_pylist() == [FOLDED]


def test_ids_are_counted_among_as_many_rows_on_either_side() -> None:
    before, after = pa.array([1] * 400), pa.array([1] * 100)
    found = one(before, "id", after)
    assert set(found.reference["c"].to_pylist()) == {100.0, None}
    assert found.reference["c"].null_count == 300
    assert found.current["c"].to_pylist() == [100.0] * 100


def test_chunks_are_one_column() -> None:
    chunks = pa.chunked_array([pa.array(["a"] * 6).dictionary_encode(), pa.array(["b", "a"] * 5).dictionary_encode()])
    found = tame(pa.table({"c": chunks}), pa.table({"c": chunks}), {"c": "category"})
    assert Counter(found.reference["c"].to_pylist()) == {"a": 11, FOLDED: 5}


def test_labels_open_nothing_have_an_end_and_stay_apart() -> None:
    evil = ["</script><script>", "&lt;\"'`\\$", "a\nb\u202e\x00", "y" * 80 + "1", "y" * 80 + "2"]
    rows = pa.table([pa.array([word] * RARE + ["z"] * RARE) for word in evil], evil)
    found = tame(rows, rows, dict.fromkeys(evil, "category"))
    assert list(found.notes) == ["‹/script›‹script›", "+lt;'''/§", "a·b··", "y" * 39 + "…", "y" * 39 + "… (2)"]
    assert [side[0].as_py() for side in found.reference.values()][:4] == list(found.notes)[:4]
    both = one(pa.array(["y" * 80 + "1"] * RARE + ["y" * 80 + "2"] * RARE), "category")
    assert len(set(both.reference["c"].to_pylist())) == 2


@given(st.text(max_size=60))
def test_a_label_is_plain(word: str) -> None:
    found = plain(word)
    assert len(found) <= LABEL
    assert found.isprintable()
    assert not set(found) & set('<>&"`\\$')
