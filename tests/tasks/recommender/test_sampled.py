"""Why the whole catalogue is ranked: against less, the same model seems twice as good, and chance beats a model.

Real data (MovieLens' ml-latest-small), one item-kNN, random 75/25 within each user. Sampled metrics are inconsistent
with exact ones (Krichene and Rendle, "On sampled metrics for item recommendation", KDD 2020).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tasks.recommender.baselines import Neighbours, Random
from tasks.recommender.histories import Histories, Scores
from tasks.recommender.metrics import evaluate

if TYPE_CHECKING:
    from tests.tasks.recommender.conftest import Interactions


def among(scores: Scores, allowed: Histories, held: Histories, k: int) -> float:
    """Precision at k over users with something held out, ranking only what is allowed; short lists count as long."""
    users = np.flatnonzero(np.diff(held.indptr))
    dense = np.where(allowed[users].toarray() > 0, scores[users], -np.inf)
    best = np.argsort(-dense, axis=1, kind="stable")[:, :k]
    ranked = np.take_along_axis(dense, best, axis=1) > -np.inf
    hits = np.take_along_axis(held[users].toarray() > 0, best, axis=1) & ranked
    return float((hits.sum(axis=1) / np.maximum(ranked.sum(axis=1), 1)).mean())


def test_what_flatters_a_model_is_ranking_less_than_the_catalogue(movielens: Interactions) -> None:
    draw = np.random.default_rng(7)
    test = draw.random(len(movielens.user)) < 0.25
    seen, held = movielens.matrix(~test), movielens.matrix(test)
    model, chance = Neighbours.fit(seen), Random(7)
    exact = evaluate(model, seen, held, k=10).precision
    scores, drawn = np.asarray(model.scores(seen)), chance.scores(seen)

    sampled = held.tolil(copy=True)
    for user in range(held.shape[0]):
        taken = np.r_[seen[user].indices, held[user].indices]
        others = np.setdiff1d(np.arange(held.shape[1]), taken)
        sampled[user, draw.choice(others, 99, replace=False)] = 1.0
    against = among(scores, sampled.tocsr(), held, 10)
    assert movielens.rating is not None
    liked = movielens.matrix(test & (movielens.rating >= 4))
    rated, by_chance = (among(each, held, liked, 10) for each in (scores, drawn))

    assert 0.25 < exact < 0.35
    assert against > 1.8 * exact, "against 99 that nobody took"
    assert rated > 1.8 * exact, "among what the user rated"
    assert by_chance > 1.8 * exact, "where a random order does as well"
    assert evaluate(chance, seen, held, k=10).precision < 0.02
    print(f"exact {exact:.3f}, against 99 {against:.3f}, among rated {rated:.3f}, by chance {by_chance:.3f}")
