"""Detection: hostile models through ours, ModelScan and ModelAudit, and sound ones, which none should refuse.

Each comparator is installed by its own lock into an environment of its own, and asked once over everything, as its
makers mean it to be asked. What is asserted: ours refuses all that is hostile, and so all that they find, and takes all
that is sound. The table says what they miss. ModelAudit's extra for TensorFlow is left out: with it, it says that it
cannot read a graph.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from security.gate import judge, observe
from security.gates.artifact import ModelArtifactScan
from security.keys import UnsafeLocalKeys
from security.verdict import Outcome
from tasks import artifact as opener
from tests.deployments.serving import release
from tests.security.gates.artefacts import ALL, DENIED, corpus
from tests.security.gates.test_exported import SOUND, framework

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]
HERE = Path(__file__).parent
PEERS = ("modelscan", "modelaudit")
LIMITS: dict[str, Any] = {"formats": ALL}
KNOWN = {"modelscan": ("a pickle", "keras lambda", "ReadFile in graph"), "modelaudit": ("a pickle", "keras lambda")}
"""What each finds by its own account: if it does not here, it was not asked rightly."""


def environment(folder: Path, name: str) -> Path:
    """The folder of programs of a new environment in which a comparator is installed."""
    uv, target = Path(sys.executable).with_name("uv"), folder / f"{name}-env"
    steps = [
        [str(uv), "venv", "-q", "--python", sys.executable, str(target)],
        [str(uv), "pip", "install", "-q", "--python", str(target / "bin" / "python"), "--require-hashes", "-r",
         str(HERE / f"{name}.lock")],
    ]  # fmt: skip
    for step in steps:
        ended = subprocess.run(step, capture_output=True, text=True, timeout=900, check=False)
        if ended.returncode:
            pytest.fail(f"{name} COULD NOT BE INSTALLED, nothing was compared: {ended.stderr[-1500:]}")
    return target / "bin"


def asked(name: str, programs: Path, models: Path, folder: Path) -> tuple[set[str], set[str], float]:
    """The models in which a comparator finds something, those that it could not read, and the seconds it took."""
    out = folder / f"{name}.json"
    argv = {
        "modelscan": ["-p", str(models), "-r", "json", "-o", str(out)],
        "modelaudit": ["scan", str(models), "--strict", "--format", "json", "--output", str(out)],
    }[name]
    env = {"PATH": os.defpath, "HOME": str(folder), "NO_ANALYTICS": "1", "CI": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    begun = time.monotonic()
    subprocess.run([str(programs / name), *argv], env=env, capture_output=True, timeout=900, check=False)
    spent = time.monotonic() - begun
    if not out.exists():
        pytest.fail(f"{name} DID NOT ANSWER, nothing was compared")
    told = json.loads(out.read_text())

    def of(places: list[str]) -> set[str]:
        return {place.removeprefix(f"{models}/").split("/")[0] for place in places}

    if name == "modelscan":
        found = of([each["source"] for each in told["issues"]])
        return found, of([each.get("source") or "" for each in told["errors"]]) - found, spent
    loud = [each for each in told["issues"] if each["severity"] in ("warning", "critical")]
    return of([each["location"] or "" for each in loud]), set(), spent


def test_all_that_they_find_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = tmp_path / "models"
    hostile, sound = dict[str, str](), dict[str, str]()
    for number, (name, (_, files)) in enumerate(corpus().items()):
        hostile[f"{number:03d}"] = name
        for path, data in files.items():
            (models / f"{number:03d}" / path).parent.mkdir(parents=True, exist_ok=True)
            (models / f"{number:03d}" / path).write_bytes(data)
    framework(str(tmp_path / "made"))
    for number, path in enumerate(sorted((tmp_path / "made" / "hostile").iterdir())):
        hostile[f"made{number:02d}"] = f"by the framework: {path.name}"
        path.rename(models / f"made{number:02d}")
    for name in SOUND:
        sound[f"sound-{name}"] = name
        (tmp_path / "made" / "sound" / name).rename(models / f"sound-{name}")
    release.write(models / "sound-release", UnsafeLocalKeys(tmp_path / "keys").signer("producer"))
    sound["sound-release"] = "a release of ours"

    gate, begun = ModelArtifactScan(), time.monotonic()
    mine = {
        each.name: judge(gate, observe(gate, opener.opened(each, LIMITS), LIMITS), LIMITS).outcome
        for each in models.iterdir()
    }
    spent = {"ours": time.monotonic() - begun}
    found = {"ours": {name for name, outcome in mine.items() if outcome is Outcome.FAIL}}
    unread = dict[str, set[str]]()
    for peer in PEERS:
        programs = environment(tmp_path, peer)
        found[peer], unread[peer], spent[peer] = asked(peer, programs, models, tmp_path)
        shutil.rmtree(programs.parent)  # two gigabytes
    with capsys.disabled():
        print("\n" + "\n".join(_table(hostile, sound, found, unread, spent)))

    assert mine.keys() == hostile.keys() | sound.keys()
    for peer in PEERS:
        names = {hostile[each] for each in found[peer] & hostile.keys()}
        assert {*KNOWN[peer]} <= names, f"{peer} did not find what it says it finds"
        assert found[peer] & hostile.keys() <= found["ours"]
    assert {name for name, outcome in mine.items() if outcome is Outcome.PASS} == sound.keys()
    assert found["ours"] == hostile.keys()


def _table(
    hostile: dict[str, str],
    sound: dict[str, str],
    found: dict[str, set[str]],
    unread: dict[str, set[str]],
    spent: dict[str, float],
) -> list[str]:
    """How many each finds, of what, and what they miss."""
    rows: dict[str, list[str]] = defaultdict(list)
    for each, name in hostile.items():
        word = name.split(" in ")[0]
        rows[f"{word}, in each place" if word in DENIED else name].append(each)
    lines = [f"  {'hostile':<54}{'of':>4}{'ours':>6}{'modelscan':>11}{'modelaudit':>12}"]
    for name, held in rows.items():
        counts = [len(found[who] & {*held}) for who in ("ours", *PEERS)]
        lines.append(f"  {name[:53]:<54}{len(held):>4}{counts[0]:>6}{counts[1]:>11}{counts[2]:>12}")
    total = [len(found[who] & hostile.keys()) for who in ("ours", *PEERS)]
    lines.append(f"  {'all that is hostile':<54}{len(hostile):>4}{total[0]:>6}{total[1]:>11}{total[2]:>12}")
    false = [len(found[who] & sound.keys()) for who in ("ours", *PEERS)]
    lines.append(f"  {'sound, and refused':<54}{len(sound):>4}{false[0]:>6}{false[1]:>11}{false[2]:>12}")
    lines.append(f"  could not be read by modelscan, and no finding: {len(unread['modelscan'])}")
    lines.append("  seconds: " + ", ".join(f"{who} {seconds:.1f}" for who, seconds in spent.items()))
    return lines
