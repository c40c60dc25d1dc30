"""Training on so many generated interactions in a process of its own: seconds of what it begins with, of an epoch, and
peak of memory, as JSON.

`python -m tests.benchmarks.epoch INTERACTIONS`. Each user takes 150 of 4,000 items, and one more that is held out.
The peak is the kernel's `VmHWM`. The second epoch counts: the first pays for the start of TensorFlow's threads.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from tasks.recommender.autoencoder import train
from tasks.recommender.histories import Histories
from tasks.recommender.joint import begun
from tasks.recommender.shape import Settings
from tests.benchmarks.recommender import WIDTH

ITEMS, EACH, PLACES = 4_000, 150, 25


def made(interactions: int) -> tuple[Histories, Histories]:
    """What is trained on and what is held out: from each of 151 strips of the catalogue every user takes one item, the
    last of them held out. No pair occurs twice, nothing is sorted."""
    users, draw = interactions // EACH, np.random.default_rng(7)
    strips = np.arange(EACH + 1, dtype=np.int32) * PLACES
    place = (draw.random((users, EACH + 1), dtype=np.float32) ** 2 * PLACES).astype(np.int32)
    item = strips + place
    return _each(item[:, :EACH]), _each(item[:, EACH:])


def _each(item: NDArray[np.int32]) -> Histories:
    """Histories of users with as many items each, [users, items of each]."""
    users, each = item.shape
    ends = np.arange(users + 1, dtype=np.int64) * each
    return csr_matrix((np.ones(item.size, dtype=np.float32), item.ravel(), ends), shape=(users, ITEMS))


def main() -> None:
    """The start, and two epochs."""
    rows, held = made(int(sys.argv[1]))
    clock = time.perf_counter()
    start = begun(rows, held, width=WIDTH, seed=0)
    begin = time.perf_counter() - clock
    settings = Settings(learning_rate=0.001, batch_size=128, epochs=2, closed=start.closed)
    seconds = train(rows, start.weights, settings).progress[1].seconds
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if peak is None:
        raise SystemExit("the kernel tells no VmHWM")
    print(json.dumps({"rows": int(rows.nnz), "begin": begin, "seconds": seconds, "gb": int(peak[1]) * 1024 / 1e9}))


if __name__ == "__main__":
    main()
