"""Advisories on disk: what they are is proven against the head, and how old they are is known."""

import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.version import InvalidVersion, Version

from security.advisories import export, mirror, ranges, update
from security.advisories.server import Answers
from security.errors import CannotTell
from tests.security.advisories.exports import export as made
from tests.security.advisories.exports import told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    gone = told("A-3", withdrawn="2024-01-05T00:00:00Z")
    zero = told("A-4", "1-01-01T00:00:00Z", name="flask")
    path = tmp_path / "pypi.jsonl"
    update.update(path, export.source(str(made(tmp_path / "e", told("A-1"), told("A-2", name="x"), gone, zero))))
    return path


def test_what_was_withdrawn_counts_no_more(path: Path) -> None:
    assert [each.id for each in mirror.load(path).of("Jinja2")] == ["A-1"]
    assert mirror.load(path).of("unheard-of") == ()


def test_it_is_as_old_as_its_newest_advisory(path: Path) -> None:
    assert mirror.days(mirror.load(path).head.newest, datetime(2024, 1, 11, 12, tzinfo=UTC)) == 10.5


def test_it_is_loaded_once_for_as_long_as_it_stays_the_same(path: Path) -> None:
    first = mirror.load(path)
    assert mirror.load(path) is first
    path.write_bytes(path.read_bytes())
    assert mirror.load(path) is not first


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda whole: whole[:-100],
    "a-line-less": lambda whole: b"".join(whole.splitlines(keepends=True)[:-1]),
    "a-line-more": lambda whole: whole + whole.splitlines(keepends=True)[1],
    "altered": lambda whole: whole.replace(b'"2.0"', b'"1.0"', 1),
    "no-head": lambda whole: b"".join(whole.splitlines(keepends=True)[1:]),
    "empty": lambda _: b"",
    "newer-by-its-word": lambda whole: whole.replace(b'"newest":"2024', b'"newest":"2026', 1),
    "no-json": lambda whole: whole.replace(b'"affected"', b'"affected', 1),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_file_that_is_not_what_its_head_says_tells_nothing(path: Path, damage: Callable[[bytes], bytes]) -> None:
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CannotTell, match=r"pypi\.jsonl") as why:
        mirror.load(path)
    assert why.value.cause == mirror.CAUSE


def test_what_is_no_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file" / "pypi.jsonl"):
        with pytest.raises(CannotTell, match="cannot be read") as why:
            mirror.load(path)
        assert why.value.cause == mirror.CAUSE


def test_none_at_all_says_how_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(CannotTell, match="there are no advisories here; `sluice advisories update`") as why:
        mirror.load(tmp_path / "pypi.jsonl")
    assert why.value.cause == mirror.CAUSE


def fetched(shared: Path, folder: Path) -> Path:
    """The advisories of October 2024, fetched from an export that is made of them."""
    packed = next((shared / "advisories").glob("*.zip"))
    shutil.copy(packed, folder / update.WHOLE)
    with zipfile.ZipFile(packed) as archive:
        times = {name[:-5]: json.loads(archive.read(name))["modified"] for name in archive.namelist()}
    (folder / update.LIST).write_text("".join(f"{at},{id}\n" for id, at in times.items()))
    update.update(folder / "pypi.jsonl", export.source(str(folder)))
    return folder / "pypi.jsonl"


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> mirror.Mirror:
    return mirror.load(fetched(shared, tmp_path_factory.mktemp("real")))


def test_real_advisories_are_read_and_are_old(real: mirror.Mirror) -> None:
    assert (real.head.count, real.head.newest) == (2661, "2024-10-10T17:22:00Z")
    assert mirror.days(real.head.newest, datetime(2026, 11, 29, tzinfo=UTC)) > 700
    (found,) = [each for each in real.of("jinja2") if each.id == "PYSEC-2021-66"]
    assert ranges.affects(found, "jinja2", Version("2.11.0")) is True
    assert ranges.affects(found, "jinja2", Version("2.11.3")) is False
    assert ranges.fixes(found, "jinja2") == ("2.11.3",)


def test_both_ways_agree_on_real_advisories(real: mirror.Mirror) -> None:
    answers, pairs = Answers(real), 0
    for name, every in real.known.items():
        versions = {told for each in every for affected in each.affected for told in affected.versions}
        for at in sorted(versions)[::7]:
            try:
                parsed = Version(at)
            except InvalidVersion:
                continue
            asked = {"package": {"name": name, "ecosystem": "PyPI"}, "version": at}
            served = {each["id"] for each in answers.query(asked).get("vulns", [])}
            assert served == {each.id for each in real.of(name) if ranges.affects(each, name, parsed) is not False}
            pairs += 1
    assert pairs > 4000
