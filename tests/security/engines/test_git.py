"""Objects of real repositories, made by git itself, and the tricks by which git tells another story of them."""

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from security.engines.git import Repository
from security.engines.objects import LINK, MODULE, Entry, hashed
from security.engines.signers import Signers
from security.engines.sshsig import verify
from security.errors import BadInput, CannotTell, KeyBroken

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("ssh-keygen")), reason="needs git and ssh-keygen"),
]
NOW = datetime(2026, 11, 29, tzinfo=UTC)
WHO = ("-c", "user.name=Lisa", "-c", "user.email=lisa@simpson.org")


def git(root: Path, *arguments: str, into: bytes | None = None) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": str(root.parent), "GIT_CONFIG_GLOBAL": os.devnull}
    ended = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *WHO, *arguments],
        cwd=root,
        env=env,
        input=into,
        capture_output=True,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode().strip()


def key(folder: Path, name: str) -> Path:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    return path


def commit(root: Path, message: str, signer: Path | None = None) -> str:
    signed = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={signer}"] if signer else []
    git(root, "add", "-A")
    git(root, *signed, "commit", "-q", "--allow-empty", "-m", message, *(["-S"] if signer else []))
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a file, one in a folder, one that runs, and a link."""
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "code.py").write_text("print(1)\n")
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "ü.txt").write_text("x")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("code.py")
    return root


def test_a_tree_is_read_whole(root: Path) -> None:
    id = commit(root, "first")
    repository = Repository(root)
    assert repository.head() == id
    found = repository.commit(id)
    assert (found.parents, found.signature) == ((), "")
    files = repository.files(found.tree)
    assert {path: entry.mode for path, entry in files.items()} == {
        "code.py": 0o100644,
        "a/b/ü.txt": 0o100644,
        "run": 0o100755,
        "link": LINK,
    }
    assert files["code.py"] == Entry(0o100644, hashed("blob", b"print(1)\n"))
    assert files["link"].id == hashed("blob", b"code.py")
    assert repository.oddities() == []


def test_packed_objects_are_read_alike(root: Path) -> None:
    for number in range(5):
        (root / "code.py").write_text(f"print({number})\n" * 200)
        id = commit(root, f"change {number}")
    before = Repository(root).files(Repository(root).commit(id).tree)
    git(root, "gc", "-q", "--aggressive", "--prune=now")
    repository = Repository(root)
    assert repository.files(repository.commit(repository.head()).tree) == before
    assert len(repository.commit(id).parents) == 1


def test_a_signature_is_over_the_commit_and_by_who_is_listed(root: Path, tmp_path: Path) -> None:
    mine, other = key(tmp_path, "mine"), key(tmp_path, "other")
    (tmp_path / "signers").write_text(f"lisa@simpson.org {mine.with_suffix('.pub').read_text()}")
    signers = Signers.read(tmp_path / "signers")
    repository = Repository(root)
    first = repository.commit(commit(root, "signed\n\nwith a body\n", mine))
    assert signers.who(verify(first.signature, first.signed).key, first.committed) == "lisa@simpson.org"
    assert abs((first.committed - datetime.now(UTC)).total_seconds()) < 600
    second = repository.commit(commit(root, "by somebody", other))
    with pytest.raises(KeyBroken, match="on no list"):
        signers.who(verify(second.signature, second.signed).key, NOW)
    with pytest.raises(KeyBroken, match="does not hold"):
        verify(first.signature, second.signed)
    with pytest.raises(KeyBroken, match="no SSH signature"):
        verify(repository.commit(commit(root, "by nobody")).signature, b"")


def test_a_commit_that_replaces_another_is_not_read_and_is_told(root: Path) -> None:
    good = commit(root, "good")
    (root / "code.py").write_text("evil()\n")
    evil = commit(root, "evil")
    git(root, "replace", evil, good)
    assert git(root, "log", "-1", "--format=%s") == "good"
    repository = Repository(root)
    assert b"\n\nevil" in repository.commit(repository.head()).signed
    assert repository.oddities() == [f"replace ref {evil[:12]}"]
    git(root, "pack-refs", "--all")
    assert Repository(root).oddities() == [f"replace ref {evil[:12]}"]


@pytest.mark.parametrize("bit", ["--skip-worktree", "--assume-unchanged"])
def test_what_the_index_hides_is_another_content(root: Path, bit: str) -> None:
    commit(root, "first")
    git(root, "update-index", bit, "code.py")
    (root / "code.py").write_text("evil()\n")
    assert git(root, "status", "--porcelain") == ""
    repository = Repository(root)
    entry = repository.files(repository.commit(repository.head()).tree)["code.py"]
    assert hashed("blob", (root / "code.py").read_bytes()) != entry.id


def test_files_that_the_index_hides_are_told_with_the_bit(root: Path) -> None:
    commit(root, "first")
    assert Repository(root).hidden() == []
    git(root, "update-index", "--assume-unchanged", "a/b/ü.txt")
    git(root, "update-index", "--skip-worktree", "a/b/ü.txt", "run")
    assert Repository(root).hidden() == [
        ("a/b/ü.txt", "skip-worktree"),
        ("a/b/ü.txt", "assume-unchanged"),
        ("run", "skip-worktree"),
    ]


def test_a_range_is_read_from_the_objects_of_both_ends(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (commit(root, name) for name in ("first", "second", "third"))
    monkeypatch.chdir(root)
    repository = Repository(Path("."))
    assert repository.since(third, first) == [third, second]
    assert repository.since(first, third) == []
    git(root, "tag", "-a", "-m", "release", "v1", first)
    assert repository.peeled(git(root, "rev-parse", "v1")) == repository.peeled(first) == first
    git(root, "tag", "-a", "-m", "of a tree", "v2", "HEAD^{tree}")
    with pytest.raises(BadInput, match="found no commit; allowed: a tag of a commit"):
        repository.peeled(git(root, "rev-parse", "v2"))


def test_the_repositorys_own_configuration_runs_nothing(root: Path, tmp_path: Path) -> None:
    commit(root, "first")
    ran = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    for name in ("core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.pager", "core.alternateRefsCommand"):
        git(root, "config", name, str(script))
    git(root, "config", "core.repositoryFormatVersion", "1")
    git(root, "config", "extensions.partialClone", "origin")
    git(root, "config", "protocol.ext.allow", "always")
    git(root, "config", "remote.origin.url", f"ext::{script}")
    git(root, "config", "remote.origin.promisor", "true")
    ran.unlink(missing_ok=True)
    repository = Repository(root)
    repository.files(repository.commit(repository.head()).tree)
    with pytest.raises(CannotTell, match="is not there"):
        list(repository.objects(["1" * 40]))
    assert not ran.exists()


def test_an_object_with_other_content_is_none(root: Path) -> None:
    id = commit(root, "first")
    (root / "code.py").write_text("evil()\n")
    evil = git(root, "hash-object", "-w", "code.py")
    good = Repository(root).files(Repository(root).commit(id).tree)["code.py"].id
    objects = root / ".git" / "objects"
    path = objects / good[:2] / good[2:]
    path.chmod(0o644)
    path.write_bytes((objects / evil[:2] / evil[2:]).read_bytes())
    with pytest.raises((BadInput, CannotTell), match="other content|git cat-file ended|is not there"):
        list(Repository(root).objects([good]))


def test_a_history_that_is_cut_off_is_told(root: Path, tmp_path: Path) -> None:
    commit(root, "first")
    commit(root, "second")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{root}", "shallow")
    assert Repository(tmp_path / "shallow").oddities() == ["a history that is cut off"]


def test_objects_from_elsewhere_are_told(root: Path, tmp_path: Path) -> None:
    commit(root, "first")
    git(tmp_path, "clone", "-q", "--shared", str(root), "shared")
    assert Repository(tmp_path / "shared").oddities() == ["objects from elsewhere"]


def test_grafts_are_told(root: Path) -> None:
    commit(root, "first")
    (root / ".git" / "info" / "grafts").write_text("")
    assert Repository(root).oddities() == ["grafts"]


def test_a_worktree_is_a_checkout_with_what_it_shares(root: Path, tmp_path: Path) -> None:
    good = commit(root, "good")
    evil = commit(root, "evil")
    git(root, "worktree", "add", "-q", str(tmp_path / "tree"), good)
    git(root, "replace", evil, good)
    repository = Repository(tmp_path / "tree")
    assert repository.head() == good
    assert repository.oddities() == [f"replace ref {evil[:12]}"]


def test_a_submodule_is_an_entry_of_its_own_kind(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    pinned = commit(other, "inside")
    git(root, "submodule", "add", "-q", str(other), "inner")
    repository = Repository(root)
    files = repository.files(repository.commit(commit(root, "with a submodule")).tree)
    assert files["inner"] == Entry(MODULE, pinned)
    assert Repository(root / "inner").head() == pinned


def _linked(root: Path) -> None:
    (root / ".git").rename(root.parent / "real")
    (root / ".git").symlink_to(root.parent / "real")


def _named(root: Path) -> None:
    shutil.rmtree(root / ".git")
    (root / ".git").write_text("gitdir: nowhere\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: shutil.rmtree(root / ".git"), "no checkout"),
        (_linked, "is a link"),
        (_named, "names no repository"),
    ],
)
def test_what_is_no_checkout_is_told(root: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(root)
    with pytest.raises(CannotTell, match=said):
        Repository(root)


def test_a_checkout_without_a_commit_is_told(root: Path) -> None:
    with pytest.raises(CannotTell, match="git rev-parse ended"):
        Repository(root).head()


def test_without_git_nobody_can_tell(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commit(root, "first")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotTell, match="no git here"):
        Repository(root).head()


LINES = "tree {tree}\nauthor L <l@s> 1 +0000\ncommitter L <l@s> 1700000000 +0000\n"


@pytest.mark.parametrize(
    "text",
    [
        "author L <l@s> 1 +0000\n" + LINES,
        LINES.replace("tree", "eert", 1),
        LINES.replace("1700000000 +0000", "yesterday"),
        LINES + "tree {tree}\n",
        LINES + "gpgsig a\ngpgsig b\n",
        LINES.replace("{tree}", "abc"),
        LINES + "parent HEAD\n",
    ],
)
def test_a_commit_of_another_form_is_an_error(root: Path, text: str) -> None:
    commit(root, "first")
    repository = Repository(root)
    tree = repository.commit(repository.head()).tree
    body = text.replace("{tree}", tree).encode() + b"\nmessage\n"
    id = git(root, "hash-object", "-w", "-t", "commit", "--literally", "--stdin", into=body)
    with pytest.raises(BadInput, match="the commit: found"):
        repository.commit(id)


@pytest.mark.parametrize("name", [b"..", b".", b"a/b", b""])
def test_a_tree_with_a_path_for_a_name_is_an_error(root: Path, name: bytes) -> None:
    commit(root, "first")
    body = b"100644 " + name + b"\0" + b"\1" * 20
    id = git(root, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", into=body)
    with pytest.raises(BadInput, match="the tree: found another form"):
        Repository(root).files(id)


def test_one_kind_is_not_taken_for_another(root: Path) -> None:
    repository = Repository(root)
    found = repository.commit(commit(root, "first"))
    with pytest.raises(BadInput, match="found a tree; allowed: a commit"):
        repository.commit(found.tree)
    with pytest.raises(BadInput, match="found a commit; allowed: a tree"):
        repository.files(found.id)
