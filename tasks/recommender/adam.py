"""The optimiser: dense Adam (Kingma and Ba 2015) by TensorFlow's fused kernel.

The update is that of Keras' Adam with its usual constants, in one pass over memory and without slots and dispatch. It
may be called within a compiled loop, where a Keras optimiser costs more than the arithmetic.
"""

from __future__ import annotations

from typing import Any, Final

BETA1: Final = 0.9
BETA2: Final = 0.999
EPSILON: Final = 1e-7


class Adam:
    """The moments of some variables, and the step that moves them."""

    def __init__(self, tf: Any, variables: list[Any], rate: float) -> None:
        """Start with moments of zero; `rate` is the learning rate."""
        self.tf, self.variables, self.rate = tf, variables, rate
        self.first = [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in variables]
        self.second = [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in variables]
        self.power1 = tf.Variable(BETA1, dtype=tf.float32, trainable=False)
        self.power2 = tf.Variable(BETA2, dtype=tf.float32, trainable=False)

    def restore(self, first: list[Any], second: list[Any], powers: tuple[float, float]) -> None:
        """Go on from moments that were reached before, a pair for each variable."""
        for variable, value in zip([*self.first, *self.second], [*first, *second], strict=True):
            variable.assign(value)
        self.power1.assign(powers[0])
        self.power2.assign(powers[1])

    def apply(self, gradients: list[Any]) -> None:
        """Move each variable one step against its gradient."""
        for variable, mean, square, gradient in zip(self.variables, self.first, self.second, gradients, strict=True):
            self.tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=self.power1,
                beta2_power=self.power2,
                lr=self.rate,
                beta1=BETA1,
                beta2=BETA2,
                epsilon=EPSILON,
                grad=gradient,
            )
        self.power1.assign(self.power1 * BETA1)
        self.power2.assign(self.power2 * BETA2)
