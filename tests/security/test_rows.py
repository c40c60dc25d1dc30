"""The reader of rows: what it reads, what it marks, what it refuses, and what it costs."""

import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from security.errors import BadInput, CannotTell
from security.rows import ROWS, lines, read
from security.rows.columns import LONGEST, SCHEMA, Fault, micros, times
from tests.security.damage import SECRET, refusal, table

Row = dict[str, Any]
DAY = "2023-10-27T14:03:11Z"
GOOD: dict[str, Any] = {"user_id": "u1", "item_id": "i1", "interaction_type": "view", "timestamp": DAY}


def written(path: Path, rows: list[Row]) -> Path:
    """The rows as JSON lines, compressed if the name says so."""
    body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    pack = {".gz": gzip.compress, ".zst": zstd.compress}.get(path.suffix, bytes)
    path.write_bytes(pack(body))
    return path


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., BadInput]:
    """The error for a file with these bytes."""
    return lambda body, name="part.jsonl": refusal(tmp_path, body, name)


@pytest.mark.parametrize("name", ["part.jsonl", "part.jsonl.gz", "part.jsonl.zst", "part"])
def test_rows_keep_their_values_places_and_file(tmp_path: Path, name: str) -> None:
    rows = [GOOD, {"comment": SECRET, **GOOD, "item_id": "Ünï-2"}]
    path = written(tmp_path / name, rows)
    (batch,) = read([path], ["a/b"])
    assert batch.schema == SCHEMA
    stamp = int(datetime(2023, 10, 27, 14, 3, 11, tzinfo=UTC).timestamp()) * 1_000_000
    common = {"user_id": "u1", "interaction_type": "view", "timestamp": stamp, "file": "a/b", "faults": 0}
    assert batch.to_pylist() == [
        common | {"item_id": "i1", "row": 1, "beside": None},
        common | {"item_id": "Ünï-2", "row": 2, "beside": [("comment", SECRET)]},
    ]


def test_batches_are_cut_at_rows_and_at_bytes(tmp_path: Path) -> None:
    small = written(tmp_path / "small.jsonl.gz", [GOOD] * (2 * ROWS + 7))
    sizes = [batch.num_rows for batch in read([small], ["small.jsonl.gz"])]
    assert sizes == [ROWS, ROWS, 7]
    wide = written(tmp_path / "wide.jsonl", [GOOD | {"comment": "x" * 900_000}] * 30)
    batches = list(read([wide], ["wide.jsonl"]))
    assert [row for batch in batches for row in batch.column("row").to_pylist()] == list(range(1, 31))
    assert max(batch.num_rows for batch in batches) <= 11


