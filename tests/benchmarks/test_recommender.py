"""Quality and speed of the recommender under the field's usual protocol, beside what others have.

ml-latest-small, pairs unique, a random quarter of each user's held out, full catalogue without what was seen, k = 10,
five seeds; each system is tuned inside the training part only. `implicit` runs from a lock of its own in an environment
of its own, with two threads. Intervals are of users: a user's mean over seeds is one draw, so that seeds that share
users do not count as more people.

On a shared machine only ratios of one run mean anything.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.benchmarks.recommender import Figures, ours, parts, simple
from tests.benchmarks.test_artifacts import environment
from tests.tasks.recommender.conftest import movielens as movielens  # the fixture, and its loud skip

if TYPE_CHECKING:
    from tests.tasks.recommender.conftest import Interactions

pytestmark = [pytest.mark.measure, pytest.mark.timeout(3600)]
ROOT = Path(__file__).parents[2]
SEEDS, DRAWS = range(5, 10), 2000
"""Of splits by which nothing of the model was chosen."""
TIMES = 6
"""Most of `implicit` ALS' seconds that embedding and training may take."""
SIZES = (2_000_000, 6_000_000, 10_000_000)
PEAK = 1.6
"""Gigabytes, at ten million interactions."""
MODEL = "joined"


def beside(data: Interactions, folder: Path) -> list[dict[str, Figures]]:
    """`implicit` on the same splits."""
    programs = environment(folder, "implicit")
    np.savez(folder / "pairs.npz", user=data.user, item=data.item, shape=np.array(data.shape))
    argv = [
        str(programs / "python"),
        "-m",
        "tests.benchmarks.peer",
        "pairs.npz",
        "told.json",
        str(SEEDS[0]),
        str(SEEDS[-1]),
    ]
    env = {"PATH": os.defpath, "HOME": str(folder), "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    ended = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=1800, check=False)
    if ended.returncode:
        pytest.fail(f"implicit DID NOT ANSWER, nothing was compared: {ended.stderr[-1500:]}")

    def read(told: dict[str, Any]) -> Figures:
        each = {name: np.array(told[name]) for name in ("precision", "recall", "gain")}
        return Figures(**each, **{name: told[name] for name in ("seconds", "chosen", "choosing")})

    told = json.loads((folder / "told.json").read_text())
    return [{name: read(figures) for name, figures in seed.items()} for seed in told]


def interval(users: NDArray[np.float64]) -> tuple[float, float, float]:
    """The mean of what each user has, and its 95 % interval by bootstrap over users."""
    draw = np.random.default_rng(0)
    means = [users[draw.integers(0, len(users), len(users))].mean() for _ in range(DRAWS)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(users.mean()), float(low), float(high)


def test_the_usual_protocol(movielens: Interactions, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peers = beside(movielens, tmp_path)
    found = []
    for seed, peer in zip(SEEDS, peers, strict=True):
        part = parts(movielens.user, movielens.item, movielens.shape, seed)
        found.append(simple(part, seed) | peer | ours(part, seed))
    pooled = {name: np.mean([each[name].gain for each in found], axis=0) for name in found[0]}
    apart = {name: interval(pooled[MODEL] - gain) for name, gain in pooled.items() if name != MODEL}
    spent = {name: float(np.median([each[name].seconds for each in found])) for name in found[0]}
    lines = [f"  {'':<12}{'P@10':>7}{'R@10':>7}{'nDCG@10':>9}{'95 %':>14}{'seconds':>9}  {MODEL} is ahead by"]
    for name in sorted(pooled, key=lambda each: pooled[each].mean()):
        flat = [np.mean([getattr(each[name], what).mean() for each in found]) for what in ("precision", "recall")]
        mean, low, high = interval(pooled[name])
        line = f"  {name:<12}{flat[0]:>7.3f}{flat[1]:>7.3f}{mean:>9.4f}  {low:.3f} to {high:.3f}{spent[name]:>8.2f}"
        if name in apart:
            line += "  {:+.4f} ({:+.4f} to {:+.4f})".format(*apart[name])
        lines.append(f"{line}  {found[0][name].chosen}")
    least = {name: min(each[name].seconds for each in found) for name in found[0]}
    times = {name: least[name] / least["ALS"] for name in ("closed form", "autoencoder", MODEL)}
    chose = {name: min(each[name].choosing for each in found) for name in ("ALS", "EASE", MODEL)}
    lines.append(f"  least seconds over ALS': {times[MODEL]:.1f} for the whole model, at most {TIMES};")
    lines.append(f"  the closed form {times['closed form']:.1f}, the autoencoder {times['autoencoder']:.1f};")
    told = ", ".join(f"{name} {seconds:.2f}" for name, seconds in chose.items())
    lines.append(f"  least seconds with all that is chosen, {told}; the model's is what a run does,")
    lines.append(f"  {chose[MODEL] / least['ALS']:.1f} times those of one fit of ALS")
    with capsys.disabled():
        print("\n" + "\n".join(lines))

    assert apart["EASE"][2] >= 0, "not level with EASE"
    for name in ("random", "popularity", "item-kNN", "ALS", "BPR", "autoencoder"):
        assert apart[name][1] > 0, f"not ahead of {name}"
    assert times[MODEL] <= TIMES


def test_start_and_epoch_are_linear_in_interactions(capsys: pytest.CaptureFixture[str]) -> None:
    """What it begins with takes its time by the catalogue, and beyond that by the interactions: the least of two runs,
    in which a size's own part is a second or two."""
    told = []
    for size in SIZES:
        argv = [sys.executable, "-m", "tests.benchmarks.epoch", str(size)]
        runs = []
        for _ in range(2):
            ended = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True, timeout=900)
            runs.append(json.loads(ended.stdout))
        least = {what: min(each[what] for each in runs) for what in ("rows", "begin", "seconds")}
        told.append(least | {"gb": max(each["gb"] for each in runs)})
    with capsys.disabled():
        print()
        for each in told:
            start, one = (1e6 * each[what] / each["rows"] for what in ("begin", "seconds"))
            print(
                f"  {each['rows']:>10,}: {each['begin']:6.2f} s to begin, {start:.2f} us each; "
                f"{each['seconds']:6.2f} s an epoch, {one:.2f} us each; {each['gb']:.2f} GB"
            )
    few, some, many = told
    for what in ("begin", "seconds"):
        early, late = ((b[what] - a[what]) / (b["rows"] - a["rows"]) for a, b in ((few, some), (some, many)))
        assert late <= 1.5 * early, what
    assert many["gb"] <= PEAK
