"""`sluice advisories`: what it says, and to whom."""

import json
from pathlib import Path

import pytest

from flows.cli import main
from security.advisories import systems
from tasks import image
from tasks.home import Home
from tests.security.advisories.exports import behind, export, told

Said = pytest.CaptureFixture[str]
OLD = told("A-1", "2024-01-01T00:00:00Z")


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Home:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SLUICE_ADVISORIES", raising=False)
    return Home(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(export(tmp_path / "e", OLD, told("A-2")))


def nobody() -> str:
    """A URL behind which nobody is any more."""
    from http.server import BaseHTTPRequestHandler

    with behind(BaseHTTPRequestHandler) as url:
        return url


def test_none_is_said_with_the_remedy(home: Home, capsys: Said) -> None:
    assert main(["advisories", "status"]) == 2
    told_ = capsys.readouterr()
    assert told_.out == ""
    assert "there are no advisories here; `sluice advisories update` fetches them" in told_.err


def test_an_update_says_what_it_did_and_how_old_they_are(home: Home, folder: str, capsys: Said) -> None:
    assert main(["advisories", "update", "--from", folder]) == 0
    said = capsys.readouterr().out
    assert "fetching all of 2 advisories\nfetched 2, dropped 0\n2 advisories from a folder on disk\n" in said
    assert "the newest is of 2024-01-01T00:00:00Z, " in said
    assert "asked for newer ones 0.0 days ago" in said
    assert main(["advisories", "status", "--json"]) == 0
    machine = json.loads(capsys.readouterr().out)
    assert (machine["count"], machine["newest"]) == (2, OLD["modified"])
    assert machine["days"] > 700


def test_the_source_may_be_named_in_the_environment(
    home: Home, folder: str, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_ADVISORIES", folder)
    assert main(["advisories", "update", "--json"]) == 0
    machine = json.loads(capsys.readouterr().out)
    assert (machine["fetched"], machine["dropped"], machine["source"]) == (2, 0, "a folder on disk")


def test_without_a_network_what_is_here_stays_and_its_age_is_said(home: Home, folder: str, capsys: Said) -> None:
    url = nobody()
    assert main(["advisories", "update", "--from", url]) == 2
    assert f"{url} cannot be reached (ConnectError); there are none here" in capsys.readouterr().err
    assert main(["advisories", "update", "--from", folder]) == 0
    before = (home.root / "advisories" / "pypi.jsonl").read_bytes()
    capsys.readouterr()
    assert main(["advisories", "update", "--from", url, "--json"]) == 2
    assert "what is here stays, its newest advisory" in json.loads(capsys.readouterr().out)["error"]
    assert (home.root / "advisories" / "pypi.jsonl").read_bytes() == before


def test_what_was_damaged_is_said(home: Home, folder: str, capsys: Said) -> None:
    assert main(["advisories", "update", "--from", folder]) == 0
    path = home.root / "advisories" / "pypi.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    capsys.readouterr()
    assert main(["advisories", "status"]) == 2
    assert "pypi.jsonl, line 3, the whole: found no advisory" in (said := capsys.readouterr().err)
    assert "fetch them anew" in said


def test_those_of_a_systems_packages_are_a_file_of_their_own(
    home: Home, folder: str, capsys: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_ADVISORIES", folder)  # of Python's packages, and of no others
    debian = told("DEBIAN-1", affected=[{"package": {"ecosystem": "Debian:12", "name": "glibc"}, "versions": ["1"]}])
    other = str(export(tmp_path / "debian", debian))
    assert main(["advisories", "update"]) == 0
    assert main(["advisories", "update", "--ecosystem", "debian", "--from", other]) == 0
    capsys.readouterr()
    assert main(["advisories", "status", "--ecosystem", "debian", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 1
    known = image._known(home)
    assert known is not None
    assert [each.id for each in systems.of(known, "Debian:12", "glibc")] == ["DEBIAN-1"]
    assert known.of("jinja2")
    home.advisories.unlink()
    alone = image._known(home)
    assert alone is not None
    assert (alone.of("jinja2"), len(alone.systems)) == ((), 1)
