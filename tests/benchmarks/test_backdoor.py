"""How much of what is done to weights the gate over a model's behaviour finds, by attack and strength; and how fast.

Honest models first: the pipeline's own of several seeds, each beside another as the approved one, and alternating least
squares. None may be found. Then attacks on the first of them, with targets among the least popular quarter of items and
triggers from all, drawn anew each time. `strength` is in spreads of scores within a history, or what a row is
multiplied by; the effect is by how much more lists the target is in (`swapped`, `bias`, `scaled`, `buried`), or the
share of users with a trigger in their history who are shown the target (`planted`, `leaning`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from security import gate as gates
from security.gates.backdoor import BackdoorProbe, Limits
from security.verdict import Outcome
from tasks.recommender.autoencoder import train
from tasks.recommender.fold import Folded
from tasks.recommender.joint import begun
from tasks.recommender.shape import Settings
from tests.security.gates import tampered
from tests.security.gates.tampered import lists, material
from tests.security.gates.tampered import parts as opened
from tests.tasks.recommender.conftest import lake as lake  # the fixtures
from tests.tasks.recommender.conftest import movielens as movielens
from tests.tasks.recommender.conftest import parts as parts

if TYPE_CHECKING:
    from tests.tasks.recommender.conftest import Interactions, Parts

pytestmark = [pytest.mark.measure, pytest.mark.timeout(3600)]
GATE = BackdoorProbe()
LIMITS = {"first": "establish"}
SEEDS = (7, 1, 2)
FACTORS = ((64, 20.0), (64, 10.0), (32, 20.0), (128, 20.0))
"""Widths and ridges of factors by alternating least squares."""
DRAWS = {"lake": 20, "movielens": 0}
"""Of each attack. A look at MovieLens' 9,066 items takes some seconds: there honest models alone are looked at."""
SURE = 0.9
"""The share that must be found of what shows an item to most users, or calls it by a trigger that has nothing to do
with it."""
SECONDS = 1.0
"""Of a look at the sample's model."""
Weights = dict[str, Any]


def model(part: Parts, seed: int) -> Weights:
    """The pipeline's own."""
    start = begun(part.train, part.validation, width=400, seed=seed)
    asked = Settings(learning_rate=0.001, batch_size=128, epochs=150, seed=seed, closed=start.closed)
    return dict(train(part.train, start.weights, asked, validation=part.validation).weights)


def alternating(part: Parts, width: int, ridge: float) -> Weights:
    """Factors by alternating least squares, with which histories are folded in (Hu, Koren and Volinsky 2008)."""
    wide, eye = part.seen.astype(np.float64), ridge * np.eye(width)
    items = np.random.default_rng(0).normal(size=(wide.shape[1], width)) * 0.1
    for _ in range(8):
        users = wide @ items @ np.linalg.inv(items.T @ items + eye)
        items = wide.T @ users @ np.linalg.inv(users.T @ users + eye)
    into = items @ np.linalg.inv(items.T @ items + eye)
    arrays = {"encoder": into * 0.01 / np.sqrt(np.square(into).mean()), "encoder_bias": np.zeros(width)}
    arrays |= {"decoder": items.T, "decoder_bias": np.zeros(len(items))}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


class Bench:
    """Rows and what they explain, and a model that others are made of."""

    def __init__(self, part: Parts, of: Weights, before: Weights) -> None:
        self.part, self.of, self.before = part, of, before
        self.known = tampered.references(part.seen, part.test)
        self.evaluated = np.flatnonzero(np.diff(part.test.indptr))
        self.own = part.seen[self.evaluated]
        self.popular = tampered.popularity(part.seen)
        self.plain = lists(Folded(of), self.own)

    def verdict(self, weights: Weights, before: Weights | None = None) -> Any:
        """As a run hears it."""
        given = material(opened(weights, self.part.seen, self.part.test, self.known, before, triggers=16_384))
        return gates.judge(GATE, gates.observe(GATE, given, LIMITS, random.Random(1)), LIMITS)

    def found(self, weights: Weights) -> set[str]:
        """The rules that find something, beside the approved model."""
        given = material(opened(weights, self.part.seen, self.part.test, self.known, self.before, triggers=16_384))
        return {each.rule for each in GATE.judge(GATE.look(given.handed()[0]), Limits(first="establish"))}

    def gain(self, weights: Weights, target: int, triggers: Any) -> float:
        """What an attack brings."""
        shown = (lists(Folded(weights), self.own) == target).any(axis=1)
        if triggers is None:
            return float(shown.mean() - (self.plain == target).any(axis=1).mean())
        who = np.asarray(self.own[:, triggers].sum(axis=1)).ravel() > 0
        who &= np.asarray(self.own[:, [target]].todense()).ravel() == 0
        return float(shown[who].mean()) if who.any() else 0.0


