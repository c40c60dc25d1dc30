"""What the autoencoder is given and gives back, without the code that trains: a run imports this, and not that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.recommender.fold import Weights

NAMES: Final = ("encoder", "encoder_bias", "decoder", "decoder_bias")
# Seeds from here on are dropout's, so that shuffling and dropout never draw from the same stream.
SEEDS: Final = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train.

    `dropout` is the probability that an entry of the history is lost. `patience` counts validations without a better
    one; `every` is the epochs between two of them. Of the hidden layer the first `closed` columns stay as they begin.
    Items that fewer than `least` users took are not trained.

    A step of Adam is as long for small weights as for large ones. So what it moves is multiplied: the history by
    `input_scale`, the logits by `output_scale`. The weights that are given and those that come back hold both.
    """

    learning_rate: float
    batch_size: int
    epochs: int = 100
    dropout: float = 0.5
    every: int = 5
    patience: int = 2
    k: int = 10
    seed: int = 0
    closed: int = 0
    least: int = 5
    input_scale: float = 5.0
    output_scale: float = 3.0

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        if not (self.learning_rate > 0 and 0 <= self.dropout < 1):
            raise ValueError(f"learning_rate {self.learning_rate} or dropout {self.dropout} is out of range")
        if min(self.batch_size, self.epochs, self.every, self.patience, self.k, self.least) < 1:
            raise ValueError("batch_size, epochs, every, patience, k and least must be at least 1")
        if not (0 < self.input_scale < np.inf and 0 < self.output_scale < np.inf):
            raise ValueError(f"input_scale {self.input_scale} or output_scale {self.output_scale} is out of range")
        if self.closed < 0:
            raise ValueError(f"closed {self.closed} is out of range")
        if not 0 <= self.seed < SEEDS:
            raise ValueError(f"seed {self.seed} is out of range: 0 to {SEEDS - 1}")


@dataclass(frozen=True)
class Progress:
    """One epoch: its number from 1, mean loss a user, nDCG on the validation part if looked at, wall seconds."""

    epoch: int
    loss: float
    validation: float | None
    seconds: float


@dataclass(frozen=True, eq=False)
class State:
    """Where a training stands after an epoch: all that it takes to go on as if it had never stopped.

    `arrays`: the trained columns by name, the optimiser's moments as `first.NAME` and `second.NAME`, the weights of the
    epoch `chosen`, if there is one, as `best.NAME`; `best`: what those reach; `waited`: validations since;
    `powers`: of the optimiser's two decays.
    """

    arrays: Weights
    epoch: int
    best: float
    chosen: int
    waited: int
    powers: tuple[float, float]
    progress: tuple[Progress, ...]


@dataclass(frozen=True, eq=False)
class Trained:
    """The outcome: the weights of epoch `best`, and every epoch that was run. `share`: what the closed form has to say
    of the scores, None where there is none; `value`: nDCG on the validation part of the whole, where it was looked at.
    """

    weights: Weights
    best: int
    progress: tuple[Progress, ...]
    share: float | None = None
    value: float | None = None


def starting(items: int, width: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Weights to start from: Glorot-uniform matrices (Glorot and Bengio 2010) and biases of zero."""
    if items < 1 or width < 1:
        raise ValueError(f"a model has at least one item and a width of one, not {items} and {width}")
    rng = np.random.default_rng(seed)
    limit = float(np.sqrt(6 / (items + width)))
    return {
        "encoder": rng.uniform(-limit, limit, (items, width)).astype(np.float32),
        "encoder_bias": np.zeros(width, dtype=np.float32),
        "decoder": rng.uniform(-limit, limit, (width, items)).astype(np.float32),
        "decoder_bias": np.zeros(items, dtype=np.float32),
    }
