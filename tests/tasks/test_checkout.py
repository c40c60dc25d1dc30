"""Secrets in every place where a checkout can have one: what is opened, how it is counted, and what never leaves."""

import io
import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs import load
from flows.cli import main
from security.engines.past import Past
from security.errors import BadInput
from security.gate import judge, observe
from security.gates.secrets import SecretsScanning, made
from security.verdict import Outcome, Verdict
from tasks import checkout
from tests.security.engines.test_git import commit, git
from tests.security.gates.planted import strong

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("ssh-keygen")), reason="needs git and ssh-keygen"),
]
GATE = SecretsScanning()
Said = pytest.CaptureFixture[str]
DRAW = random.Random(11)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clean checkout with a little history."""
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "code.py").write_text("print(1)\n")
    (root / ".gitignore").write_text("ignored/\n*.env\n")
    commit(root, "first")
    (root / "code.py").write_text("print(2)\n")
    commit(root, "second")
    return root


@pytest.fixture
def token() -> str:
    return made.github(DRAW)


def verdict(root: Path, **limits: Any) -> Verdict:
    return judge(GATE, observe(GATE, checkout.opened(root, limits), limits), limits)


def rules(root: Path, **limits: Any) -> list[tuple[str, str]]:
    found = verdict(root, **limits)
    assert found.outcome is Outcome.FAIL, found.reason
    return [(each.rule, each.place) for each in found.findings]


def test_a_clean_checkout_passes_and_says_what_it_looked_at(root: Path) -> None:
    found = verdict(root)
    assert found.outcome is Outcome.PASS, found.reason
    assert "files and objects, no secret, 0 placeholders, 0 suppressions not obeyed" in found.reason


def zipped(token: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("inner/code.py", f"x = 1\nkey = '{token}'\n")
    return file.getvalue()


FILES: dict[str, tuple[str, Callable[[str], bytes], str]] = {
    "file": ("a/b.py", lambda token: f"x = 1\nkey = '{token}'\n".encode(), "a/b.py, line 2"),
    "ignored file": ("local.env", lambda token: f"TOKEN={token}".encode(), "local.env, line 1"),
    "ignored folder": ("ignored/x", lambda token: f"\n{token}".encode(), "ignored/x, line 2"),
    "UTF-16": ("a.txt", lambda token: f"x\n{token}\n".encode("utf-16"), "a.txt, line 2"),
    "UTF-16 without a mark": ("a.txt", lambda token: f"x\n{token}\n".encode("utf-16-be"), "a.txt, line 2"),
    "bytes": ("a.bin", lambda token: random.Random(1).randbytes(20_000) + b"\0" + token.encode() + b"\0", "a.bin"),
    "wide text in bytes": (
        "a.exe",
        lambda token: random.Random(1).randbytes(9_000) + b"\0\0" + token.encode("utf-16-le") + b"\0\0",
        "a.exe",
    ),
    "a NUL in text": ("a.py", lambda token: f"\0\n{token}\n".encode(), "a.py, line 2"),
    "wheel": ("x.whl", zipped, "x.whl!inner/code.py, line 2"),
    "notebook": (
        "x.ipynb",
        lambda token: json.dumps({"cells": [{"source": ["a\n", f'key = "{token}"\n']}]}).encode(),
        "x.ipynb, line 1",
    ),
    "a line of a megabyte": ("a.js", lambda token: b"x = 1;" * 170_000 + token.encode() + b";" * 9_000, "a.js, line 1"),
    "git's own settings": (
        ".git/config.bak",
        lambda token: f"url = https://{token}@x\n".encode(),
        ".git/config.bak, line 1",
    ),
    "beside git's objects": (".git/objects/info/x", lambda token: token.encode(), ".git/objects/info/x, line 1"),
    "marked": ("a.py", lambda token: f"key = '{token}'  # gitleaks:allow\n".encode(), "a.py, line 1"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_secret_is_found_wherever_it_lies(root: Path, token: str, case: str) -> None:
    name, made_, place = FILES[case]
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(made_(token))
    assert ("SEC-01", place) in rules(root)


def test_a_member_that_breaks_off_hides_nothing_else(root: Path, token: str) -> None:
    for name, data in (("a.zip", bytearray(zipped("x" * 40))), ("b.zip", bytearray(zipped("x" * 40)))):
        if name == "a.zip":
            data[data.index(b"PK\x01\x02") - 6] ^= 0xFF
        else:
            data[8:10] = data[data.index(b"PK\x01\x02") + 10 : data.index(b"PK\x01\x02") + 12] = b"\x61\x00"
        (root / name).write_bytes(bytes(data))
    (root / "c.py").write_text(f"token = '{token}'\n")
    assert {rule for rule, _ in rules(root)} == {"SEC-01", "SEC-07"}


def test_a_secret_in_the_name_of_a_member_is_found_and_not_shown(root: Path, token: str) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(f"{token}/x.7z", b"7z\xbc\xaf\x27\x1c" + b"\0" * 40)
    (root / "x.zip").write_bytes(file.getvalue())
    found = verdict(root)
    assert {each.rule for each in found.findings} == {"SEC-01", "SEC-07"}
    assert token not in found.model_dump_json()


def test_a_link_is_read_and_not_followed(root: Path, token: str, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(token)
    (root / "link").symlink_to(tmp_path / "outside")
    assert verdict(root).outcome is Outcome.PASS
    (root / "other").symlink_to(f"/{token}")
    assert rules(root) == [("SEC-01", "other, line 1")]


def test_a_name_that_is_a_secret_is_found_and_not_shown(root: Path, token: str) -> None:
    (root / token).mkdir()
    (root / token / "x").write_text("")
    found = verdict(root)
    assert [(each.rule, each.place) for each in found.findings] == [("SEC-01", "(a secret)/x")]
    assert token not in found.model_dump_json()


def _deleted(root: Path, token: str) -> None:
    (root / "gone.py").write_text(token)
    commit(root, "with it")
    (root / "gone.py").unlink()
    commit(root, "without it")


def _branch(root: Path, token: str) -> None:
    git(root, "checkout", "-q", "-b", "side")
    _deleted(root, token)
    git(root, "checkout", "-q", "main")
    git(root, "branch", "-q", "-D", "side")


def _tag(root: Path, token: str) -> None:
    git(root, "tag", "-a", "-m", f"release\n\n{token}", "v1")


def _message(root: Path, token: str) -> None:
    commit(root, f"done\n\nused {token}")
    git(root, "reset", "-q", "--hard", "HEAD^")
    (root / ".git" / "COMMIT_EDITMSG").unlink(missing_ok=True)


def _stash(root: Path, token: str) -> None:
    (root / "code.py").write_text(token)
    git(root, "stash", "-q")


def _staged(root: Path, token: str) -> None:
    (root / "code.py").write_text(token)
    git(root, "add", "code.py")
    (root / "code.py").write_text("print(2)\n")


def _dangling(root: Path, token: str) -> None:
    git(root, "hash-object", "-w", "--stdin", into=token.encode())


def _packed(root: Path, token: str) -> None:
    _deleted(root, token)
    git(root, "gc", "-q", "--aggressive")


def _renamed(root: Path, token: str) -> None:
    (root / f"{token}.txt").write_text("x")
    commit(root, "named")
    git(root, "mv", f"{token}.txt", "x.txt")
    commit(root, "renamed")


PAST = [_deleted, _branch, _tag, _message, _stash, _staged, _dangling, _packed, _renamed]


@pytest.mark.parametrize("hide", PAST, ids=lambda each: each.__name__.strip("_"))
def test_what_the_repository_keeps_is_found(root: Path, token: str, hide: Callable[[Path, str], None]) -> None:
    hide(root, token)
    found = verdict(root)
    assert found.outcome is Outcome.FAIL, found.reason
    assert {each.rule for each in found.findings} == {"SEC-02"}
    assert token not in found.model_dump_json()


def test_a_history_tells_commit_and_path_of_the_first(root: Path, token: str) -> None:
    _deleted(root, token)
    first = git(root, "rev-parse", "HEAD^")
    assert rules(root) == [("SEC-02", f"gone.py in {first[:12]}, line 1")]


def test_what_lies_in_the_tree_and_its_history_is_told_once(root: Path, token: str) -> None:
    (root / "a.py").write_text(token)
    commit(root, "with it")
    (root / "a.py").write_text(f"\n{token}")
    commit(root, "further down")
    assert rules(root) == [("SEC-01", "a.py, line 2")]


def test_a_history_that_is_cut_off_cannot_be_told_of(root: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{root}", "shallow")
    found = verdict(tmp_path / "shallow")
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "history")


def test_a_commit_that_replaces_another_hides_nothing(root: Path, token: str) -> None:
    good = git(root, "rev-parse", "HEAD")
    _deleted(root, token)
    evil = git(root, "rev-parse", "HEAD^")
    git(root, "replace", evil, good)
    assert [rule for rule, _ in rules(root)] == ["SEC-02", "SEC-06"]


def test_objects_from_elsewhere_are_told(root: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--shared", str(root), "shared")
    assert rules(tmp_path / "shared") == [("SEC-06", "repository")]


def test_another_repository_inside_was_not_looked_at(root: Path) -> None:
    (root / "inner").mkdir()
    git(root / "inner", "init", "-q")
    commit(root / "inner", "x")
    assert ("SEC-07", "inner/.git") in rules(root)
    assert verdict(root, opaque=[checkout.REPOSITORY]).outcome is Outcome.PASS


def test_what_is_no_file_was_not_looked_at(root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert rules(root) == [("SEC-07", "pipe")]


def test_what_the_policy_leaves_out_is_named_and_nothing_else_is(root: Path, token: str) -> None:
    (root / "ignored").mkdir()
    (root / "ignored" / "x").write_text(token)
    limits = {"besides": {"ignored": "made by a build"}}
    assert "1 folders left out" in verdict(root, **limits).reason
    seen = observe(GATE, checkout.opened(root, limits), limits)
    told = judge(GATE, seen, {})
    assert [(each.rule, each.place) for each in told.findings] == [("SEC-05", "ignored")]
    for folder in (".git", "../checkout", "/", "a/../b", "./ignored"):
        with pytest.raises(BadInput, match="no folder of the checkout"):
            checkout.opened(root, {"besides": {folder: "because"}})


SETTINGS = {
    ".gitleaks.toml": "[allowlist]\npaths = ['.*']\n",
    ".gitleaksignore": "*\n",
    ".secrets.baseline": '{"filters_used": [], "plugins_used": [], "results": {}}',
    ".trufflehog.yaml": "x: 1\n",
    ".gitguardian.yaml": "paths-ignore: ['**']\n",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_the_tree_are_counted_and_not_obeyed(root: Path, token: str, name: str) -> None:
    (root / name).write_text(SETTINGS[name])
    assert "1 suppressions not obeyed" in verdict(root).reason
    (root / "a.py").write_text(token)
    assert rules(root) == [("SEC-01", "a.py, line 1"), ("SEC-04", name)]


def test_the_environment_decides_nothing(
    root: Path, token: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _deleted(root, token)
    for name in ("GIT_DIR", "GIT_OBJECT_DIRECTORY", "GIT_INDEX_FILE", "PYTHONPATH", "PYTHONSTARTUP", "GITLEAKS_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    assert [rule for rule, _ in rules(root)] == ["SEC-02"]


def test_a_worktree_is_looked_at_with_all_that_it_shares(root: Path, token: str, tmp_path: Path) -> None:
    git(root, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert verdict(tmp_path / "tree").outcome is Outcome.PASS
    _deleted(root, token)
    assert [rule for rule, _ in rules(tmp_path / "tree")] == ["SEC-02"]


@pytest.mark.parametrize("more", [1, -1])
def test_an_object_more_or_less_than_was_counted_is_not_whole(
    root: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    real = Past.counted
    monkeypatch.setattr(Past, "counted", lambda past: real(past) + more)
    found = judge(GATE, observe(GATE, checkout.opened(root, {}), {}), {})
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "coverage")


def test_a_checkout_that_others_write_to_is_listed_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once both ways to count agree, all of it is looked at."""
    real, times = Past.counted, [0, 1, 1]
    monkeypatch.setattr(Past, "counted", lambda past: real(past) + (times.pop() if times else 0))
    assert verdict(root).outcome is Outcome.PASS
    assert times == []