@pytest.mark.parametrize("stamp", ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_at_the_end_of_the_calendar_is_the_same_whoever_stands_beside_it(stamp: str) -> None:
    alone = times([stamp])
    for other in (None, DAY):
        together = times([stamp, other])
        assert (together[0][0], together[1][0]) == (alone[0][0], alone[1][0])
        assert together[0][0].as_py() == micros(stamp)


def test_files_follow_each_other_and_each_counts_from_one(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{name}.jsonl", [GOOD] * count) for name, count in (("b", 2), ("e", 0), ("a", 1))]
    found = [(row["file"], row["row"]) for batch in read(paths, ["b", "e", "a"]) for row in batch.to_pylist()]
    assert found == [("b", 1), ("b", 2), ("a", 1)]


def test_parquet_gives_the_batches_that_its_rows_gave(tmp_path: Path) -> None:
    rows = [GOOD | {"user_id": f"u{n}", "timestamp": 1_698_415_391 + n} for n in range(ROWS + 3)]
    first = list(read([written(tmp_path / "x.jsonl", rows)], ["x"]))
    columns = pa.Table.from_batches([batch.select(list(GOOD)) for batch in first])
    stamps = columns["timestamp"].cast(pa.timestamp("us", "UTC"))
    path = tmp_path / "x.parquet"
    pq.write_table(columns.set_column(3, "timestamp", stamps).append_column("part", stamps), path, row_group_size=5000)
    again = list(read([path], ["x"]))
    assert [dict(row) for row in again[0].column("beside").to_pylist()[:2]] == [
        {"part": f"2023-10-27 14:03:1{n}.000000Z"} for n in (1, 2)
    ]
    same = [pa.Table.from_batches(each).drop_columns(["beside"]).to_pylist() for each in (again, first)]
    assert same[0] == same[1]
    assert lines(path) == len(rows)
    other = tmp_path / "ns.parquet"
    large = columns.set_column(3, "timestamp", stamps.cast(pa.timestamp("ns", "Europe/Berlin")))
    pq.write_table(large.set_column(0, "user_id", columns["user_id"].cast(pa.large_string())), other)
    assert table(other)[-1]["timestamp"] == table(path)[-1]["timestamp"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"user_id": None}, Fault.NULL),
        ({"item_id": 7}, Fault.TYPE),
        ({"item_id": ["x"]}, Fault.TYPE),
        ({"user_id": ""}, Fault.EMPTY),
        ({"user_id": "x" * (LONGEST + 1)}, Fault.LONG),
        ({"interaction_type": ""}, Fault.KIND),
        ({"interaction_type": "x" * (LONGEST + 1)}, Fault.KIND),
        ({"interaction_type": True}, Fault.TYPE),
        ({"timestamp": None}, Fault.NULL),
        ({"timestamp": True}, Fault.TYPE),
        ({"timestamp": {"seconds": 1}}, Fault.TYPE),
        ({"timestamp": "2023-10-27T14:03:11"}, Fault.TIME),
        ({"timestamp": "2023-10-27"}, Fault.TIME),
        ({"timestamp": "2023-02-30T00:00:00Z"}, Fault.TIME),
        ({"timestamp": "2023-10-27T24:00:00Z"}, Fault.TIME),
        ({"timestamp": "٢٠٢٣-10-27T14:03:11Z"}, Fault.TIME),
        ({"timestamp": 1e14}, Fault.TIME),
        ({"timestamp": 10**30}, Fault.TIME),
        ({"timestamp": -(2**63)}, Fault.TIME),
        *(({column: UNSET}, Fault.MISSING) for column in GOOD),
    ],
)
def test_a_faulty_value_is_marked_and_not_kept(tmp_path: Path, change: Row, fault: Fault) -> None:
    row = {key: value for key, value in (GOOD | change).items() if value is not UNSET}
    good, bad, again = table(written(tmp_path / "x.jsonl", [GOOD, row, GOOD]))
    (column,) = change
    assert bad["faults"] == fault
    assert bad[column] is None
    assert {key: value for key, value in bad.items() if key not in (column, "faults", "row")}.items() <= good.items()
    assert good["faults"] == again["faults"] == 0


def test_faults_of_several_columns_add_up(tmp_path: Path) -> None:
    bad = {"user_id": None, "item_id": "", "interaction_type": 1, "timestamp": "soon"}
    assert table(written(tmp_path / "x.jsonl", [GOOD, bad]))[1]["faults"] == (
        Fault.NULL | Fault.EMPTY | Fault.TYPE | Fault.TIME
    )


LINE = json.dumps(GOOD | {"comment": SECRET}).encode()


