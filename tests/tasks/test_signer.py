"""Who signs for a home: a process of its own, or the one that is named."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cli import main
from security.errors import KeyBroken
from security.keys import UnsafeLocalKeys, seal, unseal
from tasks import signer
from tasks.home import Home

KIND = "urn:sluice:verdict/v1"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv(signer.LISTENS, raising=False)
    return Home(tmp_path / "home")


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[signer.Own]:
    made = signer.Own()
    monkeypatch.setattr(signer, "OWN", made)
    yield made
    made.close()


def test_another_process_signs_and_this_one_opens_no_key(
    site: Home, own: signer.Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = list[str]()
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path.name) or real(path))
    keys = signer.keys(site)
    sealed = seal(KIND, {"a": "0" * 64}, {"n": 1}, keys.signer("producer"))
    assert [name for name in opened if name.endswith(".pem")] == []
    assert unseal(sealed, UnsafeLocalKeys(site.root / "keys").public("producer"))["predicate"] == {"n": 1}
    assert own._process is not None
    assert own._process.pid != os.getpid()
    assert signer.isolated() is False


def test_each_home_has_its_keys_and_one_process_serves_them(site: Home, own: signer.Own, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    first, second = signer.keys(site), signer.keys(other)
    assert first.public("producer").id != second.public("producer").id
    assert first.public("producer").id == UnsafeLocalKeys(site.root / "keys").public("producer").id
    assert second.public("producer").id == UnsafeLocalKeys(other.root / "keys").public("producer").id


def test_one_that_was_ended_signs_no_more_and_another_is_begun(site: Home, own: signer.Own) -> None:
    keys = signer.keys(site)
    asked = keys.signer("producer")
    assert own._process is not None
    first = own._process.pid
    os.kill(first, signal.SIGKILL)
    own._process.wait()
    with pytest.raises(KeyBroken, match="who signs "):
        seal(KIND, {"a": "0" * 64}, {}, asked)
    signer.keys(site).public("verifier")
    assert own._process.pid != first


def test_what_training_must_not_reach_is_every_key_and_the_socket(
    site: Home, own: signer.Own, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(KeyBroken, match="no key lies here, and SLUICE_SIGNER names nobody who signs"):
        signer.secret(site)
    signer.keys(site).public("producer")
    UnsafeLocalKeys(site.root / "keys").path("owner")
    assert [path.name for path in signer.secret(site)] == ["owner.pem", "producer.pem"]
    monkeypatch.setenv(signer.LISTENS, str(tmp_path / "socket"))
    assert [path.name for path in signer.secret(site)] == ["owner.pem", "producer.pem", "socket"]


@pytest.fixture
def listens() -> Iterator[tuple[Path, "subprocess.Popen[bytes]"]]:
    with tempfile.TemporaryDirectory(prefix="sluice-signer-") as name:
        folder = Path(name)
        argv = ["--keys", str(folder / "keys"), "--socket", str(folder / "socket"), "--for", "64002"]
        begun = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.cli", "signer", *argv],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert begun.stdout is not None
        yield folder, begun
        begun.kill()
        begun.stdout.close()
        begun.wait()


def test_the_command_tells_its_keys_and_listens(
    listens: tuple[Path, "subprocess.Popen[bytes]"], site: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, begun = listens
    assert begun.stdout is not None
    said = [begun.stdout.readline().decode().split() for _ in range(3)]
    keys = UnsafeLocalKeys(folder / "keys")
    assert said[0] == ["producer", keys.public("producer").id]
    assert said[1] == ["verifier", keys.public("verifier").id]
    assert said[2] == ["signs", "for", "user", "64002", "at", "socket"]
    end = time.monotonic() + 20
    while not (folder / "socket").exists() and time.monotonic() < end:
        time.sleep(0.05)
    monkeypatch.setenv(signer.LISTENS, str(folder / "socket"))
    with pytest.raises(KeyBroken, match=rf"who signs refused: user {os.geteuid()} may not ask here"):
        signer.keys(site).public("producer")
    for other, _ in signer._others.values():
        other.close()
    signer._others.clear()


@pytest.mark.parametrize("user", [0, os.geteuid()])
def test_the_command_signs_for_nobody_who_can_read_its_keys(
    user: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--keys", str(tmp_path / "keys"), "--socket", str(tmp_path / "socket"), "--for", str(user)]
    assert main(["signer", *argv]) == 2
    assert f"--for {user}: found " in capsys.readouterr().err
    assert not (tmp_path / "keys").exists()
