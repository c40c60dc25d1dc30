"""A closed form and trained columns as one model: what it begins with, what stays, and who has what to say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.recommender import joint
from tasks.recommender.autoencoder import train
from tasks.recommender.fold import Folded, check
from tasks.recommender.histories import Histories, histories
from tasks.recommender.joint import RARE, RIDGES, SHARES, USUAL, begun, closed, joined, parted, spread, weighed
from tasks.recommender.linear import linear
from tasks.recommender.metrics import evaluate
from tasks.recommender.shape import NAMES, Settings

Make = Callable[[int, int, int], dict[str, NDArray[np.float32]]]
Rows = Callable[..., Histories]


@pytest.fixture
def halves() -> tuple[Histories, Histories]:
    """Communities of items; of each user's items one is held out."""
    draw = np.random.default_rng(3)
    taken = np.add.outer(np.arange(80), np.arange(40)) % 5 == 0
    taken |= draw.random(taken.shape) < 0.05
    user, item = np.nonzero(taken)
    held = np.zeros(len(user), dtype=bool)
    for one in range(80):
        held[draw.choice(np.flatnonzero(user == one))] = True
    return histories(user[~held], item[~held], taken.shape), histories(user[held], item[held], taken.shape)


def empty(shape: tuple[int, int]) -> Histories:
    none = np.array([], dtype=np.int64)
    return histories(none, none, shape)


def test_scores_of_the_joined_are_the_sum(weights: Make, rows: Rows) -> None:
    seen, first, second = rows(30, 20, 0.3, 1), weights(20, 4, 1), weights(20, 7, 2)
    both = joined(first, second, (0.5, 2.0))
    assert check(both) == (20, 11)
    expected = Folded(first).scores(seen) / 2 + Folded(second).scores(seen) * 2
    np.testing.assert_allclose(Folded(both).scores(seen), expected, rtol=1e-4, atol=1e-4)
    assert spread(first, seen) == pytest.approx(float(Folded(first).scores(seen).std(axis=1).mean()))


@pytest.mark.parametrize("at", [0, 1, 6])
def test_what_is_parted_and_joined_is_the_same(weights: Make, at: int) -> None:
    whole = weights(9, 7, 4)
    again = joined(*parted(whole, at), (1.0, 1.0))
    assert all(np.array_equal(again[name], whole[name]) for name in NAMES)


def test_the_start_is_the_closed_form_of_the_best_ridge_and_drawn_columns(
    halves: tuple[Histories, Histories],
) -> None:
    seen, held = halves
    start = begun(seen, held, width=16, seed=5)
    assert (start.closed, closed(16), check(start.weights)) == (12, 12, (40, 16))
    first, drawn = parted(start.weights, start.closed)
    values = {ridge: evaluate(Folded(linear(seen, width=12, ridge=ridge, seed=5)), seen, held).ndcg for ridge in RIDGES}
    assert values[start.ridge] == max(values.values()) > min(values.values())
    expected = linear(seen, width=12, ridge=start.ridge, seed=5)
    assert all(np.array_equal(first[name], expected[name]) for name in NAMES)
    limit = np.sqrt(6 / (40 + 4))
    for name in ("encoder", "decoder"):
        assert 0.8 * limit < np.abs(drawn[name]).max() <= limit
    count = np.asarray(seen.sum(axis=0)).ravel() + RARE
    np.testing.assert_allclose(np.exp(drawn["decoder_bias"]), count / count.mean(), rtol=1e-5)
    assert begun(seen, empty((80, 40)), width=16, seed=5).ridge == USUAL


def test_a_rank_that_is_too_small_leaves_columns_of_zero() -> None:
    few = histories(np.array([0, 1, 2, 2]), np.array([0, 1, 0, 1]), (3, 2))
    start = begun(few, empty((3, 2)), width=20, seed=1)
    first, _ = parted(start.weights, start.closed)
    assert start.closed == 15
    assert not first["encoder"][:, 2:].any()
    assert not first["decoder"][2:].any()
    assert first["encoder"][:, :2].any()


