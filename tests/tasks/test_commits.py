"""Who signed the commits of a checkout, and the tricks by which git tells another story of its history."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from security.gate import judge, observe
from security.verdict import Outcome
from tasks import tree
from tests.security.engines.test_git import commit, git
from tests.tasks.checkouts import GATE, Limits, found, limits, made, root, shown, signers, trusted, verdict

__all__ = ["limits", "made", "root"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("ssh-keygen")), reason="needs git and ssh-keygen"),
]
SHORT = 12


def head(root: Path) -> str:
    return git(root, "rev-parse", "HEAD")


def place(id: str) -> str:
    return f"commit {id[:SHORT]}"


def amended(root: Path, change: bytes = b"", signature: Path | None = None, namespace: str = "git") -> str:
    """The last commit in other words, signed by hand."""
    body = subprocess.run(["git", "cat-file", "commit", "HEAD"], cwd=root, capture_output=True, check=True).stdout
    lines, kept, inside = body.partition(b"\n\n"), [], False
    for line in lines[0].split(b"\n"):
        inside = line.startswith(b"gpgsig ") or (inside and line.startswith(b" "))
        kept += [] if inside else [line]
    unsigned = b"\n".join(kept) + b"\n\n" + lines[2] + change
    whole = unsigned
    if signature:
        argv = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(signature)]
        told = subprocess.run(argv, input=unsigned, capture_output=True, check=True).stdout.decode().strip()
        header = "gpgsig " + told.replace("\n", "\n ")
        whole = b"\n".join([*kept, header.encode()]) + b"\n\n" + lines[2] + change
    id = git(root, "hash-object", "-w", "-t", "commit", "--stdin", into=whole)
    git(root, "update-ref", "HEAD", id)
    return id


def test_nobody_signed_it(root: Path, limits: Limits) -> None:
    id = commit(root, "by nobody")
    assert found(root, limits) == {("CODE-07", place(id))}


def test_somebody_else_signed_it(root: Path, limits: Limits, tmp_path: Path) -> None:
    id = commit(root, "by another", tmp_path / "other")
    assert found(root, limits) == {("CODE-08", place(id))}


def test_a_signature_by_hand_holds_and_one_over_other_words_does_not(
    root: Path, limits: Limits, tmp_path: Path
) -> None:
    amended(root, signature=tmp_path / "mine")
    assert verdict(root, limits).outcome is Outcome.PASS
    body = git(root, "cat-file", "commit", "HEAD").replace("first", "other")
    git(root, "update-ref", "HEAD", git(root, "hash-object", "-w", "-t", "commit", "--stdin", into=body.encode()))
    assert found(root, limits) == {("CODE-07", place(head(root)))}


def test_a_signature_for_another_purpose_is_none(root: Path, limits: Limits, tmp_path: Path) -> None:
    id = amended(root, signature=tmp_path / "mine", namespace="file")
    (each,) = verdict(root, limits).findings
    assert (each.rule, each.place) == ("CODE-07", place(id))
    assert "another purpose; allowed: git" in each.message


def test_nothing_of_the_repository_says_who_may_sign(root: Path, limits: Limits, tmp_path: Path) -> None:
    """The repository's configuration names a list of its own, and git believes it; a list in the tree does not help."""
    (root / "allowed").write_text(signers(tmp_path / "other")[0])
    id = commit(root, "by another", tmp_path / "other")
    git(root, "config", "gpg.ssh.allowedSignersFile", str(root / "allowed"))
    assert subprocess.run(["git", "verify-commit", "HEAD"], cwd=root, capture_output=True).returncode == 0
    assert not trusted(root, limits)
    assert found(root, limits) == {("CODE-08", place(id))}


def _with(limits: Limits, option: str) -> Limits:
    return limits | {"signers": [limits["signers"][0].replace(" ssh-", f" {option} ssh-")]}


