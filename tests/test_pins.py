"""The reason for each version that is held back. A test that starts to fail says that a pin can go, or must move."""

import importlib.metadata
import re
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parent.parent
NAMED = ("prefect", "tensorflow", "pandas", "presidio-analyzer", "evidently", "pip-audit", "fairlearn", "boto3")


def locked(name: str = "requirements.lock") -> dict[str, str]:
    """Package -> version in a lock file."""
    text = (ROOT / name).read_text()
    return {m[1]: m[2] for m in re.finditer(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", text, re.MULTILINE)}


def version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", importlib.metadata.version(name))[:3])


@pytest.mark.parametrize("name", NAMED)
def test_the_named_packages_are_locked_and_installed(name: str) -> None:
    assert locked()[name] == importlib.metadata.version(name)


BESIDE = ["requirements-dev.lock", "requirements-serving.lock"]
PEERS = [
    f"tests/benchmarks/{name}.lock"
    for name in ("modelscan", "modelaudit", "ranx", "implicit", "analyzer", "checkov", "schemathesis")
]


@pytest.mark.parametrize("name", ["requirements.lock", *BESIDE, "tools.lock", *PEERS])
def test_locks_hold_names_and_hashes_only(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line.strip()]
    entry = re.compile(r"[a-z0-9._-]+(\[[a-z0-9,_-]+\])?==[^\s/]+( ; [^/\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [line for line in lines if not entry.fullmatch(line)] == []
    assert all("--hash=" in after for line, after in zip(lines, lines[1:], strict=False) if "==" in line)


def test_the_lock_for_tests_agrees_with_the_lock() -> None:
    mine, dev = locked(), locked("requirements-dev.lock")
    assert {name: dev.get(name) for name in mine} == mine


def test_the_lock_of_the_service_is_a_small_part_of_the_lock() -> None:
    mine, serving = locked(), locked("requirements-serving.lock")
    assert {name: mine.get(name) for name in serving} == serving
    assert not {"tensorflow", "prefect", "pandas", "boto3"} & serving.keys()
    assert 10 < len(serving) < 30


def test_fastapi_is_held_back_because_prefects_client_then_sends_null(prefect: str) -> None:
    """From 0.151 on, bodies that are not Optional are refused when null: `read_flow_runs` answers 422."""
    assert version("fastapi") < (0, 151)
    body = {"sort": "ID_DESC", "limit": 1, "flows": None, "offset": 0}
    reply = httpx.post(f"{prefect}/api/flow_runs/filter", json=body)
    assert reply.status_code == 200, reply.text


def test_sqlalchemy_is_held_back_because_the_scheduler_then_inserts_nothing() -> None:
    """From 2.1 on, Prefect 3.8's bulk statements cannot be evaluated; tests/integration shows that a schedule works."""
    assert (2, 0) <= version("sqlalchemy") < (2, 1)


def test_prefect_is_held_on_the_line_that_was_tried() -> None:
    assert (3, 8, 8) <= version("prefect") < (3, 9)


def test_pandas_is_held_back_because_evidently_cannot_be_imported_otherwise(recwarn: Any) -> None:
    assert version("pandas") < (3, 1)
    code = "import warnings; warnings.simplefilter('ignore'); import evidently; print(evidently.__version__)"
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]


def test_pyopenssl_is_there_because_model_signing_imports_it_undeclared() -> None:
    declared = importlib.metadata.requires("model-signing") or []
    assert not any(line.lower().startswith("pyopenssl") for line in declared)
    import model_signing.signing  # noqa: F401


def test_moto_is_pinned_exactly_because_the_lake_replaces_a_part_of_it() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert "moto[s3]==5.2.5" in wanted
    from moto.s3.models import FakeBucket

    assert callable(FakeBucket.get_permission)
