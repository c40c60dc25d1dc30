"""The service's own packages: what its lock names, at its versions, and nothing else that lies here."""

import base64
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.errors import BadInput, PlanError, StoreError
from tasks import lock, process, service, tree
from tests.deployments.serving.release import site

HASH = f"--hash=sha256:{'a' * 64}"
SERVED = "deployments.serving.app, deployments.serving.load, deployments.serving.token, uvicorn, numpy"


def sealed() -> str:
    return hashlib.sha256(lock.SERVING.read_bytes()).hexdigest()


def written(folder: Path, patch: pytest.MonkeyPatch, text: str) -> str:
    """Another lock for the service; its digest."""
    path = folder / "some.lock"
    path.write_text(text)
    patch.setattr(lock, "SERVING", path)
    return sealed()


def tried(packages: Path, code: str) -> tuple[int, str]:
    """Exit code and last line of an interpreter that begins as the service does, and runs this."""
    argv = service.argv(tree.PIPELINE, packages, [])
    begin = service.BEGIN.replace('runpy.run_module("deployments.serving", run_name="__main__", alter_sys=True)', code)
    assert begin != service.BEGIN
    argv[argv.index(service.BEGIN)] = begin
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=service.env())
    return ended.returncode, (ended.stdout + ended.stderr).strip().splitlines()[-1:][0]


def test_what_the_lock_does_not_name_cannot_be_imported(tmp_path: Path) -> None:
    made = service.packages(tmp_path, sealed())
    assert tried(made, f"import {SERVED}; print('here')") == (0, "here")
    for name in ("tensorflow", "prefect", "boto3", "pip", "pyarrow", "pytest", "_pytest"):
        assert __import__(name), "it lies here, so that it is the service's environment that leaves it out"
        code, said = tried(made, f"import {name}")
        assert (code, said) == (1, f"ModuleNotFoundError: No module named '{name}'")
    listed = {dist.name for dist in importlib.metadata.distributions(path=[str(made)])}
    assert tried(made, "import importlib.metadata as m; print(len({d.name for d in m.distributions()}))") == (
        0,
        str(len(listed)),
    )
    assert {"numpy", "uvicorn"} <= listed
    assert not {"tensorflow", "prefect", "sluice-ml"} & listed


def test_nothing_of_this_process_comes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variables, nor the folder that it is started in, nor files that run code at the start."""
    made = service.packages(tmp_path, sealed())
    (tmp_path / "here.py").write_text("")
    (made / "evil.pth").write_text("import sys; sys.exit(7)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert tried(made, "import here") == (1, "ModuleNotFoundError: No module named 'here'")
    code, said = tried(made, "import os; print(sorted(os.environ.keys() - {'PATH', 'LANG', 'TMPDIR', 'LC_CTYPE'}))")
    assert (code, said) == (0, "[]")


def test_it_is_the_lock_that_the_plan_has_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = f"found SHA-256 {sealed()[:12]}; allowed: SHA-256 {'0' * 12}, as the plan has it"
    with pytest.raises(PlanError, match=wanted):
        service.packages(tmp_path, "0" * 64)
    with pytest.raises(PlanError, match=r"found SHA-256 .*allowed: one that the policy names, in `within`"):
        service.packages(tmp_path, "")
    monkeypatch.setattr(lock, "SERVING", tmp_path / "none.lock")
    with pytest.raises(PlanError, match=r"none\.lock: found no such lock; allowed: SHA-256 000000000000"):
        service.packages(tmp_path, "0" * 64)
    assert not (tmp_path / service.PACKAGES).exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"numpy==0.1 {HASH}\n", r"some\.lock, numpy: found version [\d.]+; allowed: version 0\.1, as it is locked"),
        (f"nowhere==1.0 {HASH}\n", "nowhere: found no such package installed; allowed: version 1.0"),
    ],
)
def test_a_package_that_is_not_here_as_it_is_locked_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    told = written(tmp_path, monkeypatch, text)
    with pytest.raises(BadInput, match=said):
        service.packages(tmp_path, told)


META = "odd-1.0.dist-info/METADATA,,\n"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("", "odd: found no record of its files"),
        ("../../bin/odd,,\n", "odd: found no record of its files"),
        ("/bin/odd,,\n", "odd: found no record of its files"),
        (f"numpy/contrib/__init__.py,,\n{META}", "numpy: found numpy, which odd has too; allowed: files and folders"),
        (f"odd/one.py,,\n{META}", r"odd: found odd/two\.py, which its record does not list; allowed: what it lists"),
        (f"odd/one.py,,\nodd/two.py,,\n{META}", "odd: found odd/link, which its record does not list"),
    ],
)
def test_a_package_whose_folders_are_not_its_own_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: str, said: str
) -> None:
    site = tmp_path / "site-packages"
    folder = site / "odd-1.0.dist-info"
    folder.mkdir(parents=True)
    (site / "odd").mkdir()
    for name in ("one.py", "two.py"):
        (site / "odd" / name).touch()
    (site / "odd" / "link").symlink_to(tmp_path)
    (folder / "METADATA").write_text("Metadata-Version: 2.4\nName: odd\nVersion: 1.0\n")
    (folder / "RECORD").write_text(record)
    monkeypatch.setattr(process, "packages", lambda known=process.packages: [*known(), str(site)])
    at = importlib.metadata.version("numpy")
    told = written(tmp_path, monkeypatch, f"numpy=={at} {HASH}\nodd==1.0 {HASH}\n")
    with pytest.raises(BadInput, match=rf"some\.lock, {said}"):
        service.packages(tmp_path, told)


def test_what_was_read_once_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other bytes say something else, though nothing else of the file has changed."""
    site = tmp_path / "site-packages"
    folder = site / "odd-1.0.dist-info"
    folder.mkdir(parents=True)
    (site / "one.py").touch()
    (site / "two.py").touch()
    monkeypatch.setattr(process, "packages", lambda known=process.packages: [*known(), str(site)])
    told = written(tmp_path, monkeypatch, f"odd==1.0 {HASH}\n")

    def say(record: str, version: str) -> None:
        for name, text in (("RECORD", record), ("METADATA", f"Metadata-Version: 2.4\nName: odd\nVersion: {version}\n")):
            (folder / name).write_text(text)
            os.utime(folder / name, ns=(1, 1))

    for count, record in enumerate(("one.py,,\n", "two.py,,\n", "one.py,,\n")):
        say(record, "1.0")
        at = tmp_path / str(count)
        at.mkdir()
        assert [path.name for path in service.packages(at, told).iterdir()] == [record[:6]]
    say("one.py,,\n", "2.0")
    with pytest.raises(BadInput, match=r"odd: found version 2\.0; allowed: version 1\.0"):
        service.packages(tmp_path, told)


