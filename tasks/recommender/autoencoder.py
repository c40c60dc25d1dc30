"""The model: a denoising autoencoder of histories, trained by TensorFlow.

I-k-I with one hidden layer (Liang et al., "Variational autoencoders for collaborative filtering", WWW 2018, there
Mult-DAE): the history, scaled to unit length, loses each entry with the probability `dropout`, passes a tanh layer of
width k, and is told again by a softmax over the catalogue; the loss is its multinomial log-likelihood, in which an
entry counts as much as its interaction says. The hidden layer is the user's embedding, the decoder's rows are the
items'.

An epoch is one call into one compiled graph (`epoch`), over the items that enough users took (`core`). A step of Adam
is as long as the learning rate says, however small the weights are, and moves the scores of a history of unit length so
little that more than a hundred epochs pass before the lists are good. So histories and logits are multiplied by fixed
factors (`Settings`), and some twenty do, with the learning rate as it is.

Starting weights are given, not drawn here. Shuffling and dropout are stateless draws from the seed, operations are
deterministic, and the number of threads is fixed: the same data, start, settings and version of TensorFlow give the
same bytes.

TensorFlow is imported when training starts, not with this module.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tasks.recommender import fold
from tasks.recommender.adam import Adam
from tasks.recommender.core import Core
from tasks.recommender.epoch import compiled
from tasks.recommender.fold import Folded, Weights
from tasks.recommender.histories import Histories, Scores
from tasks.recommender.joint import parted, some, weighed
from tasks.recommender.metrics import evaluate
from tasks.recommender.quiet import quiet
from tasks.recommender.shape import NAMES, Progress, Settings, State, Trained

# How many threads share a product decides how its sums are cut, and with that their last bits.
_THREADS: Final = 2


def train(
    histories: Histories,
    start: Weights,
    settings: Settings,
    *,
    validation: Histories | None = None,
    watch: Callable[[Progress], None] | None = None,
    keep: Callable[[Callable[[], State]], None] | None = None,
    resume: State | None = None,
) -> Trained:
    """Train on `histories`, stopping early on `validation`, whose items must not be in `histories`.

    The values of `histories` are what each interaction says in the loss; what is fed are ones, as it will be.
    With a validation part the weights of its best nDCG are returned, the earliest of equals; without one, the last.
    Rows without an interaction are left out. `watch` is called after every epoch. Where the first columns of the hidden
    layer stay as they begin, the others are trained alone, what is validated is both with half to say each, and at the
    end they are weighed against each other.

    `keep` is called after each validation that is not the last, with what makes the state of that moment; from such a
    state, given as `resume` with all else the same, training ends with the same bytes.

    Raises:
        ValueError: no interactions, weights that do not fit the catalogue, or a state of another training.
        FloatingPointError: the loss is not finite.
    """
    items, width = fold.check(start)
    if histories.nnz == 0 or histories.shape[1] != items:
        raise ValueError(f"{histories.nnz} interactions over {histories.shape[1]} items, weights for {items}")
    if settings.closed >= width:
        raise ValueError(f"of {width} columns {settings.closed} stay as they begin, and none is trained")
    first, second = parted(start, settings.closed)
    tf = tensorflow()
    core = Core.of(histories, second, settings)
    begin = core.begin()
    variables = [tf.Variable(begin[name]) for name in NAMES]
    # Held here as long as the loop runs: a traced graph does not keep the variables that it writes alive.
    adam = Adam(tf, variables, settings.learning_rate)
    lengths = np.diff(histories.indptr)
    epoch = compiled(tf, variables, adam, core.histories(histories), lengths, settings)
    best, chosen, waited = -1.0, 0, 0
    weights: dict[str, NDArray[np.float32]] = {}
    progress: list[Progress] = []
    seen, held = some(histories, validation) if validation is not None else (histories, None)
    if resume is not None:
        weights = _resumed(resume, variables, adam, settings)
        best, chosen, waited, progress = resume.best, resume.chosen, resume.waited, list(resume.progress)
    for number in range(len(progress) + 1, settings.epochs + 1):
        before = time.perf_counter()
        loss = float(epoch(tf.constant([settings.seed, number], dtype=tf.int32)))
        if not np.isfinite(loss):
            raise FloatingPointError(f"the loss of epoch {number} is {loss}")
        value = None
        look = validation is not None and (number % settings.every == 0 or number == settings.epochs)
        if look or number == settings.epochs:
            current = {name: variable.numpy() for name, variable in zip(NAMES, variables, strict=True)}
            if held is not None:
                made = core.whole(current)
                looked = weighed(first, made, histories, None)[0] if settings.closed else made
                value = evaluate(Folded(looked), seen, held, k=min(settings.k, items)).ndcg
            if value is None or value > best:
                best, chosen, weights, waited = value or 0.0, number, current, 0
            else:
                waited += 1
        progress.append(Progress(number, loss, value, time.perf_counter() - before))
        if watch is not None:
            watch(progress[-1])
        if waited >= settings.patience:
            break
        if keep is not None and look and number < settings.epochs:
            keep(partial(_state, variables, adam, weights, (best, chosen, waited), tuple(progress)))
    made = core.whole(weights)
    fold.check(made)
    share, value = None, best if validation is not None else None
    if settings.closed:
        made, share, value = weighed(first, made, histories, validation)
    return Trained(made, chosen, tuple(progress), share, value)


def _state(
    variables: list[Any],
    adam: Adam,
    weights: Weights,
    stopping: tuple[float, int, int],
    progress: tuple[Progress, ...],
) -> State:
    """The state of a moment."""
    rows = (("", variables), ("first.", adam.first), ("second.", adam.second))
    arrays = {f"{kind}{name}": each.numpy() for kind, many in rows for name, each in zip(NAMES, many, strict=True)}
    arrays |= {f"best.{name}": weights[name] for name in weights}
    powers = float(adam.power1.numpy()), float(adam.power2.numpy())
    return State(arrays, len(progress), *stopping, powers, progress)


def _resumed(state: State, variables: list[Any], adam: Adam, settings: Settings) -> dict[str, NDArray[np.float32]]:
    """Put variables and moments back as they were; the best weights so far."""
    kinds = ("", "first.", "second.", *(["best."] if state.chosen else []))
    shapes = {f"{kind}{name}": tuple(each.shape) for kind in kinds for name, each in zip(NAMES, variables, strict=True)}
    sound = {name: each.shape for name, each in state.arrays.items() if each.dtype == np.float32} == shapes
    if not sound or not state.chosen <= state.epoch == len(state.progress) < settings.epochs:
        raise ValueError(f"the state of epoch {state.epoch} is of another training")
    for name, variable in zip(NAMES, variables, strict=True):
        variable.assign(state.arrays[name])
    first, second = ([state.arrays[f"{kind}{name}"] for name in NAMES] for kind in ("first.", "second."))
    adam.restore(first, second, state.powers)
    return {name: state.arrays[f"best.{name}"] for name in NAMES} if state.chosen else {}


def score(weights: Weights, histories: Histories, *, batch: int = 256) -> Scores:
    """Scores [rows, items] by TensorFlow: what `fold.Folded` must agree with."""
    tf = tensorflow()
    fold.check(weights)
    encoder, encoder_bias, decoder, decoder_bias = (tf.constant(weights[name]) for name in NAMES)
    parts = []
    for low in range(0, histories.shape[0], batch):
        dense = tf.math.l2_normalize(tf.constant(histories[low : low + batch].toarray()), axis=1)
        parts.append((tf.tanh(dense @ encoder + encoder_bias) @ decoder + decoder_bias).numpy())
    return np.concatenate(parts)


def tensorflow() -> Any:
    """TensorFlow set up for the same bytes each time, and without its noise on stderr.

    Raises:
        RuntimeError: it was imported before by somebody else with other settings, or has started with other threads.
    """
    wanted = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    if "tensorflow" in sys.modules and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0":
        raise RuntimeError("tensorflow was imported with oneDNN on, whose results depend on the machine")
    os.environ.update(wanted)
    # The descriptor is everybody's: it is turned away once, for the import, and not at every call.
    with quiet() if "tensorflow" not in sys.modules else nullcontext():
        tf: Any = importlib.import_module("tensorflow")
    if tf.config.threading.get_intra_op_parallelism_threads() != _THREADS:
        tf.config.threading.set_intra_op_parallelism_threads(_THREADS)
    tf.config.experimental.enable_op_determinism()
    return tf