@pytest.mark.parametrize(
    ("body", "place", "found"),
    [
        (LINE + b"\n\n" + LINE, "row 2", "an empty line"),
        (LINE + b"\n" + LINE[:-9], "row 2", "not JSON"),
        (LINE + b"\n" + LINE + LINE, "row 2", "not JSON"),
        (LINE + b"\n" + LINE.replace(b'"u1"', b'"u1\xff"'), "row 2", "not UTF-8"),
        (LINE + b"\n" + LINE.replace(b"jane", b"\xff"), "row 2", "not UTF-8"),
        (LINE + b"\n" + LINE.replace(b'"u1"', b'"\\ud800"'), "row 2", "not JSON"),
        (LINE + b"\n" + LINE.replace(b'"u1"', b'"\\udc00"'), "row 2", "not JSON"),
        (LINE + b"\n" + LINE.replace(b'"u1"', b"NaN"), "row 2", "not JSON"),
        (LINE + b"\n" + LINE.replace(b'"u1"', b"-Infinity"), "row 2", "not JSON"),
        (LINE + b"\n" + LINE.replace(b'"u1"', b"1e999"), "row 2", "a number out of range"),
        (LINE + b"\n" + LINE.replace(b'"u1"', b"[" * 99_999 + b"]" * 99_999), "row 2", "nested too deep"),
        (LINE.decode().encode("utf-16"), "row 1", "not UTF-8"),
        (b"\xef\xbb\xbf" + LINE, "row 1", "a byte order mark"),
        (json.dumps([SECRET]).encode(), "row 1", "a list of 1"),
        (json.dumps(SECRET).encode(), "row 1", f"a string of {len(SECRET)} characters"),
        (b"null", "row 1", "null"),
        (b"true", "row 1", "true or false"),
        (b"17", "row 1", "a number"),
        (b"user_id,item_id\nu1,i1\n", "row 1", "not JSON"),
        (b"\x80\x04K\x01.", "row 1", "not UTF-8"),
        (LINE + b"\n" + b"x" * ((1 << 20) + 1), "row 2", "a line of more than 1 MiB"),
        (LINE + b"\n" + b"x" * (5 << 20) + b"\n" + LINE, "row 2", "a line of more than 1 MiB"),
    ],
)
def test_a_line_that_is_no_object_is_refused_by_row(
    refused: Callable[..., BadInput], body: bytes, place: str, found: str
) -> None:
    why = refused(body)
    assert why.place == place
    assert found in why.found
    assert why.allowed


def test_the_row_of_a_bad_line_is_counted_over_batches(refused: Callable[..., BadInput]) -> None:
    assert refused((LINE + b"\n") * (ROWS + 5) + b"{\n" + LINE).place == f"row {ROWS + 6}"


PACKED = gzip.compress((LINE + b"\n") * 1000, mtime=0)


@pytest.mark.parametrize(
    ("body", "name", "place", "found"),
    [
        (LINE, "x.jsonl.gz", "row 1", "neither gzip, zstd nor Parquet"),
        (b"", "x.jsonl.gz", "row 1", "neither gzip, zstd nor Parquet"),
        (PACKED, "x.jsonl", "row 1", "gzip"),
        (PACKED, "x.parquet", "row 1", "gzip"),
        (PACKED[:-4], "x.jsonl.gz", "row 1001", "cut off"),
        (PACKED[:5], "x.jsonl.gz", "row 1", "cut off"),
        (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "x.jsonl.gz", "row 1", "damaged"),
        (PACKED + b"\0", "x.jsonl.gz", "row 1001", "cut off"),
        (PACKED + b"more", "x.jsonl.gz", "row 1001", "damaged"),
        (b"PAR1" + b"\0" * 64, "x.parquet", "row 1", "Parquet that cannot be read"),
    ],
)
def test_bytes_that_are_not_what_their_name_says_are_refused(
    refused: Callable[..., BadInput], body: bytes, name: str, place: str, found: str
) -> None:
    why = refused(body, name)
    assert (why.place, found in why.found) == (place, True), why


def test_lines_refuses_what_cannot_be_unpacked(tmp_path: Path) -> None:
    for name, body in (("x.jsonl.gz", PACKED), ("x.jsonl.zst", FRAME)):
        (tmp_path / name).write_bytes(body[:-4])
        with pytest.raises(BadInput, match="cut off"):
            lines(tmp_path / name)


def framed(body: bytes, window: int = 0) -> bytes:
    """One zstd frame with a checksum, written as a stream, so that it names its window; 0 is the level's own."""
    options = {zstd.CompressionParameter.checksum_flag: 1} | (
        {zstd.CompressionParameter.window_log: window} if window else {}
    )
    engine = zstd.ZstdCompressor(options=options)
    return engine.compress(body) + engine.flush()


