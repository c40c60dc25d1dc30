"""A file of ratings into the lake: converted by month, or refused with file and row and nothing put."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import load as config
from deployments.lake.server import KMS_KEY
from flows import intake
from security.engines.s3 import client, listing
from security.errors import BadInput, PlanError
from tasks.home import Home
from tasks.source import Place, Source

HEAD = "userId,movieId,rating,timestamp\n"
SOURCE = config.text(config.find("movielens", "pipelines"))["stages"][0]["source"]
PERSON = "jane.doe@example.org"


def written(folder: Path, data: bytes | str, name: str = "ratings.csv") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def converted(folder: Path, path: Path, mapping: dict[str, str] | None = None) -> tuple[dict[str, int], list[Any]]:
    """Counts by month, and every row that was written, month by month."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    counts = intake.convert(path, mapping or {}, out)
    texts = [gzip.decompress((out / f"{month}.jsonl.gz").read_bytes()) for month in counts]
    return counts, [json.loads(line) for text in texts for line in text.splitlines()]


def test_ratings_are_written_by_month(tmp_path: Path) -> None:
    text = HEAD + "1,31,2.5,1475280000\n2,7,4.0,1475279999\n1,32,5.0,1475280001\n"
    counts, rows = converted(tmp_path, written(tmp_path, text))
    assert counts == {"2016-09": 1, "2016-10": 2}
    assert rows == [
        {"user_id": "2", "item_id": "7", "interaction_type": "rating", "timestamp": "2016-09-30T23:59:59.000000Z"},
        {"user_id": "1", "item_id": "31", "interaction_type": "rating", "timestamp": "2016-10-01T00:00:00.000000Z"},
        {"user_id": "1", "item_id": "32", "interaction_type": "rating", "timestamp": "2016-10-01T00:00:01.000000Z"},
    ]


@pytest.mark.parametrize(
    "stamp",
    ["1475280000", "1475280000.0", "1475280000000", "2016-10-01", "2016-10-01 00:00:00", "2016-10-01T02:00+02:00"],
)
def test_times_are_seconds_milliseconds_or_iso(tmp_path: Path, stamp: str) -> None:
    _, rows = converted(tmp_path, written(tmp_path, f"{HEAD}1,31,2.5,{stamp}\n"))
    assert rows[0]["timestamp"] == "2016-10-01T00:00:00.000000Z"


def test_gzip_a_byte_order_mark_and_other_line_ends_are_read(tmp_path: Path) -> None:
    text = (HEAD + "1,31,2.5,1475280000\n").replace("\n", "\r\n")
    path = written(tmp_path, gzip.compress(b"\xef\xbb\xbf" + text.encode()), "ratings.csv.gz")
    assert converted(tmp_path, path)[0] == {"2016-10": 1}


def test_columns_are_named_by_a_mapping(tmp_path: Path) -> None:
    mapping = intake.columns("user_id=who,item_id=what,timestamp=when,interaction_type=how")
    assert mapping == {"user_id": "who", "item_id": "what", "timestamp": "when", "interaction_type": "how"}
    path = written(tmp_path, "how,when,what,who,why\nclick,2016-10-01,a,b,c\n")
    assert converted(tmp_path, path, mapping)[1] == [
        {"user_id": "b", "item_id": "a", "interaction_type": "click", "timestamp": "2016-10-01T00:00:00.000000Z"}
    ]


def test_a_mapping_need_not_name_what_is_called_so(tmp_path: Path) -> None:
    path = written(tmp_path, "user_id,item_id,interaction_type,at\nu,i,purchase,2016-10-01\n")
    _, rows = converted(tmp_path, path, intake.columns("timestamp=at"))
    assert rows[0] | {"timestamp": ""} == {
        "user_id": "u", "item_id": "i", "interaction_type": "purchase", "timestamp": "",
    }  # fmt: skip


def test_a_column_that_the_mapping_names_must_be_there(tmp_path: Path) -> None:
    path = written(tmp_path, "user_id,item_id,when,kind\nu,i,2016-10-01,click\n")
    for name in ("user_id", "item_id", "interaction_type"):
        mapping = {"timestamp": "when", name: "kinds"}
        with pytest.raises(BadInput, match=rf"row 1: found no column 'kinds' for {name} \(nearest: kind\)"):
            converted(tmp_path, path, mapping)


def test_a_mapping_of_an_unknown_column_is_refused_with_the_nearest() -> None:
    with pytest.raises(PlanError, match=r"columns: unknown 'userid' \(nearest: user_id\); there are user_id, item_id"):
        intake.columns("userid=userId")


@pytest.mark.parametrize("text", ["user_id", "user_id=a,item_id", "user_id=", "=a", "user_id=a,user_id=b"])
def test_a_mapping_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match="columns: "):
        intake.columns(text)


