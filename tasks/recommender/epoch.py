"""One pass over all users as one compiled graph, which holds the interactions as CSR.

Each step makes its own batch dense, so memory is bounded by batch x catalogue. The gradients are written out: those of
the logits are the softmax less what was taken, made in two passes over batch x catalogue, where TensorFlow's fused
softmax with its labels takes as long as all products of a step together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.recommender.adam import Adam
from tasks.recommender.histories import Histories
from tasks.recommender.shape import SEEDS, Settings


def compiled(
    tf: Any, variables: list[Any], adam: Adam, histories: Histories, lengths: NDArray[np.int64], settings: Settings
) -> Callable[[Any], Any]:
    """A function of [seed, epoch], int32, that trains once by every user and returns the mean loss of one.

    Args:
        tf: TensorFlow.
        variables: Encoder [items, k], its bias, decoder [k, items], its bias, without the settings' scales.
        adam: What moves them.
        histories: What is trained on [users, items]; the values are what each interaction says in the loss.
        lengths: How many items each user has, those among them that have no column here [users].
        settings: Batch size, dropout and scales count.
    """
    rows = np.flatnonzero(np.diff(histories.indptr)).astype(np.int32)
    starts = tf.constant(histories.indptr[rows], dtype=tf.int32)
    counts = tf.constant(np.diff(histories.indptr)[rows], dtype=tf.int32)
    indices = tf.constant(histories.indices, dtype=tf.int32)
    values = tf.constant(histories.data, dtype=tf.float32)
    entry = settings.input_scale / (1 - settings.dropout) / np.sqrt(lengths[rows])
    entries = tf.constant(entry, dtype=tf.float32)
    totals = tf.constant(np.asarray(histories.sum(axis=1)).ravel()[rows], dtype=tf.float32)
    users, items, size = len(rows), histories.shape[1], settings.batch_size
    steps = -(-users // size)
    scale = settings.output_scale
    encoder, encoder_bias, decoder, decoder_bias = variables

    def run(seed: Any) -> Any:
        order = tf.random.experimental.stateless_shuffle(tf.range(users), seed=seed)
        length = tf.gather(counts, order)
        flat = tf.ragged.range(tf.gather(starts, order), tf.gather(starts, order) + length)
        item, says = tf.gather(indices, flat.values), tf.gather(values, flat.values)
        whole = tf.gather(totals, order)
        place = tf.repeat(tf.range(users), length)
        kept = tf.random.stateless_uniform(tf.shape(item), seed=seed + [SEEDS, 0]) >= settings.dropout
        noisy = tf.where(kept, tf.gather(tf.gather(entries, order), place), 0.0)
        bounds = tf.concat([[0], tf.cumsum(length)], axis=0)

        def batch(step: Any, total: Any) -> tuple[Any, Any]:
            low = step * size
            high = tf.minimum(low + size, users)
            part_low, part_high = bounds[low], bounds[high]
            cell = tf.stack([place[part_low:part_high] - low, item[part_low:part_high]], axis=1)
            taken, weight = says[part_low:part_high], whole[low:high]
            given = tf.scatter_nd(cell, noisy[part_low:part_high], tf.stack([high - low, items]))
            hidden = tf.tanh(given @ encoder + encoder_bias)
            logits = (hidden @ decoder + decoder_bias) * scale
            chance = tf.nn.softmax(logits)
            # Of each row the logarithm of the softmax's divisor, by its greatest entry, which is never zero.
            divisor = tf.reduce_max(logits, axis=1) - tf.math.log(tf.reduce_max(chance, axis=1))
            loss = tf.reduce_sum(weight * divisor) - tf.reduce_sum(taken * tf.gather_nd(logits, cell))
            share = scale / tf.cast(high - low, tf.float32)
            wrong = tf.tensor_scatter_nd_sub(chance * (share * weight)[:, None], cell, share * taken)
            back = tf.matmul(wrong, decoder, transpose_b=True) * (1 - hidden * hidden)
            adam.apply(
                [
                    tf.matmul(given, back, transpose_a=True),
                    tf.reduce_sum(back, axis=0),
                    tf.matmul(hidden, wrong, transpose_a=True),
                    tf.reduce_sum(wrong, axis=0),
                ]
            )
            return step + 1, total + loss

        _, total = tf.while_loop(lambda step, _: step < steps, batch, (tf.constant(0), tf.constant(0.0)))
        return total / users

    # Traced once for its only signature: TensorFlow takes a new training run for a needless retrace and warns of it.
    # And as it stands: what autograph makes of it is written to a folder for everybody, and imported from there.
    traced: Callable[[Any], Any] = tf.function(run, autograph=False).get_concrete_function(tf.TensorSpec([2], tf.int32))
    return traced
