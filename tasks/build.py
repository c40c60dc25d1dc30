"""The image of a run: the service, its own packages and the published model on an approved base, signed and attested.

It is built where the policy names a base and a repository, before the manifests that name it, with the log as it is
then; of the same base, files, model and log it has the same digest each time. It lies in the home, where the gate looks
at it, and goes to the registry when somebody rolls it out: until then nothing outside has seen it. Which image a run
has, its own manifests say, which are hashed before they are read.
"""

import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from configs.load import Policy
from deployments.image import assemble, push
from deployments.image.closure import closure
from security.engines.login import Place
from security.errors import PlanError, StoreError
from security.gates.image import ImageVulnerabilityScanning, Limits
from security.inventory.layout import opened
from security.verdict import Ref
from tasks import code, lock, service, tree
from tasks.credentials import login
from tasks.home import Home
from tasks.run import Run
from tasks.store import check, measure, pointer
from tasks.store import current as pointed

KEPT = 86_400.0
"""Seconds for which an image is kept that does not serve."""
IMAGES, BASES, MANIFESTS = "images", "bases", "manifests"
SERVES = "deployments.serving"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
"""Of this machine, as images call it."""
PROGRAM = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
"""The interpreter of a base: of the version that the packages here are of."""
ENTRYPOINT = (
    PROGRAM,
    "-I",
    "-S",
    "-B",
    "-c",
    service.BEGIN,
    f"/{assemble.CODE}",
    f"/{assemble.PACKAGES}",
)
"""What an image starts; a cluster adds the arguments of its manifests."""


def wanted(run: Run) -> Limits | None:
    """The limits of the gate over images, where they ask for one to be built. On the target `local` what serves is a
    process: no image is built there, and the process is looked at."""
    terms = run.plan.terms.get("deploy", {}).get("serve", {}).get(ImageVulnerabilityScanning.name)
    limits = Limits.model_validate(terms.limits) if terms and run.plan.target != "local" else None
    return limits if limits and limits.base else None


def builds(policy: Policy) -> bool:
    """Whether runs under a policy have an image built."""
    terms = policy.gates.get(ImageVulnerabilityScanning.name)
    return policy.target != "local" and bool(terms and terms.limits.get("base"))


def built(run: Run, model: Ref) -> str | None:
    """Build the image of a published model: HOST/PATH@sha256:DIGEST; None where none is asked for. `PlanError` where
    the base is not in the home or of another machine, and where the code here is not the plan's any more."""
    if (limits := wanted(run)) is None:
        return None
    base = run.home.root / BASES / limits.base
    if not base.is_dir():
        raise PlanError(f"{BASES}/{limits.base[:12]}: no such base in the home; allowed: an OCI layout that has it")
    sweep(run.home)
    if (found := json.loads(opened(base, limits.base).config).get("architecture")) != ARCHITECTURE:
        what = f"{BASES}/{limits.base[:12]}: found {found!a}"
        raise PlanError(f"{what}; allowed: {ARCHITECTURE}, as the packages here are")
    if (seen := code.digest()) != run.plan.code:
        raise PlanError(f"the code here is {seen[:12]}; allowed: {run.plan.code[:12]}, as the plan has it")
    run.home.folder(IMAGES, private=True)
    staging = run.home.folder("staging", run.plan.run, private=True)
    with tempfile.TemporaryDirectory(dir=staging, prefix=".packages-") as work:
        sha = assemble.assembled(
            base,
            limits.base,
            service.packages(Path(work), _sealed(run)),
            closure(tree.PIPELINE, SERVES),
            _files(check(run.home, model, run.plan.run)),
            service.logs(run.home.evidence(run.plan.run)),
            ENTRYPOINT,
            layout(run),
            run.keys.signer("producer"),
            limits.repository,
        )
    if (seen := code.digest()) != run.plan.code:  # it may have changed while it was read
        shutil.rmtree(layout(run))
        raise PlanError(f"the code in the image is {seen[:12]}; allowed: {run.plan.code[:12]}, as the plan has it")
    run.listener.step("deploy", f"image {sha[:12]}")
    return f"{limits.repository}@sha256:{sha}"


def named(folder: Path) -> str:
    """The image that manifests would have run, by their one deployment; empty where it names none."""
    told = list(yaml.safe_load_all((folder / "deployment.yaml").read_bytes()))
    found = [each for one in told for each in _containers(one)]
    if len(found) != 1:
        raise StoreError(f"deployment.yaml: found {len(found)} containers; allowed: one")
    return str(found[0].get("image") or "")


def reference(run: Run) -> str:
    """The image of this run, as the manifests that it rendered name it; empty where they name none. `StoreError` where
    those that are kept are others."""
    refs = [each for each in run.outputs.values() if each.kind == "manifests"]
    if len(refs) != 1:
        raise StoreError(f"found {len(refs)} sets of manifests of this run; allowed: one")
    kept = run.home.evidence(run.plan.run) / MANIFESTS
    if measure(kept)[0] != refs[0].sha256:
        raise StoreError("the manifests of this run are not those that were rendered")
    return named(kept)


def image(run: Run) -> str:
    """The digest of the image of this run; empty where none is asked for."""
    return reference(run).partition("@sha256:")[2] if wanted(run) else ""


def layout(run: Run) -> Path:
    """Where the image of this run lies: an OCI layout."""
    return run.home.root / IMAGES / run.plan.run


def pushed(run: Run) -> None:
    """Send the image of this run, its attestation and its signature to the repository that its policy names.
    `PlanError` where none was built; `StoreError` where it was not taken whole."""
    of, limits = reference(run), wanted(run)
    name, _, sha = of.partition("@sha256:")
    if limits is None or name != limits.repository:
        raise PlanError(f"no image of this run is to be pushed: its manifests name {of or 'none'}")
    place = Place(limits.repository, "", limits.scheme, limits.tokens)
    done = push.pushed(layout(run), sha, place, login(limits.credentials, limits.repository))
    run.listener.step("deploy", f"pushed {done.reference}: {done.sent} blobs, {done.there} were there")


def sweep(home: Home) -> list[str]:
    """Remove the images of runs that are over, do not serve, and were built longer ago than somebody would roll them
    out; the runs."""
    pointers = [each for each in os.listdir(home.folder("pointers")) if each.startswith(pointer("local"))]
    serves, gone = {pointed(home, each)[1].get("run") for each in pointers}, list[str]()
    for path in sorted((home.root / IMAGES).glob("*")):
        if path.name not in serves and not home.working(path.name) and time.time() - path.stat().st_mtime > KEPT:
            shutil.rmtree(path, ignore_errors=True)
            gone.append(path.name)
    return gone


def _sealed(run: Run) -> str:
    """The SHA-256 of the service's lock that the plan has sealed; empty where the policy does not ask for it."""
    terms = run.plan.terms["deploy"]["serve"].get(lock.NAME)
    name = lock.SERVING.name
    return run.plan.locks.get(name, "") if terms and name in terms.limits.get("within", ()) else ""


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _containers(told: Any) -> list[dict[str, Any]]:
    spec = told["spec"]["template"]["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]
