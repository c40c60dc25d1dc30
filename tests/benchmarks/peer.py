"""`implicit` in an environment of its own: `python -m tests.benchmarks.peer PAIRS OUT FIRST LAST`; figures as JSON.

ALS and BPR are tuned on each seed's tuning slice, and fitted again on the whole training part, with two threads.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tasks.recommender.histories import Histories
from tests.benchmarks.recommender import parts, tuned

ALS = [
    {"factors": factors, "alpha": alpha, "regularization": held, "iterations": 15}
    for factors, alpha, held in product((32, 64, 96), (2.0, 4.0, 8.0), (20.0, 40.0, 60.0))
]
BPR = [
    {"factors": 64, "learning_rate": rate, "regularization": held, "iterations": rounds}
    for rate, held, rounds in ((0.01, 0.01, 100), (0.01, 0.01, 200), (0.01, 0.003, 100), (0.05, 0.01, 50))
]


@dataclass(frozen=True, eq=False)
class Factors:
    """A fitted factorisation as a scorer: it knows users by their place, so rows are given out in their order."""

    scores_of: NDArray[np.float32]
    rows: dict[bytes, int]

    @classmethod
    def fit(cls, model: Any, rows: Histories) -> Self:
        """From a model that has been told how."""
        model.fit(rows, show_progress=False)
        scores = np.asarray(model.user_factors @ model.item_factors.T, dtype=np.float32)
        return cls(scores, {rows.indices[low:high].tobytes(): row for row, (low, high) in enumerate(_bounds(rows))})

    def scores(self, histories: Histories) -> NDArray[np.float32]:
        """Scores of users whose histories were fitted."""
        return self.scores_of[[self.rows[histories.indices[low:high].tobytes()] for low, high in _bounds(histories)]]


def _bounds(rows: Histories) -> Any:
    return zip(rows.indptr[:-1], rows.indptr[1:], strict=True)


def main() -> None:
    """Both systems on all seeds."""
    from implicit.als import AlternatingLeastSquares
    from implicit.bpr import BayesianPersonalizedRanking

    given = np.load(sys.argv[1])
    told: list[dict[str, Any]] = []
    for seed in range(int(sys.argv[3]), int(sys.argv[4]) + 1):
        part = parts(given["user"], given["item"], tuple(given["shape"].tolist()), seed)
        found = dict[str, Any]()
        for name, kind, grid in (("ALS", AlternatingLeastSquares, ALS), ("BPR", BayesianPersonalizedRanking, BPR)):

            def make(rows: Histories, kind: Any = kind, seed: int = seed, **chosen: Any) -> Factors:
                return Factors.fit(kind(**chosen, random_state=seed, num_threads=2), rows)

            figures = tuned(make, grid, part)
            found[name] = {
                key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(figures).items()
            }
        told.append(found)
    Path(sys.argv[2]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
