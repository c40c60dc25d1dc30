"""The approved model over another catalogue and other users."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from security.errors import CannotTell
from tasks import approved as module
from tasks import declared
from tasks.approved import LAST, Approved
from tasks.dataset import Features
from tasks.home import Home
from tasks.recommender.fold import Folded
from tasks.recommender.histories import Histories, histories
from tasks.recommender.joint import Start
from tasks.recommender.metrics import top
from tasks.recommender.shape import starting
from tasks.store import measure

OWN = ["a", "b", "c", "e"]
"""The items of the approved model; those of the run are a, c, d, e, f."""
NOW = ["a", "c", "d", "e", "f"]


def rows(pairs: list[tuple[int, int]], shape: tuple[int, int]) -> Histories:
    user, item = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    return histories(user, item, shape)


@pytest.fixture
def made(weights: Callable[[int, int, int], dict[str, NDArray[np.float32]]]) -> Approved:
    place = module._places(OWN, NOW)
    assert place.tolist() == [0, -1, 1, 3]
    return Approved(7, "d" * 64, weights(4, 3, 1), place, rows([(0, 0)], (2, 5)))


@pytest.fixture
def weights() -> Callable[[int, int, int], dict[str, NDArray[np.float32]]]:
    return starting


def test_it_ranks_by_what_it_knows_and_puts_the_rest_last(made: Approved) -> None:
    given = rows([(0, 0), (0, 2), (0, 4), (1, 3)], (2, 5))
    scores = made.scores(given)
    expected = Folded(made.weights).scores(rows([(0, 0), (1, 3)], (2, 4)))
    np.testing.assert_array_equal(scores[:, [0, 1, 3]], expected[:, [0, 2, 3]])
    assert (scores[:, [2, 4]] == LAST).all()
    best = top(scores.copy(), given, 2)
    assert set(best[0].tolist()) == {1, 3}, "what is seen comes after what it never saw"


def test_a_history_of_which_it_knows_nothing_is_nobodys(made: Approved) -> None:
    scores = made.scores(rows([(0, 2), (0, 4)], (1, 5)))
    nobody = Folded(made.weights).scores(histories(np.array([], np.int64), np.array([], np.int64), (1, 4)))
    np.testing.assert_array_equal(scores[:, [0, 1, 3]], nobody[:, [0, 2, 3]])


def features(users: list[str], items: list[str], pairs: list[tuple[int, int, int]]) -> Features:
    user, item, part = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    ones = np.ones(len(user), np.float32)
    start = Start(starting(len(items), 2, 1), 1, 300.0)
    return Features(
        users,
        items,
        user,
        item,
        np.arange(len(user)),
        part.astype(np.int8),
        ones,
        start,
        ("user", "item"),
        {"user": {}, "item": {}},
    )


def kept(home: Home, then: Features) -> str:
    """Keep features in the store; their digest."""
    folder = home.folder("store", "fresh", private=True)
    time = pa.array(then.time, pa.timestamp("us", "UTC"))
    plain = {"user": pa.array(then.user, pa.int32()), "item": pa.array(then.item, pa.int32())}
    table = plain | {"timestamp": time, "part": pa.array(then.part), "says": pa.array(then.says)}
    pq.write_table(pa.table(table), folder / "rows.parquet")
    (folder / "vocabulary.json").write_text(json.dumps({"users": then.users, "items": then.items}))
    pq.write_table(declared.SCHEMA.empty_table(), folder / declared.FILE)
    (folder / "start.json").write_text(json.dumps({"closed": 1, "ridge": 300.0}))
    (folder / "start.safetensors").write_bytes(save(dict(then.start.weights)))
    sha = measure(folder)[0]
    folder.rename(home.root / "store" / sha)
    return sha


def test_what_it_learned_is_found_by_names_and_no_test_is_among_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    sha = kept(home, features(["u", "w", "x"], OWN, [(0, 0, 0), (0, 1, 0), (1, 2, 1), (1, 3, 2), (2, 0, 0)]))
    now = features(["t", "u", "w"], NOW, [(0, 0, 0)])
    run: Any = SimpleNamespace(home=home, plan=SimpleNamespace(run="r"))
    learned = module._learned(run, {"data": sha}, now)
    assert learned.shape == (3, 5)
    assert {(int(u), int(i)) for u, i in zip(*learned.nonzero(), strict=True)} == {(1, 0), (2, 1)}


@pytest.mark.parametrize("how", ["gone", "altered"])
def test_without_the_features_that_it_learned_from_nobody_can_tell(tmp_path: Path, how: str) -> None:
    home = Home(tmp_path)
    sha = kept(home, features(["u"], OWN, [(0, 0, 0)]))
    if how == "gone":
        (home.root / "store" / sha).rename(home.root / "store" / "other")
    else:
        (home.root / "store" / sha / "start.json").write_text("{}")
    run: Any = SimpleNamespace(home=home, plan=SimpleNamespace(run="r"))
    with pytest.raises(CannotTell, match=f"the features {sha[:12]} that the approved version was trained on") as caught:
        module._learned(run, {"data": sha}, features(["u"], NOW, [(0, 0, 0)]))
    assert caught.value.cause == "approved"


def test_features_of_older_code_say_as_well_what_it_learned(tmp_path: Path) -> None:
    """They have no weights, and nothing about what training begins with."""
    home = Home(tmp_path)
    made = home.root / "store" / kept(home, features(["u"], OWN, [(0, 0, 0), (0, 2, 2)]))
    (made / "start.json").unlink()
    pq.write_table(pq.read_table(made / "rows.parquet").drop_columns(["says"]), made / "rows.parquet")
    sha = measure(made)[0]
    made.rename(home.root / "store" / sha)
    run: Any = SimpleNamespace(home=home, plan=SimpleNamespace(run="r"))
    learned = module._learned(run, {"data": sha}, features(["u"], NOW, [(0, 0, 0)]))
    assert [(int(u), int(i)) for u, i in zip(*learned.nonzero(), strict=True)] == [(0, 0)]
