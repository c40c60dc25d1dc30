"""Everything that a repository keeps: counted apart from who reads it, read in pieces, hashed again."""

import shutil
from pathlib import Path

import pytest

from security.engines import past
from security.engines.git import hashed
from security.engines.past import Kept, Past
from security.errors import BadInput, CannotTell
from tests.security.engines.test_git import commit, git

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("ssh-keygen")), reason="needs git and ssh-keygen"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    for number in range(3):
        (root / "a.txt").write_text(f"{number}\n" * 50)
        commit(root, f"change {number}")
    return root


def test_every_object_is_there_loose_packed_and_both(root: Path) -> None:
    loose = Past(root).kept()
    assert len(loose) == Past(root).counted() == 9
    assert {each.kind for each in loose} == {"blob", "tree", "commit"}
    git(root, "repack", "-a", "-q")
    assert Past(root).kept() == loose
    assert Past(root).counted() == 9
    git(root, "prune-packed", "-q")
    git(root, "hash-object", "-w", "--stdin", into=b"nobody's")
    assert len(Past(root).kept()) == Past(root).counted() == 10


def test_a_blob_has_the_commit_and_path_of_its_first(root: Path) -> None:
    first = git(root, "rev-list", "--max-parents=0", "HEAD")
    git(root, "mv", "a.txt", "b.txt")
    commit(root, "renamed")
    found = Past(root).origins()
    at = found[hashed("blob", b"0\n" * 50)]
    assert (at.commit, at.path) == (first, "a.txt")
    assert found[hashed("blob", b"2\n" * 50)].path == "a.txt"


@pytest.mark.parametrize("held", [1 << 20, 10])
def test_an_object_is_read_in_pieces_and_hashed_again(root: Path, monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    monkeypatch.setattr(past, "HELD", held)
    monkeypatch.setattr(past, "PIECE", 16)
    repository = Past(root)
    for each in repository.kept():
        for _ in range(2):
            body = b"".join(repository.read(each))
            assert hashed(each.kind, body) == each.id


def test_an_object_with_other_content_is_none(root: Path) -> None:
    repository = Past(root)
    one, other = [each for each in repository.kept() if each.kind == "blob"][:2]
    objects = root / ".git" / "objects"
    path = objects / one.id[:2] / one.id[2:]
    path.chmod(0o644)
    path.write_bytes((objects / other.id[:2] / other.id[2:]).read_bytes())
    with pytest.raises((BadInput, CannotTell), match="other content|is not there|ends before"):
        list(repository.read(one))


def test_an_object_that_is_gone_is_told(root: Path) -> None:
    with pytest.raises(CannotTell, match="is not there") as why:
        list(Past(root).read(Kept("1" * 40, "blob", 3)))
    assert why.value.cause == "history"


def test_a_part_that_is_missing_is_seen(root: Path) -> None:
    assert Past(root).whole()
    id = hashed("blob", b"0\n" * 50)
    path = root / ".git" / "objects" / id[:2] / id[2:]
    path.chmod(0o644)
    path.unlink()
    assert not Past(root).whole()


def test_an_index_of_another_form_is_told(root: Path) -> None:
    git(root, "repack", "-a", "-d", "-q")
    (index,) = (root / ".git" / "objects" / "pack").glob("*.idx")
    index.chmod(0o644)
    index.write_bytes(b"\0" * 2000)
    with pytest.raises(CannotTell, match="allowed: version 2"):
        Past(root).counted()
