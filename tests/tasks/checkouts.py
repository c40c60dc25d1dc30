"""Checkouts for tests, and what the gate over code says of them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from security.gate import judge, observe
from security.gates.code import CodeIntegrity
from security.verdict import Outcome, Verdict
from tasks import tree
from tests.security.engines.test_git import commit, git, key

GATE = CodeIntegrity()
SOURCE = "def answer():\n    return 42\n"
Limits = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkout of one signed commit, bytecode of its source, and two keys."""
    folder = tmp_path_factory.mktemp("made")
    root = folder / "checkout"
    files(root)
    git(root, "init", "-q", "-b", "main")
    for name in ("mine", "other"):
        key(folder, name)
    commit(root, "first", folder / "mine")
    compiled(root)
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A checkout of one's own."""
    shutil.copytree(made, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path / "checkout"


@pytest.fixture
def limits(root: Path, tmp_path: Path) -> Limits:
    return {"signers": signers(tmp_path / "mine"), "imported": False}


def files(root: Path) -> None:
    """A package, a script that runs, a link, and a name that is not ASCII."""
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "__init__.py").write_text("")
    (root / "pkg" / "code.py").write_text(SOURCE)
    (root / "ü.txt").write_text("x")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("pkg/code.py")
    (root / ".gitignore").write_text("__pycache__/\n*.ign\nign.py\n.venv\n")


def compiled(root: Path, source: str = SOURCE) -> Path:
    """Bytecode of this source, whose header says that it is that of `pkg/code.py`."""
    path, real = root / "pkg" / "code.py", (root / "pkg" / "code.py").read_bytes()
    stat = path.stat()
    path.write_text(source.ljust(len(real)))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    subprocess.run([sys.executable, "-m", "py_compile", "pkg/code.py"], cwd=root, check=True)
    path.write_bytes(real)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return root / "pkg" / "__pycache__" / f"code.{sys.implementation.cache_tag}.pyc"


def signers(path: Path) -> list[str]:
    return [f"lisa@simpson.org {path.with_suffix('.pub').read_text().strip()}"]


def verdict(root: Path, limits: Limits) -> Verdict:
    return judge(GATE, observe(GATE, tree.opened(root, limits), limits), limits)


def found(root: Path, limits: Limits) -> set[tuple[str, str]]:
    told = verdict(root, limits)
    assert told.outcome is Outcome.FAIL, told.reason
    return {(each.rule, each.place) for each in told.findings}


def shown(root: Path) -> str:
    """What `git status` shows."""
    return git(root, "status", "--porcelain")


def trusted(root: Path, limits: Limits) -> bool:
    """Whether `git verify-commit` is content, asked as people ask it."""
    (root.parent / "allowed").write_text("\n".join(limits["signers"]))
    ways = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={root.parent / 'allowed'}"]
    return subprocess.run(["git", *ways, "verify-commit", "HEAD"], cwd=root, capture_output=True).returncode == 0


def wrote(name: str, text: str = "evil()\n", mode: int = 0o644) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        (root / name).chmod(mode)

    return make


def relinked(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("/elsewhere")


def pipeline(root: Path) -> None:
    """The code of this pipeline that a process needs to train, in another folder."""
    for name in ("tasks", "security"):
        shutil.copytree(tree.PIPELINE / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
