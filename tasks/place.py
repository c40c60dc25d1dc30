"""Where a release is to run, its objects are placed beside those of the release that serves; nobody is led there yet.

On the target `local` there is no cluster: what was rendered stays what it is, and nothing is applied. Either way the
gates look at what lies there afterwards, and in a cluster at what it gives back.
"""

import shutil

from security.errors import PlanError
from security.verdict import Ref
from tasks import placed
from tasks.run import current
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
    shutil.copytree(run.path(manifests), placed.objects(folder))
    placed.tell(folder, target=run.plan.target, model=manifests.version, candidate=candidate.sha256)
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