def test_a_key_counts_while_it_is_valid_and_for_what_it_is(root: Path, limits: Limits) -> None:
    today = datetime.now(UTC)
    before, after = (f"{today + timedelta(days=days):%Y%m%d}" for days in (-2, 2))
    assert verdict(root, _with(limits, f"valid-after={before},valid-before={after}")).outcome is Outcome.PASS
    for option in (f"valid-before={before}", f"valid-after={after}", 'namespaces="file"'):
        assert found(root, _with(limits, option)) == {("CODE-08", place(head(root)))}


def test_a_list_that_cannot_be_read_is_no_pass(root: Path, limits: Limits) -> None:
    for listed in (["lisa ssh-ed25519 AAAA"], ["*@x ssh-ed25519 AAAA"], [""], limits["signers"] * 2):
        with pytest.raises(ValueError, match="signers"):
            tree.opened(root, limits | {"signers": listed})
    seen = observe(GATE, tree.opened(root, limits), limits)
    assert judge(GATE, seen, limits | {"signers": [""]}).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("days", [-30, 30])
def test_a_commit_of_another_time_is_told(root: Path, limits: Limits, tmp_path: Path, days: int) -> None:
    """A key that is no longer valid still signs what says that it was made before."""
    at = int((datetime.now(UTC) + timedelta(days=days)).timestamp())
    body = subprocess.run(["git", "cat-file", "commit", commit(root, "second")], cwd=root, capture_output=True).stdout
    lines = [
        line.rpartition(b"> ")[0] + b"> %d +0000" % at if b"committer " in line else line for line in body.split(b"\n")
    ]
    git(root, "update-ref", "HEAD", git(root, "hash-object", "-w", "-t", "commit", "--stdin", into=b"\n".join(lines)))
    id = amended(root, signature=tmp_path / "mine")
    assert trusted(root, limits)
    assert found(root, limits) == {("CODE-08", place(id))}
    assert verdict(root, limits | {"skew": 40 * 86400}).outcome is Outcome.PASS


def test_a_commit_that_another_stands_for_is_told(root: Path, limits: Limits) -> None:
    good = head(root)
    (root / "pkg" / "more.py").write_text("evil()\n")
    evil = commit(root, "evil")
    git(root, "replace", evil, good)
    assert trusted(root, limits)
    assert found(root, limits) == {("CODE-07", place(evil)), ("CODE-10", "repository")}


@pytest.mark.parametrize("name", ["info/grafts", "shallow", "objects/info/alternates"])
def test_what_could_tell_another_story_is_told(root: Path, limits: Limits, name: str) -> None:
    (root / ".git" / name).parent.mkdir(exist_ok=True)
    (root / ".git" / name).write_text("")
    assert found(root, limits) == {("CODE-10", "repository")}


def test_a_history_that_is_cut_off_is_told(root: Path, limits: Limits, tmp_path: Path) -> None:
    first = head(root)
    commit(root, "second", tmp_path / "mine")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{root}", "cut")
    assert found(tmp_path / "cut", limits) == {("CODE-10", "repository")}
    told = found(tmp_path / "cut", limits | {"since": first})
    assert told == {("CODE-10", "repository"), ("CODE-09", first[:SHORT])}


def test_every_commit_since_the_release_is_signed(root: Path, limits: Limits, tmp_path: Path) -> None:
    release, mine = head(root), tmp_path / "mine"
    git(root, "tag", "-a", "-m", "release", "v1")
    tag = git(root, "rev-parse", "v1")
    assert tag != release
    for since in (release, tag):
        assert verdict(root, limits | {"since": since}).outcome is Outcome.PASS
    commit(root, "second", mine)
    git(root, "checkout", "-q", "-b", "side", release)
    commit(root, "aside", mine)
    git(root, "checkout", "-q", "main")
    git(root, "-c", "gpg.format=ssh", "-c", f"user.signingkey={mine}", "merge", "-q", "-S", "--no-edit", "side")
    told = verdict(root, limits | {"since": tag})
    assert told.outcome is Outcome.PASS, told.reason
    assert "3 commits" in told.reason
    unsigned = commit(root, "by nobody")
    commit(root, "on top", mine)
    assert verdict(root, limits).outcome is Outcome.PASS
    for since in (release, tag):
        assert found(root, limits | {"since": since}) == {("CODE-07", place(unsigned))}


