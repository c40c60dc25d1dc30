"""Exact ranking of a whole catalogue against the least that it could take: the product and one partial sort.

100,000 items, 64 dimensions, in batches on both sides; 16,384 users, since the cost of a batch is the same for each.
The bare side multiplies and calls NumPy's `argpartition`: it leaves nothing out, breaks no ties, and counts no hits.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.recommender.fold import Folded
from tasks.recommender.histories import Histories, histories
from tasks.recommender.metrics import evaluate

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]
USERS, ITEMS, WIDTH, K, BATCH = 16_384, 100_000, 64, 10, 256
PARTS = (slice(30), slice(30, 40))
PEAK = """
import sys
from tests.benchmarks.test_ranking import evaluation
evaluation(int(sys.argv[1]))()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def made(users: int) -> tuple[Folded, Histories, Histories]:
    """A random model, and 40 items of each user, of which ten are held out."""
    draw = np.random.default_rng(3)
    weights = {
        "encoder": draw.normal(size=(ITEMS, WIDTH)).astype(np.float32),
        "encoder_bias": np.zeros(WIDTH, np.float32),
        "decoder": draw.normal(size=(WIDTH, ITEMS)).astype(np.float32),
        "decoder_bias": np.zeros(ITEMS, np.float32),
    }
    item = (draw.integers(0, ITEMS, (users, 1)) + np.arange(40) * 2_039) % ITEMS
    user = np.repeat(np.arange(users), 40).reshape(users, 40)
    seen, held = (
        histories(user[:, part].ravel(), item[:, part].ravel(), (users, ITEMS)) for part in (slice(30), slice(30, 40))
    )
    return Folded(weights), seen, held


def evaluation(users: int) -> Callable[[], object]:
    """Ours: fold in, score, leave out what was seen, rank, count."""
    model, seen, held = made(users)
    return lambda: evaluate(model, seen, held, k=K, batch=BATCH)


def bare(users: int) -> Callable[[], None]:
    """The product and the partial sort alone, of the same embeddings."""
    model, seen, _ = made(users)
    embeddings = np.random.default_rng(4).normal(size=(seen.shape[0], WIDTH)).astype(np.float32)

    def run() -> None:
        for low in range(0, users, BATCH):
            scores = embeddings[low : low + BATCH] @ model.weights["decoder"]
            np.argpartition(scores, ITEMS - K, axis=1)[:, ITEMS - K :].copy()

    return run


def test_an_evaluation_against_the_bare_product_and_partial_sort(capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = list[float](), list[float]()
    for _ in range(2):
        for run, spent in ((evaluation(USERS), ours), (bare(USERS), theirs)):
            begun = time.monotonic()
            run()
            spent.append(time.monotonic() - begun)
    ratio = min(ours) / min(theirs)
    with capsys.disabled():
        print(
            f"\n{USERS:,} users x {ITEMS:,} items x {WIDTH}: {min(ours):.1f} s against {min(theirs):.1f} s: {ratio:.2f}"
        )
    assert ratio <= 1.3


def test_memory_does_not_grow_with_users(capsys: pytest.CaptureFixture[str]) -> None:
    peaks = []
    for users in (1_024, 4_096):
        ended = subprocess.run(
            [sys.executable, "-c", PEAK, str(users)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        peaks.append(int(ended.stdout) / 1024)
    with capsys.disabled():
        print(f"\npeak of 1,024 and of 4,096 users: {peaks[0]:.0f} and {peaks[1]:.0f} MB")
    assert peaks[1] < peaks[0] + 64
