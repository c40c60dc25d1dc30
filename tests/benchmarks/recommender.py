"""The field's usual protocol on ml-latest-small: the split, our systems, tuned inside the training part only.

A quarter of each user's pairs is the test, at random; of the rest a fifth is for tuning. What is chosen on it is fitted
again on the whole training part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.recommender.baselines import Neighbours, Popularity, Random
from tasks.recommender.ease import Ease
from tasks.recommender.fold import Folded
from tasks.recommender.histories import Histories, Scorer, histories
from tasks.recommender.metrics import Ranking, evaluate

Ints = NDArray[np.int64]
RIDGES: Final = (100.0, 200.0, 300.0, 500.0, 1000.0)
SHARES: Final = (0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0)
WIDTH: Final = 200


@dataclass(frozen=True, eq=False)
class Parts:
    """`fit` and `tune` are `train`, cut again."""

    train: Histories
    test: Histories
    fit: Histories
    tune: Histories


@dataclass(frozen=True, eq=False)
class Figures:
    """Of one system on one seed: per user, in the order of the test's users, and seconds of the last fit."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    gain: NDArray[np.float64]
    seconds: float
    chosen: str = ""

    @classmethod
    def of(cls, ranking: Ranking, seconds: float, chosen: str = "") -> Figures:
        """From a ranking."""
        hits = ranking.hits.astype(np.float64)
        return cls(hits / ranking.k, hits / ranking.relevant, ranking.gain, seconds, chosen)


def held(user: Ints, share: float, draw: np.random.Generator) -> NDArray[np.bool_]:
    """A random share of each user's pairs, rounded to whole ones."""
    order = np.lexsort((draw.random(len(user)), user))
    count = np.bincount(user)
    rank = np.empty(len(user), dtype=np.int64)
    rank[order] = np.arange(len(user)) - (np.cumsum(count) - count)[user[order]]
    return rank >= np.round(count * (1 - share))[user]


def parts(user: Ints, item: Ints, shape: tuple[int, int], seed: int) -> Parts:
    """The split of a seed."""
    draw = np.random.default_rng(seed)
    tested = held(user, 0.25, draw)
    own, taken = user[~tested], item[~tested]
    tuned = held(own, 0.2, draw)
    return Parts(
        train=histories(own, taken, shape),
        test=histories(user[tested], item[tested], shape),
        fit=histories(own[~tuned], taken[~tuned], shape),
        tune=histories(own[tuned], taken[tuned], shape),
    )


def best(make: Callable[..., Scorer], grid: Iterable[dict[str, Any]], part: Parts) -> dict[str, Any]:
    """Of a grid what has the highest nDCG on the tuning slice."""
    return max(grid, key=lambda each: evaluate(make(part.fit, **each), part.fit, part.tune).ndcg)


def tuned(make: Callable[..., Scorer], grid: list[dict[str, Any]], part: Parts) -> Figures:
    """The best of a grid, fitted again on the whole training part."""
    chosen = best(make, grid, part) if len(grid) > 1 else grid[0]
    begun = time.perf_counter()
    made = make(part.train, **chosen)
    seconds = time.perf_counter() - begun
    told = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
    return Figures.of(evaluate(made, part.train, part.test), seconds, told)


def simple(part: Parts, seed: int) -> dict[str, Figures]:
    """What needs no training by steps."""
    near = [{"nearest": nearest, "shrink": shrink} for nearest in (50, 100, 300) for shrink in (10.0, 50.0)]
    return {
        "random": tuned(lambda _: Random(seed), [{}], part),
        "popularity": tuned(Popularity.fit, [{}], part),
        "item-kNN": tuned(Neighbours.fit, near, part),
        "EASE": tuned(Ease.fit, [{"ridge": ridge} for ridge in RIDGES], part),
    }


def ours(part: Parts, seed: int) -> dict[str, Figures]:
    """The autoencoder as it was, its closed form alone, and both joined.

    Epochs, ridge and share are chosen on the tuning slice; the width is that of the pipeline's defaults, twice. The
    two err differently: trained steps learn what is taken together by whom, and the closed form holds back what few
    took, which steps of equal length for every weight learn by heart.
    """
    from tasks.recommender.autoencoder import train
    from tasks.recommender.linear import joined, linear, spread
    from tasks.recommender.shape import Settings, starting

    fixed: dict[str, Any] = {"learning_rate": 0.001, "batch_size": 128, "seed": seed}
    start = starting(part.train.shape[1], WIDTH, seed)
    search = Settings(**fixed, epochs=100, every=10, patience=2)
    tried = train(part.fit, start, search, validation=part.tune)
    known = spread(tried.weights, part.fit)
    ridge, share, most = 0.0, 0.0, -1.0
    alone = (0.0, -1.0)
    for one in RIDGES:
        closed = linear(part.fit, width=WIDTH, ridge=one, seed=seed)
        wide = spread(closed, part.fit)
        for two in SHARES:
            both = joined(tried.weights, closed, ((1 - two) / known, two / wide))
            value = evaluate(Folded(both), part.fit, part.tune).ndcg
            if value > most:
                ridge, share, most = one, two, value
            if two == 1 and value > alone[1]:
                alone = (one, value)
    begun = time.perf_counter()
    trained = train(part.train, start, Settings(**fixed, epochs=tried.best)).weights
    spent = time.perf_counter() - begun
    first = tuned(
        lambda rows, ridge: Folded(linear(rows, width=WIDTH, ridge=ridge, seed=seed)), [{"ridge": alone[0]}], part
    )
    begun = time.perf_counter()
    closed = linear(part.train, width=WIDTH, ridge=ridge, seed=seed)
    factors = (1 - share) / spread(trained, part.train), share / spread(closed, part.train)
    both = joined(trained, closed, factors)
    whole = spent + time.perf_counter() - begun
    return {
        "closed form": first,
        "autoencoder": Figures.of(evaluate(Folded(trained), part.train, part.test), spent, f"epochs {tried.best}"),
        "joined": Figures.of(
            evaluate(Folded(both), part.train, part.test), whole, f"epochs {tried.best}, ridge {ridge:g}, share {share}"
        ),
    }
