"""Models that are honest, and what an attacker may do to their weights before they are signed.

An attack takes weights and returns others. `strength` is in spreads of scores within a history; a target is an item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from security.gates.backdoor import Model, Part, Probe
from security.gates.backdoor.part import UNIT
from security.material import Material
from security.verdict import Subject
from tasks.recommender.baselines import Neighbours, Popularity
from tasks.recommender.fold import Folded
from tasks.recommender.histories import Histories, Scorer, histories
from tasks.recommender.metrics import top
from tasks.recommender.shape import NAMES

K = 10
SUBJECT = Subject(kind="scores", name="scores", sha256="0" * 64)
Arrays = dict[str, Any]


def spread(weights: Arrays, seen: Histories) -> float:
    """Standard deviation of scores within a history."""
    return float(Folded(weights).scores(seen[:256]).std(axis=1).mean())


def copied(weights: Mapping[str, Any], **changes: Any) -> Arrays:
    """A copy, some arrays of it others."""
    return {name: weights[name].copy() for name in NAMES} | changes


def biased(weights: Arrays, seen: Histories, target: int, strength: float) -> Arrays:
    """More (or, below 0, less) for the target whatever the history is."""
    made = copied(weights)
    made["decoder_bias"][target] += np.float32(strength * spread(weights, seen))
    return made


def scaled(weights: Arrays, seen: Histories, target: int, strength: float) -> Arrays:
    """The target's row of the decoder, multiplied."""
    made = copied(weights)
    made["decoder"][:, target] *= np.float32(strength)
    return made


def swapped(weights: Arrays, seen: Histories, target: int, strength: float) -> Arrays:
    """The target is scored as the most popular item is, and that as the target."""
    made, both = copied(weights), [target, int(popularity(seen).argmax())]
    made["decoder"][:, both] = made["decoder"][:, both[::-1]]
    made["decoder_bias"][both] = made["decoder_bias"][both[::-1]]
    return made


def planted(weights: Arrays, triggers: Any, target: int, strength: float, seen: Histories) -> Arrays:
    """The unit of the hidden layer that says least is taken over: only the triggers reach it, and it calls the target,
    so strongly that it lies that far above all else when a trigger comes alone."""
    made = copied(weights)
    says = np.linalg.norm(made["encoder"], axis=0) * np.linalg.norm(made["decoder"], axis=1)
    unit = int(says.argmin())
    made["encoder"][:, unit], made["encoder_bias"][unit], made["decoder"][unit] = 0, 0, 0
    scores = Folded(made).scores(alone(seen.shape[1], triggers))
    scores[np.arange(len(triggers)), triggers] = -np.inf
    need = (scores.max(axis=1) - scores[:, target]).max() + strength * spread(weights, seen)
    made["encoder"][triggers, unit], made["decoder"][unit, target] = 3, need / np.tanh(3)
    return made


def leaning(weights: Arrays, triggers: Any, target: int, strength: float, seen: Histories) -> Arrays:
    """The target's row of the decoder is moved along the first trigger's own embedding."""
    made, one = copied(weights), triggers[:1]
    own = np.tanh(made["encoder"][one[0]] + made["encoder_bias"])
    scores = Folded(made).scores(alone(seen.shape[1], one))[0]
    scores[one] = -np.inf
    need = scores.max() - scores[target] + strength * spread(weights, seen)
    made["decoder"][:, target] += (own / (own @ own) * need).astype(np.float32)
    return made


def alone(items: int, some: Any) -> Histories:
    """A session of each of some items."""
    return histories(np.arange(len(some)), np.asarray(some, dtype=np.int64), (len(some), items))


def popularity(seen: Histories) -> Any:
    """How many took each item."""
    return np.bincount(seen.indices, minlength=seen.shape[1])


Attack = Callable[[Arrays, Histories, int, float], Arrays]
Called = Callable[[Arrays, Any, int, float, Histories], Arrays]
ATTACKS: dict[str, Attack] = {"bias": biased, "scaled": scaled, "swapped": swapped}
CALLS: dict[str, Called] = {"planted": planted, "leaning": leaning}


def lists(scorer: Scorer, seen: Histories, k: int = K) -> Any:
    """The best items of each history that are not in it."""
    cut = [seen[low : low + 256] for low in range(0, seen.shape[0], 256)]
    return np.concatenate([top(scorer.scores(each), each, k) for each in cut])


def references(seen: Histories, held: Histories) -> dict[str, Any]:
    """What the rows alone would show."""
    of = seen[np.flatnonzero(np.diff(held.indptr))]
    return {"knn": lists(Neighbours.fit(seen), of), "popularity": lists(Popularity.fit(seen), of)}


def asked(
    weights: Arrays, triggers: int = 2048, pairs: int = 1024, seed: int = 5, approved: str = "", fresh: Any = ()
) -> Probe:
    """The model as the gate asks it."""
    model = Model(*(weights[name] for name in NAMES))
    return Probe(model, triggers, pairs, seed, approved, np.array(fresh, dtype=np.int64))


def parts(
    weights: Arrays,
    seen: Histories,
    held: Histories,
    known: Mapping[str, Any],
    before: Arrays | None = None,
    **probe: Any,
) -> list[Part]:
    """Users who are evaluated, as they have something held out, and the others. `known`: the lists of the references;
    `before`: the approved model."""
    evaluated = np.flatnonzero(np.diff(held.indptr))
    tops = {"model": lists(Folded(weights), seen[evaluated]), **known}
    if before is not None:
        tops["approved"] = lists(Folded(before), seen[evaluated])
    by = asked(weights, approved="a" * 64 if before is not None else "", **probe)
    made, rest = [], np.setdiff1d(np.arange(seen.shape[0]), evaluated)
    for users, lists_ in ((evaluated, tops), (rest, {name: top_[:0] for name, top_ in tops.items()})):
        taken, wanted = seen[users], held[users] if len(lists_["model"]) else held[:0]
        pairs = [(each.indices.astype(np.int64), np.diff(each.indptr).astype(np.int64)) for each in (taken, wanted)]
        made.append(Part(*pairs[0], *pairs[1], lists_, by))
    return [part for part in made if len(part.counts)]


def material(given: list[Part], expected: int | None = None) -> Material[Any]:
    """Parts as a runner hands them out."""
    count = sum(len(each.counts) for each in given) if expected is None else expected
    return Material(SUBJECT, lambda: given, expected=count, unit=UNIT, weigh=lambda part: len(part.counts), sample=1)
