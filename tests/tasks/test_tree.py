"""Every trick by which a checkout looks like what was signed, and is not; each is refused by the rule that is named.

Most of them leave `git status` empty and `git verify-commit HEAD` content: `shown` and `trusted` say so where it holds.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from security.gate import judge, observe
from security.gates.code import MANIFEST
from security.verdict import Outcome
from tasks import tree, walk
from tests.security.engines.test_git import commit, git
from tests.tasks.checkouts import (
    GATE,
    SOURCE,
    Limits,
    compiled,
    found,
    limits,
    made,
    relinked,
    root,
    shown,
    trusted,
    verdict,
    wrote,
)

__all__ = ["limits", "made", "root"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("ssh-keygen")), reason="needs git and ssh-keygen"),
]


def test_what_was_signed_passes_and_says_how_much(root: Path, limits: Limits) -> None:
    told = verdict(root, limits)
    assert told.outcome is Outcome.PASS, told.reason
    assert told.reason == f"7/7 files of code, commit {git(root, 'rev-parse', 'HEAD')[:12]}, 1 of them compiled again"
    assert trusted(root, limits)
    subject = tree.opened(root, limits).subject
    id = git(root, "rev-parse", "HEAD").encode()
    assert (subject.kind, subject.name, subject.sha256) == ("code", "checkout", hashlib.sha256(id).hexdigest())


def test_a_path_that_is_relative_is_the_same(root: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert verdict(Path("."), limits).outcome is Outcome.PASS


def _edit(root: Path) -> None:
    (root / "pkg" / "code.py").write_text("evil()\n")
    shutil.rmtree(root / "pkg" / "__pycache__")


@pytest.mark.parametrize("bit", ["skip-worktree", "assume-unchanged"])
def test_what_the_index_hides_is_told(root: Path, limits: Limits, bit: str) -> None:
    git(root, "update-index", f"--{bit}", "pkg/code.py")
    assert found(root, limits) == {("CODE-11", "pkg/code.py")}
    _edit(root)
    assert (shown(root), trusted(root, limits)) == ("", True)
    assert found(root, limits) == {("CODE-01", "pkg/code.py"), ("CODE-11", "pkg/code.py")}


def test_a_work_tree_that_the_configuration_names_narrows_nothing(root: Path, limits: Limits) -> None:
    git(root, "update-index", "--skip-worktree", "pkg/code.py")
    for place in ("/", str(root.parent), str(root / "pkg")):
        git(root, "config", "core.worktree", place)
        assert found(root, limits) == {("CODE-11", "pkg/code.py")}


def test_the_index_is_not_what_files_are_held_against(root: Path, limits: Limits) -> None:
    """The change is staged: nothing differs from the index, nor does the index from what is here."""
    _edit(root)
    git(root, "add", "-A")
    assert git(root, "diff") == ""
    assert found(root, limits) == {("CODE-01", "pkg/code.py")}


def test_a_change_of_the_same_size_and_time_is_told(root: Path, limits: Limits) -> None:
    shutil.rmtree(root / "pkg" / "__pycache__")
    path = root / "pkg" / "code.py"
    stat = path.stat()
    git(root, "config", "core.trustctime", "false")
    git(root, "config", "core.checkStat", "minimal")
    path.write_text(SOURCE.replace("42", "43"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert found(root, limits) == {("CODE-01", "pkg/code.py")}


def _fifo(path: Path) -> None:
    os.mkfifo(path)


STOWAWAYS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "ignored": (wrote("ign.py"), "CODE-04", "ign.py"),
    "in a folder that is signed": (wrote("pkg/more.py"), "CODE-04", "pkg/more.py"),
    "in one that is not": (wrote("a/b/c.py"), "CODE-04", "a/"),
    "ignored by a file that came with it": (wrote("a/.gitignore", "*\n"), "CODE-05", "a/"),
    "a library": (wrote("pkg/code.abi3.so"), "CODE-04", "pkg/code.abi3.so"),
    "a library of no tag": (wrote("pkg/x.so.1"), "CODE-04", "pkg/x.so.1"),
    "for Windows": (wrote("pkg/x.PYD"), "CODE-04", "pkg/x.PYD"),
    "a path file": (wrote("x.pth", "import os\n"), "CODE-04", "x.pth"),
    "what runs at the start": (wrote("sitecustomize.py"), "CODE-04", "sitecustomize.py"),
    "of the library's name": (wrote("json.py"), "CODE-04", "json.py"),
    "a package of a module's name": (wrote("pkg/code/__init__.py"), "CODE-04", "pkg/code/"),
    "bytecode instead of a source": (wrote("pkg/x.pyc"), "CODE-04", "pkg/x.pyc"),
    "bytecode without a source": (wrote("__pycache__/x.cpython-311.pyc"), "CODE-04", "__pycache__/"),
    "a script without an ending": (wrote("pkg/tool", "#!/bin/sh\n", 0o755), "CODE-04", "pkg/tool"),
    "that runs for others": (wrote("pkg/tool", "#!/bin/sh\n", 0o645), "CODE-04", "pkg/tool"),
    "a link to elsewhere": (lambda root: (root / "pkg" / "out").symlink_to("/elsewhere"), "CODE-04", "pkg/out"),
    "a pipe": (lambda root: _fifo(root / "pkg" / "pipe"), "CODE-04", "pkg/pipe"),
    "a repository in it": (wrote("pkg/.git/x.py"), "CODE-04", "pkg/.git/"),
    "one by its folder's name": (wrote("pkg/.git", "gitdir: x\n"), "CODE-05", "pkg/.git"),
    "a configuration": (wrote("pkg/local.yaml"), "CODE-05", "pkg/local.yaml"),
    "a name with a line's end": (wrote("pkg/a\nb.py"), "CODE-04", r"b'pkg/a\nb.py'"),
    "a signed list": (wrote(MANIFEST), "CODE-05", MANIFEST),
}


@pytest.mark.parametrize("how", list(STOWAWAYS))
def test_what_nobody_signed_is_told(root: Path, limits: Limits, how: str) -> None:
    make, rule, place = STOWAWAYS[how]
    make(root)
    assert trusted(root, limits)
    assert found(root, limits) == {(rule, place)}


@pytest.mark.parametrize("by", [".gitignore", ".git/info/exclude", "config"])
def test_what_is_ignored_is_told(root: Path, limits: Limits, by: str, tmp_path: Path) -> None:
    if by == "config":
        (tmp_path / "ignored").write_text("evil.py\n")
        git(root, "config", "core.excludesFile", str(tmp_path / "ignored"))
    elif by == ".gitignore":
        wrote("ign.py")(root)
    else:
        (root / by).write_text("evil.py\n")
    name = "ign.py" if by == ".gitignore" else "evil.py"
    wrote(name)(root)
    assert (shown(root), trusted(root, limits)) == ("", True)
    assert found(root, limits) == {("CODE-04", name)}


def test_a_name_that_is_no_text_is_told(root: Path, limits: Limits) -> None:
    (root / os.fsdecode(b"pkg/\xff.py")).write_text("evil()\n")
    assert found(root, limits) == {("CODE-04", r"b'pkg/\xff.py'")}


def test_what_is_too_much_is_not_read(root: Path, limits: Limits) -> None:
    with (root / "pkg" / "huge.csv").open("wb") as file:
        file.truncate(1 << 42)
    assert found(root, limits) == {("CODE-05", "pkg/huge.csv")}


def _linked(root: Path) -> None:
    (root / "ü.txt").rename(root.parent / "copy")
    (root / "ü.txt").symlink_to(root.parent / "copy")


def _moved(root: Path) -> None:
    (root / "pkg").rename(root.parent / "pkg")
    (root / "pkg").symlink_to(root.parent / "pkg")


def _piped(root: Path) -> None:
    (root / "ü.txt").unlink()
    os.mkfifo(root / "ü.txt")


def _folder(root: Path) -> None:
    (root / "ü.txt").unlink()
    wrote("ü.txt/x.py")(root)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda root: (root / "ü.txt").write_text("y"), {("CODE-01", "ü.txt")}),
        (lambda root: (root / "ü.txt").write_text(""), {("CODE-01", "ü.txt")}),
        (lambda root: (root / "ü.txt").write_text("x\r\n"), {("CODE-01", "ü.txt")}),
        (lambda root: (root / "ü.txt").unlink(), {("CODE-02", "ü.txt")}),
        (lambda root: (root / "ü.txt").chmod(0o755), {("CODE-03", "ü.txt")}),
        (lambda root: (root / "run").chmod(0o644), {("CODE-03", "run")}),
        (lambda root: (root / "run").chmod(0o4755), {("CODE-03", "run")}),
        (lambda root: (root / ".gitignore").write_text("*\n"), {("CODE-01", ".gitignore")}),
        (_linked, {("CODE-03", "ü.txt")}),
        (relinked, {("CODE-01", "link")}),
        (_piped, {("CODE-03", "ü.txt")}),
        (_folder, {("CODE-02", "ü.txt"), ("CODE-04", "ü.txt/")}),
        (_moved, {("CODE-02", "pkg/__init__.py"), ("CODE-02", "pkg/code.py"), ("CODE-04", "pkg")}),
    ],
)
def test_what_is_not_as_it_was_signed_is_told(
    root: Path, limits: Limits, spoil: Callable[[Path], Any], told: set[tuple[str, str]]
) -> None:
    git(root, "config", "core.fileMode", "false")
    git(root, "config", "core.autocrlf", "input")
    spoil(root)
    assert found(root, limits) == told


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("pkg/code.py", True),
        ("pkg", True),
        ("./pkg/../link", True),
        ("pkg/../.", True),
        (".venv/x.py", False),
        ("/elsewhere", False),
        ("../checkout/pkg", False),
        ("pkg/__pycache__", False),
        ("pkg/../../x", False),
        (".git/x.py", False),
        ("more", False),
        ("link/../../x", False),
    ],
)
def test_a_signed_link_leads_to_what_was_signed(
    root: Path, limits: Limits, tmp_path: Path, target: str, leads: bool
) -> None:
    (root / "more").symlink_to(target)
    (root / "again").symlink_to("more")
    git(root, "add", "-f", "more", "again")
    commit(root, "with links", tmp_path / "mine")
    if leads:
        told = verdict(root, limits)
        assert told.outcome is Outcome.PASS, told.reason
    else:
        assert found(root, limits) == {("CODE-16", "more"), ("CODE-16", "again")}


def _says(root: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", "from pkg.code import answer; print(answer())"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    return ran.stdout.decode().strip()


def test_bytecode_that_is_not_its_sources_is_told(root: Path, limits: Limits) -> None:
    """Its header fits: Python runs it instead of the source, which is as it was signed."""
    path = compiled(root, SOURCE.replace("42", "43"))
    assert (shown(root), trusted(root, limits), _says(root)) == ("", True, "43")
    assert found(root, limits) == {("CODE-06", f"pkg/__pycache__/{path.name}")}
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\1\0\0\0" + b"\7" * 8 + data[16:])  # to be taken unchecked
    os.utime(root / "pkg" / "code.py")
    assert (shown(root), _says(root)) == ("", "43")
    assert found(root, limits) == {("CODE-06", f"pkg/__pycache__/{path.name}")}


@pytest.mark.parametrize("name", ["code.cpython-39.pyc", "code.cpython-311-pytest-9.pyc", "code.cpython-311.opt-3.pyc"])
def test_bytecode_that_cannot_be_compared_is_told(root: Path, limits: Limits, name: str) -> None:
    (root / "pkg" / "__pycache__" / name).write_bytes(compiled(root).read_bytes())
    assert found(root, limits) == {("CODE-06", f"pkg/__pycache__/{name}")}


def test_bytecode_that_is_optimized_is_compared(root: Path, limits: Limits) -> None:
    for level in ("-O", "-OO"):
        subprocess.run([sys.executable, level, "-m", "py_compile", "pkg/code.py"], cwd=root, check=True)
    told = verdict(root, limits)
    assert told.outcome is Outcome.PASS, told.reason
    assert "3 of them compiled again" in told.reason


def test_bytecode_beside_a_source_that_differs_is_told_with_it(root: Path, limits: Limits) -> None:
    (root / "pkg" / "code.py").write_text("evil()\n")
    name = compiled(root, "evil()\n").name
    assert found(root, limits) == {("CODE-01", "pkg/code.py"), ("CODE-06", f"pkg/__pycache__/{name}")}


def test_bytecode_that_runs_or_is_a_link_is_nobodys(root: Path, limits: Limits) -> None:
    compiled(root).chmod(0o755)
    assert found(root, limits) == {("CODE-04", "pkg/__pycache__/")}
    path = compiled(root)
    path.rename(root.parent / "elsewhere.pyc")
    path.symlink_to(root.parent / "elsewhere.pyc")
    assert found(root, limits) == {("CODE-04", "pkg/__pycache__/")}


def test_a_file_that_changes_while_it_is_read_is_no_pass(root: Path, limits: Limits) -> None:
    for spoil in (lambda path: path.write_text("longer"), lambda path: path.unlink(), lambda path: path.write_text("")):
        made = tree.opened(root, limits)
        kept = (root / "ü.txt").read_text()
        spoil(root / "ü.txt")
        told = judge(GATE, observe(GATE, made, limits), limits)
        assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "unreadable"), told.reason
        (root / "ü.txt").write_text(kept)


def test_a_link_that_comes_into_the_way_is_not_followed(root: Path, limits: Limits) -> None:
    made = tree.opened(root, limits)
    _moved(root)
    told = judge(GATE, observe(GATE, made, limits), limits)
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "unreadable"), told.reason
    os.mkfifo(root / "pipe")
    for name, why in (("link", "OSError"), ("pkg/code.py", "NotADirectory|OSError"), ("pipe", "is no file any more")):
        with pytest.raises(walk.CannotTell, match=why):
            list(walk.content(root, name))


def test_what_both_count_differently_is_no_pass(root: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tree.walk

    def blind(*given: Any) -> Any:
        found, left = real(*given)
        return [each for each in found if each.path != "ign.py"], left

    (root / "ign.py").write_text("evil()\n")
    monkeypatch.setattr(tree, "walk", blind)
    told = verdict(root, limits)
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "coverage"), told.reason
    assert told.reason == "looked at 7 of 8 files of code"


@pytest.mark.parametrize("besides", [[".venv"], ["*.egg-info", ".v*"]])
def test_what_is_left_out_is_left_out_by_the_policy_alone(root: Path, limits: Limits, besides: list[str]) -> None:
    wrote(".venv/lib/evil.py")(root)
    assert found(root, limits) == {("CODE-04", ".venv/")}
    asked = limits | {"besides": besides}
    seen = observe(GATE, tree.opened(root, asked), asked)
    told = judge(GATE, seen, asked)
    assert told.outcome is Outcome.PASS, told.reason
    assert f"left out: {besides[-1]}" in told.reason
    told = judge(GATE, seen, limits)
    assert {(each.rule, each.place) for each in told.findings} == {("CODE-05", besides[-1])}


def test_what_is_signed_is_never_left_out(root: Path, limits: Limits) -> None:
    asked = limits | {"besides": ["pkg"]}
    wrote("pkg/more.py")(root)
    assert verdict(root, asked).outcome is Outcome.PASS
    (root / "pkg" / "code.py").write_text("evil()\n")
    assert found(root, asked) == {("CODE-01", "pkg/code.py")}
    (root / "pkg" / "code.py").unlink()
    assert found(root, asked) == {("CODE-02", "pkg/code.py")}


@pytest.mark.parametrize("place", ["*", "**", "*/x", "..", "a/../b", "/etc", "", "a//b", ".git", "a/.git", "a\\b", "?"])
def test_some_places_are_never_left_out(root: Path, limits: Limits, place: str) -> None:
    with pytest.raises(ValueError, match="besides"):
        tree.opened(root, limits | {"besides": [place]})


def test_what_is_no_checkout_or_has_no_list_of_signers_is_inconclusive(
    root: Path, limits: Limits, tmp_path: Path
) -> None:
    told = verdict(root, limits | {"signers": []})
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "signers"), told.reason
    assert verdict(root, limits | {"signers": "UnsafeAnybody"}).outcome is Outcome.PASS
    shutil.rmtree(root / ".git")
    told = verdict(root, limits)
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "repository"), told.reason
    (tmp_path / "empty").mkdir()
    assert verdict(tmp_path / "empty", limits).outcome is Outcome.INCONCLUSIVE
    with pytest.raises(walk.CannotTell, match="no folder"):
        tree.opened(root / "run", limits)


def test_without_signers_a_finding_still_stops(root: Path, limits: Limits) -> None:
    _edit(root)
    assert found(root, limits | {"signers": []}) == {("CODE-01", "pkg/code.py")}


def test_nothing_of_the_checkout_is_run(root: Path, limits: Limits, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    for name in ("core.fsmonitor", "gpg.ssh.program", "gpg.program", "filter.x.clean", "core.pager", "diff.external"):
        git(root, "config", name, str(script))
    for hook in ("post-index-change", "reference-transaction", "fsmonitor-watchman"):
        shutil.copy(script, root / ".git" / "hooks" / hook)
    (root / ".git" / "info" / "attributes").write_text("* filter=x\n")
    wrote("sitecustomize.py", f"open({str(ran)!r}, 'w')\n")(root)
    wrote("conftest.py", f"open({str(ran)!r}, 'w')\n")(root)
    ran.unlink(missing_ok=True)
    assert found(root, limits) == {("CODE-04", "sitecustomize.py"), ("CODE-04", "conftest.py")}
    assert not ran.exists()
