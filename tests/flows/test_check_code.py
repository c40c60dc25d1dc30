"""`sluice check code_integrity_check`: a checkout, held against what people signed, from the outside of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli import main
from tests.security.engines.test_git import commit
from tests.tasks.checkouts import limits, made, root

__all__ = ["limits", "made", "root"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("ssh-keygen")), reason="needs git and ssh-keygen"),
]
Said = pytest.CaptureFixture[str]
CHECK = ["check", "code_integrity_check"]


@pytest.fixture
def asked(limits: dict[str, Any], tmp_path: Path) -> str:
    """Limits in a file beside the checkout."""
    (tmp_path / "limits.yaml").write_text(yaml.safe_dump({"signers": limits["signers"]}))
    return str(tmp_path / "limits.yaml")


def test_a_good_checkout_passes_and_what_was_not_asked_is_named(root: Path, asked: str, capsys: Said) -> None:
    assert main([*CHECK, str(root), "--limits", asked]) == 0
    said = capsys.readouterr().out
    assert said.startswith("✓ code_integrity_check checkout: pass\n  7/7 files of code, commit ")
    for rule in ("CODE-09", "CODE-13", "CODE-14", "CODE-15"):
        assert f"  not asked: {rule}, " in said


def test_a_bad_one_fails_with_rule_place_and_remedy(root: Path, asked: str, capsys: Said) -> None:
    (root / "ign.py").write_text("evil()\n")
    id = commit(root, "by nobody")
    assert main([*CHECK, str(root), "--limits", asked, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [(each["rule"], each["place"]) for each in told["findings"]] == [
        ("CODE-04", "ign.py"),
        ("CODE-07", f"commit {id[:12]}"),
    ]
    assert main([*CHECK, str(root), "--limits", asked]) == 1
    said = capsys.readouterr().out
    assert "  CODE-04 (critical) ign.py: found a file that could run; allowed: what was signed\n    remove it" in said
    assert main([*CHECK, str(root), "--limits", asked, "--sarif"]) == 1
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert [each["ruleId"] for each in run["results"]] == ["CODE-04", "CODE-07"]


def test_without_a_list_of_signers_it_is_inconclusive(root: Path, capsys: Said) -> None:
    assert main([*CHECK, str(root)]) == 2
    assert "there is no list of who may sign" in capsys.readouterr().out


def test_anybody_is_said_to_be_allowed(root: Path, tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "limits.yaml").write_text("signers: UnsafeAnybody\n")
    assert main([*CHECK, str(root), "--limits", str(tmp_path / "limits.yaml")]) == 0
    assert "not asked: CODE-07, " in capsys.readouterr().out


def test_limits_in_what_they_are_for_are_refused(
    root: Path, asked: str, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(asked, root / "limits.yaml")
    (tmp_path / "link.yaml").symlink_to(root / "limits.yaml")
    for path in (root / "limits.yaml", tmp_path / "link.yaml"):
        assert main([*CHECK, str(root), "--limits", str(path)]) == 2
        assert "limits of checkout found in it; allowed: from outside of it alone" in capsys.readouterr().err
    monkeypatch.chdir(root)
    assert main([*CHECK, ".", "--limits", "limits.yaml"]) == 2
    assert "limits of checkout found in it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("signers: [nobody]\n", "signers: Value error"),
        ("signers: []\nsince: HEAD\n", "since: String should match"),
        ("signers: []\nbesides: ['*']\n", "besides: Value error"),
        ("signers: []\nmanifests: [no key]\n", "manifests: Value error"),
        ("signers: []\nmade: ['*']\n", "made.0: String should match"),
        ("signers: []\nskew: -1\n", "skew: Input should be greater"),
        ("signers: UnsafeNobody\n", "signers"),
        ("besides: .venv\n", "besides"),
    ],
)
def test_limits_that_cannot_be_read_are_an_error_that_names_the_key(
    root: Path, tmp_path: Path, capsys: Said, text: str, said: str
) -> None:
    (tmp_path / "limits.yaml").write_text(text)
    assert main([*CHECK, str(root), "--limits", str(tmp_path / "limits.yaml")]) == 2
    assert f"limits.yaml: {said}" in capsys.readouterr().err


def test_what_is_not_there_is_inconclusive(tmp_path: Path, capsys: Said) -> None:
    assert main([*CHECK, str(tmp_path / "none")]) == 2
    assert "none, the whole: found no folder" in capsys.readouterr().out