@given(st.text("a./", max_size=6))
def test_the_first_name_of_a_path_is_that_of_pathlib(path: str) -> None:
    parts = PurePosixPath(path).parts
    if parts:
        assert service._top(path) == parts[0]
    else:
        with pytest.raises(IndexError):
            service._top(path)


def test_a_finder_that_a_package_has_put_first_finds_nothing_for_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate asks Python's own finder; what another says, nobody has looked at."""

    class First(importlib.metadata.DistributionFinder):
        def find_distributions(self, context: object = None) -> list[importlib.metadata.Distribution]:
            raise AssertionError("asked")

        def find_spec(self, *_: object) -> None:
            return None

    monkeypatch.setattr(sys, "meta_path", [First(), *sys.meta_path])
    assert (service.packages(tmp_path, sealed()) / "numpy").is_symlink()


def test_without_a_variable_of_its_own_the_service_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATH", "LANG", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    record, log = tmp_path / "record.json", tmp_path / "log"
    argv = [sys.executable, "-I", "-S", "-c", "import os; print(sorted(os.environ))"]
    process.start(argv, record, log, service.env())
    deadline = time.monotonic() + 20
    while not log.read_text().endswith("\n") and time.monotonic() < deadline:
        time.sleep(0.02)
    process.stop(record)
    assert "AWS_SECRET_ACCESS_KEY" not in log.read_text()
    assert log.read_text().startswith("[")


def test_it_serves_on_the_packages_of_its_lock(tmp_path: Path) -> None:
    with site(tmp_path).serve() as running:
        assert httpx.get(f"{running.url}/healthz", trust_env=False).status_code != 500
        maps = Path(f"/proc/{running.pid}/maps").read_text()
    assert "numpy" in maps
    assert "tensorflow" not in maps


def told(folder: Path, *stages: str) -> Path:
    """The first statement of a log: a plan of these stages."""
    folder.mkdir(parents=True, exist_ok=True)
    predicate = {"plan": {"matrix": dict.fromkeys(stages, {})}}
    payload = base64.b64encode(json.dumps({"predicate": predicate}).encode()).decode()
    (folder / "log.jsonl").write_text(json.dumps({"payload": payload}) + "\n")
    return folder / "log.jsonl"


def test_the_service_is_handed_the_same_logs_however_often_they_are_deployed(tmp_path: Path) -> None:
    """An image that is built anew after a refusal is the same: what was waived for it, or approved, is still of it."""
    again = tmp_path / "predecessor"
    evaluated = again / "predecessor"
    logs = {"log.jsonl": told(evaluated, "evaluate", "deploy")}
    logs["predecessor/log.jsonl"] = told(evaluated / "predecessor", "ingest", "features", "train")
    told(again, "deploy")
    told(tmp_path, "deploy")
    assert service.logs(evaluated) == service.logs(again) == service.logs(tmp_path) == logs
    with pytest.raises(StoreError, match=r"found no log\.jsonl"):
        service.logs(tmp_path / "absent")
