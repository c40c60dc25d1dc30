"""The model, asked: its four arrays, by code of the gate's own.

A session of items becomes tanh(x / |x| @ encoder + encoder_bias), of which the decoder makes a score for each item
(README, "The model"). The service and the evaluation have code of theirs, which a test holds against this.
"""

from typing import Any, NamedTuple

import numpy as np

from security.errors import CannotTell


class Model(NamedTuple):
    """float32: `encoder` [items, width], `encoder_bias` [width], `decoder` [width, items], `decoder_bias` [items]."""

    encoder: Any
    encoder_bias: Any
    decoder: Any
    decoder_bias: Any

    @property
    def items(self) -> int:
        """The size of the catalogue."""
        return len(self.decoder_bias)

    def scores(self, sessions: Any) -> Any:
        """Scores [sessions, items] of sessions [sessions, size] of distinct items; `CannotTell` for one that is not
        finite."""
        with np.errstate(over="ignore", invalid="ignore"):
            taken = self.encoder[sessions].sum(axis=1) / np.float32(np.sqrt(sessions.shape[1]))
            found = np.tanh(taken + self.encoder_bias) @ self.decoder + self.decoder_bias
        if not np.isfinite(found).all():
            raise CannotTell("the model answers a session with what is no number")
        return found


def sound(model: Model) -> None:
    """`CannotTell` unless the arrays fit one another."""
    items, width = model.encoder.shape if model.encoder.ndim == 2 else (0, 0)
    shapes = [each.shape for each in model]
    if not items or not width or shapes != [(items, width), (width,), (width, items), (items,)]:
        raise CannotTell(f"the model's arrays do not fit one another: {', '.join(map(str, shapes))}")
