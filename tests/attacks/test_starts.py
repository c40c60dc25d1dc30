"""The service is started by hand on a real model that is signed: the log of its run must show that it was looked at."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.files import ROOT
from deployments.serving.load import load
from deployments.serving.log import LOG, believed
from flows.shell import once
from security.errors import SluiceError
from security.log import kind_of, read
from tasks import process, service
from tasks.run import Quiet, Run

Cut = Callable[[list[bytes], list[str]], list[bytes]]
CUTS: dict[str, tuple[Cut, str]] = {
    "before-the-scores": (lambda lines, kinds: lines[: -1 - kinds[::-1].index("looked")], "nothing that evaluate pub"),
    "without-a-verdict": (lambda lines, kinds: [*lines[:5], *lines[6:]], "does not follow the line before"),
    "without-its-plan": (lambda lines, _: lines[1:], "does not follow the line before"),
    "nothing": (lambda *_: [], "begin with its one plan"),
}


def kept(run: Run, folder: Path) -> Path:
    """The log of a run as the service is handed it."""
    for name, file in service.logs(run.home.evidence(run.plan.run)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / name)
    return folder


def started(run: Run, log: Path) -> tuple[int, str]:
    """What becomes of the command line of a run's candidate with another log: it must not come up."""
    folder = run.home.root / "service" / run.plan.run
    argv, env = process.told(folder / "process.json")
    given = [str(log) if before == "--log" else word for before, word in zip(["", *argv], argv, strict=False)]
    given = [str(log.parent / "ready.json") if a == "--ready" else b for a, b in zip(["", *given], given, strict=False)]
    ended = subprocess.run(given, env=dict(env), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stderr


def test_the_log_that_a_service_was_started_with_is_that_of_its_run(passed: Run) -> None:
    model = load(passed.path(passed.published["model"]), passed.trust.key)
    handed = passed.home.root / "service" / passed.plan.run / "log"
    assert passed.log.path.read_bytes().startswith((handed / LOG).read_bytes())
    of = (passed.trust.key, model.card, model.digest, passed.plan.policy_sha256)
    believed(handed, *of)
    assert believed(passed.log.path.parent, *of) == passed.log.head


@pytest.mark.parametrize(("cut", "why"), CUTS.values(), ids=CUTS)
def test_it_does_not_start_on_half_a_log(cut: Cut, why: str, passed: Run, tmp_path: Path) -> None:
    log = kept(passed, tmp_path / "log")
    lines = (log / LOG).read_bytes().splitlines(keepends=True)
    kinds = [kind_of(each) for each in read(log / LOG, passed.trust.key)[0]]
    (log / LOG).write_bytes(b"".join(cut(lines, kinds)))
    code, told = started(passed, log)
    assert (code, told.count("\n")) == (3, 1), told
    assert re.search(why, told), told


def test_a_model_whose_evaluation_was_refused_is_served_by_nobody(passed: Run, pair: Any, tmp_path: Path) -> None:
    """It is signed and published by its training; only the log says that it is not good enough."""
    document, policy = pair(thresholds={"precision@10": 0.99})
    state, run = once(Quiet(), document=document, policy=policy)
    assert run is not None
    assert "[metric_thresholds] fail" in state.message
    model = load(run.path(run.published["model"]), run.trust.key)
    with pytest.raises(SluiceError, match=r"\[metric_thresholds\] fail: "):
        believed(kept(run, tmp_path), run.trust.key, model.card, model.digest, run.plan.policy_sha256)
