"""Rows with personal data handled: the key, what becomes of a file, and that the account of it adds up."""

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from security.errors import BadInput, KeyBroken
from security.gates.personal import Column, Facts, Hit, PersonalLimits
from security.personal.analyzer import analyzer
from security.personal.handle import hashed
from tasks import protect as task
from tasks.clean import STORED
from tasks.form import protected
from tasks.protect import doable, handle

ENTITIES = {entity for each in analyzer().registry.recognizers for entity in each.supported_entities}

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
MAIL, CARD, SSN = "jane.doe@example.com", "4111111111111111", "536-90-4399"


def written(path: Path, users: Sequence[str | None], items: list[str] | None = None, group: int = 3) -> Path:
    """Rows as cleaning writes them, a few in each row group."""
    size = len(users)
    columns = {
        "user_id": pa.array(users, pa.string()),
        "item_id": pa.array(items or [f"i{n}" for n in range(size)]),
        "interaction_type": pa.array(["view"] * size),
        "timestamp": pa.array([datetime.datetime(2023, 10, 27, tzinfo=datetime.UTC)] * size),
    }
    assert columns.keys() <= set(STORED.names)
    schema = pa.schema([STORED.field(name) for name in columns])
    pq.write_table(pa.table(columns).cast(schema), path, row_group_size=group)
    return path


def test_a_file_is_handled_and_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "ROW_GROUP", 3)
    users = ["u1", f"to {MAIL}", None, CARD, "u2", f"ssn {SSN}", "u3", MAIL]
    items = ["i0", "i1", "i2", "i3", "i4", "i5", MAIL, "i7"]
    source, out = written(tmp_path / "in.parquet", users, items), tmp_path / "out.parquet"
    actions: Any = {
        "user_id": {"EMAIL_ADDRESS": "mask", "CREDIT_CARD": "hash", "US_SSN": "drop"},
        "item_id": {"EMAIL_ADDRESS": "drop"},
    }
    told = handle(source, out, actions, KEY)
    assert told == {
        "dropped": 2,
        "cells": [
            {"column": "item_id", "entity": "EMAIL_ADDRESS", "action": "drop", "cells": 1},
            {"column": "user_id", "entity": "CREDIT_CARD", "action": "hash", "cells": 1},
            {"column": "user_id", "entity": "EMAIL_ADDRESS", "action": "mask", "cells": 2},
            {"column": "user_id", "entity": "US_SSN", "action": "drop", "cells": 1},
        ],
    }
    table, mark = pq.read_table(out), "masked:EMAIL_ADDRESS"
    assert table.schema.equals(pq.read_table(source).schema)
    assert table["user_id"].to_pylist() == ["u1", f"to {mark}", None, hashed(CARD, KEY), "u2", mark]
    assert table["item_id"].to_pylist() == ["i0", "i1", "i2", "i3", "i4", "i7"]
    meta = pq.read_metadata(out)
    assert [meta.row_group(n).num_rows for n in range(meta.num_row_groups)] == [3, 2, 1]
    kept = out.read_bytes()
    assert not [value for value in (MAIL, CARD, SSN) if value.encode() in kept]


def test_hashed_ids_still_join_under_one_key_and_no_other(tmp_path: Path) -> None:
    actions: Any = {"user_id": {"EMAIL_ADDRESS": "hash"}}
    made = []
    for number, (users, key) in enumerate([([MAIL, "u1"], KEY), (["u2", MAIL], KEY), ([MAIL, "u1"], OTHER)]):
        source, out = written(tmp_path / f"{number}.parquet", users), tmp_path / f"{number}-out.parquet"
        assert handle(source, out, actions, key)["cells"][0]["cells"] == 1
        made.append(pq.read_table(out).select(["user_id", "interaction_type"]))
    one, two, apart = made
    assert one.join(two, "user_id", right_suffix="-2", join_type="inner")["user_id"].to_pylist() == [hashed(MAIL, KEY)]
    assert one.join(apart, "user_id", right_suffix="-2", join_type="inner")["user_id"].to_pylist() == ["u1"]
    with pytest.raises(KeyBroken, match="a key of 0 bytes"):
        handle(tmp_path / "0.parquet", tmp_path / "none.parquet", actions, b"")


