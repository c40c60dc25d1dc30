"""A look at the lists of a million users: seconds of one processor, memory over what the rows take, bytes of facts.

Beside it the same figures, without intervals, of all rows at once by plain NumPy: what intervals and batches cost.
"""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from security import gate as gates
from security.gates.bias import BiasDetection
from security.gates.bias.gini import gini
from security.gates.bias.items import popular
from security.gates.bias.tally import divergence, popularity
from security.gates.bias.told import said
from security.material import Material
from tests.security.gates.test_bias import LIMITS, SUBJECT, lists

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]
USERS, ITEMS, OWN, K = 1_000_000, 10_000, 20, 10
MEMORY = 400
"""Megabytes that a look may take at once: drawers of the catalogue, and a batch."""


def spent(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, and what came of it."""
    begun = time.process_time()
    done = work()
    return time.process_time() - begun, done


def plain(own: Any, shown: Any) -> tuple[float, float, float, float]:
    """Lift, long-tail share, Gini and calibration of whole matrices [users, items]."""
    counts = np.bincount(own.ravel(), minlength=ITEMS)
    codes, gain = popular(counts).codes, 1 / np.log2(np.arange(2, K + 2))
    gain /= gain.sum()
    exposed = np.bincount(shown.ravel(), np.tile(gain, len(shown)), ITEMS)
    p = np.stack([(codes[own] == group).mean(axis=1) for group in range(3)], axis=1)
    q = np.stack([((codes[shown] == group) * gain).sum(axis=1) for group in range(3)], axis=1)
    lift = counts[shown].mean(axis=1).mean() / counts[own].mean(axis=1).mean() - 1
    return float(lift), float(q[:, 2].mean()), gini(exposed), float(divergence(p, q).mean())


def test_a_look_at_a_million_users(capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(1)
    own = np.minimum((draw.pareto(0.8, (USERS, OWN)) * 40).astype(np.int64), ITEMS - 1)
    shown = np.minimum((draw.pareto(0.8, (USERS, K)) * 40).astype(np.int64), ITEMS - 1)
    columns = {"user": pa.array(np.arange(USERS), pa.int32()), "held": lists(own[:, :1]), "seen": lists(own)}
    rows = pa.record_batch(columns | {"top_model": lists(shown)})
    counts = popularity([rows], ITEMS)
    rows = rows.replace_schema_metadata({b"items": b"10000", b"k": b"10", **said(counts, {})})
    batches = pa.Table.from_batches([rows]).to_batches(max_chunksize=8192)
    opened = Material(
        SUBJECT, lambda: batches, expected=USERS, unit="users", weigh=lambda each: int(each.num_rows), sample=1
    )
    gate = BiasDetection()
    slow, wanted = spent(lambda: plain(own, shown))
    took, facts = spent(lambda: gate.look(opened.handed()[0]))
    found = [facts.lift.value, facts.tail.value, facts.gini.value, facts.groupings["popularity"].calibration.value]
    assert found == pytest.approx(wanted, abs=1e-8)
    tracemalloc.start()
    gate.look(opened.handed()[0])
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    seen = gates.observe(gate, opened, LIMITS)
    with capsys.disabled():
        print(
            f"\n  {USERS:,} users, {ITEMS:,} items: a look {took:.1f} s of processor, at most {peak:.0f} MB;"
            f" plain NumPy of all at once, without intervals, {slow:.1f} s;"
            f" facts of {len(seen.model_dump_json()):,} bytes"
        )
    assert len(seen.canaries) == 2
    assert peak < MEMORY