PACKED = gzip.compress((HEAD + "1,31,2.5,1475280000\n" * 5_000).encode())
BAD: dict[str, tuple[str, bytes, str, str]] = {
    "cut-gzip": ("r.csv.gz", PACKED[: len(PACKED) // 2], r"after row \d+", "a gzip stream that ends early"),
    "altered-gzip": ("r.csv.gz", PACKED[:-6] + b"\0" + PACKED[-5:], r"after row \d+", "a gzip stream that"),
    "damaged-gzip": ("r.csv.gz", PACKED[:40] + b"\xff" * 40 + PACKED[80:], r"(after )?row \d+", ""),
    "no-gzip": ("r.csv.gz", HEAD.encode() + b"1,31,2.5,1475280000\n", "after row 0", "gzip"),
    "gzip-by-another-name": ("r.csv", PACKED, "row 1", "not UTF-8"),
    "latin-1": (
        "r.csv",
        (HEAD + f"{PERSON},é,2.5,1475280000\n").encode("latin-1"),
        "row 2",
        "bytes that are not UTF-8",
    ),
    "utf-16": ("r.csv", HEAD.encode("utf-16"), "row 1", "bytes that are not UTF-8"),
    "missing-column": ("r.csv", b"userId,movieid,rating,timestamp\n1,2,3,4\n", "row 1", r"\(nearest: movieid\)"),
    "no-header": ("r.csv", b"1,31,2.5,1475280000\n", "row 1", "no column 'userId' for user_id"),
    "time": ("r.csv", (HEAD + f"1,2,3,1475280000\n1,2,3,{PERSON}\n").encode(), "row 3", "a timestamp of 20 characters"),
    "no-time": ("r.csv", (HEAD + "1,2,3,\n").encode(), "row 2", "a timestamp of 0 characters"),
    "far-time": ("r.csv", (HEAD + "1,2,3,9999999999999999\n").encode(), "row 2", "a timestamp of 16 characters"),
    "negative-time": ("r.csv", (HEAD + "1,2,3,-5\n").encode(), "row 2", "a timestamp of 2 characters"),
    "half-time": ("r.csv", (HEAD + "1,2,3,٣٫٥\n").encode(), "row 2", "a timestamp"),
    "short-row": ("r.csv", (HEAD + f"1,2,3,1475280000\n{PERSON},2,3\n").encode(), "row 3", "3 fields"),
    "long-row": ("r.csv", (HEAD + "1,2,3,1475280000,5\n").encode(), "row 2", "5 fields"),
    "empty-row": ("r.csv", (HEAD + "\n1,2,3,1475280000\n").encode(), "row 2", "0 fields"),
    "long-line": ("r.csv", (HEAD + "1,2,3,1475280000\n1," + "x" * (1 << 20) + ",3,4\n").encode(), "row 3", "1 MiB"),
    "long-field": ("r.csv", (HEAD + "1," + "x" * 200_000 + ",3,1475280000\n").encode(), "row 2", "not CSV"),
    "long-header": ("r.csv", b"x" * (2 << 20), "row 1", "a line of more than 1 MiB"),
    "open-quote": ("r.csv", (HEAD + '1,"2,3,1475280000\n1,2,3,1475280000\n').encode(), r"row \d", "not CSV"),
    "open-quote-in-the-header": ("r.csv", b'"', "row 1", "not CSV"),
    "empty": ("r.csv", b"", "row 1", "no column"),
    "empty-gzip": ("r.csv.gz", gzip.compress(b""), "row 1", "no column"),
    "zero-bytes-of-gzip": ("r.csv.gz", b"", "row 1", "no column"),
    "header-alone": ("r.csv", HEAD.encode(), "file", "no row after the header"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_cannot_be_read_is_named_with_its_row(tmp_path: Path, case: str) -> None:
    name, data, place, found = BAD[case]
    with pytest.raises(BadInput, match=rf"^{name}, {place}: found .*{found}.*; allowed: ") as why:
        converted(tmp_path, written(tmp_path, data, name))
    assert PERSON not in str(why.value)
    assert len(str(why.value)) < 300


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.csv", tmp_path):
        with pytest.raises(BadInput, match=f"^{path.name}, file: found nothing of that name"):
            intake.convert(path, {}, tmp_path)


WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=8)
ROW = st.tuples(WORD, WORD, st.sampled_from(intake.TYPES), st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)))


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(ROW, min_size=1, max_size=12), seconds=st.booleans())
def test_no_row_is_lost_or_changed(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str, datetime]], seconds: bool
) -> None:
    folder, text = tmp_path_factory.mktemp("any"), io.StringIO()
    out = csv.writer(text)
    out.writerow(["user_id", "item_id", "interaction_type", "timestamp"])
    moments = [moment.replace(tzinfo=UTC, microsecond=0 if seconds else moment.microsecond) for *_, moment in rows]
    for (user, item, kind, _), moment in zip(rows, moments, strict=True):
        out.writerow([user, item, kind, int(moment.timestamp()) if seconds else moment.isoformat()])
    counts, found = converted(folder, written(folder, text.getvalue()), {"user_id": "user_id"})
    wanted = [
        {"user_id": u, "item_id": i, "interaction_type": k, "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"}
        for (u, i, k, _), moment in zip(rows, moments, strict=True)
    ]
    assert sorted(map(repr, found)) == sorted(map(repr, wanted))
    assert sum(counts.values()) == len(rows)
    assert all(row["timestamp"].startswith(month) for month in counts for row in found if row["timestamp"][:7] == month)