def test_one_that_was_merged_in_is_told(root: Path, limits: Limits, tmp_path: Path) -> None:
    release, mine = head(root), tmp_path / "mine"
    git(root, "checkout", "-q", "-b", "side")
    aside = commit(root, "aside", tmp_path / "other")
    git(root, "checkout", "-q", "main")
    commit(root, "second", mine)
    git(root, "-c", "gpg.format=ssh", "-c", f"user.signingkey={mine}", "merge", "-q", "-S", "--no-edit", "side")
    assert found(root, limits | {"since": release}) == {("CODE-08", place(aside))}


def test_a_step_back_or_aside_is_told(root: Path, limits: Limits, tmp_path: Path) -> None:
    first, mine = head(root), tmp_path / "mine"
    second = commit(root, "second", mine)
    git(root, "checkout", "-q", first)
    assert found(root, limits | {"since": second}) == {("CODE-09", second[:SHORT])}
    commit(root, "another second", mine)
    assert found(root, limits | {"since": second}) == {("CODE-09", second[:SHORT])}
    assert found(root, limits | {"since": "1" * 40}) == {("CODE-09", "1" * SHORT)}
    assert found(root, limits | {"commit": second}) == {("CODE-09", "HEAD")}
    assert verdict(root, limits | {"commit": head(root), "since": first}).outcome is Outcome.PASS


def test_a_range_that_was_not_looked_at_is_not_taken_for_one(root: Path, limits: Limits) -> None:
    first = head(root)
    seen = observe(GATE, tree.opened(root, limits), limits)
    told = judge(GATE, seen, limits | {"since": first})
    assert [(each.rule, each.place) for each in told.findings] == [("CODE-09", first[:SHORT])]


def test_a_range_is_that_of_the_release_that_is_asked_for(root: Path, limits: Limits, tmp_path: Path) -> None:
    first = head(root)
    asked = limits | {"since": first}
    second = commit(root, "second", tmp_path / "mine")
    seen = observe(GATE, tree.opened(root, asked), asked)
    assert judge(GATE, seen, asked).outcome is Outcome.PASS
    told = judge(GATE, seen, limits | {"since": second})
    assert [(each.rule, each.place) for each in told.findings] == [("CODE-09", second[:SHORT])]
    git(root, "tag", "-a", "-m", "no commit", "odd", "HEAD^{tree}")
    odd = git(root, "rev-parse", "odd")
    assert found(root, limits | {"since": odd}) == {("CODE-09", odd[:SHORT])}


def forged(graph: Path, child: str, parent: str) -> None:
    """A commit graph in which a commit has another parent. Nobody reads its checksum."""
    data = bytearray(graph.read_bytes())
    chunks = {bytes(data[at : at + 4]): int.from_bytes(data[at + 4 : at + 12]) for at in range(8, 8 + 12 * data[6], 12)}
    count = int.from_bytes(data[chunks[b"OIDF"] + 1020 : chunks[b"OIDF"] + 1024])
    ids = [data[at : at + 20].hex() for at in range(chunks[b"OIDL"], chunks[b"OIDL"] + 20 * count, 20)]
    row = chunks[b"CDAT"] + 36 * ids.index(child) + 20
    data[row : row + 4] = ids.index(parent).to_bytes(4)
    graph.chmod(0o644)
    graph.write_bytes(data)


