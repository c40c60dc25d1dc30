"""A million users with three items each: what each step from rows to a verdict takes, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.measure, pytest.mark.timeout(3600)]
ROOT = Path(__file__).parents[2]
USERS = 1_000_000
MOST = {"refused": 2000, "prepared": 2500, "begun": 1500, "trained": 2500, "ranked": 2500, "judged": 2500}
"""Megabytes of the process while it is at a step, what is there before included."""


def test_a_million_users_with_three_items_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [sys.executable, "-m", "tests.benchmarks.million", str(USERS), str(tmp_path)]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=3000, check=False)
    assert ended.returncode == 0, ended.stderr[-1500:]
    told = json.loads(ended.stdout.splitlines()[-1])
    with capsys.disabled():
        print(f"\n  {told['said']}")
        for name, took in told["steps"].items():
            print(f"  {name:<9}{took['seconds']:7.1f} s, at most {took['mb']:,.0f} MB ({took['before']:,.0f} before)")
    assert told["said"] == (
        "rows.parquet, user_id: found no user of 1,000,000 with more than 3 of 4,998 items, and nothing to test on; "
        "allowed: users with 5 items or more, whose last are held out"
    )
    assert told["users"] == USERS
    assert set(told["steps"]) == set(MOST)
    assert {name: took["mb"] for name, took in told["steps"].items() if took["mb"] > MOST[name]} == {}
