"""CSV: what is read, what is refused and where, and that its rows are those of JSON lines."""

import csv
import gzip
import io
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from security.errors import BadInput
from security.rows import LINE, ROWS, commas, lines, packing, read
from security.rows.columns import COLUMNS, LONGEST, SCHEMA, Fault, stamps, times
from tests.security.damage import SECRET, refusal, table

DAY = "2023-10-27T14:03:11Z"
MOMENT = 1_698_415_391_000_000
HEAD = b"user_id,item_id,interaction_type,timestamp,comment\n"
GOOD = f"u1,i1,view,{DAY},{SECRET}\n".encode()
PACKS: dict[str, Callable[[bytes], bytes]] = {".csv": bytes, ".csv.gz": gzip.compress, ".csv.zst": zstd.compress}
Row = dict[str, Any]


def held(tmp_path: Path, body: bytes) -> list[Row]:
    """All rows of a CSV file of these bytes, which must be as many as are counted."""
    path = tmp_path / "x.csv"
    path.write_bytes(body)
    rows = table(path)
    assert [row["row"] for row in rows] == list(range(1, lines(path) + 1))
    return rows


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., BadInput]:
    """The error for a file with these bytes."""
    return lambda body, name="part.csv": refusal(tmp_path, body, name)


@pytest.mark.parametrize("ending", PACKS)
def test_rows_keep_their_values_places_and_file(tmp_path: Path, ending: str) -> None:
    body = (
        f"comment,timestamp,user_id,item_id,more,interaction_type\n{SECRET},{DAY},u1,i1,,view\n"
        f'"{SECRET}, ""quoted""",1698415391,"u,""1""",Ünï-2,,view\n'
    )
    path = tmp_path / "part"
    path.write_bytes(PACKS[ending](body.encode()))
    (batch,) = read([path], [f"a/b{ending}"])
    assert batch.schema == SCHEMA
    common = {"interaction_type": "view", "timestamp": MOMENT, "file": f"a/b{ending}", "faults": 0}
    assert batch.to_pylist() == [
        common | {"user_id": "u1", "item_id": "i1", "row": 1, "beside": [("comment", SECRET), ("more", None)]},
        common | {"user_id": 'u,"1"', "item_id": "Ünï-2", "row": 2, "beside": [("comment", f'{SECRET}, "quoted"')]},
    ]
    assert lines(path, f"a/b{ending}") == 2


@pytest.mark.parametrize(
    "body",
    [
        HEAD + GOOD * 2,
        HEAD + GOOD + GOOD[:-1],
        (HEAD + GOOD * 2).replace(b"\n", b"\r\n"),
        HEAD + GOOD.replace(b"\n", b"\r\n") + GOOD,
        (HEAD + GOOD * 2).replace(b"\n", b"\r\n")[:-2],
        (HEAD + GOOD * 2).replace(b"\n", b"\r\n")[:-1],
        HEAD.replace(b"comment", b'"com""ment, and more"') + GOOD * 2,
        HEAD.replace(b"user_id", b'"user_id"') + GOOD.replace(b"u1,i1", b'"u1","i1"') * 2,
        HEAD.replace(b"comment", b"") + GOOD * 2,
        HEAD.replace(b"comment", b"c,c,c") + GOOD.replace(b"\n", b",,\n") * 2,
        HEAD + GOOD.replace(b"jane", b"ja\tne") * 2,
    ],
)
def test_what_is_the_same_to_the_rfc_is_the_same_rows(tmp_path: Path, body: bytes) -> None:
    rows = held(tmp_path, body)
    assert [tuple(row[name] for name in COLUMNS) for row in rows] == [("u1", "i1", "view", MOMENT)] * 2
    assert {row["faults"] for row in rows} == {0}


