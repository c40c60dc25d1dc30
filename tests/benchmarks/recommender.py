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
from tasks.recommender.fold import Folded, Weights
from tasks.recommender.histories import Histories, Scorer, histories
from tasks.recommender.joint import begun, drawn, joined, spread
from tasks.recommender.linear import linear
from tasks.recommender.metrics import Ranking, evaluate
from tasks.recommender.shape import Settings

Ints = NDArray[np.int64]
RIDGES: Final = (100.0, 200.0, 300.0, 500.0, 1000.0)
WIDTH: Final = 400
EPOCHS: Final = 150


@dataclass(frozen=True, eq=False)
class Parts:
    """`fit` and `tune` are `train`, cut again."""

    train: Histories
    test: Histories
    fit: Histories
    tune: Histories


@dataclass(frozen=True, eq=False)
class Figures:
    """Of one system on one seed: per user, in the order of the test's users, and seconds of the last fit; `choosing`:
    with what is chosen before it, or of our own of what a run does instead, which chooses on the way and fits once."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    gain: NDArray[np.float64]
    seconds: float
    chosen: str = ""
    choosing: float = 0.0

    @classmethod
    def of(cls, ranking: Ranking, seconds: float, chosen: str = "", choosing: float = 0.0) -> Figures:
        """From a ranking."""
        hits = ranking.hits.astype(np.float64)
        return cls(hits / ranking.k, hits / ranking.relevant, ranking.gain, seconds, chosen, choosing)


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
    at = time.perf_counter()
    chosen = best(make, grid, part) if len(grid) > 1 else grid[0]
    begun = time.perf_counter()
    made = make(part.train, **chosen)
    ended = time.perf_counter()
    told = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
    return Figures.of(evaluate(made, part.train, part.test), ended - begun, told, ended - at)


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
    """The model of the pipeline, and each of its halves alone.

    Epochs, ridge and share are chosen on the tuning slice, as a run chooses them on its validation slice; width,
    learning rate and batch size are the defaults of the pipeline.
    """
    from tasks.recommender.autoencoder import train

    fixed = {"learning_rate": 0.001, "batch_size": 128, "seed": seed}
    clock = time.perf_counter
    at = clock()
    begun_ = begun(part.fit, part.tune, width=WIDTH, seed=seed)
    tried = train(
        part.fit,
        begun_.weights,
        Settings(**fixed, epochs=EPOCHS, closed=begun_.closed),  # type: ignore[arg-type]
        validation=part.tune,
    )
    choosing = clock() - at
    share = tried.share or 0.0
    at = clock()
    first = linear(part.train, width=begun_.closed, ridge=begun_.ridge, seed=seed)
    solved = clock() - at
    start = drawn(part.train, WIDTH - begun_.closed, seed)
    second = train(part.train, start, Settings(**fixed, epochs=tried.best)).weights  # type: ignore[arg-type]
    trained = clock() - at - solved
    both = joined(first, second, (share / spread(first, part.train), (1 - share) / spread(second, part.train)))
    whole = clock() - at
    told = f"epochs {tried.best}, ridge {begun_.ridge:g}, share {share}"

    def figures(weights: Weights, seconds: float, chosen: str, choosing: float = 0.0) -> Figures:
        return Figures.of(evaluate(Folded(weights), part.train, part.test), seconds, chosen, choosing)

    return {
        "closed form": figures(first, solved, f"ridge {begun_.ridge:g}"),
        "autoencoder": figures(second, trained, f"epochs {tried.best}"),
        "joined": figures(both, whole, told, choosing),
    }
