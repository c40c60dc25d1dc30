"""What a model is probed by: the very bytes of the reference, every user, and sessions that nobody knows beforehand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from security.errors import BadInput, CannotTell, StoreError
from security.gates.backdoor import BackdoorProbe
from security.verdict import Ref
from tasks import probe
from tasks.approved import Approved
from tasks.dataset import PARTS, Features
from tasks.recommender.histories import histories
from tasks.recommender.joint import Start
from tasks.store import measure
from tests.security.gates.tampered import SUBJECT, references
from tests.security.gates.test_backdoor import ITEMS, LISTED, USERS, held, honest, look, opened, seen, written

LIMITS: dict[str, Any] = {"first": "establish"}


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """An evaluation, whose schema says that no model is approved."""
    folder = tmp_path / "scores"
    folder.mkdir()
    written(folder / "scores.parquet", opened(honest())[0])
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_file(honest(), folder / "model.safetensors")
    (folder / "ids.json").write_text(json.dumps({"items": [f"i{item}" for item in range(ITEMS)]}))
    return folder


@pytest.fixture
def features() -> Features:
    """What the model was made from."""
    pairs = [(*each.nonzero(), PARTS.index(part)) for each, part in ((seen(), "train"), (held(), "test"))]
    user, item = (np.concatenate([each[at] for each in pairs]).astype(np.int64) for at in range(2))
    part = np.concatenate([np.full(len(each[0]), each[2], dtype=np.int8) for each in pairs])
    names = [f"u{number}" for number in range(USERS)], [f"i{number}" for number in range(ITEMS)]
    ones = np.ones(len(user), dtype=np.float32)
    return Features(*names, user, item, np.zeros(len(user), dtype=np.int64), part, ones, Start({}, 0, 1.0), (), {})  # type: ignore[arg-type]


def ref(folder: Path) -> Ref:
    sha, size = measure(folder)
    return Ref(kind="model", uri="staging:model", sha256=sha, size=size, count=2, unit="files", version="")


def test_every_user_is_handed_out_with_the_model(scores: Path, model: Path, features: Features) -> None:
    made = probe.opened(SUBJECT, scores, model, ref(model), features, None, LIMITS)
    assert made.expected == USERS
    given = list(made.source())
    assert [(part.listed, len(part.counts)) for part in given] == [(LISTED, LISTED), (0, USERS - LISTED)]
    found, wanted = BackdoorProbe().look(made.handed()[0]), look(honest())
    assert found.model_copy(update={"answers": (), "odd": 0}) == wanted.model_copy(update={"answers": (), "odd": 0})
    assert references(seen(), held()).keys() == given[0].tops.keys() - {"model"}


def test_what_is_asked_is_drawn_anew_and_as_much_as_the_policy_says(
    scores: Path, model: Path, features: Features
) -> None:
    limits = LIMITS | {"triggers": 64, "pairs": 65}
    drawn = [probe.opened(SUBJECT, scores, model, ref(model), features, None, limits).source() for _ in range(2)]
    one, other = (next(iter(each)).probe for each in drawn)
    assert (len(one.singles), len(one.couples)) == (64, 65)
    assert not np.array_equal(one.singles, other.singles)


def test_other_bytes_than_the_references_are_not_asked(scores: Path, model: Path, features: Features) -> None:
    known = ref(model)
    save_file(honest(300.0), model / "model.safetensors")
    with pytest.raises(CannotTell, match="not those of the reference"):
        probe.opened(SUBJECT, scores, model, known, features, None, LIMITS)
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").symlink_to(scores / "scores.parquet")
    with pytest.raises(StoreError, match="neither a file nor a folder"):
        probe.opened(SUBJECT, scores, model, known, features, None, LIMITS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no tensors"),
        lambda path: save_file({"encoder": honest()["encoder"]}, path),
        lambda path: save_file(honest() | {"decoder_bias": np.full(ITEMS, np.nan, dtype=np.float32)}, path),
        lambda path: save_file(honest() | {"encoder": honest()["encoder"][:-1]}, path),
    ],
    ids=["no-tensors", "an-array-is-missing", "no-number", "another-catalogue"],
)
def test_what_is_no_model_is_said_to_be_none(spoil: Any, scores: Path, model: Path, features: Features) -> None:
    spoil(model / "model.safetensors")
    with pytest.raises(BadInput, match=r"model/model\.safetensors, arrays: found what is no model"):
        probe.opened(SUBJECT, scores, model, ref(model), features, None, LIMITS)


def test_a_user_of_the_features_who_is_in_no_part_is_missed(scores: Path, model: Path, features: Features) -> None:
    more = replace(features, users=[*features.users, "z"])
    assert probe.opened(SUBJECT, scores, model, ref(model), more, None, LIMITS).expected == USERS + 1


def test_items_that_the_approved_model_does_not_know_are_named(
    tmp_path: Path, scores: Path, model: Path, features: Features
) -> None:
    place = np.setdiff1d(np.arange(ITEMS), [4, 9])
    none = np.zeros(0, dtype=np.int64)
    before = Approved(1, "b" * 64, {}, np.append(place, -1), histories(none, none, (1, 1)))
    with pytest.raises(CannotTell, match="beside another model than the approved one"):
        probe.opened(SUBJECT, scores, model, ref(model), features, before, LIMITS)
    table = pq.read_table(scores / "scores.parquet")
    beside = table.append_column("top_approved", table["top_model"]).replace_schema_metadata({"approved": "b" * 64})
    pq.write_table(beside, scores / "scores.parquet")
    made = probe.opened(SUBJECT, scores, model, ref(model), features, before, LIMITS)
    asked = next(iter(made.source())).probe
    assert (asked.approved, asked.fresh.tolist()) == ("b" * 64, [4, 9])
    with pytest.raises(CannotTell, match="beside another model than the approved one"):
        probe.opened(SUBJECT, scores, model, ref(model), features, None, LIMITS)
