"""Everything that a row holds is handed out: whatever is not declared, and what could not be kept where it belongs."""

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.errors import BadInput
from security.rows import leaves, read
from security.rows.beside import BESIDE, OPAQUE, Entries, beside, column, gathered, text
from security.rows.columns import COLUMNS

DAY = "2023-10-27T14:03:11Z"
GOOD: dict[str, Any] = {"user_id": "u1", "item_id": "i1", "interaction_type": "view", "timestamp": DAY}


def held(path: Path) -> list[dict[str, str | None]]:
    """What is beside the rows of a file, a row each."""
    return [dict(row or ()) for batch in read([path], [path.name]) for row in batch.column("beside").to_pylist()]


def lined(path: Path, *rows: dict[str, Any] | str) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def parquet(path: Path, **columns: pa.Array) -> Path:
    size = len(next(iter(columns.values())))
    whole = {name: pa.array([GOOD[name]] * size) for name in COLUMNS[:3]}
    whole["timestamp"] = pa.array([datetime.datetime(2023, 10, 27, tzinfo=datetime.UTC)] * size)
    pq.write_table(pa.table(whole | columns), path)
    return path


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ('"jane"', "jane"),
        (r'"\u006aane"', "jane"),
        ("4111111111111111", "4111111111111111"),
        ("4111111111111111.0", "4111111111111111.0"),
        ("1e3", "1e3"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("true", "true"),
        ("null", None),
        ('{"a": ["jane"]}', '{"a": ["jane"]}'),
        ("[1, 2]", "[1, 2]"),
        ('""', ""),
    ],
)
def test_of_json_lines_each_key_that_is_not_declared_is_there(tmp_path: Path, given: str, text: str | None) -> None:
    line = json.dumps(GOOD)[:-1] + f', "note": {given}}}'
    assert held(lined(tmp_path / "x.jsonl", GOOD, line, GOOD)) == [{}, {"note": text}, {}]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"user_id": 4111111111111111}, "4111111111111111"),
        ({"item_id": ["jane"]}, '["jane"]'),
        ({"user_id": "j" * 257}, "j" * 257),
        ({"interaction_type": "j" * 257}, "j" * 257),
        ({"interaction_type": {"jane": 1}}, '{"jane":1}'),
        ({"timestamp": "jane"}, "jane"),
        ({"timestamp": 4111111111111111}, "4111111111111111"),
        ({"timestamp": ["jane"]}, '["jane"]'),
    ],
)
def test_what_could_not_be_kept_in_its_column_is_beside_it(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    assert held(lined(tmp_path / "x.jsonl", GOOD, GOOD | change)) == [{}, {next(iter(change)): text}]


def test_a_value_that_is_kept_is_not_beside(tmp_path: Path) -> None:
    rows = [GOOD | {"user_id": None}, GOOD | {"timestamp": 1698415391}, GOOD | {"user_id": ""}]
    assert held(lined(tmp_path / "x.jsonl", *rows)) == [{}, {}, {}]


def test_of_csv_each_column_is_there_and_one_of_a_name_that_is_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    head = "note,user_id,item_id,interaction_type,timestamp,note,none"
    path.write_text(f"{head}\njane,u1,i1,view,{DAY},,\n,u1,i1,view,soon,john,\n")
    (batch,) = read([path], [path.name])
    assert batch.column("beside").to_pylist() == [
        [("note", "jane"), ("none", None)],
        [("note", "john"), ("timestamp", "soon")],
    ]


TYPES = {
    "string": (pa.array(["jane", None]), ["jane", None]),
    "large": (pa.array(["jane", None], pa.large_string()), ["jane", None]),
    "codes": (pa.array(["jane", None]).dictionary_encode(), ["jane", None]),
    "int": (pa.array([4111111111111111, None]), ["4111111111111111", None]),
    "small": (pa.array([255, 0], pa.uint8()), ["255", "0"]),
    "largest": (pa.array([2**64 - 1, 0], pa.uint64()), ["18446744073709551615", "0"]),
    "float": (pa.array([4111111111111111.0, None]), ["4111111111111111", None]),
    "single": (pa.array([2125550100.0, 0.5], pa.float32()), ["2125550080", "0.5"]),
    "odd": (pa.array([float("nan"), float("inf")]), ["nan", "inf"]),
    "huge": (pa.array([1e300, -1e19]), ["1e+300", "-1e+19"]),
    "bool": (pa.array([True, None]), ["true", None]),
    "decimal": (pa.array([decimal.Decimal("12.50"), None]), ["12.50", None]),
    "date": (pa.array([datetime.date(2023, 10, 27), None]), ["2023-10-27", None]),
    "bytes": (pa.array([b"jane@x.org", None]), ["jane@x.org", None]),
    "latin": (pa.array([b"caf\xe9 jane@x.org", b""]), [OPAQUE + "caf\xe9 jane@x.org", ""]),
    "utf16": (pa.array(["jané".encode("utf-16"), None]), [OPAQUE + "\xff\xfejan\xe9", None]),
    "fixed": (pa.array([b"jane", None], pa.binary(4)), ["jane", None]),
    "list": (pa.array([["jane", "é"], None]), ['["jane", "é"]', None]),
    "struct": (
        pa.array([{"a": "jane", "b": 1}, {"a": None, "b": 2}]),
        ['{"a": "jane", "b": 1}', '{"a": null, "b": 2}'],
    ),
    "map": (pa.array([[("a", "jane")], None], pa.map_(pa.string(), pa.string())), ['[["a", "jane"]]', None]),
    "deep": (pa.array([[{"a": [b"\xffjane"]}], []]), [OPAQUE + '[{"a": ["\\u0000\xffjane"]}]', "[]"]),
    "null": (pa.nulls(2), [None, None]),
    "length": (pa.array([1, None], pa.duration("s")), None),
}


@pytest.mark.parametrize("name", TYPES)
def test_of_parquet_each_type_is_text(tmp_path: Path, name: str) -> None:
    values, expected = TYPES[name]
    told = held(parquet(tmp_path / "x.parquet", note=values))
    if expected is None:
        assert told[0]["note"]
        assert "note" not in told[1]
    else:
        first = {"note": expected[0]}
        assert told == [first, {} if expected[1] is None else {"note": expected[1]}]


def test_a_nested_column_that_would_unfold_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaves, "NESTED", 1 << 16)
    fine = pa.array([["x" * 60] * 1000, []])
    assert held(parquet(tmp_path / "fine.parquet", note=fine))[0]["note"] == json.dumps(["x" * 60] * 1000)
    with pytest.raises(BadInput, match=r"a nested column of 1,501 values of up to 60 bytes in a row group"):
        held(parquet(tmp_path / "bomb.parquet", note=pa.array([["x" * 60] * 1500, []])))