@pytest.mark.parametrize(
    ("fields", "change", "fault"),
    [
        (",i1,view,1", {"user_id": None}, Fault.NULL),
        ("u1,,view,1", {"item_id": None}, Fault.NULL),
        ("u1,i1,,1", {"interaction_type": None}, Fault.NULL),
        ("u1,i1,view,", {"timestamp": None}, Fault.NULL),
        ('"",i1,view,1', {"user_id": None}, Fault.EMPTY),
        ('u1,i1,"",1', {"interaction_type": None}, Fault.KIND),
        ('u1,i1,view,""', {"timestamp": None}, Fault.TIME),
        (",,,", dict.fromkeys(COLUMNS), Fault.NULL),
        (f"{'x' * (LONGEST + 1)},i1,view,1", {"user_id": None}, Fault.LONG),
        (f"u1,i1,{'x' * (LONGEST + 1)},1", {"interaction_type": None}, Fault.KIND),
        *(
            (f"u1,i1,view,{time}", {"timestamp": None}, Fault.TIME)
            for time in (
                "soon",
                "2023-10-27",
                "2023-10-27T14:03:11",
                "2023-02-30T00:00:00Z",
                " 2023-10-27T14:03:11Z",
                "true",
                "NaN",
                "inf",
                "1_698_415_391",
                "+1698415391",
                " 1698415391",
                "01698415391",
                "1698415391.",
                ".5",
                "0x10",
                "١٦٩٨",
                "1e14",
                "1e999",
                "-1e999",
                "9" * 20,
                "9" * 5000,
            )
        ),
        *(
            (f"{word},{word},{word},1", dict.fromkeys(COLUMNS[:3], word), 0)
            for word in ("null", "NULL", "NA", "N/A", "NaN", "nan", "true", "1", "1.50", "007", " ", " x ", "#", "\\N")
        ),
        ("2023-10-27,i1,view,1", {"user_id": "2023-10-27"}, 0),
        ('"null",i1,view,1', {"user_id": "null"}, 0),
        ("u1,i1,view,1698415391000", {"timestamp": MOMENT}, 0),
        ("u1,i1,view,1698415391.25", {"timestamp": MOMENT + 250_000}, 0),
        ("u1,i1,view,1.698415391e9", {"timestamp": MOMENT}, 0),
        ("u1,i1,view,-1", {"timestamp": -1_000_000}, 0),
        ('u1,i1,view,"1"', {}, 0),
        (f'u1,i1,view,"{DAY}"', {"timestamp": MOMENT}, 0),
    ],
)
@pytest.mark.parametrize("others", ["1", DAY])
def test_a_field_is_text_null_or_a_time(tmp_path: Path, fields: str, change: Row, fault: int, others: str) -> None:
    other = f"u2,i2,click,{others}\n"
    body = "user_id,item_id,interaction_type,timestamp\n" + other + fields + "\n" + other
    first, row, last = held(tmp_path, body.encode())
    good = {"user_id": "u1", "item_id": "i1", "interaction_type": "view", "timestamp": 1_000_000}
    assert row == good | {"row": 2, "file": "x.csv", "faults": fault} | change
    assert (first["faults"], last["faults"]) == (0, 0)
    assert first["timestamp"] == last["timestamp"] == (1_000_000 if others == "1" else MOMENT)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"", "an empty line"),
        (b"\r", "an empty line"),
        (b" ", "1 fields"),
        (GOOD[:-1] + b",", "6 fields"),
        (GOOD[:-1].replace(b",u", b"") + b',"x,y"', "6 fields"),
        (GOOD[: GOOD.rindex(b",")], "4 fields"),
        (GOOD[:-1].replace(b"i1", b'"i1,x'), "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b'i"1'), "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b'i"1"'), "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b'"i"1'), "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b'"i" '), "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b' "i"'), "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b'"i""'), "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b'""i"'), "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b'"""'), "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b'""""" '), "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b'"i\\"1"'), "a quote out of place"),
        (GOOD[:-1].replace(b"jane", b'"jane'), "a quote out of place"),
        (GOOD[:-1].replace(b"jane", b'j"ane'), "a quote out of place"),
        (b'"', "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b'"i\n1"'), "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b'"i\r\n1"'), "a quote out of place"),
        (GOOD[:-1].replace(b"i1", b'"i\r1"'), "a control character (0x0d)"),
        (GOOD[:-1] + b"\r" + GOOD[:-1], "a control character (0x0d)"),
        (GOOD[:-1] + b"\r\r", "a control character (0x0d)"),
        (GOOD[:-1].replace(b"i1", b"i\0"), "a control character (0x00)"),
        (GOOD[:-1].replace(b"jane", b"\x1b[31m"), "a control character (0x1b)"),
        (GOOD[:-1].replace(b"i1", b"i\xff"), "bytes that are not UTF-8"),
        (GOOD[:-1].replace(b"jane", b"\xe9"), "bytes that are not UTF-8"),
        (GOOD[:-1].replace(b"i1", b"\xed\xa0\x80"), "bytes that are not UTF-8"),
        (GOOD[:-1].replace(b"i1", b"\xc0\x80"), "bytes that are not UTF-8"),
        (GOOD[:-1] + b"x" * LINE, "a line of more than 1 MiB"),
    ],
)
@pytest.mark.parametrize("before", [0, ROWS - 2, ROWS + 5])
def test_a_line_that_is_no_row_is_refused_by_row(
    refused: Callable[..., BadInput], line: bytes, found: str, before: int
) -> None:
    for ending in (b"\n" + GOOD, b"\n" + GOOD + b"\n", b"\n"):
        why = refused(HEAD + GOOD * before + line + ending)
        assert why.place == f"row {before + 1}"
        assert found in why.found


def test_the_last_line_is_looked_at_like_every_other(refused: Callable[..., BadInput]) -> None:
    for line in (b'u1,i1,view,1,"x', b'u1,i1,view,1,x"', b"u1,i1,view,1", b"u1,i1,view,1,\xc3", b'"', b" ", b"\r"):
        assert refused(HEAD + GOOD + line).place == "row 2"


@pytest.mark.parametrize("first", [b"u1\n", b'u1,"i"1,view,1,\n', b"\n", b"u1,i1,view,1,\0\n", b"u1,i1,view,1,\xff\n"])
@pytest.mark.parametrize("second", [b"u1\n", b'u1,"i"1,view,1,\n', b"\n", b"u1,i1,view,1,\0\n", b"u1,i1,view,1,\xff\n"])
def test_of_two_wrong_rows_the_first_is_told(refused: Callable[..., BadInput], first: bytes, second: bytes) -> None:
    alone = refused(HEAD + GOOD * 7 + first + GOOD)
    assert str(refused(HEAD + GOOD * 7 + first + GOOD * 7 + second)) == str(alone)
    assert alone.place == "row 8"


@pytest.mark.parametrize(
    ("head", "place", "found"),
    [
        (b"userId,item_id,interaction_type,timestamp\n", "key user_id", "no column user_id (nearest: userId)"),
        (b"user_id,item_id,interaction_type\n", "key timestamp", "no column timestamp (nearest: "),
        (b"user_id,user_id,item_id,interaction_type,timestamp\n", "key user_id", "2 columns of this name"),
        (b'user_id,item_id,interaction_type,timestamp,"timestamp"\n', "key timestamp", "2 columns of this name"),
        (b"user_id;item_id;interaction_type;timestamp\n", "header", "a first line that names no column"),
        (b"userId,itemId,type,at\n", "header", "a first line that names no column"),
        (b" user_id,item_id,interaction_type,timestamp\n", "key user_id", "no column user_id (nearest: item_id)"),
        (b"USER_ID,item_id,interaction_type,timestamp\n", "key user_id", "no column user_id"),
        (f"{SECRET},i1,view,{DAY}\n".encode(), "header", "a first line that names no column"),
        (b'{"user_id": 1}\n', "header", "a quote out of place"),
        (b"\xef\xbb\xbf" + HEAD, "header", "a byte order mark"),
        (HEAD.decode().encode("utf-16"), "header", "bytes that are not UTF-8"),
        (HEAD.decode().encode("utf-16-le"), "header", "a control character (0x00)"),
        (HEAD.replace(b"comment", b"\xe9"), "header", "bytes that are not UTF-8"),
        (HEAD.replace(b"comment", b'com"ment'), "header", "a quote out of place"),
        (HEAD.replace(b"comment", b'"com\nment"'), "header", "a quote out of place"),
        (HEAD.replace(b"\n", b"\r"), "header", "a control character (0x0d)"),
        (b"\n" + HEAD, "header", "an empty line"),
        (b"\n", "header", "an empty line"),
        (b"", "header", "no bytes"),
        (HEAD[:-1] + b"," * commas.HEADER + b"\n", "header", "bytes"),
        (HEAD[:-1] + b"," * LINE + b"\n", "header", "a line of more than 1 MiB"),
    ],
)
def test_a_header_that_does_not_name_each_column_once_is_refused(
    refused: Callable[..., BadInput], head: bytes, place: str, found: str
) -> None:
    why = refused(head + GOOD if head else head)
    assert why.place == place
    assert found in why.found


def test_a_row_in_the_place_of_a_header_is_not_told(refused: Callable[..., BadInput]) -> None:
    why = refused(f"user_17,item_9,interaction;,{DAY}\n".encode() + GOOD)
    assert not [word for word in ("user_17", "item_9", "interaction;", "nearest") if word in str(why)]


def test_a_header_may_have_64_kib(tmp_path: Path) -> None:
    count = commas.HEADER - len(HEAD)
    (row,) = held(tmp_path, HEAD[:-1] + b"," * count + b"\n" + GOOD[:-1] + b"," * count + b"\n")
    assert (row["user_id"], row["timestamp"]) == ("u1", MOMENT)


PACKED, FRAME = gzip.compress(HEAD + GOOD * 1000, mtime=0), zstd.compress(HEAD + GOOD * 1000)


@pytest.mark.parametrize(
    ("body", "name", "place", "found"),
    [
        (HEAD + GOOD, "x.csv.gz", "row 1", "neither gzip, zstd nor Parquet"),
        (HEAD + GOOD, "x.csv.zst", "row 1", "neither gzip, zstd nor Parquet"),
        (b"", "x.csv.gz", "row 1", "neither gzip, zstd nor Parquet"),
        (PACKED, "x.csv", "row 1", "a file that is gzip"),
        (FRAME, "x.csv", "row 1", "a file that is zstd"),
        (FRAME, "x.csv.gz", "row 1", "a file that is zstd"),
        (b"PAR1" + bytes(64), "x.csv", "row 1", "a file that is Parquet"),
        (b"PAR1" + bytes(64), "x.csv.gz", "row 1", "a file that is Parquet"),
        (HEAD + GOOD, "x.csv.parquet", "row 1", "neither gzip, zstd nor Parquet"),
        (HEAD + GOOD, "x.csv.jsonl", "row 1", "not JSON"),
        (HEAD + GOOD, "x", "row 1", "not JSON"),
        (PACKED, "x.gz", "row 1", "not JSON"),
        (b'{"user_id":"u","item_id":"i","interaction_type":"view","timestamp":1}\n', "x.csv", "header", "a quote"),
        (PACKED[:-4], "x.csv.gz", "row 1001", "cut off"),
        (PACKED[:5], "x.csv.gz", "header", "cut off"),
        (PACKED + b"more", "x.csv.gz", "row 1001", "damaged"),
        (FRAME[:-4], "x.csv.zst", "row 1", "cut off"),
        (gzip.compress(b"", mtime=0), "x.csv.gz", "header", "no bytes"),
        (zstd.compress(b""), "x.csv.zst", "header", "no bytes"),
    ],
)
def test_the_name_says_what_is_csv_and_the_bytes_must_agree(
    refused: Callable[..., BadInput], body: bytes, name: str, place: str, found: str
) -> None:
    why = refused(body, name)
    assert found in why.found, why
    assert why.place == place or "cut off" in found


def test_a_name_may_be_nothing_but_its_ending(tmp_path: Path) -> None:
    for ending, pack in PACKS.items():
        path = tmp_path / ending
        path.write_bytes(pack(HEAD + GOOD))
        assert (len(table(path)), lines(path)) == (1, 1)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (HEAD, 0),
        (HEAD[:-1], 0),
        (HEAD + b"x", 1),
        (HEAD + b"x\n", 1),
        (HEAD + b"x\ny", 2),
        (HEAD + b"\n\n", 2),
        ((HEAD + GOOD * 2).replace(b"\n", b"\r\n"), 2),
        (HEAD + GOOD * 3, 3),
    ],
)
def test_lines_counts_ends_less_the_header(tmp_path: Path, body: bytes, count: int) -> None:
    for ending, pack in PACKS.items():
        path = tmp_path / f"x{ending}"
        path.write_bytes(pack(body))
        assert lines(path) == lines(path, f"s3://b/y{ending}") == count


def test_a_file_without_rows_gives_none_and_one_without_a_header_is_refused(tmp_path: Path) -> None:
    for body in (HEAD, HEAD[:-1], HEAD.replace(b"\n", b"\r\n")):
        assert held(tmp_path, body) == []
    for ending, pack in list(PACKS.items()):
        path = tmp_path / f"none{ending}"
        path.write_bytes(pack(b""))
        for ask in (table, lines):
            with pytest.raises(BadInput, match="header: found no bytes; allowed: a header with user_id, item_id"):
                ask(path)
    (tmp_path / "cut.csv.gz").write_bytes(PACKED[:-4])
    with pytest.raises(BadInput, match="a gzip file that is cut off"):
        lines(tmp_path / "cut.csv.gz")


def test_batches_are_cut_at_rows_and_at_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(HEAD + GOOD * (2 * ROWS + 7), 1))
    assert [batch.num_rows for batch in read([path], ["x.csv.gz"])] == [ROWS, ROWS, 7]
    path = tmp_path / "wide.csv"
    path.write_bytes(HEAD + b"".join(b"u%d,i1,view,1,%b\n" % (n, b"x" * 900_000) for n in range(30)))
    batches = list(read([path], ["wide.csv"]))
    assert [row for batch in batches for row in batch.column("row").to_pylist()] == list(range(1, 31))
    assert [user for batch in batches for user in batch.column("user_id").to_pylist()] == [f"u{n}" for n in range(30)]
    assert max(batch.num_rows for batch in batches) <= 11


def test_a_line_may_have_a_mib(tmp_path: Path) -> None:
    line = GOOD[:-1] + b"x" * (LINE - len(GOOD) + 1)
    for body in (HEAD + (line + b"\n") * 3, HEAD + GOOD * 9 + line + b"\n" + GOOD * 9 + line):
        assert {row["user_id"] for row in held(tmp_path, body)} == {"u1"}


def test_a_byte_order_mark_is_one_at_the_start_of_a_file_and_text_elsewhere(tmp_path: Path) -> None:
    body = (HEAD + GOOD * ROWS).decode().replace("\nu1", "\n\ufeffu1")
    assert {row["user_id"] for row in held(tmp_path, body.encode())} == {"\ufeffu1"}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_the_rows_are_the_same_however_the_bytes_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    body = HEAD + GOOD + b'"u,""2""",i,view,1,"\xf0\x9f\x98\x80"\r\n' + GOOD * 20
    whole = held(tmp_path, body)
    monkeypatch.setattr(packing, "_CHUNK", size)
    monkeypatch.setattr(commas, "_PIECE", size)
    assert held(tmp_path, body) == whole
    for end in range(len(HEAD) + 1, len(HEAD) + 120):
        monkeypatch.setattr(packing, "_CHUNK", size)
        cut = told(tmp_path / "x.csv", body[:end])
        monkeypatch.setattr(packing, "_CHUNK", 1 << 20)
        assert cut == told(tmp_path / "x.csv", body[:end])
    for name, limit in (("ROWS", 3), ("HELD", 100)):
        monkeypatch.setattr(packing, name, limit)
        assert held(tmp_path, body) == whole


