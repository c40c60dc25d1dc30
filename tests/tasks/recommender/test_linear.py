"""The closed form as a model, and two models as one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.recommender import linear as module
from tasks.recommender.ease import Ease
from tasks.recommender.fold import Folded, check
from tasks.recommender.histories import Histories, histories
from tasks.recommender.linear import Spectrum, linear


@pytest.mark.parametrize(("users", "items"), [(40, 60), (60, 40)])
def test_at_full_width_it_is_ease_on_what_is_not_seen(
    users: int, items: int, rows: Callable[..., Histories], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALL", 1e-3)
    seen = rows(users, items, 0.3, 1)
    closed = linear(seen, width=100, ridge=20.0)
    check(closed)
    unit = np.sqrt(np.maximum(np.diff(seen.indptr), 1))[:, None]
    got, expected = Folded(closed).scores(seen) * unit, Ease.fit(seen, ridge=20.0).scores(seen)
    unseen = seen.toarray() == 0
    unseen[0] = False
    scale = (got[unseen] @ expected[unseen]) / (got[unseen] @ got[unseen])
    np.testing.assert_allclose(got[unseen] * scale, expected[unseen], atol=1e-3)


@pytest.mark.parametrize(("users", "items"), [(40, 60), (60, 40)])
@pytest.mark.parametrize("dense", [1, 4096])
def test_all_ways_to_singular_values_agree(
    users: int, items: int, dense: int, rows: Callable[..., Histories], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Communities, whose values are apart from the noise around them."""
    draw = np.random.default_rng(5)
    taken = np.add.outer(np.arange(users), np.arange(items)) % 5 == 0
    user, item = np.nonzero(taken | (draw.random(taken.shape) < 0.05))
    seen = histories(user, item, (users, items))
    first = linear(seen, width=5, ridge=20.0)
    monkeypatch.setattr(module, "WHOLE", 1)
    monkeypatch.setattr(module, "DENSE", dense)
    monkeypatch.setattr(module, "MOST", 7)
    second = linear(seen, width=5, ridge=20.0)
    one, two = (Folded(each).scores(seen).ravel() for each in (first, second))
    assert float(np.corrcoef(one, two)[0, 1]) > 0.9999
    values = Spectrum.of(seen, width=5).values
    monkeypatch.undo()
    np.testing.assert_allclose(values, Spectrum.of(seen, width=5).values, rtol=1e-4)


def test_a_ridge_is_tried_by_what_its_model_says(
    rows: Callable[..., Histories], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALL", 1e-3)
    seen = rows(40, 60, 0.3, 1)
    found = Spectrum.of(seen, width=12, seed=3)
    for ridge in (1.0, 300.0):
        tried, model = found.line(ridge=ridge).scores(seen), Folded(found.solved(seen, ridge=ridge)).scores(seen)
        unit = np.sqrt(np.maximum(np.diff(seen.indptr), 1))[:, None]
        scale = (model * unit).std() / tried.std()
        np.testing.assert_allclose(model * unit, tried * scale, atol=1e-4 * float(tried.std() * scale), rtol=2e-3)
    with pytest.raises(ValueError, match="ridge must be positive"):
        found.line(ridge=0.0)


def test_what_scales_the_hidden_layer_is_of_few_users(
    rows: Callable[..., Histories], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = rows(400, 60, 0.3, 1)
    whole = linear(seen, width=12, ridge=20.0)["encoder"]
    monkeypatch.setattr(module, "MOST", 100)
    few = linear(seen, width=12, ridge=20.0)["encoder"]
    assert not np.array_equal(whole, few)
    np.testing.assert_allclose(few, whole, rtol=0.1)


def test_the_same_seed_gives_the_same_bytes(rows: Callable[..., Histories]) -> None:
    seen = rows(40, 60, 0.3, 1)
    first, second = (linear(seen, width=8, ridge=20.0, seed=3) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_what_has_no_closed_form_is_refused(rows: Callable[..., Histories]) -> None:
    none = np.array([], dtype=np.int64)
    with pytest.raises(ValueError, match="0 interactions"):
        linear(histories(none, none, (2, 3)), width=1, ridge=1)
    for width, ridge in ((0, 1.0), (1, 0.0), (1, -1.0), (1, np.nan), (1, np.inf)):
        with pytest.raises(ValueError, match="must be positive"):
            linear(rows(40, 60, 0.3, 1), width=width, ridge=ridge)


@pytest.mark.parametrize("taken", range(1, 12))
def test_users_who_are_all_alike_have_a_finite_model(taken: int) -> None:
    user, item = np.nonzero(np.ones((50, taken)))
    alike = histories(user, item, (50, 12))
    made = linear(alike, width=8, ridge=300.0)
    check(made)
    assert np.abs(made["encoder"]).max() < 10


@pytest.mark.parametrize(("users", "items"), [(120, 140), (140, 120)])
@pytest.mark.parametrize("dense", [1, 4096])
def test_equal_values_and_a_rank_below_the_width_give_the_same_bytes(
    users: int, items: int, dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WHOLE", 1)
    monkeypatch.setattr(module, "DENSE", dense)
    user, item = np.nonzero(np.arange(users)[:, None] % 10 == np.arange(items) % 10)
    blocks = histories(user, item, (users, items))
    first, second = (linear(blocks, width=40, ridge=20.0, seed=3) for _ in range(2))
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    assert first["encoder"].shape == (items, 10)


ROOT = Path(__file__).parents[3]
THREADS = """
import hashlib
import numpy as np
from scipy.sparse import csr_matrix
from tasks.recommender.joint import begun
seen = csr_matrix((np.random.default_rng(1).random((300, 700)) < 0.1).astype(np.float32))
start = begun(seen, csr_matrix(seen.shape, dtype=np.float32), width=80, seed=1)
print(hashlib.sha256(b"".join(start.weights[name].tobytes() for name in sorted(start.weights))).hexdigest())
"""


def test_how_many_threads_there_are_changes_no_byte() -> None:
    told = set()
    for threads in ("1", "2"):
        env = os.environ | {"OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
        told.add(subprocess.run([sys.executable, "-c", THREADS], env=env, check=True, capture_output=True).stdout)
    assert len(told) == 1
    assert len(told.pop()) == 65