FRAME = framed((LINE + b"\n") * 1000)
SKIPPED = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"


@pytest.mark.parametrize(
    ("body", "name", "place", "found"),
    [
        (LINE, "x.jsonl.zst", "row 1", "neither gzip, zstd nor Parquet"),
        (b"", "x.jsonl.zst", "row 1", "neither gzip, zstd nor Parquet"),
        (PACKED, "x.jsonl.zst", "row 1", "gzip"),
        (FRAME, "x.jsonl", "row 1", "zstd"),
        (FRAME, "x.jsonl.gz", "row 1", "zstd"),
        (FRAME, "x.parquet", "row 1", "zstd"),
        (FRAME[:-4], "x.jsonl.zst", "row 1001", "cut off"),
        (FRAME[:-1], "x.jsonl.zst", "row 1001", "cut off"),
        (FRAME[:5], "x.jsonl.zst", "row 1", "cut off"),
        (FRAME + FRAME[:-4], "x.jsonl.zst", "row 2001", "cut off"),
        (FRAME[:-4] + b"\0\0\0\0", "x.jsonl.zst", "row 1", "damaged"),
        (FRAME + b"\0", "x.jsonl.zst", "row 1001", "damaged"),
        (FRAME + b"more", "x.jsonl.zst", "row 1001", "damaged"),
        (framed((LINE + b"\n") * 1000, 24), "x.jsonl.zst", "row 1", "a window of more than 8 MiB"),
    ],
)
def test_zstd_that_is_not_whole_is_refused(
    refused: Callable[..., BadInput], body: bytes, name: str, place: str, found: str
) -> None:
    why = refused(body, name)
    assert (why.place, found in why.found) == (place, True), why


def test_zstd_may_have_several_frames_and_look_back_8_mib(tmp_path: Path) -> None:
    parts = framed(LINE[:9], 23) + SKIPPED + framed(LINE[9:] + b"\n") + framed(b"") + FRAME + SKIPPED
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(parts)
    assert lines(path) == len(table(path)) == 1001


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_a_frame_is_cut_anywhere_and_never_read_as_whole(tmp_path: Path, size: int) -> None:
    body = framed(b"\n".join([LINE] * 50) * size if size < 8 else np.random.default_rng(7).bytes(size))
    path = tmp_path / "x.zst"
    for end in {4, 6, len(body) // 2, len(body) - 5, len(body) - 1}:
        path.write_bytes(body[:end])
        with pytest.raises(BadInput, match="cut off"):
            lines(path)


def test_a_column_that_no_row_has_is_named_with_the_nearest_key(refused: Callable[..., BadInput]) -> None:
    row: Row = {"userId": SECRET, "item_id": "i", "interaction_type": "view", "timestamp": DAY}
    why = refused(json.dumps(row).encode() * 1)
    assert (why.place, why.found) == ("key user_id", "no column user_id (nearest: userId)")
    row = {"user_id_" + SECRET: 1, "item_id": "i", "interaction_type": "view", "timestamp": DAY, "n": 1}
    why = refused(json.dumps(row).encode().replace(b'"n": 1', b'"n": 1e999'))
    assert why.found == "no column user_id (nearest: item_id)"


@pytest.mark.parametrize(
    ("column", "values", "found"),
    [
        ("user_id", pa.array([1]), "the type int64"),
        ("timestamp", pa.array([1], pa.timestamp("us")), "the type timestamp"),
        ("timestamp", pa.array([1]), "the type int64"),
        ("timestamp", pa.array([2**62], pa.timestamp("ms", "UTC")), "cannot be read"),
        ("item_id", None, "no column item_id (nearest: item)"),
    ],
)
def test_parquet_of_another_schema_is_refused(tmp_path: Path, column: str, values: pa.Array | None, found: str) -> None:
    columns = {name: pa.array(["x"]) for name in GOOD} | {"timestamp": pa.array([1], pa.timestamp("us", "UTC"))}
    columns |= {column: values} if values is not None else {"item": columns.pop(column)}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(BadInput) as caught:
        table(tmp_path / "x.parquet")
    assert found in caught.value.found


def test_parquet_rows_can_be_faulty_too(tmp_path: Path) -> None:
    texts = {name: pa.array(["x", None, "", "y" * 300]) for name in list(GOOD)[:3]}
    stamps = pa.array([1, None, 2, 3], pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table(texts | {"timestamp": stamps}), tmp_path / "x.parquet")
    assert [row["faults"] for row in table(tmp_path / "x.parquet")] == [
        0,
        Fault.NULL,
        Fault.EMPTY | Fault.KIND,
        Fault.LONG | Fault.KIND,
    ]


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("long", [LONGEST, LONGEST + 1, 4 * LONGEST, 5_000])
def test_parquet_that_is_read_by_its_codes_gives_the_same_rows(tmp_path: Path, long: int, dictionary: bool) -> None:
    """A long text, the first of its row group or the last, of characters of one byte or four, and some missing."""
    texts = [*["a" * long, "b", None, ""] * 50, "z", "\U0001f600" * long]
    columns = {name: pa.array(texts) for name in list(GOOD)[:3]}
    columns["timestamp"] = pa.array([*range(len(texts) - 1), None], pa.timestamp("s", "UTC"))
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=101, use_dictionary=dictionary)
    rows = [dict.fromkeys(list(GOOD)[:3], text) | {"timestamp": n} for n, text in enumerate(texts[:-1])]
    rows.append(dict.fromkeys(list(GOOD)[:3], texts[-1]) | {"timestamp": None})

    def told(path: Path) -> list[Row]:
        return [row | {"file": ""} for row in table(path)]

    assert told(path) == told(written(tmp_path / "x.jsonl", rows))