def test_nothing_to_do_leaves_every_row(tmp_path: Path) -> None:
    source, out = written(tmp_path / "in.parquet", ["u1", MAIL, None]), tmp_path / "out.parquet"
    assert handle(source, out, {}, b"") == {"dropped": 0, "cells": []}
    assert pq.read_table(out).equals(pq.read_table(source))


def test_what_can_be_done_is_what_the_policy_says_of_columns_that_stay() -> None:
    limits = PersonalLimits.model_validate(
        {
            "actions": {
                "user_id": {"*": "mask", "US_SSN": "block", "URL": "UnsafeKeep", "EMAIL_ADDRESS": "hash"},
                "item_id": {"EMAIL_ADDRESS": "drop"},
                "interaction_type": {"*": "block"},
                "comment": {"*": "drop"},
            },
            "key": "UnsafeLocal",
        }
    )
    columns = ("user_id", "item_id", "interaction_type", "comment")
    hits = [
        Hit(column, entity, "plain", "other", 1, 1.0, ((0, 1),), "x")
        for column in columns
        for entity in sorted({*ENTITIES} - {"CREDIT_CARD"})
    ]
    hits += [Hit("user_id", "CREDIT_CARD", "plain", "digits", 9, 1.0, ((0, 1),), "9")]
    looked = tuple(Column(column, column != "comment", 100, 0) for column in columns)
    facts = Facts(rows=100, files=("x",), columns=looked, hits=tuple(hits), unseen=(), model="")
    found = doable(limits, facts)
    assert found.keys() == {"user_id", "item_id"}
    assert found["item_id"] == {"EMAIL_ADDRESS": "drop"}
    assert found["user_id"].keys() == ENTITIES - {"US_SSN", "URL"}
    assert {entity for entity, action in found["user_id"].items() if action != "mask"} == {"EMAIL_ADDRESS"}
    assert doable(PersonalLimits(), facts) == {}
    # What the column's role explains is no finding, and is not touched.
    ids = limits.model_copy(update={"roles": {"user_id": "id"}})
    assert doable(limits, facts)["user_id"].keys() - doable(ids, facts)["user_id"].keys() == {
        "CREDIT_CARD",
        "DATE_TIME",
        "UUID",
    }


TOLD: dict[str, Any] = {"of": "a" * 64, "observation": "b" * 64, "dropped": 2, "cells": [], "key": ""}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({}, ""),
        ({"of": "c" * 64}, "of"),
        ({"observation": "c" * 64}, "of"),
        ({"observation": ""}, "of"),
        ({"dropped": 1}, "dropped"),
        ({"dropped": 3}, "dropped"),
        ({"dropped": -2}, "dropped"),
        ({"dropped": "2"}, "dropped"),
        ({"dropped": None}, "dropped"),
        ({"dropped": 2.0}, "dropped"),
    ],
)
def test_an_account_that_does_not_add_up_is_refused(tmp_path: Path, change: dict[str, Any], key: str) -> None:
    (tmp_path / "handled.json").write_text(json.dumps(TOLD | change))
    if not key:
        protected(tmp_path, "a" * 64, "b" * 64, 10, 8)
        return
    with pytest.raises(BadInput) as why:
        protected(tmp_path, "a" * 64, "b" * 64, 10, 8)
    assert why.value.place == key


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", json.dumps({"of": "a" * 64})])
def test_an_account_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "handled.json").write_text(text)
    with pytest.raises(BadInput, match="handled.json"):
        protected(tmp_path, "a" * 64, "b" * 64, 10, 8)


def test_rows_that_nobody_looked_at_before_are_refused(tmp_path: Path) -> None:
    (tmp_path / "handled.json").write_text(json.dumps(TOLD | {"observation": ""}))
    with pytest.raises(BadInput, match="not looked at before"):
        protected(tmp_path, "a" * 64, "", 10, 8)
    (tmp_path / "handled.json").write_text(json.dumps(TOLD | {"dropped": -2}))
    with pytest.raises(BadInput, match="12 rows and -2 dropped, of 10"):
        protected(tmp_path, "a" * 64, "b" * 64, 10, 12)
