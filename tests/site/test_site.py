"""`recommendation_engine_v2` from its logs to a cluster, under `kubernetes_test.yaml` with an owner's names in it: from
a signed checkout, as a user who can read no key, over a store that encrypts, to a registry that refuses, and through an
approval by somebody else (what of it is not real says `world`). And the same run held to `kubernetes_prod.yaml`, which
refuses it, each reason by name.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from configs import load
from security.keys import PublicKey, UnsafeLocalKeys
from security.registry import GATES
from security.verify import Proof, Trust, verify
from tasks import build
from tasks.store import current, pointer
from tests.ceph.gateway import Gateway, installed
from tests.site import policy
from tests.site.ground import PROGRAM, Site
from tests.site.paused import paused
from tests.site.world import PIPELINE, World, world
from tests.tasks.distribution import absent

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(os.getuid() != 0 or not PROGRAM.exists(), reason="needs root, and the system's Python 3.11"),
    pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="needs mmdebstrap"),
]
NAME, TARGET = "recommendation_engine_v2", "kubernetes_test"
OBSERVED = [("ingest", "access_control_s3")]
"""Where nobody can tell, and the policy says that a test need not: ownership on radosgw."""


@pytest.fixture(scope="module")
def around(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if not (root := installed()) or (lacks := absent()):
        pytest.skip(f"no {'radosgw' if not root else ', '.join(lacks)}: nothing real to run over; install it")
    folder = tmp_path_factory.mktemp("around")
    (folder / "gateway").mkdir(mode=0o700)
    advisories = shared / "advisories" / "pypi-osv-2024-10-10.zip"
    with Site() as site, Gateway(root, folder / "gateway") as gateway, world(site, gateway, folder, advisories) as made:
        yield made


@dataclass
class Owned:
    """A policy as its owner wrote and signed it: its file, and what a stranger verifies with."""

    path: Path
    trust: Trust


def owned(around: World, shipped: str) -> Owned:
    """A shipped policy with this owner's names, signed, and laid where the pipeline finds it."""
    site = around.site
    producer = UnsafeLocalKeys(site.folder / "keeper" / "keys").public("producer")
    ada = UnsafeLocalKeys(site.approver / "keys").public("approver")
    limits = policy.named(around, ada, producer)
    path = policy.written(shipped, limits, site.code(), site.folder / f"{shipped}_owned.yaml")
    site.at(site.owner, "sign", str(path))
    shutil.copytree(site.owner / "trust", site.home / "trust", dirs_exist_ok=True)
    site.given(site.home / "trust")
    owner = PublicKey.read(site.owner / "trust" / "owner.pub")
    judged = load.text(path)
    return Owned(path, Trust(producer, load.policy(judged), load.sha256(judged), load.matrix(), GATES, owner))


@pytest.fixture(scope="module")
def terms(around: World) -> Owned:
    return owned(around, "kubernetes_test")


@dataclass
class Ran:
    """A run: what it said, and what its log proves where it passed."""

    told: dict[str, Any]
    folder: Path


def ran(around: World, terms: Owned, *more: str) -> Ran:
    told = around.site.told("--document", NAME, "--policy", str(terms.path), *more)
    return Ran(told, around.site.home / "evidence" / told.get("run", "none"))


@pytest.fixture(scope="module")
def strange(around: World, terms: Owned) -> list[Ran]:
    """Runs before anybody said what rows are held against; after each an owner said it of what that one saw."""
    found = []
    for _ in range(2):
        found.append(ran(around, terms, "--no-deploy"))
        told = ["baseline", "set", found[-1].told["run"], "--policy", str(terms.path)]
        ended = around.site.sluice(*told, "--refused", "--reason", "the first of this pipeline")
        assert ended.returncode == 0, ended.stdout + ended.stderr
    return found


@pytest.fixture(scope="module")
def evaluated(around: World, terms: Owned, strange: list[Ran]) -> Ran:
    """A run whose model was evaluated."""
    return ran(around, terms, "--no-deploy")


def approved(around: World, terms: Owned, folder: Path) -> str:
    """Ada, at a desk of her own, approves the model and the image of a run of which she has the evidence, as far as it
    came; the pipeline gets it. What she is told of it."""
    site, home = around.site, around.site.approver
    told = ["approval", "give", str(folder), "--key", str(site.public), "--policy", str(terms.path)]
    told += ["--owner", str(site.owner / "trust" / "owner.pub")]
    told += ["--target", TARGET, "--requester", "Grace", "--approver", "Ada", "--reason", "read the card"]
    said = site.at(home, *told)
    shutil.copytree(home / "approvals", site.home / "approvals", dirs_exist_ok=True)
    site.given(site.home / "approvals")
    return said