def test_a_long_text_that_parquet_holds_once_is_not_written_out_for_every_row(tmp_path: Path) -> None:
    rows = 1 << 18
    texts = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["y" * 16_000])
    stamps = pa.array(np.arange(rows), pa.timestamp("us", "UTC"))
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(dict.fromkeys(list(GOOD)[:3], texts) | {"timestamp": stamps}), path)
    assert path.stat().st_size < 2 << 20
    before, seen = pa.total_allocated_bytes(), 0
    for each in read([path], ["x"]):
        assert pa.total_allocated_bytes() - before < 128 << 20
        assert set(each.column("faults").to_pylist()) == {Fault.LONG | Fault.KIND}
        seen += each.num_rows
    assert seen == rows


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    texts = {name: pa.array([str(n) for n in range(5000)]) for name in list(GOOD)[:3]}
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(texts | {"timestamp": pa.array(range(5000), pa.timestamp("us", "UTC"))}), path)
    body = bytearray(path.read_bytes())
    body[4:600] = bytes(596)
    path.write_bytes(body)
    with pytest.raises(BadInput, match="Parquet that cannot be read"):
        table(path)
    path.write_bytes(body[:-100])
    with pytest.raises(BadInput, match="Parquet that cannot be read"):
        table(path)


def test_nothing_to_read_and_names_that_do_not_fit_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CannotTell, match="no files"):
        read([], [])
    path = written(tmp_path / "x.jsonl", [GOOD])
    for names in ([], ["a", "b"]):
        with pytest.raises(ValueError, match="as many names"):
            read([path], names)
    with pytest.raises(ValueError, match="as many names"):
        read([path, path], ["a", "a"])
    for absent in (tmp_path / "absent.jsonl", tmp_path):
        with pytest.raises(BadInput, match="no regular file"):
            list(read([absent], ["a"]))


@pytest.mark.parametrize(
    ("body", "count"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2), (b"a\r\nb\r\n", 2)]
)
def test_lines_counts_ends_and_a_last_line_without(tmp_path: Path, body: bytes, count: int) -> None:
    for name, packed in (
        ("x", body),
        ("x.gz", gzip.compress(body)),
        ("y.gz", gzip.compress(b"") + gzip.compress(body)),
        ("x.zst", framed(body)),
    ):
        (tmp_path / name).write_bytes(packed)
        assert lines(tmp_path / name) == count


