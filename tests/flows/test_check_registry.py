"""`sluice check registry_authorization`: what the producer may do in a registry, asked by anybody who has its login."""

import json
from pathlib import Path

import pytest

from flows.cli import main
from tests.security.gates.doubled import LOGIN, listening

CHECK = ["check", "registry_authorization"]
Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PUSHES", f"{LOGIN.user}:{LOGIN.password}")


def limits(folder: Path, text: str = "scheme: UnsafeHttp\ncredentials: env:PUSHES\n") -> list[str]:
    (folder / "limits.yaml").write_text(text)
    return ["--limits", str(folder / "limits.yaml")]


def test_a_registry_is_asked(tmp_path: Path, capsys: Said) -> None:
    with listening("sample", tags={"3": b"{}"}, asks="bearer") as of:
        subject = f"{of.place.address}/sample"
        assert main([*CHECK, subject, *limits(tmp_path)]) == 0
        said = capsys.readouterr().out
        assert said.startswith("✓ registry_authorization sample: pass\n  13/13 questions, 7 attempts refused, 2 tags")
        assert "UnsafeHttp" in said
        of.lets = {"production", "erase"}
        assert main([*CHECK, subject, *limits(tmp_path), "--json"]) == 1
        machine = json.loads(capsys.readouterr().out)
        assert [each["rule"] for each in machine["findings"]] == ["RA-PRODUCTION", "RA-DELETE"]
        assert main([*CHECK, subject, *limits(tmp_path), "--sarif"]) == 1
        assert not LOGIN.within(capsys.readouterr().out)
    assert main([*CHECK, subject, *limits(tmp_path)]) == 2
    assert "place: the registry cannot be reached (ConnectError)" in capsys.readouterr().out


def test_the_homes_own_is_a_folder(capsys: Said) -> None:
    assert main([*CHECK, "sample"]) == 2
    assert "? registry_authorization sample: inconclusive\n  the registry is a folder: " in capsys.readouterr().out


@pytest.mark.parametrize("subject", ["https://a.example/x", "a.example/", "A.example/x", "a b/x", "user:x@a.example/x"])
def test_a_subject_is_a_model_in_a_registry(subject: str, capsys: Said) -> None:
    assert main([*CHECK, subject]) == 2
    assert "is no model; allowed: HOST[:PORT][/PATH]/NAME, or NAME of this home" in capsys.readouterr().err


def test_limits_do_not_say_which_registry(tmp_path: Path, capsys: Said) -> None:
    assert main([*CHECK, "a.example/x", *limits(tmp_path, "registry: b.example\n")]) == 2
    assert "limits.yaml: registry: is the subject's to say" in capsys.readouterr().err
    assert main([*CHECK, "a.example/x", *limits(tmp_path, "credentials: word\n")]) == 2
    assert "limits.yaml: credentials: " in capsys.readouterr().err