@pytest.mark.parametrize(
    "name",
    [
        "sharedindex.txt",
        "index.lock",
        "worktrees/x/index",
        f"objects/pack/pack-{'0' * 40}.env",
        "objects/info/packs",
        "objects/info/commit-graphs/secret.env",
        f"objects/info/commit-graphs/graph-{'0' * 40}.graph",
    ],
)
def test_a_name_alone_makes_no_list_of_objects(root: Path, token: str, name: str) -> None:
    path = root / ".git" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(token)
    told = verdict(root)
    assert told.outcome is not Outcome.PASS, told.reason
    if told.outcome is Outcome.FAIL:
        assert ("SEC-01", f".git/{name}, line 1") in [(each.rule, each.place) for each in told.findings]


def test_a_large_file_is_read_in_pieces(root: Path, token: str) -> None:
    import tracemalloc

    with (root / "large.txt").open("wb") as file:
        for _ in range(48):
            file.write(b"x" * 99 + b"\n" + b"\0" * 3 + b"y" * (1 << 20))
        file.write(f"\n{token}\n".encode())
    tracemalloc.start()
    try:
        assert [rule for rule, _ in rules(root)] == ["SEC-01"]
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_no_value_leaves_by_any_door(
    root: Path, capsys: Said, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    draw = random.Random(5)
    values = [make(draw) for make in (*made.KNOWN, strong)]
    inner = [value.partition("//app:")[2].partition("@")[0] or value for value in values]
    lines = [f'password = "{value}"' if value == values[-1] else f"x{n} = '{value}'" for n, value in enumerate(values)]
    (root / "all.py").write_text("\n".join(lines))
    (root / ".env").write_text(f"SECRET={inner[-1]}\n")
    (root / values[0]).write_text("")
    commit(root, f"all\n\n{values[1]}")
    (root / "all.py").unlink()
    (root / "key.pem").write_text(key := made.pem(draw))
    limits = tmp_path / "limits.yaml"
    limits.write_text("besides: {x: because}\n")
    told = ""
    for form in ([], ["--json"], ["--sarif"]):
        assert main(["check", "secrets_scanning", str(root), "--limits", str(limits), *form]) == 1
        told += "".join(capsys.readouterr())
    seen = observe(GATE, checkout.opened(root, {}), {})
    told += seen.model_dump_json() + judge(GATE, seen, {}).model_dump_json() + caplog.text
    for value in (*inner, key.splitlines()[1]):
        assert value[:9] not in told, "a part of a secret"
        assert value[-9:] not in told, "a part of a secret"
    assert {each["kind"] for each in seen.facts["found"]} >= {"github-token", "aws-access-key", "private-key"}


def test_a_fingerprint_allows_one_secret_in_one_file_and_is_shown(root: Path, token: str) -> None:
    (root / "a.py").write_text(token)
    seen = observe(GATE, checkout.opened(root, {}), {})
    (found,) = seen.facts["found"]
    told = judge(GATE, seen, limits := {"allowed": {found["print"]: "revoked, kept as an example"}})
    assert told.outcome is Outcome.PASS
    assert "1 allowed secrets" in told.reason
    (root / "a.py").rename(root / "b.py")
    assert rules(root, **limits) == [("SEC-01", "b.py, line 1")]
    (root / "b.py").write_text(made.github(DRAW))
    assert rules(root, **limits) == [("SEC-01", "b.py, line 1")]


def test_files_that_a_look_writes_are_not_of_it(root: Path, token: str) -> None:
    """Bytecode of what the engines import, in the checkout that they run from."""
    made_ = checkout.opened(root, {})
    (root / "more.py").write_text(token)
    (root / "code.py").unlink()
    told = judge(GATE, observe(GATE, made_, {}), {})
    assert [(each.rule, each.place) for each in told.findings] == [("SEC-07", "code.py")]
    assert rules(root) == [("SEC-01", "more.py, line 1")]


@pytest.mark.parametrize("policy", ["local", "kubernetes_test", "kubernetes_prod"])
def test_this_checkout_holds_nothing_but_what_the_policies_allow(policy: str, tmp_path: Path) -> None:
    """As a clone has it, and with what tests were compiled to, which has their made-up secrets too."""
    home = Path(__file__).parent.parent.parent
    if not (home / ".git").exists():
        pytest.skip("this is no checkout")
    limits = load.text(load.find(policy, "policies"))["gates"]["secrets_scanning"]["limits"]
    clone = ["git", "clone", "-q", "--no-hardlinks", str(home), str(tmp_path / "clone")]
    subprocess.run(clone, check=True, capture_output=True)
    if policy == "local":
        compiled = [sys.executable, "-m", "compileall", "-q", "tests"]
        subprocess.run(compiled, cwd=tmp_path / "clone", check=True, env={})
    found = verdict(tmp_path / "clone", **limits)
    assert [(each.rule, each.place) for each in found.findings] == []
    assert found.outcome is Outcome.PASS or found.cause == "history", found.reason
