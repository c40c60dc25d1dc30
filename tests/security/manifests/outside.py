"""Other people's tools, each in an environment of its own, by a lock of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

LOCKS = Path(__file__).parent.parent.parent / "benchmarks"


def environment(folder: Path, name: str) -> Path:
    """The folder of programs of a new environment in which a tool is installed."""
    uv, target = Path(sys.executable).with_name("uv"), folder / f"{name}-env"
    python, lock = str(target / "bin" / "python"), str(LOCKS / f"{name}.lock")
    for step in (
        [str(uv), "venv", "-q", "--python", sys.executable, str(target)],
        [str(uv), "pip", "install", "-q", "--python", python, "--require-hashes", "-r", lock],
    ):
        ended = subprocess.run(step, capture_output=True, text=True, timeout=900, check=False)
        if ended.returncode:
            pytest.fail(f"{name} COULD NOT BE INSTALLED, nothing was compared: {ended.stderr[-1500:]}")
    return target / "bin"