@dataclass
class Waited(Ran):
    """And what the approver was told of it while it waited."""

    approval: str


def waited(around: World, terms: Owned, evaluated: Ran, *, approves: bool) -> Waited:
    """A run that waits in Prefect until somebody resumes it; meanwhile what it has built is approved, or not."""
    kept = around.site.home / "evidence"
    before = {*kept.iterdir()}
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(ran, around, terms, "--after", evaluated.told["run"])
        found = paused(around.site.home, going)
        (folder,) = {*kept.iterdir()} - before
        said = approved(around, terms, folder) if approves else ""
        found.resume()
        run = going.result()
    assert run.folder == folder
    return Waited(run.told, run.folder, said)


@pytest.fixture(scope="module")
def clicked(around: World, terms: Owned, evaluated: Ran) -> Waited:
    """One that somebody resumed, and nobody approved."""
    return waited(around, terms, evaluated, approves=False)


@pytest.fixture(scope="module")
def released(around: World, terms: Owned, evaluated: Ran, clicked: Waited) -> Waited:
    """The run that releases it."""
    return waited(around, terms, evaluated, approves=True)


def named(run: Ran) -> str:
    """The digest of the image that a run's manifests name."""
    return build.named(run.folder / build.MANIFESTS).partition("@sha256:")[2]


def proven(run: Ran, terms: Owned) -> Proof:
    """What a stranger finds with public keys."""
    return verify(run.folder / "log.jsonl", terms.trust)


def test_without_a_baseline_it_is_refused_where_the_rows_are_taken_and_where_they_are_protected(
    strange: list[Ran], around: World
) -> None:
    rule = "[data_drift_monitoring] fail: DRIFT-FIRST baseline: there is no baseline of 28 partitions yet"
    for run, stage in zip(strange, ("ingest", "features"), strict=True):
        assert run.told["state"] == "SecurityGateFailed"
        assert run.told["message"].startswith(rule)
        assert run.told["verdicts"][-1]["stage"] == stage


def test_it_is_evaluated_and_every_verdict_stands(evaluated: Ran, terms: Owned) -> None:
    assert evaluated.told["state"] == "Completed", evaluated.told["message"]
    proof = proven(evaluated, terms)
    assert proof.plan.isolation == "user"
    assert [(e.stage, e.verdict.gate) for e in proof.held if e.effect.because == "observed"] == OBSERVED
    assert {e.verdict.outcome for e in proof.held if e.effect.because != "observed"} == {"pass"}
    assert {e.seen.basis for e in proof.held} == {"observed"}


def test_no_key_of_the_pipeline_is_where_the_pipeline_can_read_it(evaluated: Ran, around: World) -> None:
    assert not (around.site.home / "keys").exists() or not list((around.site.home / "keys").glob("*.pem"))
    told = subprocess.run(
        ["cat", str(around.site.folder / "keeper" / "keys" / "producer.pem")],
        user=around.site.user, group=around.site.user, extra_groups=[], capture_output=True, check=False,
    )  # fmt: skip
    assert told.returncode != 0
    assert b"denied" in told.stderr


def test_a_click_approves_nothing(clicked: Waited, evaluated: Ran, terms: Owned) -> None:
    model, image = proven(evaluated, terms).available["train"].sha256[:12], named(clicked)[:12]
    rule = f"[approval] fail: APR-01 {TARGET}: 0 approvals of {model} in image {image} count; allowed: 1 or more"
    assert (clicked.told["state"], clicked.told["message"]) == ("SecurityGateFailed", rule)


def test_it_waited_until_its_model_was_approved_in_its_image(
    released: Waited, clicked: Waited, evaluated: Ran, terms: Owned
) -> None:
    model, image = proven(evaluated, terms).available["train"].sha256[:12], named(released)
    assert f"of {NAME}, {model} in image {image[:12]}, for {TARGET}" in released.approval
    assert image == named(clicked), "what is built again is another image"


def test_it_is_released_and_every_gate_looked(released: Ran, evaluated: Ran, terms: Owned, around: World) -> None:
    assert released.told["state"] == "Completed", released.told["message"]
    proof = proven(released, terms)
    before = proven(evaluated, terms)
    passed = {e.verdict.gate for e in (*before.held, *proof.held) if e.verdict.outcome == "pass"}
    named = {name for each in proof.plan.document["stages"] for name in each["security_checks"]}
    assert len(named) == 12
    assert named - passed == {gate for _, gate in OBSERVED}
    assert {e.verdict.gate for e in (*before.held, *proof.held)} == {*GATES}
    assert {e.verdict.outcome for e in proof.held} == {"pass"}
    twice = [e.seen.basis for e in proof.held if e.verdict.gate == "network_policy_enforcement"]
    assert twice == ["rendered", "observed"]