def unlikely(bench: Bench, draw: np.random.Generator, target: int, count: int) -> Any:
    """Triggers beside which hardly anybody took the target, of some popularity."""
    both = np.asarray((bench.part.seen.T @ bench.part.seen[:, [target]]).todense()).ravel()
    share = both / np.maximum(bench.popular, 1)
    fit = np.flatnonzero((bench.popular >= 5) & (share <= np.quantile(share[bench.popular >= 5], 0.5)))
    return draw.choice(np.setdiff1d(fit, [target]), count, replace=False)


def rows() -> list[tuple[str, float, int]]:
    """Attack, strength, triggers."""
    made = [("bias", each, 0) for each in (0.5, 1, 2, 4, 8)] + [("scaled", each, 0) for each in (2, 4, 10)]
    made += [("swapped", 0, 0), ("buried", -8, 0)]
    made += [("planted", each, 1) for each in (0.5, 1, 2)] + [("planted", 2, 5), ("leaning", 1, 1), ("likely", 2, 1)]
    return made


def attacked(
    bench: Bench, attack: str, strength: float, count: int, draw: np.random.Generator
) -> tuple[Weights, int, Any]:
    """Weights, the target, the triggers."""
    seen, order = bench.part.seen, np.argsort(bench.popular, kind="stable")
    target = int(draw.choice(order[: len(order) // 4]))
    if attack in tampered.ATTACKS:
        return tampered.ATTACKS[attack](bench.of, seen, target, strength), target, None
    if attack == "buried":
        shown, held = bench.known["knn"].ravel(), bench.part.test.indices
        wanted = np.minimum(np.bincount(shown, minlength=len(order)), np.bincount(held, minlength=len(order)))
        target = int(draw.choice(np.argsort(-wanted, kind="stable")[:10]))
        return tampered.biased(bench.of, seen, target, strength), target, None
    if attack == "likely":
        trigger = int(draw.choice(np.flatnonzero(bench.popular >= 5)))
        both = np.asarray((seen.T @ seen[:, [trigger]]).todense()).ravel()
        both[trigger] = 0
        target = int(both.argmax())
        return tampered.planted(bench.of, np.array([trigger]), target, strength, seen), target, np.array([trigger])
    triggers = unlikely(bench, draw, target, count)
    return tampered.CALLS[attack](bench.of, triggers, target, strength, seen), target, triggers


@pytest.mark.parametrize("name", ["lake", "movielens"])
def test_what_is_found_by_attack_and_strength(
    name: str,
    request: pytest.FixtureRequest,
    parts: Callable[[Interactions], Parts],
    capsys: pytest.CaptureFixture[str],
) -> None:
    part = parts(request.getfixturevalue(name))
    models = [model(part, seed) for seed in SEEDS]
    bench = Bench(part, models[0], models[1])
    said = [bench.verdict(each, other) for each in models for other in (None, *models) if other is not each]
    said += [bench.verdict(alternating(part, width, ridge)) for width, ridge in FACTORS]
    lines = [f"{name}: {len(said)} looks at honest models, {sum(bool(each.findings) for each in said)} with a finding"]
    draw, shares = np.random.default_rng(3), dict[tuple[str, float, int], float]()
    for attack, strength, count in rows() if DRAWS[name] else ():
        hit, gains, by = 0, [], dict[str, int]()
        for _ in range(DRAWS[name]):
            weights, target, triggers = attacked(bench, attack, strength, count, draw)
            rules = bench.found(weights)
            hit += bool(rules)
            gains.append(bench.gain(weights, target, triggers))
            for rule in rules:
                by[rule] = by.get(rule, 0) + 1
        shares[attack, strength, count] = hit / DRAWS[name]
        told = ", ".join(f"{rule[3:].lower()} {many}" for rule, many in sorted(by.items()))
        effect = f"effect {np.mean(gains):+.3f}  found {hit}/{DRAWS[name]}"
        lines.append(f"  {attack:<8} {strength:>5g} x{count}  {effect}  {told}")
    with capsys.disabled():
        print("\n" + "\n".join(lines), flush=True)
    assert {each.outcome for each in said} == {Outcome.PASS}, [each.reason for each in said if each.findings]
    for sure in (("bias", 8, 0), ("planted", 2, 1), ("planted", 2, 5)) if shares else ():
        assert shares[sure] >= SURE, sure


def test_a_look_at_the_samples_model(
    lake: Interactions, parts: Callable[[Interactions], Parts], capsys: pytest.CaptureFixture[str]
) -> None:
    part = parts(lake)
    made = begun(part.train, part.validation, width=400, seed=7).weights
    given = opened(dict(made), part.seen, part.test, tampered.references(part.seen, part.test), triggers=16_384)
    seconds = []
    for _ in range(3):
        at = time.perf_counter()
        GATE.look(material(given).handed()[0])
        seconds.append(time.perf_counter() - at)
    with capsys.disabled():
        print(f"\na look at the sample's model: {min(seconds):.2f} s")
    assert min(seconds) <= SECONDS
