"""The rows that are compared: of the last partitions, counted apart from how they are read."""

import datetime as dt
import gzip
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from security.gates import contract
from security.material import Material
from security.rows import lines
from security.verdict import Subject
from tasks.clean import STORED
from tasks.span import Newest, recent

SUBJECT = Subject(kind="rows", name="test", sha256="0" * 64)
LIMITS = {"since": "2024-01-03", "until": "2024-01-05"}


def run(source: str, partition: str) -> Any:
    """As much of a run as is asked here."""
    return SimpleNamespace(plan=SimpleNamespace(document={"stages": [{"source": source}]}, partition=partition))


def told(found: tuple[Material[pa.RecordBatch], Newest]) -> tuple[int, list[str], list[str]]:
    """How many rows are expected, the users of those that are handed out, and of those of the newest partition."""
    material, newest = found
    batches = list(material.source())
    assert all(each.num_rows for each in batches)
    users = [(user, newest(each)) for each in batches for user in each["user_id"].to_pylist()]
    return material.expected, [user for user, _ in users], [user for user, last in users if last]


def fetched(
    folder: Path, counts: dict[str, int], source: str, limits: dict[str, str]
) -> tuple[Material[pa.RecordBatch], Newest]:
    """Files as a run fetches them: partition -> rows."""
    objects, paths, names = [], [], []
    for number, (day, count) in enumerate(counts.items()):
        when = day if len(day) == 10 else f"{day}-11"
        rows = [{"user_id": f"{day}.{n}", "item_id": "i", "interaction_type": "view"} for n in range(count)]
        made = "".join(json.dumps(row | {"timestamp": f"{when}T10:00:00Z"}) + "\n" for row in rows)
        paths.append(folder / f"{number:05d}-part.jsonl.gz")
        paths[-1].write_bytes(gzip.compress(made.encode()))
        names.append(f"log/{day}/part.jsonl.gz")
        objects.append({"key": names[-1], "file": paths[-1].name})
    (folder / "manifest.json").write_text(json.dumps({"objects": objects}))
    rows_ = contract.material(
        SUBJECT,
        partial(contract.batches, paths, names, lambda key: key.split("/")[1]),
        sum(map(lines, paths, names)),
    )
    return recent(run(source, source.split("/")[-2]), rows_, folder, "ingest", limits)


def test_rows_as_they_were_fetched_are_of_the_partition_of_their_file(tmp_path: Path) -> None:
    counts = {"2024-01-02": 3, "2024-01-03": 2, "2024-01-05": 4, "2024-01-06": 5}
    expected, users, last = told(fetched(tmp_path, counts, "s3://lake/log/2024-01-05/", LIMITS))
    assert expected == len(users) == 6
    assert {user[:10] for user in last} == {"2024-01-05"}
    assert len(last) == 4
    assert {user[:10] for user in users} == {"2024-01-03", "2024-01-05"}


def test_months_are_partitions_too(tmp_path: Path) -> None:
    counts = {"2023-11": 1, "2023-12": 2, "2024-01": 3, "2024-02": 4}
    limits = {"since": "2023-12-01", "until": "2024-01-31"}
    expected, users, last = told(fetched(tmp_path, counts, "s3://lake/log/2024-01/", limits))
    assert [user[:7] for user in last] == ["2024-01"] * 3
    assert expected == len(users) == 5
    assert {user[:7] for user in users} == {"2023-12", "2024-01"}


@pytest.mark.parametrize("group", [1, 3, 100])
def test_cleaned_rows_are_of_the_day_that_their_time_is_in(tmp_path: Path, group: int) -> None:
    times = [
        dt.datetime(2024, 1, 2, 23, 59, 59, 999_999, dt.UTC),
        dt.datetime(2024, 1, 3, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 4, 12, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 5, 23, 59, 59, 999_999, dt.UTC),
        dt.datetime(2024, 1, 6, tzinfo=dt.UTC),
    ]
    columns = {
        "user_id": pa.array([f"u{n}" for n in range(5)]),
        "item_id": pa.array(["i"] * 5),
        "interaction_type": pa.array(["view"] * 5),
        "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
    }
    path = tmp_path / "rows.parquet"
    pq.write_table(
        pa.table(columns).cast(pa.schema([STORED.field(name) for name in columns])), path, row_group_size=group
    )
    rows = contract.material(SUBJECT, partial(contract.batches, [path], [path.name]), 5)
    for newest, wanted in (("2024-01-05", ["u3"]), ("2024-01-04", ["u2", "u3"]), ("2024-01", ["u1", "u2", "u3"])):
        expected, users, last = told(recent(run("", newest), rows, tmp_path, "features", LIMITS))
        assert (expected, users, last) == (3, ["u1", "u2", "u3"], wanted)