def test_ridge_and_share_are_chosen_by_few_users_where_there_are_many(
    halves: tuple[Histories, Histories], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, held = halves
    asked = []

    def watched(*given: Histories, **more: int) -> object:
        asked.append(given[1].shape[0])
        return evaluate(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(joint, "MOST", 30)
    monkeypatch.setattr(joint, "evaluate", watched)
    begun(seen, held, width=8, seed=1)
    assert asked == [27] * len(RIDGES)


def test_who_knows_has_the_most_to_say(halves: tuple[Histories, Histories], weights: Make) -> None:
    seen, held = halves
    good, noise = linear(seen, width=12, ridge=30.0), weights(40, 4, 9)
    both, share, value = weighed(good, noise, seen, held)
    assert share > 0.5
    assert value == evaluate(Folded(both), seen, held).ndcg
    assert weighed(noise, good, seen, held)[1] < 0.5
    assert weighed(good, noise, seen, None)[1:] == (0.5, None)
    assert weighed(good, noise, seen, empty((80, 40)))[1:] == (0.5, None)


def test_of_shares_that_chance_decides_between_the_one_nearest_to_half_is_taken(
    halves: tuple[Histories, Histories], weights: Make
) -> None:
    seen, held = halves
    good, noise = linear(seen, width=12, ridge=30.0), weights(40, 4, 9)
    assert weighed(good, good, seen, held)[1] == 0.5
    one, two = spread(good, seen), spread(noise, seen)
    users = [
        evaluate(Folded(joined(good, noise, (share / one, (1 - share) / two))), seen, held).gain for share in SHARES
    ]
    highest = max(users, key=lambda each: float(each.mean()))
    behind = [highest - each for each in users]
    sure = [each.mean() > each.std() / np.sqrt(80) for each in behind]
    assert 1 < sum(sure) < len(SHARES)
    level = [share for share, worse in zip(SHARES, sure, strict=True) if not worse]
    assert weighed(good, noise, seen, held)[1] == min(level, key=lambda share: abs(share - 0.5))


def test_halves_are_weighed_by_the_spread_of_their_scores(rows: Rows, weights: Make) -> None:
    seen, first, second = rows(30, 20, 0.3, 1), weights(20, 4, 1), weights(20, 7, 2)
    loud = first | {name: first[name] * 1000 for name in ("decoder", "decoder_bias")}
    quiet, shouted = (weighed(each, second, seen, None)[0] for each in (first, loud))
    np.testing.assert_allclose(Folded(shouted).scores(seen), Folded(quiet).scores(seen), rtol=1e-3, atol=1e-3)


def test_training_leaves_the_closed_form_as_it_began(halves: tuple[Histories, Histories]) -> None:
    seen, held = halves
    start = begun(seen, held, width=16, seed=5)
    settings = Settings(learning_rate=0.01, batch_size=16, epochs=6, every=2, seed=5, closed=start.closed)
    made, again = (train(seen, start.weights, settings, validation=held) for _ in range(2))
    assert all(np.array_equal(made.weights[name], again.weights[name]) for name in NAMES)
    looked = {each.epoch: each.validation for each in made.progress if each.validation is not None}
    assert list(looked) == [2, 4, 6]
    assert made.best == max(looked, key=lambda epoch: looked[epoch])
    first, second = parted(start.weights, start.closed)
    for epoch, value in looked.items():
        alone = train(seen, second, Settings(learning_rate=0.01, batch_size=16, epochs=epoch, seed=5)).weights
        assert value == evaluate(Folded(weighed(first, alone, seen, None)[0]), seen, held).ndcg
        if epoch == made.best:
            expected, share, reached = weighed(first, alone, seen, held)
            assert (made.share, made.value) == (share, reached)
            assert all(np.array_equal(made.weights[name], expected[name]) for name in NAMES)
    assert made.value == evaluate(Folded(made.weights), seen, held).ndcg
    with pytest.raises(ValueError, match="of 16 columns 16 stay"):
        train(seen, start.weights, Settings(learning_rate=0.01, batch_size=16, closed=16))


ODD = {
    "all users alike": np.tile(np.arange(40) < 12, (30, 1)),
    "two users": np.arange(80).reshape(2, 40) % 3 == 0,
    "two items": np.arange(60).reshape(30, 2) % 3 < 2,
    "one item each": np.eye(30, dtype=bool),
    "everybody has everything": np.ones((20, 15), dtype=bool),
    "one user has all, the others one": np.arange(900).reshape(30, 30) < 31,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_histories_have_a_model_whose_scores_are_numbers(name: str) -> None:
    taken = ODD[name]
    user, item = np.nonzero(taken)
    seen = histories(user, item, taken.shape)
    start = begun(seen, empty(taken.shape), width=8, seed=1)
    settings = Settings(learning_rate=0.01, batch_size=16, epochs=3, closed=start.closed)
    made = train(seen, start.weights, settings)
    check(made.weights)
    scores = Folded(made.weights).scores(empty((1, taken.shape[1])))
    assert np.isfinite(scores).all()
    assert np.isfinite(Folded(made.weights).scores(seen)).all()


@pytest.mark.parametrize("taken", [np.ones((30, 1), dtype=bool), np.ones((1, 30), dtype=bool)])
def test_one_item_or_one_user_has_none_and_says_so(taken: NDArray[np.bool_]) -> None:
    user, item = np.nonzero(taken)
    with pytest.raises(ValueError, match=r"30 interactions of shape \(\d+, \d+\) have no linear model"):
        begun(histories(user, item, taken.shape), empty(taken.shape), width=8, seed=1)


def test_an_empty_history_is_answered_by_what_is_popular(halves: tuple[Histories, Histories]) -> None:
    seen, _ = halves
    often = histories(np.arange(80), np.zeros(80, dtype=np.int64), (80, 40))
    given = seen.maximum(often).tocsr()
    start = begun(given, empty((80, 40)), width=8, seed=1)
    settings = Settings(learning_rate=0.01, batch_size=16, epochs=20, closed=start.closed)
    made = train(given, start.weights, settings)
    assert int(Folded(made.weights).scores(empty((1, 40)))[0].argmax()) == 0


def test_the_start_is_the_same_bytes_again(halves: tuple[Histories, Histories]) -> None:
    def digest() -> str:
        made = begun(*halves, width=16, seed=5).weights
        return hashlib.sha256(b"".join(made[name].tobytes() for name in NAMES)).hexdigest()

    assert digest() == digest()


@pytest.mark.parametrize("items", [2, 9])
def test_a_catalogue_of_less_than_ten_items_has_a_start(items: int) -> None:
    user, item = np.nonzero((np.arange(40)[:, None] + np.arange(items)) % items < 1)
    held = (item + 1) % items
    shape = 40, items
    start = begun(histories(user, item, shape), histories(user, held, shape), width=4, seed=7)
    check(start.weights)
    assert start.ridge in RIDGES
