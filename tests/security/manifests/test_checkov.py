"""Our manifests beside checkov, which finds nothing in them, and something where a container is privileged."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from security.manifests import Item
from tests.security.manifests.given import OWN, changed, objects, rendered
from tests.security.manifests.outside import environment

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("checkov"), "checkov")


def asked(programs: Path, folder: Path, items: list[Item]) -> dict[str, Any]:
    """Its report. How it ends says nothing: it ends well, too, where it could read nothing."""
    for name, data in items:
        (folder / name).write_bytes(data)
    argv = [str(programs / "checkov"), "-d", str(folder), "--framework", "kubernetes", "-o", "json", "--quiet"]
    env = {"PATH": os.defpath, "HOME": str(folder.parent)}
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, env=env)
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def test_checkov_finds_nothing_in_our_manifests(programs: Path, tmp_path: Path) -> None:
    summary = asked(programs, tmp_path, rendered())["summary"]
    assert (summary["failed"], summary["skipped"], summary["parsing_errors"]) == (0, 0, 0)
    assert summary["passed"] > 200
    assert summary["resource_count"] >= len(objects(rendered()))


def test_checkov_finds_what_is_wrong(programs: Path, tmp_path: Path) -> None:
    def worse(told: dict[str, Any]) -> None:
        spec = told[f"Deployment/{OWN}"]["spec"]["template"]["spec"]
        spec["containers"][0]["securityContext"]["privileged"] = True

    found = asked(programs, tmp_path, changed(worse))["results"]["failed_checks"]
    assert "CKV_K8S_16" in {each["check_id"] for each in found}
