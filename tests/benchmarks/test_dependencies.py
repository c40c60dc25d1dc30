"""A lock of 200 packages through both engines, against one bare run of pip-audit over the same service.

Ratios of wall time within one run, beside the target; what is asserted is that both looked at every package. Ours is
the whole gate: the engine's process started as the opener starts it, the advisories loaded from disk, three looks (the
lock and two canaries), our own matcher, the engine. What its opener writes, the bill of materials, is told beside it.
"""

import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from security.advisories import mirror
from security.advisories.server import serving
from security.engines import audit
from security.gate import judge, observe
from security.gates.dependencies import DependencyScanning, Dist, Pin, bill, lines, material, read
from security.verdict import Outcome, Subject
from tests.security.advisories.test_mirror import fetched

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]
ROOT = Path(__file__).parent.parent.parent
NOW = "2026-11-29T00:00:00Z"
PACKAGES, TIMES, TARGET = 200, 5, 1.5
SUBJECT = Subject(kind="lock", name="requirements.lock", sha256="0" * 64)
LIMITS: dict[str, Any] = {
    "allowed": "UnsafeAnyName",
    "licences": "UnsafeAnyLicence",
    "index": False,
    "UnsafeClock": "2024-10-12T00:00:00Z",
}


def test_both_engines_against_one_bare_run(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    advisories = fetched(shared, tmp_path)
    found = [read(line) for line in lines((ROOT / "requirements.lock").read_text())]
    pins = [each for each in found if isinstance(each, Pin) and each.applies][:PACKAGES]
    text = "".join(f"{pin.name}=={pin.version} --hash=sha256:{pin.hashes[0]}\n" for pin in pins)
    (tmp_path / "lock").write_text(text)
    dists = [Dist(name=pin.name, version=pin.version, direct=False, licence="") for pin in pins]

    def bare(url: str) -> float:
        command = [sys.executable, "-m", "pip_audit", "-r", str(tmp_path / "lock"), "--require-hashes", "--disable-pip"]
        command += ["-s", "osv", "--osv-url", url, "-f", "json", "--progress-spinner", "off"]
        begun = time.monotonic()
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        spent = time.monotonic() - begun
        assert len(json.loads(ended.stdout)["dependencies"]) == PACKAGES
        return spent

    begun = time.monotonic()
    listed = bill.made(dists, {}, NOW, root="here")
    billed = time.monotonic() - begun

    def ours() -> float:
        audit._worker().stop()
        mirror._loaded.cache_clear()
        begun = time.monotonic()
        audit.start()
        known = mirror.load(advisories)
        made = material(SUBJECT, text, known, NOW, dists=dists, expected=2 * PACKAGES, bill=listed)
        told = judge(DependencyScanning(), observe(DependencyScanning(), made, LIMITS, random.Random(1)), LIMITS)
        spent = time.monotonic() - begun
        assert told.outcome is Outcome.PASS, told.reason
        assert told.reason.startswith(f"{2 * PACKAGES}/{2 * PACKAGES} packages")
        return spent

    with serving(mirror.load(advisories)) as url:
        pairs = [(bare(url), ours()) for _ in range(TIMES)]
    ratio = statistics.median(mine / theirs for theirs, mine in pairs)
    with capsys.disabled():
        seconds = statistics.median(mine for _, mine in pairs), statistics.median(theirs for theirs, _ in pairs)
        print(f"\n{PACKAGES} packages: {seconds[0]:.2f} s, bare pip-audit {seconds[1]:.2f} s; ", end="")
        print(f"{ratio:.2f} times; target {TARGET}; the bill of materials is written once, in {billed:.2f} s")
