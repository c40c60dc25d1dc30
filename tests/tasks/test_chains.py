"""Where chains lie: one of two writers wins, nothing is entered that would not stand, and what is missing is told."""

import threading
from pathlib import Path
from typing import Any

import pytest

from security.errors import LogBroken, Refused, StoreError
from security.keys import UnsafeLocalKeys
from security.models.chain import Keys
from security.models.manifest import REVOKED
from tasks import chains
from tasks.home import Home
from tests.security.models.chains import History, keys, sha
from tests.security.models.making import DAY, NOW


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> UnsafeLocalKeys:
    return UnsafeLocalKeys(tmp_path_factory.mktemp("chains") / "keys")


@pytest.fixture(scope="module")
def trusted(local: UnsafeLocalKeys) -> Keys:
    return keys(local, local.public("approver"))


@pytest.fixture
def site(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def told(version: int, **changes: Any) -> dict[str, Any]:
    usual = {"name": "sample", "version": version, "manifest": sha(version), "release": sha(100 + version)}
    return usual | {"run": "run", "data": (sha(600),), "expires": NOW + DAY} | changes


def entries(home: Home, name: str = "sample") -> list[str]:
    folder = home.root / "chains" / name
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_model_goes_all_the_way(site: Home, local: UnsafeLocalKeys, trusted: Keys) -> None:
    producer, verifier = local.signer("producer"), local.signer("verifier")
    assert (chains.names(site), chains.standing(site, "sample", trusted).rows) == ([], ())
    chains.enter(site, producer, trusted, **told(1))
    chains.move(site, producer, trusted, "sample", "candidate", 1, reason="all gates passed")
    chains.move(site, local.signer("approver"), trusted, "sample", "approved", 1, reason="looked at it")
    made = chains.move(site, verifier, trusted, "sample", "production", 1, reason="the log verifies", log=sha(7))
    assert chains.standing(site, "sample", trusted).at("production") == made
    assert entries(site) == ["1", "2", "3", "4"]
    assert chains.names(site) == ["sample"]
    chains.revoke(site, local.signer("owner"), trusted, what="data", target=sha(600), reason="not ours")
    with pytest.raises(Refused, match="production names nothing"):
        chains.standing(site, "sample", trusted).at("production")
    assert chains.names(site) == ["sample"]


def test_what_would_not_stand_is_not_written(site: Home, local: UnsafeLocalKeys, trusted: Keys) -> None:
    producer, verifier = local.signer("producer"), local.signer("verifier")
    chains.enter(site, producer, trusted, **told(2))
    chains.move(site, producer, trusted, "sample", "candidate", 2, reason="all gates passed")
    chains.revoke(site, verifier, trusted, what="data", target=sha(666), reason="not ours")
    before = entries(site)
    same = chains.enter(site, producer, trusted, **told(2))  # the same again changes nothing
    assert (same.version, entries(site)) == (2, before)
    for changes, said in (
        ({"manifest": sha(9)}, "version 2 was entered before, with other content"),
        ({"version": 1}, "versions only increase"),
        ({"version": 3, "data": (sha(600), sha(666))}, "comes from the dataset .*, which is revoked"),
        ({"version": 3, "expires": NOW - 1}, "expired on"),
        ({"version": 0}, "version: "),
        ({"version": 3, "more": 1}, "more: "),
    ):
        with pytest.raises((LogBroken, Refused), match=said):
            chains.enter(site, producer, trusted, **told(2) | changes)
    with pytest.raises(LogBroken, match="version signed by the verifier"):
        chains.enter(site, verifier, trusted, **told(3))
    with pytest.raises(LogBroken, match="approved signed by the producer; allowed: verifier or approver"):
        chains.move(site, producer, trusted, "sample", "approved", 2, reason="by myself")
    with pytest.raises(Refused, match="no version 7 was entered"):
        chains.move(site, producer, trusted, "sample", "candidate", 7, reason="all gates passed")
    with pytest.raises(LogBroken, match="revoked signed by the producer"):
        chains.revoke(site, producer, trusted, what="data", target=sha(1), reason="by myself")
    chains.revoke(site, verifier, trusted, what="model", target=sha(2), name="sample", version=2, reason="it leaked")
    with pytest.raises(Refused, match="approved names nothing: version 2 is revoked: it leaked"):
        chains.move(site, verifier, trusted, "sample", "approved", 2, reason="late")
    with pytest.raises(Refused, match="or fell since"):
        chains.enter(site, producer, trusted, **told(2))
    assert entries(site) == before


def test_of_two_writers_one_wins(site: Home, local: UnsafeLocalKeys, trusted: Keys) -> None:
    producer, gate, ended = local.signer("producer"), threading.Barrier(6), list[Any]()
    chains.enter(site, producer, trusted, **told(1))

    def work(version: int) -> None:
        gate.wait()
        try:
            ended.append(chains.enter(site, producer, trusted, **told(version)).version)
        except (StoreError, LogBroken) as why:
            ended.append(str(why))

    threads = [threading.Thread(target=work, args=(version,)) for version in range(2, 8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    won = sorted(each for each in ended if isinstance(each, int))
    found = chains.standing(site, "sample", trusted)
    assert [row.claim.version for row in found.rows] == [1, *won]
    assert won
    assert all("gone on since" in each or "only increase" in each for each in ended if isinstance(each, str))
    assert entries(site) == [str(number) for number in range(1, len(won) + 2)]


def test_a_writer_who_read_before_another_wrote_loses(
    site: Home, local: UnsafeLocalKeys, trusted: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = local.signer("producer")
    chains.enter(site, producer, trusted, **told(1))
    real = chains._append

    def late(*given_: Any) -> None:
        monkeypatch.setattr(chains, "_append", real)
        chains.enter(site, producer, trusted, **told(2))
        real(*given_)

    monkeypatch.setattr(chains, "_append", late)
    with pytest.raises(StoreError, match="gone on since it was read"):
        chains.enter(site, producer, trusted, **told(3))
    assert chains.standing(site, "sample", trusted).newest == 2


def test_what_is_missing_between_others_is_told(site: Home, local: UnsafeLocalKeys, trusted: Keys) -> None:
    for version in (1, 2, 3):
        chains.enter(site, local.signer("producer"), trusted, **told(version))
    folder = site.root / "chains" / "sample"
    second = (folder / "2").read_bytes()
    (folder / "2").unlink()
    with pytest.raises(LogBroken, match="found the entry 3 in the place of 2"):
        chains.there(site, "sample")
    (folder / "2").symlink_to(folder / "1")
    with pytest.raises(LogBroken, match="or a link"):
        chains.there(site, "sample")
    (folder / "2").unlink()
    (folder / "2").write_bytes(second)
    assert chains.standing(site, "sample", trusted).newest == 3
    (folder / "02").write_bytes(second)
    with pytest.raises(LogBroken):
        chains.there(site, "sample")
    (folder / "02").unlink()
    (folder / "4x").write_bytes(second)
    with pytest.raises(LogBroken, match="cannot be read"):
        chains.there(site, "sample")


def test_a_chain_that_cannot_be_listed_is_not_none(
    site: Home, local: UnsafeLocalKeys, trusted: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chains.there(site, REVOKED) == []
    folder = site.root / "chains" / REVOKED
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file")
    with pytest.raises(LogBroken, match="cannot be read .NotADirectoryError"):
        chains.there(site, REVOKED)
    folder.unlink()
    folder.mkdir()

    def barred(path: object) -> list[str]:
        raise PermissionError(path)

    monkeypatch.setattr(chains.os, "listdir", barred)
    with pytest.raises(LogBroken, match="cannot be read .PermissionError"):
        chains.there(site, REVOKED)


def test_a_chain_from_elsewhere_goes_on_or_is_refused(site: Home, local: UnsafeLocalKeys, trusted: Keys) -> None:
    history = History(local).version(1).version(2)
    assert chains.adopt(site, "sample", history.lines[:1]) == 1
    assert chains.adopt(site, "sample", history.lines) == 1
    assert chains.adopt(site, "sample", history.lines) == 0
    assert chains.there(site, "sample") == history.lines
    with pytest.raises(LogBroken, match="cut off: found 1 entries; there were 2"):
        chains.adopt(site, "sample", history.lines[:1])
    other = History(local).version(1, run="other").version(2).version(3)
    with pytest.raises(LogBroken, match="forked at entry 1"):
        chains.adopt(site, "sample", other.lines)
    assert chains.there(site, "sample") == history.lines
    assert chains.adopt(site, REVOKED, History(local).revoke("data", sha(1)).gone) == 1
    assert chains.standing(site, "sample", trusted).revocations
