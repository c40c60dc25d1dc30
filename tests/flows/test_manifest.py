"""`sluice manifest`: a list of what a checkout's commit holds, and a folder that is held against it elsewhere."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli import main
from security.errors import CannotTell
from security.gates.code import MANIFEST
from security.keys import UnsafeLocalKeys
from tasks import tree
from tests.tasks.checkouts import limits, made, root

__all__ = ["limits", "made", "root"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("ssh-keygen")), reason="needs git and ssh-keygen"),
]
Said = pytest.CaptureFixture[str]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def asked(tmp_path: Path, **limits: Any) -> str:
    (tmp_path / "limits.yaml").write_text(yaml.safe_dump(limits))
    return str(tmp_path / "limits.yaml")


def test_what_is_listed_is_what_the_commit_holds(
    root: Path, limits: dict[str, Any], home: Path, tmp_path: Path, capsys: Said
) -> None:
    out = tmp_path / "list"
    given = asked(tmp_path, signers=limits["signers"])
    assert main(["manifest", str(root), "--limits", given, "--out", str(out)]) == 0
    assert "  6 files of " in capsys.readouterr().out
    image = tmp_path / "image"
    shutil.copytree(root, image, symlinks=True, ignore=shutil.ignore_patterns(".git", "__pycache__"))
    shutil.copy(out, image / MANIFEST)
    key = (home / "trust" / "owner.pub").read_text()
    assert key == UnsafeLocalKeys(home / "keys").public("owner").pem.decode()
    commit, files = tree.signed(root)
    elsewhere = asked(tmp_path, signers=[], manifests=[key], commit=commit)
    assert main(["check", "code_integrity_check", str(image), "--limits", elsewhere]) == 0
    assert f"6/6 files of code, manifest {commit[:12]}" in capsys.readouterr().out
    assert {each.path for each in files} == {
        ".gitignore",
        "link",
        "pkg/__init__.py",
        "pkg/code.py",
        "run",
        "ü.txt",
    }
    (image / "pkg" / "code.py").write_text("evil()\n")
    assert main(["check", "code_integrity_check", str(image), "--limits", elsewhere]) == 1
    assert "CODE-01 (critical) pkg/code.py" in capsys.readouterr().out


def test_what_does_not_pass_is_not_signed(
    root: Path, limits: dict[str, Any], home: Path, tmp_path: Path, capsys: Said
) -> None:
    out = tmp_path / "list"
    assert main(["manifest", str(root), "--out", str(out)]) == 2
    given = asked(tmp_path, signers=limits["signers"])
    (root / "more.py").write_text("evil()\n")
    assert main(["manifest", str(root), "--limits", given, "--out", str(out)]) == 1
    assert "CODE-04 (critical) more.py" in capsys.readouterr().out
    assert not out.exists()
    assert not home.exists()


@pytest.mark.parametrize("how", ["text", "mode", "gone"])
def test_what_changes_after_it_passed_is_not_signed(root: Path, how: str) -> None:
    path = root / "ü.txt"
    {"text": lambda: path.write_text("y"), "mode": lambda: path.chmod(0o755), "gone": path.unlink}[how]()
    with pytest.raises(CannotTell, match="is not as it was committed"):
        tree.signed(root)