def test_callers_are_led_to_it_in_the_cluster_and_the_registry_has_its_image(
    released: Ran, around: World
) -> None:
    decided = current(around.site.kept, pointer(TARGET, NAME))[1]
    assert decided["run"] == released.told["run"]
    assert around.cluster.led() == decided["release"]
    key = ("Deployment", around.cluster.namespace, f"{PIPELINE}-{decided['release']}")
    (box,) = around.cluster.objects.held[key]["spec"]["template"]["spec"]["containers"]
    name, _, sha = box["image"].partition("@sha256:")
    assert (name, sha) == (around.images, named(released)), "another image than was approved"
    assert {*around.cluster.real} == {decided["release"]}, "what answered in the cluster was a stand-in"
    assert not around.cluster.stood
    assert around.storage.blob(sha).is_file()
    assert around.storage.tag("team/serving", f"sha256-{sha}.sig").is_file()


def test_anybody_verifies_it_with_public_keys(released: Ran, terms: Owned, around: World) -> None:
    site = around.site
    keys = ["--key", str(site.public), "--owner", str(site.owner / "trust" / "owner.pub")]
    told = site.at(site.owner, "verify", str(released.folder), "--policy", str(terms.path), *keys)
    assert "verdicts were made again from their observations and are the same" in told
    assert "key isolation: user" in told
    assert "policy's signature: holds" in told


def test_nothing_differs_from_what_was_decided(released: Ran, terms: Owned, around: World) -> None:
    ended = around.site.sluice("deploy", "diff", "--document", NAME, "--policy", str(terms.path), "--json")
    assert (ended.returncode, json.loads(ended.stdout)) == (0, []), ended.stdout + ended.stderr
    ended = around.site.sluice("deploy", "status", "--document", NAME, "--policy", str(terms.path), "--json")
    (line,) = json.loads(ended.stdout)
    assert (line["run"], line["serves"]) == (released.told["run"], True)


def test_it_may_serve_for_a_while_by_a_key_that_the_pipeline_cannot_read(
    released: Ran, terms: Owned, around: World
) -> None:
    named = ["--document", NAME, "--policy", str(terms.path), "--json"]
    ended = around.site.sluice("deploy", "lease", *named)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    given = json.loads(ended.stdout)
    assert [(each["run"], each["serves"]) for each in given["releases"]] == [(released.told["run"], True)]
    assert given["lease"]["models"] == [current(around.site.kept, pointer(TARGET, NAME))[1]["model"]]
    ended = around.site.sluice("deploy", "diff", *named)
    assert (ended.returncode, json.loads(ended.stdout)) == (0, []), ended.stdout + ended.stderr


def test_production_refuses_it_and_names_each_reason(released: Ran, around: World, terms: Owned) -> None:
    prod, before = owned(around, "kubernetes_prod"), current(around.site.kept, pointer("kubernetes_prod", NAME))
    told = ran(around, prod, "--after", released.told["run"]).told
    assert told["state"] != "Completed"
    first, *lines = told["message"].splitlines()
    assert first.endswith("under policy kubernetes_prod the run, which was under kubernetes_test, stops:")
    found = {}
    for line in lines:
        where, _, said = line.strip().partition(": ")
        rules = re.findall(r"(?:^|; )((?:S3|VOL|DEP|APR|IMG)-[A-Z0-9-]+) ", said)
        found[where] = sorted({*rules}) or said
    old = "the newest is of 2024-10-10T17:22:00Z"
    assert found.pop("target") == "it was for kubernetes_test; allowed: kubernetes_prod"
    assert found == {
        "ingest/fetch [access_control_s3] fail": sorted(
            f"S3-{rule}" for rule in ("ACCOUNT", "IDENTITY", "LOCK", "LOG", "MFA", "KEY", "SSE-C")
        ),
        "train/fit [dependency_scanning] fail": ["DEP-07"],
        "deploy/serve [dependency_scanning] fail": ["DEP-07"],
        "deploy/serve [approval] fail": ["APR-01", "APR-06"],
        "deploy/serve [image_vulnerability_scanning] fail": ["IMG-07"],
    }
    assert told["message"].count(old) == 3
    assert current(around.site.kept, pointer("kubernetes_prod", NAME)) == before == (0, {})
    assert around.cluster.led() == current(around.site.kept, pointer(TARGET, NAME))[1]["release"]
