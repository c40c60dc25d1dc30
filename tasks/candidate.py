"""Opens what is about to serve, for its gates: the manifests that were rendered, what the candidate runs on, and what
it answers."""

import json
import os
from pathlib import Path
from typing import Any

from deployments.serving.openapi import document
from security.engines.prober import probe
from security.errors import CannotTell, StoreError
from security.gates import api
from security.gates.network import PROBE
from security.manifests import material
from security.material import Material
from security.posture import Posture
from security.verdict import Basis, Ref, Snapshot, Subject, digest
from tasks import build, image, issuer, lock, process, service
from tasks import placed as lying
from tasks.run import Run
from tasks.store import files


def manifests(
    subject: Subject, folder: Path, *, placed: bool = False, live: bool = False, probed: bool = False
) -> Material[Any]:
    """Manifests as they were rendered, or as they lie where a release was placed: observed, where that is a cluster
    (`live`). `probed`: with what the probes saw there, which is no manifest."""
    basis = Basis.OBSERVED if placed and live else Basis.RENDERED
    folder = lying.objects(folder) if placed else folder
    items = [(path.name, path.read_bytes()) for path in files(folder) if probed or path.name != PROBE]
    there = sum(probed or name != PROBE for _, _, names in os.walk(folder) for name in names)
    return material(subject, items, expected=there, basis=basis)


def system(run: Run, ref: Ref) -> Material[Any]:
    """The image that the run's manifests name, or what the candidate's process runs on where they name none: its
    command and its variables are those that the kernel has of it."""
    folder = run.home.root / "service" / run.plan.run
    if ref.uri != f"endpoint:{run.plan.run}":
        raise CannotTell(f"the candidate is this run's own, not {ref.uri}")
    if reference := build.reference(run):
        limits, keys = build.wanted(run), [run.trust.key, *image.vexers(run.home)]
        asked = limits.beside if limits else {}
        return image.image(run.home, lock.SERVING, build.layout(run), reference, keys, of=ref.sha256, beside=asked)
    argv, env = process.told(folder / "process.json")
    return image.process(run.home, lock.SERVING, folder / service.PACKAGES, argv, env, of=ref.sha256)


def answers(run: Run, ref: Ref) -> str:
    """Where a run's candidate answers; `StoreError` unless it is the one that the reference is of, and runs still."""
    folder = run.home.root / "service" / run.plan.run
    try:
        told = json.loads((folder / "endpoint.json").read_bytes())
    except (OSError, ValueError) as why:
        raise StoreError(f"{ref.uri}: the candidate's address cannot be read ({type(why).__name__})") from None
    if digest(told) != ref.sha256 or ref.uri != f"endpoint:{run.plan.run}":
        raise StoreError(f"{ref.uri}: the candidate's address is not the one that the reference is of")
    if not process.alive(folder / "process.json"):
        raise StoreError(f"{ref.uri}: the candidate has ended")
    return str(told["url"])


def asked(run: Run, gate: Posture, ref: Ref, at: tuple[str, str]) -> Snapshot:
    """What the candidate answers to the gate's questions. `at`: stage and task."""
    url = answers(run, ref)
    ids = json.loads((run.path(run.published["model"]) / "ids.json").read_text())
    user, other = ids["users"][0], ids["users"][1]
    path = run.plan.document["stages"][4]["inference_endpoint"]
    allowed = api.Limits.model_validate(run.plan.terms[at[0]][at[1]][gate.name].limits)
    return probe(
        url,
        path,
        lambda **claims: issuer.token(run.home, **({"sub": user} | claims)),
        user,
        other=other,
        key=run.keys.public("issuer"),
        digest=ref.version,
        items=ids["items"][:2],
        document=document(path),
        burst=allowed.burst,
    )
