"""The model that is served: a closed form and a trained autoencoder side by side, over one catalogue.

The two err differently: steps learn what is taken together by whom, and the closed form holds back what few took,
which steps of equal length for every weight learn by heart. Side by side in one hidden layer they are a model again,
whose scores are the sum of theirs: the same four arrays, the same product for users whom nobody has seen.

What training begins with, and how much each half has to say, is chosen on the validation slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.recommender.fold import Folded, Weights
from tasks.recommender.histories import Histories, Scores
from tasks.recommender.linear import Spectrum
from tasks.recommender.metrics import evaluate
from tasks.recommender.shape import NAMES, starting

RIDGES: Final = (30.0, 100.0, 300.0, 1000.0, 3000.0)
USUAL: Final = 300.0
"""The ridge where there is nothing to choose it by."""
SHARES: Final = (0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95)
"""What the closed form has to say, of the whole. It never has all: who has no history is answered by the trained half,
which alone has a bias."""
RARE: Final = 0.5
"""What an item that nobody took counts as, in interactions."""
MOST: Final = 4096
"""Users by whom is chosen, at most."""
BATCH: Final = 256
"""Users who are scored at a time."""


@dataclass(frozen=True, eq=False)
class Start:
    """What training begins with: the closed form's columns first, `closed` of them, then the drawn ones."""

    weights: Weights
    closed: int
    ridge: float


def closed(width: int) -> int:
    """How much of a width is the closed form's: three quarters, and never all."""
    return width * 3 // 4


def begun(histories: Histories, validation: Histories, *, width: int, seed: int) -> Start:
    """Embeddings for training to begin with.

    Args:
        histories: The training part [users, items].
        validation: By which the ridge is chosen; the usual one where it is empty.
        width: Of the hidden layer, at least 2. Where the closed form's rank is smaller than its part, the rest is zero.
        seed: Of whatever is drawn.

    Raises:
        ValueError: histories that have no closed form.
    """
    part, items = closed(width), histories.shape[1]
    found = Spectrum.of(histories, width=part, seed=seed)
    seen, held = some(histories, validation)
    best = min(10, items)
    ridge = USUAL
    if held.nnz:
        ridge = max(RIDGES, key=lambda each: evaluate(found.line(ridge=each), seen, held, k=best).ndcg)
    solved = found.solved(histories, ridge=ridge)
    lacks = part - len(found.values)
    solved["encoder"] = np.pad(solved["encoder"], ((0, 0), (0, lacks)))
    solved["encoder_bias"] = np.pad(solved["encoder_bias"], (0, lacks))
    solved["decoder"] = np.pad(solved["decoder"], ((0, lacks), (0, 0)))
    return Start(joined(solved, drawn(histories, width - part, seed), (1.0, 1.0)), part, ridge)


def drawn(histories: Histories, width: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """The weights that training begins with: random matrices, and as the decoder's bias the logarithm of how popular an
    item is, which steps would need many epochs to come to."""
    start = starting(histories.shape[1], width, seed)
    says = np.asarray(histories.sum(axis=0), dtype=np.float64).ravel() + RARE
    return start | {"decoder_bias": np.log(says / says.mean()).astype(np.float32)}


def some(histories: Histories, validation: Histories) -> tuple[Histories, Histories]:
    """The rows that have something to validate by, thinned evenly to at most `MOST`."""
    rows = np.flatnonzero(np.diff(validation.indptr))
    rows = rows[:: max(1, -(-len(rows) // MOST))]
    return histories[rows], validation[rows]


def parted(weights: Weights, at: int) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """The first `at` columns of the hidden layer as a model with a bias of zero, and the others with the bias."""
    encoder, encoder_bias, decoder, decoder_bias = (weights[name] for name in NAMES)
    first = encoder[:, :at], encoder_bias[:at], decoder[:at], np.zeros_like(decoder_bias)
    second = encoder[:, at:], encoder_bias[at:], decoder[at:], decoder_bias
    one, two = (dict(zip(NAMES, map(np.ascontiguousarray, half), strict=True)) for half in (first, second))
    return one, two


def joined(first: Weights, second: Weights, by: tuple[float, float]) -> dict[str, NDArray[np.float32]]:
    """The model whose scores are those of two, each multiplied by its factor."""
    one, two = (np.float32(factor) for factor in by)
    return {
        "encoder": np.concatenate([first["encoder"], second["encoder"]], axis=1),
        "encoder_bias": np.concatenate([first["encoder_bias"], second["encoder_bias"]]),
        "decoder": np.concatenate([first["decoder"] * one, second["decoder"] * two]),
        "decoder_bias": first["decoder_bias"] * one + second["decoder_bias"] * two,
    }


@dataclass(frozen=True, eq=False)
class Given:
    """Scores that are there already [rows, items], of the very histories that are asked for."""

    scored: Scores

    def scores(self, histories: Histories) -> Scores:
        """They."""
        return self.scored


def spread(weights: Weights, histories: Histories, *, most: int = BATCH) -> float:
    """Standard deviation of scores within a user, the mean over the first `most` users; never zero."""
    wide = float(Folded(weights).scores(histories[:most]).std(axis=1).mean())
    return wide or 1.0


def weighed(
    first: Weights, second: Weights, histories: Histories, validation: Histories | None
) -> tuple[dict[str, NDArray[np.float32]], float, float | None]:
    """A closed form and a trained model as one; the closed form's share, and nDCG@10 on the validation part with it.

    Both are brought to the same spread of scores. Without a validation part each has half to say; with one, of the
    shares that are no more than one standard error of the users' differences behind the best the nearest to half: what
    is closer than that, chance decides (the rule of Breiman et al., "Classification and regression trees", 1984).
    """
    seen, held = (histories, None) if validation is None else some(histories, validation)
    own, trained = spread(first, histories), spread(second, histories)

    def by(share: float) -> dict[str, NDArray[np.float32]]:
        return joined(first, second, (share / own, (1 - share) / trained))

    if held is None or not held.nnz:
        return by(0.5), 0.5, None
    best, (one, two) = min(10, histories.shape[1]), (Folded(first), Folded(second))
    gains: dict[float, list[NDArray[np.float64]]] = {share: [] for share in SHARES}
    for low in range(0, seen.shape[0], BATCH):
        rows, kept = seen[low : low + BATCH], held[low : low + BATCH]
        mine, theirs = one.scores(rows) / np.float32(own), two.scores(rows) / np.float32(trained)
        for share in SHARES:
            both = mine * np.float32(share) + theirs * np.float32(1 - share)
            gains[share].append(evaluate(Given(both), rows, kept, k=best, batch=BATCH).gain)
    users = {share: np.concatenate(each) for share, each in gains.items()}
    highest = max(users.values(), key=lambda each: float(each.mean()))
    level = [share for share, each in users.items() if _level(highest - each)]
    chosen = min(level, key=lambda share: abs(share - 0.5))
    made = by(chosen)
    return made, chosen, evaluate(Folded(made), seen, held, k=best).ndcg


def _level(behind: NDArray[np.float64]) -> bool:
    """Whether a mean of so many differences is within one standard error of zero."""
    return bool(behind.mean() <= behind.std() / np.sqrt(len(behind)))
