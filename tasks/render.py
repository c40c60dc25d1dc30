"""What a cluster would be told of a release: its manifests, rendered from the plan and the keys that verify it.

They are judged before anything serves, on a laptop too, where nothing takes them. The image that they name is built
first, where the policy asks for one; else they name none. They lie in the run's evidence as they were judged.
"""

from pydantic import ValidationError

from deployments.kubernetes import render as kubernetes
from deployments.serving.keyset import jwks, keyset
from security.errors import PlanError
from security.gates import api
from security.verdict import Ref
from tasks import build
from tasks.issuer import AUDIENCE, ISSUER, TENANT
from tasks.run import Run, current
from tasks.stage import guarded
from tasks.store import measure

FOLDER = build.MANIFESTS


def callers(run: Run) -> api.Callers:
    """Whose tokens the release believes: those of the pipeline's own issuer on the target `local` alone, where it has
    no callers but who tries it. `PlanError` where the policy names none."""
    if run.plan.target == "local":
        keys = jwks(run.keys.public("issuer")).decode()
        return api.Callers(issuer=ISSUER, audience=AUDIENCE, tenant=TENANT, jwks=keys)
    terms = run.plan.terms["deploy"]["serve"][api.AccessControlApi.name]
    if (found := api.Limits.model_validate(terms.limits).callers) is None:
        raise PlanError(f"{api.AccessControlApi.name}: limits.callers: found none; allowed: who issues their tokens")
    keyset(found.jwks.encode(), f"{api.AccessControlApi.name}: limits.callers.jwks")
    return found


def values(run: Run, model: Ref, image: str | None) -> kubernetes.Values:
    """What is filled in; `PlanError` for a name that no object of a cluster can have."""
    name, believed = str(run.plan.document["pipeline_name"]), callers(run)
    try:
        return kubernetes.Values(
            pipeline=name,
            namespace=f"sluice-{name.replace('_', '-')}",
            image=image,
            model=model.sha256,
            policy=run.plan.policy_sha256,
            path=run.plan.document["stages"][4]["inference_endpoint"],
            **believed.model_dump(),
            target=run.plan.target,
            key=run.trust.key.pem.decode(),
            verifier=run.keys.public("verifier").pem.decode(),
        )
    except ValidationError as why:
        first = why.errors(include_url=False, include_input=False)[0]
        raise PlanError(f"manifests: {first['loc'][0]}: {first['msg']}") from None


@guarded("deploy", before=["model_signature"], after=["network_policy_enforcement", "workload_hardening"])
def render(model: Ref) -> Ref:
    """The manifests of a release, a file for each kind of thing."""
    run = current()
    folder, kept = run.place(FOLDER), run.home.evidence(run.plan.run) / FOLDER
    folder.mkdir()
    kept.mkdir()
    made = kubernetes.render(values(run, model, build.built(run, model)))
    for name, data in made:
        (folder / name).write_bytes(data)
        (kept / name).write_bytes(data)
    sha, size = measure(folder)
    return Ref(
        kind="manifests",
        uri=f"staging:{FOLDER}",
        sha256=sha,
        size=size,
        count=len(made),
        unit="files",
        version=model.sha256,
    )
