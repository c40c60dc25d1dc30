"""Features as they are read: what is no features folder is said to be none, by file and column."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from security.errors import BadInput
from tasks import dataset
from tasks.home import Home
from tests.tasks.test_approved import OWN, features, kept

Change = Callable[[Path], Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = Home(tmp_path)
    return home.root / "store" / kept(home, features(["u", "w"], OWN, [(0, 0, 0), (0, 1, 1), (1, 2, 2)]))


def column(name: str, values: Any) -> Change:
    def change(folder: Path) -> None:
        table = pq.read_table(folder / "rows.parquet")
        table = table.set_column(table.schema.get_field_index(name), name, values)
        pq.write_table(table, folder / "rows.parquet")

    return change


def without(name: str) -> Change:
    def change(folder: Path) -> None:
        pq.write_table(pq.read_table(folder / "rows.parquet").drop_columns([name]), folder / "rows.parquet")

    return change


def told(name: str, content: Any) -> Change:
    return lambda folder: (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


ODD: dict[str, tuple[Change, str]] = {
    "no start": (
        lambda folder: (folder / "start.json").unlink(),
        "features/start.json, file: found what cannot be read (FileNotFoundError)",
    ),
    "an empty start": (told("start.json", ""), "features/start.json, file"),
    "a list": (told("start.json", []), "features/start.json, file"),
    "no ridge": (told("start.json", {"closed": 1}), "features/start.json, file"),
    "a ridge that is text": (told("start.json", {"closed": 1, "ridge": "x"}), "features/start.json, file"),
    "a ridge of nothing": (told("start.json", {"closed": 1, "ridge": 0.0}), "features/start.json, file"),
    "columns that are no number": (told("start.json", {"closed": True, "ridge": 1.0}), "features/start.json, file"),
    "more than is asked": (told("start.json", {"closed": 1, "ridge": 1.0, "x": 1}), "features/start.json, file"),
    "no weights": (told("start.safetensors", "x"), "features/start.safetensors, file"),
    "no names": (told("vocabulary.json", {"users": []}), "features/vocabulary.json, file"),
    "no groups": (
        lambda folder: (folder / "groups.parquet").unlink(),
        "features/groups.parquet, file: found what cannot be read (FileNotFoundError)",
    ),
    "no table": (told("rows.parquet", "x"), "features/rows.parquet, file"),
    "no weights of pairs": (without("says"), "features/rows.parquet, file"),
    "weights that are text": (column("says", pa.array(["a", "b", "c"])), "rows.parquet, says: found string, 0 of them"),
    "a weight that is empty": (
        column("says", pa.array([1.0, None, 1.0], pa.float32())),
        "rows.parquet, says: found float, 1 of them empty; allowed: float, none empty",
    ),
    "users that are text": (column("user", pa.array(["a", "b", "c"])), "rows.parquet, user: found string"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_features_folder_is_said_to_be_none(folder: Path, name: str) -> None:
    dataset.read(folder)
    change, said = ODD[name]
    change(folder)
    with pytest.raises(BadInput, match=re.escape(said)):
        dataset.read(folder)
