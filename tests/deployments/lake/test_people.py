"""The lake's folder and its credentials: private, whole, and one process's at a time."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from deployments.lake.people import NAMES, credentials, pipeline
from deployments.lake.policy import glob
from deployments.lake.state import LakeError, held, private, write

GOOD = {name: {"access": f"{name}-key", "secret": "s"} for name in NAMES}


def mode(path: Path) -> int:
    """Its permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def test_made_random_and_kept(tmp_path: Path) -> None:
    made, other = credentials(tmp_path / "a.json"), credentials(tmp_path / "b.json")
    assert set(made) == {"operator", "pipeline", "stranger"}
    assert mode(tmp_path / "a.json") == 0o600
    assert credentials(tmp_path / "a.json") == made == json.loads((tmp_path / "a.json").read_bytes())
    texts = [text for everybody in (made, other) for pair in everybody.values() for text in pair.values()]
    assert len(set(texts)) == 12
    assert min(map(len, texts)) >= 20


BAD: list[Any] = [
    {},
    [],
    {**GOOD, "other": GOOD["operator"]},
    {name: GOOD[name] for name in NAMES[:2]},
    {**GOOD, "stranger": {"access": "a"}},
    {**GOOD, "stranger": {"access": "", "secret": "s"}},
    {**GOOD, "stranger": {"access": "a/b", "secret": "s"}},
    {**GOOD, "stranger": {"access": 5, "secret": "s"}},
    {**GOOD, "stranger": {"access": "a", "secret": "s", "root": True}},
    {**GOOD, "stranger": GOOD["operator"]},
]


@pytest.mark.parametrize("content", BAD)
def test_odd_credentials_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "credentials.json"
    write(path, json.dumps(content).encode(), 0o600)
    with pytest.raises(LakeError):
        credentials(path)


def test_credentials_that_are_not_json_refused(tmp_path: Path) -> None:
    write(tmp_path / "c.json", b"{", 0o600)
    with pytest.raises(LakeError, match="not JSON"):
        credentials(tmp_path / "c.json")


def test_credentials_open_to_others_refused(tmp_path: Path) -> None:
    write(tmp_path / "c.json", json.dumps(GOOD).encode(), 0o640)
    with pytest.raises(LakeError, match="chmod 600"):
        credentials(tmp_path / "c.json")
    (tmp_path / "c.json").chmod(0o600)
    assert credentials(tmp_path / "c.json") == GOOD


def test_folder_is_made_private(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o755)
    for name in ("new/inner", "empty"):
        with held(tmp_path / name):
            assert mode(tmp_path / name) == 0o700


def test_folder_open_to_others_refused(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "x").touch()
    (tmp_path / "f").chmod(0o755)
    with pytest.raises(LakeError, match="chmod 700"), held(tmp_path / "f"):
        pass
    assert mode(tmp_path / "f") == 0o755


def test_what_is_no_folder_refused(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(LakeError, match="cannot be the lake's folder"), held(tmp_path / "f"):
        pass


def test_folder_is_held_by_one(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(LakeError, match="another lake"), held(tmp_path):
        pass
    with held(tmp_path):
        private(tmp_path)


def test_write_replaces_at_once(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write(path, b"1", 0o644)
    with path.open("rb") as before:
        write(path, b"22", 0o600)
        assert before.read() == b"1"
    assert path.read_bytes() == b"22"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_pipeline_reads_and_nothing_else() -> None:
    allow = pipeline("s", "a", "b").allow
    assert all(action.startswith(("s3:Get", "s3:List")) and "*" not in action for action, _ in allow)
    assert {resource for _, resource in allow} == {f"arn:aws:s3:::{name}{end}" for name in "ab" for end in ("", "/*")}
    assert not any(glob("arn:aws:s3:::abc", resource) for _, resource in allow)
    assert pipeline("s").allow == ()
