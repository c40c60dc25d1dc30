"""Training: the same bytes each time, early stopping, agreement with the plain arithmetic, quality on the sample."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.recommender import autoencoder
from tasks.recommender.autoencoder import train
from tasks.recommender.core import Core
from tasks.recommender.fold import Folded, Weights
from tasks.recommender.histories import Histories, histories
from tasks.recommender.metrics import evaluate
from tasks.recommender.shape import NAMES, Progress, Settings, Trained, starting

if TYPE_CHECKING:
    from tests.tasks.recommender.conftest import Interactions, Parts

ROOT = Path(__file__).parents[3]
SMALL = Settings(learning_rate=0.001, batch_size=16, epochs=4)
ALONE = """
import sys
from tasks.recommender import autoencoder, fold, shape
assert "tensorflow" not in sys.modules, "importing the module must not import TensorFlow"
import hashlib, numpy as np
from tasks.recommender.histories import histories
user, item = np.nonzero(np.add.outer(np.arange(50), np.arange(30)) % 7 < 2)
seen = histories(user, item, (50, 30))
start = shape.starting(30, 8, 1)
done = autoencoder.train(seen, start, shape.Settings(learning_rate=0.001, batch_size=16, epochs=4))
print(hashlib.sha256(b"".join(done.weights[name].tobytes() for name in shape.NAMES)).hexdigest())
"""


def digest(weights: Weights) -> str:
    return hashlib.sha256(b"".join(weights[name].tobytes() for name in NAMES)).hexdigest()


@pytest.fixture
def striped() -> Histories:
    """Fifty users and thirty items in seven communities."""
    user, item = np.nonzero(np.add.outer(np.arange(50), np.arange(30)) % 7 < 2)
    return histories(user, item, (50, 30))


def test_the_same_again_gives_the_same_bytes_here_and_in_another_process(striped: Histories) -> None:
    first, second = (train(striped, starting(30, 8, 1), SMALL) for _ in range(2))
    assert digest(first.weights) == digest(second.weights)
    assert [epoch.loss for epoch in first.progress] == [epoch.loss for epoch in second.progress]
    other = subprocess.run([sys.executable, "-c", ALONE], cwd=ROOT, capture_output=True, timeout=300, check=False)
    assert other.stderr == b"", "TensorFlow's noise reached stderr"
    assert other.returncode == 0
    assert other.stdout.decode().strip() == digest(first.weights)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"learning_rate": 0.002},
        {"dropout": 0.0},
        {"batch_size": 17},
        {"closed": 3},
        {"input_scale": 2.0},
        {"output_scale": 2.0},
    ],
)
def test_other_settings_give_other_bytes(striped: Histories, change: dict[str, Any]) -> None:
    settings = Settings(**{"learning_rate": 0.001, "batch_size": 16, "epochs": 4, **change})
    assert digest(train(striped, starting(30, 8, 1), settings).weights) != digest(
        train(striped, starting(30, 8, 1), SMALL).weights
    )


def test_the_start_is_the_callers_and_stays_as_it_was(striped: Histories) -> None:
    start = starting(30, 8, 1)
    before = digest(start)
    done = train(striped, start, SMALL)
    assert digest(start) == before
    assert digest(done.weights) != before
    assert digest(train(striped, starting(30, 8, 2), SMALL).weights) != digest(done.weights)


@pytest.mark.parametrize(("given", "told"), [(1.0, 1.0), (4.0, 0.5), (0.5, 3.0)])
def test_steps_are_adam_on_the_multinomial_likelihood(
    weights: Callable[[int, int, int], dict[str, NDArray[np.float32]]], striped: Histories, given: float, told: float
) -> None:
    """Of histories multiplied by one scale, and logits by another, which the weights that come back hold.

    An interaction counts as much as it says in the likelihood, and is one in what is fed."""
    start = weights(30, 8, 1)
    said = striped.copy()
    said.data = np.random.default_rng(4).uniform(0.5, 2.0, striped.nnz).astype(np.float32)
    scales = {"encoder": given, "encoder_bias": 1.0, "decoder": told, "decoder_bias": told}
    settings = Settings(
        learning_rate=0.01, batch_size=64, epochs=4, dropout=0.0, least=1, input_scale=given, output_scale=told
    )
    done = train(said, start, settings)
    model = {name: array.astype(np.float64) / scales[name] for name, array in start.items()}
    taken = said.toarray().astype(np.float64)
    entries = given * (taken > 0) / np.sqrt((taken > 0).sum(axis=1, keepdims=True))
    mean = {name: np.zeros_like(array) for name, array in model.items()}
    square = {name: np.zeros_like(array) for name, array in model.items()}
    losses = []
    for step in range(1, 5):
        hidden = np.tanh(entries @ model["encoder"] + model["encoder_bias"])
        logits = told * (hidden @ model["decoder"] + model["decoder_bias"])
        likelihood = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        losses.append(float(-(likelihood * taken).sum(axis=1).mean()))
        wrong = told * (np.exp(likelihood) * taken.sum(axis=1, keepdims=True) - taken) / len(taken)
        back = (wrong @ model["decoder"].T) * (1 - hidden**2)
        gradients = {
            "encoder": entries.T @ back,
            "encoder_bias": back.sum(axis=0),
            "decoder": hidden.T @ wrong,
            "decoder_bias": wrong.sum(axis=0),
        }
        for name, gradient in gradients.items():
            mean[name] = 0.9 * mean[name] + 0.1 * gradient
            square[name] = 0.999 * square[name] + 0.001 * gradient**2
            rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            model[name] = model[name] - rate * mean[name] / (np.sqrt(square[name]) + 1e-7)
    assert [epoch.loss for epoch in done.progress] == pytest.approx(losses, rel=1e-5)
    for name in NAMES:
        assert float(np.abs(done.weights[name] - start[name]).max()) > 0.02 * scales[name]
        np.testing.assert_allclose(done.weights[name], model[name] * scales[name], atol=2e-4 * max(1, scales[name]))


def test_values_are_what_an_interaction_says_in_the_loss(striped: Histories) -> None:
    said = striped.copy()
    said.data = np.random.default_rng(2).uniform(0.5, 2.0, striped.nnz).astype(np.float32)
    start = starting(30, 8, 1)
    settings = Settings(learning_rate=0.001, batch_size=64, epochs=1, dropout=0.0, least=1)
    logits = Folded(start).scores(said).astype(np.float64)
    likelihood = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = float(-(likelihood * said.toarray()).sum(axis=1).mean())
    assert train(said, start, settings).progress[0].loss == pytest.approx(expected, rel=1e-5)


def test_items_that_few_took_are_not_trained_and_change_nothing_but_lengths(striped: Histories) -> None:
    """They keep their bias, and say nothing of others; but somebody who has them has a longer history."""
    rare = {(0, 30), (1, 30), (2, 31)}
    user, item = np.nonzero(striped.toarray())
    pairs = np.array(sorted({*zip(user.tolist(), item.tolist(), strict=True), *rare}), dtype=np.int64)
    seen = histories(pairs[:, 0], pairs[:, 1], (50, 32))
    start = starting(32, 8, 1) | {"decoder_bias": np.linspace(-1, 1, 32, dtype=np.float32)}
    settings = Settings(learning_rate=0.01, batch_size=16, epochs=4, least=3)
    done = train(seen, start, settings).weights
    assert not done["encoder"][30:].any()
    assert not done["decoder"][:, 30:].any()
    assert np.array_equal(done["decoder_bias"][30:], start["decoder_bias"][30:])
    assert (np.abs(done["decoder_bias"][:30] - start["decoder_bias"][:30]) > 1e-3).all()
    cut = start | {"encoder": start["encoder"][:30], "decoder": start["decoder"][:, :30]}
    cut |= {"decoder_bias": start["decoder_bias"][:30]}
    others = train(striped[3:], cut, settings).weights
    alone = train(seen[3:], start, settings).weights
    assert np.array_equal(others["encoder"], alone["encoder"][:30])
    assert not np.array_equal(done["encoder"], alone["encoder"])


@pytest.mark.parametrize(("least", "trained"), [(1, 4), (2, 3), (5, 2), (6, 4), (7, 4)])
def test_all_items_are_trained_where_those_of_many_have_not_half_of_the_interactions(least: int, trained: int) -> None:
    """One user takes each of four items that six, five, two and one users have."""
    item = np.repeat(np.arange(4), [6, 5, 2, 1])
    user = np.concatenate([np.arange(count) for count in (6, 5, 2, 1)])
    seen = histories(user, item.astype(np.int64), (6, 4))
    settings = Settings(learning_rate=0.01, batch_size=16, least=least)
    core = Core.of(seen, starting(4, 2, 1), settings)
    assert core.chosen.tolist() == list(range(trained))
    part = core.histories(seen)
    assert np.array_equal(part.toarray(), seen.toarray()[:, :trained])


def test_dropout_drops_entries_and_scales_what_is_left() -> None:
    one = histories(np.array([0]), np.array([0]), (1, 2))
    start = starting(2, 3, 1)

    def loss(entry: float) -> float:
        logits = np.tanh(entry * start["encoder"][0]) @ start["decoder"]
        return float(np.log(np.exp(logits).sum()) - logits[0])

    losses = []
    for seed in range(12):
        settings = Settings(learning_rate=0.001, batch_size=1, epochs=1, dropout=0.5, seed=seed)
        losses.append(train(one, start, settings).progress[0].loss)
    dropped = [value == pytest.approx(loss(0.0), rel=1e-5) for value in losses]
    kept = [value == pytest.approx(loss(2.0), rel=1e-5) for value in losses]
    assert sum(dropped) + sum(kept) == 12
    assert 2 < sum(kept) < 10


def test_tensorflow_and_the_plain_arithmetic_agree(
    weights: Callable[[int, int, int], dict[str, NDArray[np.float32]]], rows: Callable[..., Histories]
) -> None:
    model, seen = weights(60, 16, 0), rows(37, 60, 0.2, 1)
    ours = Folded(model).scores(seen)
    theirs = autoencoder.score(model, seen, batch=10)
    assert ours.shape == theirs.shape == (37, 60)
    assert float(np.abs(ours - theirs).max()) < 1e-4


def test_early_stopping_returns_the_best_epoch(striped: Histories) -> None:
    rng = np.random.default_rng(0)
    # Noise to validate on: nothing that is learned carries over to it, so the best epoch is soon past.
    free_user, free_item = np.nonzero(striped.toarray() == 0)
    chosen = rng.choice(len(free_user), 100, replace=False)
    noise = histories(free_user[chosen], free_item[chosen], (50, 30))
    watched: list[Progress] = []
    settings = Settings(learning_rate=0.01, batch_size=16, epochs=200, every=1, patience=2)
    done = train(striped, starting(30, 8, 1), settings, validation=noise, watch=watched.append)
    assert tuple(watched) == done.progress
    assert [epoch.epoch for epoch in watched] == list(range(1, len(watched) + 1))
    values = [epoch.validation for epoch in watched if epoch.validation is not None]
    assert len(values) == len(watched) == done.best + 2 < 200
    assert values[done.best - 1] == max(values)
    assert evaluate(Folded(done.weights), striped, noise).ndcg == max(values)
    assert all(epoch.seconds > 0 for epoch in watched)


def test_users_without_interactions_change_nothing_but_their_number(striped: Histories) -> None:
    user, item = striped.nonzero()
    gaps = histories(user.astype(np.int64) * 2, item.astype(np.int64), (101, 30))
    assert digest(train(gaps, starting(30, 8, 1), SMALL).weights) == digest(
        train(striped, starting(30, 8, 1), SMALL).weights
    )


def test_what_cannot_train_is_refused(striped: Histories) -> None:
    with pytest.raises(ValueError, match="weights for 31"):
        train(striped, starting(31, 8, 1), SMALL)
    empty = histories(np.array([], dtype=np.int64), np.array([], dtype=np.int64), (2, 30))
    with pytest.raises(ValueError, match="0 interactions"):
        train(empty, starting(30, 8, 1), SMALL)
    with pytest.raises(FloatingPointError, match="loss of epoch"):
        train(striped, starting(30, 8, 1), Settings(learning_rate=1e38, batch_size=16, epochs=9))
    with pytest.raises(ValueError, match="at least one item"):
        starting(0, 8, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 0.0},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"closed": -1},
        {"batch_size": 0},
        {"epochs": 0},
        {"patience": 0},
        {"least": 0},
        {"input_scale": 0.0},
        {"output_scale": float("inf")},
        {"seed": -1},
        {"seed": 1 << 30},
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="out of range|at least 1"):
        Settings(**{"learning_rate": 0.001, "batch_size": 16, **change})


def test_the_start_is_glorot_uniform() -> None:
    start = starting(300, 20, 5)
    limit = np.sqrt(6 / 320)
    for name in ("encoder", "decoder"):
        assert float(np.abs(start[name]).max()) <= limit
        assert float(start[name].std()) == pytest.approx(limit / np.sqrt(3), rel=0.03)
    assert not start["encoder_bias"].any()
    assert not start["decoder_bias"].any()
    assert digest(start) == digest(starting(300, 20, 5))


def test_many_runs_in_one_process_are_no_cause_for_warnings(
    striped: Histories, caplog: pytest.LogCaptureFixture
) -> None:
    for seed in range(8):
        train(striped, starting(30, 8, 1), Settings(learning_rate=0.001, batch_size=16, epochs=1, seed=seed))
    assert caplog.records == []


def test_tensorflow_with_other_settings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    autoencoder.tensorflow()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    with pytest.raises(RuntimeError, match="oneDNN"):
        autoencoder.tensorflow()


def test_the_sample_is_learned_and_noise_is_not(lake: Interactions, parts: Callable[[Interactions], Parts]) -> None:
    part = parts(lake)
    settings = Settings(learning_rate=0.001, batch_size=128)

    def learn(train_on: Histories, stop_on: Histories) -> Trained:
        return train(train_on, starting(800, 200, 0), settings, validation=stop_on)

    done = learn(part.train, part.validation)
    assert evaluate(Folded(done.weights), part.seen, part.test).precision > 0.85
    rng = np.random.default_rng(0)
    user, item = part.train.nonzero()
    mixed = np.unique(np.stack([user, rng.permutation(item)], axis=1).astype(np.int64), axis=0)
    noise = train(histories(mixed[:, 0], mixed[:, 1], (1000, 800)), starting(800, 200, 0), settings)
    assert evaluate(Folded(noise.weights), part.seen, part.test).precision < 0.3
