"""Where a release is to run, its objects are placed beside those of the release that serves; nobody is led there yet.

In a cluster they are applied, asked by two jobs, and read back. On the target `local` there is none: what was rendered
stays what it is. Either way the gates look at what lies there afterwards.
"""

import shutil
from pathlib import Path

from deployments.kubernetes import rollout
from security.errors import PlanError
from security.verdict import Ref
from tasks import build, cluster, lease, placed
from tasks.run import Run, current
from tasks.stage import guarded
from tasks.store import files, measure

FOLDER = "placed"


@guarded(
    "deploy",
    before=["deployment_authorization"],
    after=["network_policy_enforcement", "workload_hardening"],
)
def place(manifests: Ref, candidate: Ref) -> Ref:
    """The objects of a release, as they lie where it is to run, and which candidate answered for it."""
    run = current()
    if manifests.version != candidate.version:
        raise PlanError(f"the candidate is of model {candidate.version[:12]}, not of {manifests.version[:12]}")
    folder, kept = run.place(FOLDER), run.home.evidence(run.plan.run) / FOLDER
    told = {"target": run.plan.target, "model": manifests.version, "candidate": candidate.sha256}
    if run.plan.target == "local":
        shutil.copytree(run.path(manifests), placed.objects(folder))
    else:
        told |= _applied(run, run.path(manifests), placed.objects(folder))
    placed.tell(folder, **told)
    shutil.copytree(folder, kept)
    sha, size = measure(folder)
    return Ref(
        kind="placed",
        uri=f"staging:{FOLDER}",
        sha256=sha,
        size=size,
        count=len(files(placed.objects(folder))),
        unit="files",
        version=manifests.version,
    )


def _applied(run: Run, rendered: Path, into: Path) -> dict[str, str]:
    """Apply what was rendered, and keep what the cluster gives back of it; what is said of the release."""
    build.pushed(run)
    limits = cluster.limits(run)
    with cluster.spoken(limits) as client:
        found = rollout.place(
            client,
            [(path.name, path.read_bytes()) for path in files(rendered)],
            say=lambda said: run.listener.step("deploy", said),
            lets=lease.lets(run),
            who=run.plan.run.lower(),
        )
        run.placed = found
        for said in found.warnings:
            run.listener.step("deploy", f"the cluster warns: {said}")
        into.mkdir(parents=True)
        for name, data in found.items:
            (into / name).write_bytes(data)
        about = {"server": client.config.server, "namespace": found.release.where, "name": found.release.name}
        return about | {"release": found.release.release, "before": found.serving or ""}
