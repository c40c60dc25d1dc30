"""What of a model is trained by steps: the columns of items that enough users took.

Most of a catalogue is taken by next to nobody. What steps learn of such items is noise, and each of them costs as much
as one that everybody knows. They keep the bias that they began with, and say nothing of other items: a closed form that
stands beside speaks for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tasks.recommender.fold import Weights
from tasks.recommender.histories import Histories
from tasks.recommender.shape import Settings


@dataclass(frozen=True, eq=False)
class Core:
    """Of a training part the items that are trained, `chosen` in order, and the weights `start` of all items."""

    chosen: NDArray[np.int64]
    start: Weights
    settings: Settings

    @classmethod
    def of(cls, histories: Histories, start: Weights, settings: Settings) -> Self:
        """Those that `settings.least` users took; all, where these have not even half of the interactions."""
        count = np.bincount(histories.indices, minlength=histories.shape[1])
        chosen = np.flatnonzero(count >= settings.least)
        if 2 * int(count[chosen].sum()) < histories.nnz:
            chosen = np.arange(histories.shape[1])
        return cls(chosen.astype(np.int64), start, settings)

    def histories(self, histories: Histories) -> Histories:
        """Histories over the chosen items alone."""
        part: Histories = histories[:, self.chosen].tocsr()
        part.sort_indices()
        return part

    def begin(self) -> dict[str, NDArray[np.float32]]:
        """The weights of the chosen items to begin with, without the scales of the settings."""
        given, told = np.float32(self.settings.input_scale), np.float32(self.settings.output_scale)
        return {
            "encoder": self.start["encoder"][self.chosen] / given,
            "encoder_bias": self.start["encoder_bias"].copy(),
            "decoder": self.start["decoder"][:, self.chosen] / told,
            "decoder_bias": self.start["decoder_bias"][self.chosen] / told,
        }

    def whole(self, trained: Weights) -> dict[str, NDArray[np.float32]]:
        """The model of all items from weights like those that `begin` gives."""
        given, told = np.float32(self.settings.input_scale), np.float32(self.settings.output_scale)
        encoder, decoder = np.zeros_like(self.start["encoder"]), np.zeros_like(self.start["decoder"])
        bias = self.start["decoder_bias"].copy()
        encoder[self.chosen] = trained["encoder"] * given
        decoder[:, self.chosen] = trained["decoder"] * told
        bias[self.chosen] = trained["decoder_bias"] * told
        return {
            "encoder": encoder,
            "encoder_bias": trained["encoder_bias"].copy(),
            "decoder": decoder,
            "decoder_bias": bias,
        }