def told(path: Path, body: bytes) -> list[Row] | str:
    """The rows of a file, or what is said of it."""
    path.write_bytes(body)
    try:
        return table(path)
    except BadInput as why:
        return str(why)


def test_arrows_own_words_are_never_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise pa.ArrowInvalid(f"CSV parse error: {SECRET}")

    monkeypatch.setattr(commas.arrow, "read_csv", fails)
    assert told(tmp_path / "x.csv", HEAD + GOOD) == (
        "x.csv, row 1: found rows that cannot be read; allowed: 5, as in the header"
    )


BOMBS = {
    "x": b"u,i,view,1," + b"x" * (LINE - 99),
    "quotes": b"u,i,view,1," + b'"' * (LINE // 2 * 2 - 98),
    "tabs": b"u,i,view,1," + b"\t" * (LINE - 99),
    "commas": b"u,i,view,1" + b"," * (LINE - 99),
    "nuls": b"u,i,view,1," + b"\0" * (LINE - 99),
    "digits": b"u,i,view," + b"1" * (LINE - 99) + b",",
    "fraction": b"u,i,view,0." + b"0" * (LINE // 2) + b"1" * (LINE // 2 - 99) + b"e5,",
    "feeds": b"\n" * LINE,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_memory_is_bounded_whatever_the_bytes_are(tmp_path: Path, bomb: str) -> None:
    path = tmp_path / "x.csv.zst"
    path.write_bytes(zstd.compress(HEAD + (BOMBS[bomb] + b"\n") * 24))
    list(read([path], ["x.csv.zst"])) if bomb in ("x", "digits") else None
    tracemalloc.start()
    before, began = pa.total_allocated_bytes(), time.process_time()
    try:
        for batch in read([path], ["x.csv.zst"]):
            assert pa.total_allocated_bytes() - before < 64 << 20
            assert batch.num_rows <= 10
    except BadInput:
        pass
    assert time.process_time() - began < 5
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 << 20


def test_a_line_of_a_gigabyte_is_refused_at_once(tmp_path: Path) -> None:
    engine = zstd.ZstdCompressor()
    path, block = tmp_path / "x.csv.zst", b"a" * (1 << 20)
    path.write_bytes(b"".join(engine.compress(part) for part in [HEAD, *[block] * 1024]) + engine.flush())
    began = time.process_time()
    with pytest.raises(BadInput, match="row 1: found a line of more than 1 MiB"):
        table(path)
    assert time.process_time() - began < 1
    assert lines(path) == 1


def parsed(body: str) -> list[list[str | None]] | int:
    """The fields of each line, a character at a time; or the first line, from 0, that is none of RFC 4180's."""
    rows: list[list[str | None]] = []
    for number, line in enumerate(body.removesuffix("\n").split("\n")):
        rest = line.removesuffix("\r")
        fields: list[str | None] = []
        if not rest or set(rest) & set("\r\0"):
            return number
        while True:
            if rest.startswith('"'):
                text, rest = "", rest[1:]
                while True:
                    piece, quote, rest = rest.partition('"')
                    if not quote:
                        return number
                    text += piece
                    if not rest.startswith('"'):
                        break
                    text, rest = text + '"', rest[1:]
                fields.append(text)
            else:
                end = rest.find(",") if "," in rest else len(rest)
                piece, rest = rest[:end], rest[end:]
                if '"' in piece:
                    return number
                fields.append(piece or None)
            if not rest:
                break
            if not rest.startswith(","):
                return number
            rest = rest[1:]
        if len(fields) != 4:
            return number
        rows.append(fields)
    return rows


pieces = st.sampled_from(
    ['"', '""', ",", ",", ",", "\n", "\r\n", "\r", "\0", "a", "é", " ", '"a"', "a,b,c,1\n", ',"",', "1"]
)


@given(st.lists(pieces, min_size=1, max_size=40).map("".join), st.integers(0, 3))
def test_exactly_the_grammar_is_accepted(tmp_path_factory: pytest.TempPathFactory, body: str, before: int) -> None:
    path = tmp_path_factory.getbasetemp() / "grammar.csv"
    body = "a,b,c,1\n" * before + body
    found = told(path, ("user_id,item_id,interaction_type,timestamp\n" + body).encode())
    expected = parsed(body)
    if isinstance(expected, int):
        assert isinstance(found, str)
        assert f", row {expected + 1}: " in found
    else:
        assert isinstance(found, list), found
        assert [[row["user_id"], row["item_id"]] for row in found] == [
            [user or None, item or None] for user, item, *_ in expected
        ]
        for row, fields in zip(found, expected, strict=True):
            assert bool(row["faults"] & Fault.EMPTY) == ("" in fields[:2])
            assert bool(row["faults"] & Fault.NULL) == (None in fields)
        assert lines(path) == len(expected)


# What a quoted field may hold: CSV has no way to write another control character, or a line break on one line.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(32)))), max_size=12)
texts |= st.text(st.sampled_from("\",'\t é;\\ \ufeff\u2028\x85nul"), max_size=8) | st.just("x" * (LONGEST + 1))
numbers = st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15) | st.integers(0, 2 * 10**9)
moments = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
values = st.none() | texts
events = st.lists(st.tuples(values, values, values, st.none() | numbers | moments | texts, values), max_size=30)


def _field(value: Any, *, always: bool) -> str:
    """One value as CSV: null is nothing, and an empty text is quoted."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value)
    out = io.StringIO()
    quoting = csv.QUOTE_ALL if always or value == "" else csv.QUOTE_MINIMAL
    csv.writer(out, quoting=quoting, lineterminator="").writerow([value])
    return out.getvalue()


@given(events, st.booleans(), st.permutations(range(5)), st.sampled_from(list(PACKS)), st.sampled_from(["\n", "\r\n"]))
def test_rows_are_those_of_json_lines(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[Any, ...]],
    always: bool,
    order: list[int],
    ending: str,
    end: str,
) -> None:
    folder, names = tmp_path_factory.getbasetemp(), (*COLUMNS, "comment")
    body = [",".join(names[place] for place in order)]
    body += [",".join(_field(row[place], always=always) for place in order) for row in rows]
    one, other = folder / f"same{ending}", folder / "same.jsonl"
    one.write_bytes(PACKS[ending]("".join(line + end for line in body).encode()))
    other.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows), encoding="utf-8")
    # JSON can tell a number from a text that looks like one; CSV cannot.
    plain = [isinstance(row[3], str) and not isinstance(_json(row[3]), str) for row in rows]
    mine, theirs = (
        [batch.drop_columns(["file", "beside"]).to_pylist() for batch in read([path], [path.name])]
        for path in (one, other)
    )
    for batch in (mine, theirs) if any(plain) else ():
        batch[:] = [[row for row, skip in zip(sum(batch, []), plain, strict=True) if not skip]]
    assert mine == theirs
    assert lines(one) == lines(other) == len(rows)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@given(st.lists(numbers | moments | st.none() | texts, min_size=1))
def test_times_of_texts_are_those_of_json_values(given: list[Any]) -> None:
    written = [json.dumps(value) if isinstance(value, int | float) else value for value in given]
    numeric = [_json(value) if isinstance(value, str) else None for value in written]
    values = [
        number if isinstance(number, int | float) and not isinstance(number, bool) and text == text.strip() else text
        for number, text in zip(numeric, written, strict=True)
    ]
    array, faults = stamps(pa.array(written, pa.string()))
    expected, marks = times(values)
    assert array.to_pylist() == expected.to_pylist()
    assert faults.tolist() == marks.tolist()
