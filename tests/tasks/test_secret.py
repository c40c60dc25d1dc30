"""Keys for hashes: what a reference names, and that none is told."""

import os
import stat
from pathlib import Path

import pytest

from security.errors import KeyBroken
from security.personal.handle import SHORTEST
from tasks.home import Home
from tasks.secret import secret

GOOD = "k" * SHORTEST


def test_a_key_is_what_a_variable_or_a_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_TEST_KEY", f" {GOOD}\n")
    (tmp_path / "key").write_text(f"{GOOD}\n")
    home = Home(tmp_path / "home")
    for reference in ("env:SLUICE_TEST_KEY", f"file:{tmp_path / 'key'}"):
        assert secret(home, reference, "personal") == secret(home, reference, "drift") == GOOD.encode()
    assert secret(home, "", "personal") == b""
    assert not home.root.exists()


def test_an_unsafe_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = secret(home, "UnsafeLocal", "personal")
    path = tmp_path / "keys" / "personal.key"
    assert secret(home, "UnsafeLocal", "personal") == first == path.read_bytes()
    assert len(first) >= SHORTEST
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert secret(Home(tmp_path / "another"), "UnsafeLocal", "personal") != first
    assert secret(home, "UnsafeLocal", "drift") != first, "each use has a key of its own"


@pytest.mark.parametrize("value", [None, "", "short-and-telling", f"{'k' * (SHORTEST - 1)}    \n"])
@pytest.mark.parametrize("kind", ["env", "file"])
def test_a_key_that_is_missing_or_short_is_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, value: str | None
) -> None:
    monkeypatch.delenv("SLUICE_TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SLUICE_TEST_KEY", value)
        (tmp_path / "key").write_text(value)
    reference = "env:SLUICE_TEST_KEY" if kind == "env" else f"file:{tmp_path / 'key'}"
    with pytest.raises(KeyBroken, match=f"a key of {len((value or '').strip())} bytes") as why:
        secret(Home(tmp_path), reference, "personal")
    assert reference in str(why.value)
    assert not (value or "").strip() or (value or "").strip() not in str(why.value)


@pytest.mark.parametrize("name", ["key", "folder", "folder/none", "loop"])
def test_a_file_that_cannot_be_read_is_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "key").write_text(GOOD)

    def no(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", no)
    with pytest.raises(KeyBroken, match="a key of 0 bytes"):
        secret(Home(tmp_path), f"file:{tmp_path / name}", "personal")


def test_a_variable_of_no_encoding_is_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SLUICE_TEST_KEY", os.fsdecode(b"\xff" * SHORTEST))
    assert secret(Home(tmp_path), "env:SLUICE_TEST_KEY", "personal") == b"\xff" * SHORTEST
