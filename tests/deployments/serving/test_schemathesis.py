"""The service beside schemathesis, which finds nothing in it, and something where one operation is open to anybody.

How it ends is not the verdict: its report must show that it asked every operation, each many times.
"""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from deployments.serving.app import Service, application
from deployments.serving.keyset import keyset
from deployments.serving.load import load
from deployments.serving.openapi import document
from deployments.serving.token import ANY, METRICS, READ
from tests.deployments.serving.release import AUDIENCE, ISSUER, PATH, TENANT, Site
from tests.deployments.serving.test_service import bearing
from tests.deployments.serving.twins import NoAuth, serving
from tests.security.manifests.outside import environment

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1200)]
OPERATIONS = {f"{method.upper()} {path}" for path, each in document(PATH)["paths"].items() for method in each}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("schemathesis"), "schemathesis")


def asked(programs: Path, folder: Path, url: str, authorization: str) -> tuple[Counter[str], list[str]]:
    """How often each operation was asked, and the names of the checks that failed."""
    told = folder / "openapi.json"
    told.write_text(json.dumps(document(PATH)))
    argv = [str(programs / "st"), "run", str(told), "--url", url, "-H", f"Authorization: {authorization}"]
    argv += ["--checks", "all", "--max-examples", "40", "--seed", "1", "--continue-on-failure", "--no-color"]
    argv += ["--report", "ndjson", "--report-dir", str(folder / "report")]
    env = {"PATH": os.defpath, "HOME": str(folder)}
    ended = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=600, check=False, env=env)
    reports = list((folder / "report").glob("*.ndjson"))
    assert len(reports) == 1, ended.stdout[-2000:]
    counts, failed = Counter[str](), list[str]()
    for line in reports[0].read_text().splitlines():
        scenario = json.loads(line).get("ScenarioFinished", {"recorder": {"label": "", "checks": {}}})["recorder"]
        asked_so = scenario.get("checks", {})
        counts[scenario["label"]] += len(scenario.get("interactions", ()))
        failed += [each["name"] for checks in asked_so.values() for each in checks if each["status"] == "failure"]
    return +counts, failed


def test_schemathesis_finds_nothing_in_the_service(programs: Path, tmp_path: Path, home: Site) -> None:
    token = bearing(home, scope=f"{READ} {ANY} {METRICS}")["Authorization"]
    with home.serve("--rate", "1000000", "--burst", "1000000") as service:
        counts, failed = asked(programs, tmp_path, service.url, token)
    assert failed == []
    assert counts.keys() == OPERATIONS
    assert min(counts.values()) > 3
    assert sum(counts.values()) > 150


def test_schemathesis_finds_a_service_that_asks_nobody(programs: Path, tmp_path: Path, home: Site) -> None:
    verifier = NoAuth(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT)
    app = application(Service(load(home.release, home.keys.public("producer")), verifier), PATH)
    with serving(app) as url:
        _, failed = asked(programs, tmp_path, url, bearing(home)["Authorization"])
    assert "ignored_auth" in failed