@settings(deadline=None, max_examples=80)
@given(data=st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: HEAD.encode() + data))
def test_any_bytes_are_rows_or_one_clear_refusal(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for name, held in (("a.csv", data), ("a.csv.gz", gzip.compress(data)), ("b.csv.gz", data)):
        try:
            counts, rows = converted(folder, written(folder, held, name))
        except BadInput:
            continue
        assert sum(counts.values()) == len(rows) > 0


Look = Callable[[], dict[str, str]]


@pytest.fixture
def there(lake: Home) -> Look:
    """What lies where the document's source points: key -> version."""
    found, place = Source.read(lake), Place.of(SOURCE)

    def look() -> dict[str, str]:
        listed = listing(found.endpoint, found.credentials, place.bucket, place.prefix)
        return {each.key: each.version for each in listed}

    return look


def test_a_file_takes_the_place_of_what_was_there(lake: Home, there: Look, tmp_path: Path) -> None:
    first = written(tmp_path, HEAD + "1,31,2.5,1475280000\n1,32,2.5,1472688000\n")
    assert intake.load(lake, first, {}, SOURCE, KMS_KEY) == {"2016-09": 1, "2016-10": 1}
    assert set(there()) == {f"movielens/{month}/part-000.jsonl.gz" for month in ("2016-09", "2016-10")}
    second = written(tmp_path, HEAD + "1,31,2.5,1475280000\n1,32,2.5,1480000000\n")
    assert intake.load(lake, second, {}, SOURCE, KMS_KEY) == {"2016-10": 1, "2016-11": 1}
    assert set(there()) == {f"movielens/{month}/part-000.jsonl.gz" for month in ("2016-10", "2016-11")}
    assert list((lake.root / "quarantine").glob("intake-*")) == []


@pytest.mark.parametrize("case", ["cut-gzip", "latin-1", "time", "short-row", "long-line", "empty", "header-alone"])
def test_of_a_file_that_cannot_be_read_nothing_is_put(lake: Home, there: Look, tmp_path: Path, case: str) -> None:
    intake.load(lake, written(tmp_path, HEAD + "1,31,2.5,1475280000\n"), {}, SOURCE, KMS_KEY)
    before = there()
    name, data, _, _ = BAD[case]
    good = (HEAD + "1,31,2.5,1475280000\n").encode()
    with pytest.raises(BadInput):
        intake.load(lake, written(tmp_path, good + data if case == "latin-1" else data, name), {}, SOURCE, KMS_KEY)
    assert there() == before
    assert before
    assert list((lake.root / "quarantine").glob("intake-*")) == []


def test_what_is_put_lies_under_the_policy_s_key(lake: Home, tmp_path: Path) -> None:
    policy = config.policy(config.text(config.find("local", "policies")))
    assert intake.key(policy) == KMS_KEY
    intake.load(lake, written(tmp_path, HEAD + "1,31,2.5,1475280000\n"), {}, SOURCE, intake.key(policy))
    found, place = Source.read(lake), Place.of(SOURCE)
    (only,) = listing(found.endpoint, found.credentials, place.bucket, place.prefix)
    told = client(found.endpoint, found.credentials).head_object(Bucket=place.bucket, Key=only.key)
    assert (told["ServerSideEncryption"], told["SSEKMSKeyId"]) == ("aws:kms", KMS_KEY)


def test_a_policy_that_names_no_key_puts_nothing() -> None:
    policy = config.policy(config.text(config.find("kubernetes_prod", "policies")))
    with pytest.raises(PlanError, match="policy kubernetes_prod names no key under data_encryption_at_rest"):
        intake.key(policy)


def test_rows_on_their_way_are_private_and_known_to_be_this_processs(
    lake: Home, there: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the next start wipes them if this process is killed, and no other start does while it works."""
    seen: list[Path] = []

    def convert(path: Path, mapping: dict[str, str], folder: Path) -> dict[str, int]:
        real(path, mapping, folder)
        seen.append(folder)
        assert {each.stat().st_mode & 0o777 for each in (folder, folder.parent)} == {0o700}
        assert lake.sweep() == []
        assert any(folder.iterdir())
        monkeypatch.setattr("tasks.home.born", lambda _: 0)  # as if it had been killed
        assert folder.parent.name in lake.sweep()
        raise KeyboardInterrupt

    real = intake.convert
    monkeypatch.setattr(intake, "convert", convert)
    before = there()
    with pytest.raises(KeyboardInterrupt):
        intake.load(lake, written(tmp_path, HEAD + "1,31,2.5,1475280000\n"), {}, SOURCE, KMS_KEY)
    assert len(seen) == 1
    assert not seen[0].parent.exists()
    assert there() == before


def test_a_source_by_day_takes_no_file(lake: Home, tmp_path: Path) -> None:
    daily = config.text(config.find("sample", "pipelines"))["stages"][0]["source"]
    with pytest.raises(PlanError, match="a file goes into the lake by month; this source is by day"):
        intake.load(lake, written(tmp_path, HEAD + "1,31,2.5,1475280000\n"), {}, daily, KMS_KEY)
