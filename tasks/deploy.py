"""The service in its own process, from the published artefact, behind its own gates; and what follows a run that
verifies.

The candidate answers on a port of its own while the gate probes it. Only after the whole, closed log verifies does
anybody get to it: on the target `local` the pointer `serving` moves to it and the service before it ends; in a cluster
callers are led to the release that was placed there, and the process here was for the gates alone. Whatever was refused
is stopped and taken away, and the old one goes on.
"""

import json
import shutil
from pathlib import Path

from deployments.serving.keyset import jwks
from security.errors import PlanError
from security.verdict import Ref, digest
from security.verify import Proof
from tasks import decision, lead, lease, lock, models, placed, process, service, tree
from tasks.home import Home
from tasks.issuer import AUDIENCE, ISSUER, TENANT
from tasks.run import Run, current
from tasks.stage import guarded
from tasks.store import check, move, pointer
from tasks.store import current as pointed


def _told(run: Run, release: Path, ready: Path) -> list[str]:
    """What the service is told on its command line. The log is handed to it as it is now."""
    log = ready.parent / "log"
    for name, file in service.logs(run.home.evidence(run.plan.run)).items():
        (log / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, log / name)
    trust, owner = run.home.folder("trust"), ready.parent / "owner.pub"
    issuer = trust / "issuer.jwks.json"
    issuer.write_bytes(jwks(run.keys.public("issuer")))
    owner.write_bytes(run.keys.public("owner").pem)  # not among what is trusted: there it would be asked of the policy
    named: dict[str, str | Path] = {
        "release": release,
        "log": log,
        "policy": run.plan.policy_sha256,
        "key": trust / "producer.pub",
        "verifier": trust / "verifier.pub",
        "owner": owner,
        "registry": run.home.folder("chains"),
        "jwks": issuer,
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "tenant": TENANT,
        "path": run.plan.document["stages"][4]["inference_endpoint"],
        "ready": ready,
        "name": str(run.plan.document["pipeline_name"]),
    }
    argv = [word for name, value in named.items() for word in (f"--{name}", str(value))]
    argv += [word for id in models.approvers(run.trust.policy) for word in ("--approver", id)]
    argv += [word for head in run.plan.registry for word in ("--known", head)]
    return argv + (["--unsafe-accept-expired"] if run.notes.get("unsafe_service") else [])


def _address(url: str, model: str) -> str:
    """The digest of a candidate: what its gate asks is what will serve."""
    return digest({"url": url, "model": model})


@guarded(
    "deploy",
    before=[
        "model_signature",
        "model_artifact_scan",
        "model_versioning",
        "dependency_scanning",
        "code_integrity_check",
        "registry_authorization",
        "approval",
    ],
    after=["image_vulnerability_scanning", "access_control_api"],
)
def serve(model: Ref, scores: Ref, manifests: Ref) -> Ref:
    """The candidate, started from the published model that the scores and the manifests are of."""
    run = current()
    if manifests.version != model.sha256:
        raise PlanError(f"the manifests are of model {manifests.version[:12]}, not of {model.sha256[:12]}")
    if scores.version != model.sha256:
        raise PlanError(f"the scores are of model {scores.version[:12]}, not of {model.sha256[:12]}")
    folder = run.home.folder("service", run.plan.run)
    ready, record = folder / "ready.json", folder / "process.json"
    name, limits = lock.SERVING.name, run.plan.terms["deploy"]["serve"][lock.NAME].limits
    packages = service.packages(folder, run.plan.locks.get(name, "") if name in limits.get("within", ()) else "")
    argv = service.argv(tree.PIPELINE, packages, _told(run, run.path(model), ready))
    process.start(argv, record, folder / "service.log", service.env())
    told = process.ready(ready, record, folder / "service.log", 30.0, "the service")
    if told["model"] != model.sha256:
        raise PlanError(f"the service runs {told['model'][:12]}, not {model.sha256[:12]}")
    (folder / "endpoint.json").write_text(json.dumps({"url": told["url"], "model": model.sha256}))
    run.notes["endpoint"] = told["url"]
    run.listener.step("deploy", f"candidate on {told['url']}")
    return Ref(
        kind="endpoint",
        uri=f"endpoint:{run.plan.run}",
        sha256=_address(told["url"], model.sha256),
        size=0,
        count=1,
        unit="services",
        version=model.sha256,
    )


def withdraw(run: Run) -> None:
    """Stop a run's candidate and take away what it has placed, unless somebody is led there; and its place in the lease
    in any case, where it was not decided on."""
    try:
        if pointed(run.home, pointer("local"))[1].get("run") != run.plan.run:
            process.stop(run.home.root / "service" / run.plan.run / "process.json")
        lead.withdraw(run)
    finally:
        lease.settle(run)


def sweep(home: Home) -> list[str]:
    """Stop candidates that do not serve and whose run is gone; the runs."""
    left = [path.parent.name for path in sorted((home.root / "service").glob("*/process.json"))]
    gone = [run for run in left if run != pointed(home, pointer("local"))[1].get("run") and not home.working(run)]
    return [run for run in gone if process.stop(home.root / "service" / run / "process.json")]


def promote(run: Run, proof: Proof) -> dict[str, str]:
    """Lead callers to the release of a run that verifies, sign the decision, move the pointer, end the one before."""
    refs = proof.published.get("deploy", [])
    if not proof.closed or not refs or proof.plan.run != run.plan.run:
        raise PlanError("only a candidate of a closed run that verifies can serve")
    folder = check(run.home, refs[-1], run.plan.run)
    told = placed.told(folder)
    if _address(run.notes["endpoint"], refs[-1].version) != told["candidate"]:
        raise PlanError("the address that would serve is not the one that its gate asked")
    name = pointer(run.plan.target, str(run.plan.document["pipeline_name"]))
    seen, before = pointed(run.home, name)
    if before.get("model", "establish") != run.plan.baseline:
        raise PlanError("another model was promoted since this run began; deploy this one again after it")
    to = {"run": run.plan.run, "model": refs[-1].version, "log": proof.head}
    if run.plan.target == "local":
        if not process.alive(run.home.root / "service" / run.plan.run / "process.json"):
            raise PlanError("the candidate has ended since its gate asked it")
        to |= {"url": run.notes["endpoint"]}
    else:
        if told["before"] != before.get("release", ""):
            raise PlanError(f"callers are led to {told['before'] or 'nothing'}, which nobody decided on: put it right")
        to |= {each: told[each] for each in ("server", "namespace", "name", "release")}
    envelope = decision.sign(run.plan, proof.head, to, run.keys.signer("verifier"))
    with lead.led(run, folder, told), decision.kept(run.home, run.plan.run, seen + 1, envelope):
        if pointed(run.home, name)[0] != seen:
            raise PlanError("another model was promoted since this run began; deploy this one again after it")
        models.release(run, proof, "approved")
        models.release(run, proof, "production")
        move(run.home, name, seen, to)
    run.placed = None  # it serves: there is nothing to take away
    lead.pruned(run, told)
    lease.settle(run)
    if run.plan.target == "local" and before:
        process.stop(run.home.root / "service" / before["run"] / "process.json")
    return to
