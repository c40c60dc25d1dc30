"""`sluice check`: one gate over one subject, with an answer for people and for machines."""

import json
from pathlib import Path

import pytest

from flows.cli import main
from tasks.home import Home
from tests.security.advisories.exports import against, export, told
from tests.security.advisories.service import living
from tests.security.advisories.test_live import EVERYBODY

HASH = f"--hash=sha256:{'a' * 64}"
NEW = "2026-11-28T00:00:00Z"
Said = pytest.CaptureFixture[str]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Home:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
    for name in ("SLUICE_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    return Home(tmp_path / "home")


@pytest.fixture
def known(home: Home, tmp_path: Path, capsys: Said) -> Path:
    """Advisories that know what everybody knows, and limits whose clock is theirs."""
    from security.gates.dependencies.match import FORGET_ME_NOT

    every = [against(*each, NEW) for each in FORGET_ME_NOT]
    assert main(["advisories", "update", "--from", str(export(tmp_path / "e", *every))]) == 0
    capsys.readouterr()
    limits = tmp_path / "limits.yaml"
    limits.write_text(f"UnsafeClock: {NEW!r}\n")
    return limits


def lock(folder: Path, text: str) -> str:
    (folder / "some.lock").write_text(text)
    return str(folder / "some.lock")


def test_a_good_lock_passes_and_what_was_not_asked_is_named(known: Path, tmp_path: Path, capsys: Said) -> None:
    path = lock(tmp_path, f"alpha==1.0 {HASH}\n")
    assert main(["check", "dependency_scanning", path, "--limits", str(known)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("✓ dependency_scanning some.lock: pass\n  1/1 packages, none known to be vulnerable")
    assert "  UnsafeClock is set\n" in said
    for rule in ("DEP-02", "DEP-06", "DEP-10", "DEP-11", "DEP-12"):
        assert f"  not asked: {rule}, " in said


def test_a_bad_one_fails_with_rule_place_and_remedy(known: Path, tmp_path: Path, capsys: Said) -> None:
    path = lock(tmp_path, f"jinja2==2.11.0 {HASH}\nbeta\n")
    assert main(["check", "dependency_scanning", path, "--limits", str(known), "--json"]) == 1
    machine = json.loads(capsys.readouterr().out)
    assert (machine["outcome"], machine["subject"]) == ("fail", "some.lock")
    assert machine["unsafe"] == ["UnsafeAnyLicence", "UnsafeAnyName", "UnsafeClock"]
    assert [(each["rule"], each["place"]) for each in machine["findings"]] == [
        ("DEP-01", "lock, line 2"),
        ("DEP-05", "lock, line 2"),
        ("DEP-04", "jinja2 2.11.0: PYSEC-2021-66"),
    ]
    assert main(["check", "dependency_scanning", path, "--limits", str(known)]) == 1
    said = capsys.readouterr().out
    assert "  DEP-04 (critical) jinja2 2.11.0: PYSEC-2021-66: high (PYSEC-2021-66), not fixed in any version" in said
    assert "    lock a version that fixes it\n" in said


def test_it_writes_sarif(known: Path, tmp_path: Path, capsys: Said) -> None:
    path = lock(tmp_path, f"jinja2==2.11.0 {HASH}\n")
    assert main(["check", "dependency_scanning", path, "--limits", str(known), "--sarif"]) == 1
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]
    assert [each["ruleId"] for each in run["results"]] == ["DEP-04"]
    rests = [each["id"] for each in run["tool"]["driver"]["rules"] if not each["defaultConfiguration"]["enabled"]]
    assert rests == ["DEP-02", "DEP-06", "DEP-10", "DEP-11", "DEP-12"]


def test_without_advisories_it_is_inconclusive(home: Home, tmp_path: Path, capsys: Said) -> None:
    path = lock(tmp_path, f"alpha==1.0 {HASH}\n")
    assert main(["check", "dependency_scanning", path]) == 2
    said = capsys.readouterr().out
    assert said.startswith("? dependency_scanning some.lock: inconclusive\n  no advisories are here")


def test_it_writes_a_bill_of_materials_of_what_is_locked(known: Path, tmp_path: Path, capsys: Said) -> None:
    path = lock(tmp_path, f"alpha==1.0 {HASH}\nbeta==2.0 ; sys_platform == 'win32' {HASH}\n")
    bill = tmp_path / "bill.json"
    assert main(["check", "dependency_scanning", path, "--limits", str(known), "--bill", str(bill)]) == 0
    assert "DEP-11" not in capsys.readouterr().out
    (part,) = json.loads(bill.read_text())["components"]
    assert part["purl"] == "pkg:pypi/alpha@1.0"
    assert main(["check", "dependency_scanning", path, "--bill", str(tmp_path / "none" / "bill.json")]) == 2
    assert "none/bill.json, the whole: found FileNotFoundError" in capsys.readouterr().out


def test_a_live_service_is_asked_where_the_limits_say_so(
    home: Home, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, path = tmp_path / "limits.yaml", lock(tmp_path, f"alpha==1.0 {HASH}\n")
    limits.write_text("service: live\n")
    monkeypatch.delenv("SLUICE_OSV", raising=False)
    assert main(["check", "dependency_scanning", path, "--limits", str(limits)]) == 2
    assert "SLUICE_OSV names no live service" in capsys.readouterr().out
    with living(*EVERYBODY) as url:
        monkeypatch.setenv("SLUICE_OSV", url)
        assert main(["check", "dependency_scanning", path, "--limits", str(limits)]) == 0
        assert "by 4 advisories that a live service has as of" in capsys.readouterr().out
    with living(*EVERYBODY, told("PYSEC-1", name="alpha"), size=1) as url:
        monkeypatch.setenv("SLUICE_OSV", url)
        assert main(["check", "dependency_scanning", path, "--limits", str(limits)]) == 1
        assert "DEP-04 (critical) alpha 1.0: PYSEC-1" in capsys.readouterr().out
    with living(*EVERYBODY, ill="busy", sick="alpha") as url:
        monkeypatch.setenv("SLUICE_OSV", url)
        assert main(["check", "dependency_scanning", path, "--limits", str(limits)]) == 2
        assert "answered 503; allowed: 200; 2 of 10 questions have no answer" in capsys.readouterr().out


def test_an_index_that_nobody_named_is_inconclusive(known: Path, tmp_path: Path, capsys: Said) -> None:
    known.write_text(f"UnsafeClock: {NEW!r}\nindex: true\n")
    path = lock(tmp_path, f"alpha==1.0 {HASH}\n")
    assert main(["check", "dependency_scanning", path, "--limits", str(known)]) == 2
    assert "nobody can tell whether the index knows them: SLUICE_INDEX names no index" in capsys.readouterr().out


@pytest.mark.parametrize("text", [b"\xff\xfe", None])
def test_what_cannot_be_opened_is_inconclusive(known: Path, tmp_path: Path, capsys: Said, text: bytes | None) -> None:
    path = tmp_path / "odd.lock"
    if text is not None:
        path.write_bytes(text)
    assert main(["check", "dependency_scanning", str(path), "--limits", str(known), "--json"]) == 2
    machine = json.loads(capsys.readouterr().out)
    assert (machine["outcome"], machine["cause"]) == ("inconclusive", "unreadable")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "no mapping"),
        ("{", "no mapping"),
        ("days: 0\n", "days: "),
        ("unknown: 1\n", "unknown: "),
        ("7", "no map"),
    ],
)
def test_limits_that_are_none_are_an_error(known: Path, tmp_path: Path, capsys: Said, text: str, said: str) -> None:
    known.write_text(text)
    assert main(["check", "dependency_scanning", lock(tmp_path, "a\n"), "--limits", str(known)]) == 2
    assert f"limits.yaml: found {said}" in (err := capsys.readouterr().err) or f"limits.yaml: {said}" in err