def test_a_cached_history_that_lies_is_not_asked(root: Path, limits: Limits, tmp_path: Path) -> None:
    release, mine = head(root), tmp_path / "mine"
    unsigned = commit(root, "by nobody")
    top = commit(root, "on top", mine)
    git(root, "commit-graph", "write", "--reachable")
    forged(root / ".git" / "objects" / "info" / "commit-graph", top, release)
    assert git(root, "rev-list", "HEAD", f"^{release}").split() == [top]  # git goes by it
    assert found(root, limits | {"since": release}) == {("CODE-07", place(unsigned))}


@pytest.fixture
def inner(root: Path, tmp_path: Path) -> Path:
    """A submodule of the checkout."""
    other = tmp_path / "other-code"
    other.mkdir()
    git(other, "init", "-q")
    (other / "inside.py").write_text("x = 1\n")
    commit(other, "inside")
    git(root, "submodule", "add", "-q", str(other), "deps/inner")
    commit(root, "with a submodule", tmp_path / "mine")
    return root / "deps" / "inner"


def test_a_submodule_as_it_was_signed_passes(root: Path, limits: Limits, inner: Path) -> None:
    told = verdict(root, limits)
    assert told.outcome is Outcome.PASS, told.reason
    assert told.reason.startswith("10/10 files")


def test_a_submodule_that_is_not_is_told(root: Path, limits: Limits, inner: Path, tmp_path: Path) -> None:
    (inner / "inside.py").write_text("evil()\n")
    git(inner, "update-index", "--skip-worktree", "inside.py")
    assert shown(root) == ""
    assert found(root, limits) == {("CODE-01", "deps/inner/inside.py"), ("CODE-11", "deps/inner/inside.py")}
    git(inner, "update-index", "--no-skip-worktree", "inside.py")
    git(inner, "checkout", "-q", "inside.py")
    (inner / "more.py").write_text("evil()\n")
    (root / ".git" / "modules" / "deps" / "inner" / "info" / "exclude").write_text("more.py\n")
    assert shown(root) == ""
    assert found(root, limits) == {("CODE-04", "deps/inner/more.py")}
    git(root, "config", "submodule.deps/inner.ignore", "all")
    commit(inner, "drifted", tmp_path / "mine")
    git(inner, "rm", "-q", "--cached", "inside.py")
    assert ("CODE-12", "deps/inner") in found(root, limits)


def test_a_submodule_that_is_not_there_is_told(root: Path, limits: Limits, inner: Path) -> None:
    git(root, "submodule", "deinit", "-q", "-f", "deps/inner")
    assert found(root, limits) == {("CODE-12", "deps/inner")}


def test_a_submodule_that_is_a_link_is_none(root: Path, limits: Limits, inner: Path, tmp_path: Path) -> None:
    (inner / ".git").write_text(f"gitdir: {root / '.git' / 'modules' / 'deps' / 'inner'}\n")
    (root / "deps").rename(tmp_path / "deps")
    (root / "deps").symlink_to(tmp_path / "deps")
    assert found(root, limits) == {("CODE-12", "deps/inner"), ("CODE-04", "deps")}


def test_a_submodule_that_lost_what_it_is_of_is_told(root: Path, limits: Limits, inner: Path) -> None:
    """Its commit is the right one, and nothing says any more which files that has."""
    tree = git(inner, "rev-parse", "HEAD^{tree}")
    (root / ".git" / "modules" / "deps" / "inner" / "objects" / tree[:2] / tree[2:]).unlink()
    (inner / "inside.py").unlink()
    assert ("CODE-12", "deps/inner") in found(root, limits)


def test_a_submodules_own_replaced_commits_are_told(root: Path, limits: Limits, inner: Path) -> None:
    good = head(inner)
    (inner / "inside.py").write_text("evil()\n")
    evil = commit(inner, "evil")
    git(inner, "replace", good, evil)
    git(inner, "update-ref", "HEAD", good)
    assert {rule for rule, _ in found(root, limits)} == {"CODE-01", "CODE-10"}
