"""The folder of one Sluice: what its references mean, what of it is private, and what is swept."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from security.errors import StoreError
from tasks.home import Home, born

RUN = "20231027T000000Z-abcdef"


@pytest.fixture
def made(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_home_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "x" / ".." / "there"))
    assert Home.here().root == tmp_path / "there"
    for nothing in ("", None):
        monkeypatch.setenv("SLUICE_HOME", "") if nothing == "" else monkeypatch.delenv("SLUICE_HOME")
        monkeypatch.chdir(tmp_path)
        assert Home.here().root == tmp_path / ".sluice"


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("store:" + "0" * 64, ("store", "0" * 64)),
        ("staging:rows", ("staging", RUN, "rows")),
        ("quarantine:raw", ("quarantine", RUN, "raw")),
    ],
)
def test_a_reference_names_a_place_of_the_home(made: Home, uri: str, place: tuple[str, ...]) -> None:
    assert made.path(uri, RUN) == made.root.joinpath(*place)


@pytest.mark.parametrize(
    "uri",
    ["", "store", "store:", "store:.", "store:..", "store:../keys", "store:a/b", "staging:/etc/passwd", "store:.tmp",
     "file:x", "keys:owner.pem", "STORE:x", ":x", "/etc/passwd", "staging:../../x", "s3://bucket/key"],
)  # fmt: skip
def test_a_reference_names_nothing_else(made: Home, uri: str) -> None:
    with pytest.raises(StoreError):
        made.path(uri, RUN)


def test_what_was_not_looked_at_and_keys_are_private(made: Home) -> None:
    before = os.umask(0)
    try:
        for scheme in ("staging", "quarantine"):
            made.path(f"{scheme}:x", RUN)
            assert mode(made.root / scheme / RUN) == 0o700
        assert mode(made.folder("keys", private=True)) == 0o700
        open_to_all = made.folder("pages")
        assert mode(open_to_all) == 0o755
        assert mode(made.folder("pages", private=True)) == 0o700
    finally:
        os.umask(before)


def test_evidence_has_its_folder_and_the_index_lies_above(made: Home) -> None:
    assert made.evidence(RUN).parent == made.index.parent
    assert made.index.name == "index.jsonl"


def kept(home: Home, run: str, mark: str | None = None) -> list[Path]:
    """What a run keeps apart while it works, marked with this process unless another mark is given."""
    places = []
    home.mark(run)
    for scheme in ("quarantine", "staging"):
        folder = home.folder(scheme, run, private=True)
        if mark is not None:
            (folder / ".pid").write_text(mark)
        (folder / "raw").mkdir()
        (folder / "raw" / "rows.jsonl").write_text(json.dumps({"user_id": "u"}))
        places.append(folder)
    return places


def dead() -> str:
    """The mark of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as ended:
        mark = f"{ended.pid} {born(ended.pid)}"
    return mark


def test_a_dead_runs_quarantine_is_swept_and_a_living_ones_is_not(made: Home) -> None:
    again = f"{os.getpid()} {born(os.getpid()) - 1}"
    gone, mine = kept(made, "dead", dead()) + kept(made, "pid-of-another", again), kept(made, "mine")
    assert made.sweep() == ["dead", "pid-of-another"]
    assert not any(path.exists() for path in gone)
    assert all((path / "raw" / "rows.jsonl").is_file() for path in mine)
    assert made.sweep() == []


@pytest.mark.parametrize("mark", ["", "x", "1", "0 0", "-1 5", "ME", "ME 0", None])
def test_what_nobody_marked_is_swept(made: Home, mark: str | None) -> None:
    places = kept(made, "unmarked", (mark or "").replace("ME", str(os.getpid())))
    for path in places if mark is None else ():
        (path / ".pid").unlink()
    assert made.sweep() == ["unmarked"]
    assert not any(path.exists() for path in places)


def test_a_home_in_which_nothing_ran_has_nothing_to_sweep(made: Home) -> None:
    assert made.sweep() == []


def test_wiping_takes_one_runs_places_and_can_be_done_again(made: Home) -> None:
    mine, other = kept(made, "mine"), kept(made, "other")
    published = made.folder("store") / ("0" * 64)
    published.write_text("x")
    for _ in range(2):
        made.wipe("mine")
        assert not any(path.exists() for path in mine)
    assert all(path.exists() for path in other)
    assert published.exists()


def test_what_cannot_be_wiped_is_told(made: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(made, "mine")
    monkeypatch.setattr(shutil, "rmtree", lambda path, **how: None)
    with pytest.raises(StoreError, match="quarantine/mine cannot be wiped|staging/mine cannot be wiped"):
        made.wipe("mine")


def test_wiping_does_not_follow_a_link(made: Home, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (kept(made, "mine")[0] / "link").symlink_to(outside)
    made.wipe("mine")
    assert (outside / "kept").is_file()


def test_some_places_of_a_run_are_wiped_and_the_run_goes_on(made: Home) -> None:
    quarantine, staging = kept(made, "mine")
    made.wipe("mine", "quarantine")
    assert not quarantine.exists()
    assert staging.is_dir()
    assert made.working("mine")
    assert made.sweep() == []


@pytest.mark.parametrize("name", ["", "x", "1", "0-0-x", "ME-0-x", "ME-1-x"])
def test_a_copy_that_got_no_name_is_swept_once_its_process_is_gone(made: Home, name: str) -> None:
    mine, theirs = made.copying(), made.root / "store" / f".copy-{name.replace('ME', str(os.getpid()))}"
    dead_ = made.root / "store" / f".copy-{dead().replace(' ', '-')}-x"
    for folder in (mine, theirs, dead_):
        folder.mkdir(exist_ok=True)
        (folder / "rows").write_text("u")
    published = made.root / "store" / ("0" * 64)
    published.write_text("x")
    assert (mode(mine), mode(made.root / "store")) == (0o700, 0o700)
    assert made.sweep() == []
    assert (mine / "rows").is_file()
    assert published.is_file()
    assert not theirs.exists()
    assert not dead_.exists()