def test_a_line_of_a_gigabyte_is_refused_at_once_in_little_memory(tmp_path: Path) -> None:
    block, blocks = b"a" * (1 << 20), 1024
    engine = zlib.compressobj(9, wbits=-15)
    # After a full flush nothing refers back, so the same compressed block can be repeated.
    packed = engine.compress(block) + engine.flush(zlib.Z_FULL_FLUSH)
    check = 0
    for _ in range(blocks):
        check = zlib.crc32(block, check)
    end = check.to_bytes(4, "little") + (blocks << 20).to_bytes(4, "little")
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + packed * blocks + zlib.compressobj(9, wbits=-15).flush() + end)
    assert path.stat().st_size < 3 << 20
    _refused_in_little_memory(path)
    engine = zstd.ZstdCompressor()
    packed = b"".join(engine.compress(block) for _ in range(blocks)) + engine.flush()
    path = tmp_path / "bomb.jsonl.zst"
    path.write_bytes(packed)
    assert path.stat().st_size < 1 << 20
    _refused_in_little_memory(path)


def _refused_in_little_memory(path: Path) -> None:
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(BadInput, match="row 1: found a line of more than 1 MiB"):
        table(path)
    assert time.process_time() - began < 1
    assert lines(path) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
stamps = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=zones)
numbers = st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15)


@given(
    st.lists(stamps.map(datetime.isoformat) | numbers | st.none() | st.text(max_size=30) | st.booleans(), min_size=1)
)
def test_times_of_a_column_are_those_of_its_values(values: list[Any]) -> None:
    array, faults = times(values)
    assert array.to_pylist() == [micros(value) for value in values]
    for value, found, fault in zip(values, array.to_pylist(), faults.tolist(), strict=True):
        assert (found is None) == (value is None or fault != 0)


@given(st.lists(stamps, min_size=1), st.lists(st.integers(-(10**11) + 1, 10**11 - 1), min_size=1))
def test_times_are_right_on_the_fast_ways(moments: list[datetime], seconds: list[int]) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    found = times([moment.isoformat() for moment in moments])[0].to_pylist()
    assert found == [(moment - epoch) // timedelta(microseconds=1) for moment in moments]
    assert times(seconds)[0].to_pylist() == [second * 1_000_000 for second in seconds]


def test_milliseconds_are_told_by_their_size() -> None:
    assert (
        micros(1_698_415_391) == micros(1_698_415_391_000) == micros(1_698_415_391.0) == micros("2023-10-27T14:03:11Z")
    )
    assert micros("2023-10-27T14:03:11.123456789+02:00") == micros("2023-10-27T12:03:11.123456Z")


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(names, names, names, st.integers(0, 10**10)), min_size=1, max_size=40), st.booleans())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], pack: bool
) -> None:
    path = tmp_path_factory.mktemp("rows") / ("x.jsonl.gz" if pack else "x.jsonl")
    written(path, [dict(zip(GOOD, row, strict=True)) for row in rows])
    found = [tuple(row[column] for column in GOOD) for row in table(path)]
    assert found == [(*row[:3], row[3] * 1_000_000) for row in rows]
    assert lines(path) == len(rows)


def test_a_core_reads_far_more_than_a_hundred_thousand_rows_a_second(tmp_path: Path) -> None:
    draw = np.random.default_rng(7)
    rows = [GOOD | {"user_id": f"u{n:05d}", "comment": None} for n in draw.integers(0, 10_000, 50_000)]
    path = written(tmp_path / "x.jsonl.gz", rows)
    list(read([path], ["x.jsonl.gz"]))
    spent = []
    for _ in range(5):  # of which others on this machine spoil some
        began = time.process_time()
        assert sum(batch.num_rows for batch in read([path], ["x.jsonl.gz"])) == 50_000
        spent.append(time.process_time() - began)
    assert 50_000 / min(spent) > 150_000
