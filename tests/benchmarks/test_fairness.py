"""Figures of a million users by group, against fairlearn's `MetricFrame`: ratios of processor time within one run.

Both get the same four arrays of a value a user, and the same array of groups as numbers, and tell the same to 1e-12.
fairlearn's bootstrap is drawn a few times and counted for a thousand: the figure is extrapolated, and says so.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from security import gate as gates
from security.gates.fairness import FairnessMetrics
from security.gates.fairness.cells import means, moments
from security.gates.fairness.resample import REPLICATES, intervals
from security.material import Material
from tests.security.gates.test_fairness import LIMITS, SUBJECT, made

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]
USERS = 1_000_000
POINT, DRAWN = 400, 1_000
"""How many times faster, at least: means alone, and with a thousand replicates."""
FEW = 2


def spent(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, and what came of it."""
    begun = time.process_time()
    done = work()
    return time.process_time() - begun, done


def values(seed: int) -> tuple[dict[str, Any], Any]:
    """What a million users got, ten places each; and how many items each held."""
    draw = np.random.default_rng(seed)
    held, hits = draw.integers(1, 30, USERS), draw.binomial(10, 0.3, USERS)
    hits = np.minimum(hits, held)
    ndcg, exposure = draw.random(USERS), 8 * draw.random(USERS)
    return {"precision": hits / 10, "recall": hits / held, "ndcg": ndcg, "exposure": exposure}, held


def theirs(found: dict[str, Any], held: Any, codes: Any, **options: Any) -> Any:
    """fairlearn's table, of plain functions: hits are what was predicted, held items what is true."""
    from fairlearn.metrics import MetricFrame

    def precision(y_true: Any, y_pred: Any) -> float:
        return float(np.mean(y_pred)) / 10

    def recall(y_true: Any, y_pred: Any) -> float:
        return float(np.mean(y_pred / y_true))

    def given(y_true: Any, y_pred: Any, value: Any) -> float:
        return float(np.mean(value))

    frame = MetricFrame(
        metrics={"precision": precision, "recall": recall, "ndcg": given, "exposure": given},
        y_true=held,
        y_pred=np.rint(found["precision"] * 10),
        sensitive_features=codes,
        sample_params={name: {"value": found[name]} for name in ("ndcg", "exposure")},
        **options,
    )
    return frame.by_group, frame.overall


@pytest.mark.parametrize("groups", [3, 240])
def test_groups_against_fairlearn(groups: int, capsys: pytest.CaptureFixture[str]) -> None:
    found, held = values(groups)
    codes = np.random.default_rng(7).integers(0, groups, USERS)
    fast, (_, ours) = min((spent(lambda: means(codes, found, groups)) for _ in range(3)), key=lambda each: each[0])
    both = min(spent(lambda: moments(codes, found, groups))[0] for _ in range(3))
    slow, (table, _) = spent(lambda: theirs(found, held, codes))
    for name, mine in ours.items():
        assert np.abs(table[name].to_numpy(dtype=float) - mine).max() <= 1e-12, name
    drawn, _ = spent(lambda: intervals(codes, found, groups))
    options = {"n_boot": FEW, "ci_quantiles": [0.025, 0.975], "random_state": 1}
    few, _ = spent(lambda: theirs(found, held, codes, **options))
    every = slow + REPLICATES * max(few - slow, 0.0) / FEW
    with capsys.disabled():
        print(
            f"\n  {USERS:,} users, {groups} groups, 4 metrics: fairlearn {slow:.1f} s"
            f"\n  means {1000 * fast:.1f} ms, {slow / fast:,.0f} times; target {POINT}"
            f"\n  means, variances and so all intervals that are judged {1000 * both:.1f} ms, {slow / both:,.0f} times"
            f"\n  with {REPLICATES:,} replicates {fast + drawn:.2f} s; fairlearn {every / 3600:.1f} h, extrapolated"
            f" from {FEW} replicates in {few:.0f} s: {every / (fast + drawn):,.0f} times; target {DRAWN:,}"
        )
    assert slow / fast >= POINT
    assert every / (fast + drawn) >= DRAWN


def test_a_look_at_a_million_users(capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(1)
    ages, sexes = np.array(["old", "middle", "young"]), np.array(["f", "m"])
    who = {"age": ages[draw.integers(0, 3, USERS)].tolist(), "sex": sexes[draw.integers(0, 2, USERS)].tolist()}
    batches = pa.Table.from_batches([made(who)]).to_batches(max_chunksize=8192)
    opened = Material(
        SUBJECT, lambda: batches, expected=USERS, unit="users", weigh=lambda each: int(each.num_rows), sample=1
    )
    gate = FairnessMetrics()
    took, seen = spent(lambda: gates.observe(gate, opened, LIMITS))
    judging, verdict = spent(lambda: gates.judge(gate, seen, LIMITS))
    assert verdict.outcome == "pass", verdict.reason
    with capsys.disabled():
        print(
            f"\n  {USERS:,} users from their lists, canaries included: {took:.1f} s; judged in {1000 * judging:.0f} ms;"
            f" {len(seen.model_dump_json()):,} bytes of facts"
        )