def test_a_long_text_that_parquet_holds_once_makes_batches_small(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", note=pa.array(["x" * (1 << 20)] * 64))
    assert path.stat().st_size < 1 << 20
    sizes = [batch.num_rows for batch in read([path], [path.name])]
    assert sum(sizes) == 64
    assert max(sizes) <= 9


columns = st.lists(st.lists(st.none() | st.text(max_size=5), min_size=6, max_size=6), max_size=4)


@given(columns, st.integers(0, 6), st.integers(0, 6))
def test_what_is_gathered_comes_back_whatever_is_cut(columns: list[list[str | None]], low: int, high: int) -> None:
    entries = [column(f"c{n}", pa.array(each, pa.string())) for n, each in enumerate(columns)]
    array = gathered(entries, 6)
    assert array.type == BESIDE
    batch = pa.RecordBatch.from_arrays([array], names=["beside"]).slice(low, high)
    found = {
        (name, int(row)): value
        for name, rows, texts in beside(batch)
        for row, value in zip(rows, texts.to_pylist(), strict=True)
    }
    wanted = {}
    for n, each in enumerate(columns):
        for row in range(low, min(6, low + high)):
            if each[row] is not None or (row == 0 and not any(value is not None for value in each)):
                wanted[(f"c{n}", row - low)] = each[row]
    assert found == wanted


def test_columns_of_few_rows_cost_no_more_than_their_values() -> None:
    many = np.arange(20_000)
    names = pa.array([f"k{n}" for n in many])
    assert gathered([Entries(many, names, names)], len(many)).nbytes < 2_000_000


def test_text_takes_a_slice_of_codes_for_what_it_is() -> None:
    assert text(pa.array(["a", "b", None, "a"]).dictionary_encode().slice(1)).to_pylist() == ["b", None, "a"]


@pytest.mark.parametrize("key", ["", "a b", "\xe9", 'q"q', "\\", "x0", "user_id ", "class", "a" * 300])
def test_a_key_may_be_called_whatever_it_likes(tmp_path: Path, key: str) -> None:
    assert held(lined(tmp_path / "x.jsonl", *[GOOD | {key: "jane"}] * 2)) == [{key: "jane"}] * 2


def test_keys_keep_the_order_that_they_have_in_their_row(tmp_path: Path) -> None:
    rows = [
        GOOD | each for each in ({"a": "1", "b": "2"}, {"b": "3", "a": "4"}, {"b": "5"}, {"m": "a", "b": "6", "a": "7"})
    ]
    path = lined(tmp_path / "x.jsonl", *rows)
    (batch,) = read([path], [path.name])
    assert batch.column("beside").to_pylist() == [[(k, v) for k, v in row.items() if k not in GOOD] for row in rows]
    path = lined(tmp_path / "x.jsonl", *rows[:3])
    (batch,) = read([path], [path.name])
    assert batch.column("beside").to_pylist() == [[(k, v) for k, v in row.items() if k not in GOOD] for row in rows[:3]]
