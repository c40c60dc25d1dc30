"""Rows that were not published: private while a run works, gone when its ingest stage ends, and after a killed run."""

import os
import signal
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.shell import once
from security.verdict import Effect, Verdict
from tasks.home import Home
from tasks.run import REFUSED, Quiet, Run, current
from tests.small import WINDOW, small

ROOT = Path(__file__).parent.parent.parent
KILLED = """
import sys, time
from flows.shell import once
from tasks import ingest
from tasks.run import Quiet

fetched = ingest.download

def download(*given):
    told = fetched(*given)
    given[-1].flush()
    print("fetched", flush=True)
    time.sleep(600)
    return told

ingest.download = download
once(Quiet(), document=sys.argv[1], policy=sys.argv[2], window=3, deploy=False)
"""


def modes(folder: Path) -> dict[str, int]:
    """Every folder below, with who may open it."""
    return {str(path): stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*")) if path.is_dir()}


@dataclass
class Watcher(Quiet):
    """Looks into quarantine at each gate."""

    seen: list[tuple[str, bool]] = field(default_factory=list)
    open: dict[str, int] = field(default_factory=dict)

    def gate(self, stage: str, verdict: Verdict, effect: Effect, seconds: float) -> None:
        run = current()
        folder = run.home.root / "quarantine" / run.plan.run
        self.seen.append((stage, any(folder.rglob("*.gz"))))
        for place in (folder, run.home.root / "staging" / run.plan.run, run.home.evidence(run.plan.run) / "apart"):
            if place.exists():
                private = place == folder or place.name == "apart"
                found = modes(place) if private else {str(place): stat.S_IMODE(place.stat().st_mode)}
                self.open |= {name: mode for name, mode in found.items() if mode & 0o077}


def ran(watcher: Watcher, **parameters: Any) -> tuple[Any, Run]:
    before = os.umask(0)
    try:
        state, run = once(watcher, deploy=False, **parameters)
    finally:
        os.umask(before)
    assert run is not None
    return state, run


def test_quarantine_is_private_and_ends_with_the_stage(prefect: str) -> None:
    """And whatever comes after needs none of it. Here the umask hides nothing."""
    document, policy = small(name="wiped")
    watcher = Watcher()
    state, run = ran(watcher, document=document, policy=policy, window=WINDOW)
    assert state.is_completed(), state.message
    assert [held for stage, held in watcher.seen if stage == "ingest"] == [False] * 2 + [True] * 6
    assert {held for stage, held in watcher.seen if stage != "ingest"} == {False}
    assert {stage for stage, _ in watcher.seen} == {"ingest", "features", "train", "evaluate"}
    assert watcher.open == {}
    assert not (run.home.root / "quarantine" / run.plan.run).exists()
    apart = run.home.evidence(run.plan.run) / "apart"
    assert modes(apart) == {str(apart): 0o700}
    assert any(apart.iterdir())


def test_a_refused_ingest_leaves_nothing_in_quarantine(prefect: str) -> None:
    document, policy = small(name="wiped", transformations=[])
    watcher = Watcher()
    state, run = ran(watcher, document=document, policy=policy, window=WINDOW)
    assert (state.name, "CON-DUP" in state.message) == (REFUSED, True)
    assert (("ingest", True) in watcher.seen, watcher.open) == (True, {})
    for scheme in ("quarantine", "staging"):
        assert not (run.home.root / scheme / run.plan.run).exists()


def test_what_a_killed_run_left_is_wiped_by_the_next_start(prefect: str, home: Home) -> None:
    document, policy = small(name="killed")
    before = set((home.root / "quarantine").glob("*"))
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, document, policy], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "fetched\n"
            (left,) = set((home.root / "quarantine").glob("*")) - before
            rows = [path for path in left.rglob("*.gz") if path.stat().st_size]
            assert rows
            assert {mode & 0o077 for mode in modes(left).values()} == {0}
            assert home.sweep() == []  # it works
        finally:
            os.kill(child.pid, signal.SIGKILL)
    assert all(path.is_file() for path in rows)
    state, _ = once(Quiet(), document=document, policy=policy, partition="1999-01-01", deploy=False)
    assert state.name == REFUSED
    assert "1999-01-01/, listing: found no object" in state.message
    assert not left.exists()
    assert not (home.root / "staging" / left.name).exists()
