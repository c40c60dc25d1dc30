"""`sluice check` over a folder of manifests: what they are told to be, before any cluster is told."""

import json
from pathlib import Path

import pytest
import yaml

from flows.cli import main
from tests.security.manifests.given import COMPONENTS, changed, rendered

Said = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "release"
    made.mkdir()
    for name, data in rendered():
        (made / name).write_bytes(data)
    return made


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    path = tmp_path / "limits.yaml"
    path.write_text(yaml.safe_dump({"components": COMPONENTS}))
    return path


def test_good_manifests_pass_and_what_no_probe_saw_is_named(folder: Path, limits: Path, capsys: Said) -> None:
    assert main(["check", "network_policy_enforcement", str(folder), "--limits", str(limits)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("✓ network_policy_enforcement release: pass\n")
    assert "rendered only\n" in said
    assert "  not asked: NP-16, " in said
    assert main(["check", "workload_hardening", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_asked"] == []


def test_bad_ones_fail_by_their_rule(folder: Path, limits: Path, capsys: Said) -> None:
    for path in folder.iterdir():
        path.unlink()
    for name, data in changed(lambda told: told["NetworkPolicy/sample-serving"]["spec"]["ingress"][0].pop("from")):
        (folder / name).write_bytes(data)
    assert main(["check", "network_policy_enforcement", str(folder), "--limits", str(limits), "--json"]) == 1
    assert "NP-06" in {each["rule"] for each in json.loads(capsys.readouterr().out)["findings"]}


@pytest.mark.parametrize("broken", [b"kind: [\n", b"", b"kind: Secret\napiVersion: v1\nmetadata: {name: x}\n"])
def test_what_cannot_be_read_is_inconclusive(folder: Path, limits: Path, broken: bytes) -> None:
    (folder / "odd.yaml").write_bytes(broken)
    assert main(["check", "network_policy_enforcement", str(folder), "--limits", str(limits)]) == 2


def test_an_empty_folder_and_limits_that_say_nothing_are_refused(folder: Path, tmp_path: Path, capsys: Said) -> None:
    assert main(["check", "network_policy_enforcement", str(folder)]) == 2
    assert "limits: components: Field required" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["check", "workload_hardening", str(tmp_path / "empty")]) == 2
    assert "is empty" in capsys.readouterr().out
