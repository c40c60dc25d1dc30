"""Where a model comes from: SLSA provenance v1 (https://slsa.dev/spec/v1.1/provenance), signed by the producer.

`externalParameters` is what whoever started the run could choose, `internalParameters` what the plan made of it, and
`resolvedDependencies` what went in: each dataset, the code, the lock. The digests of code and data are of canonical
listings, and say so: no single file has them. The builder is the pipeline; how well it is isolated from what it builds
is said beside it, and where keys lie in files of one user that is not at all (SLSA build level 1 at the most).
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from security.errors import LogBroken
from security.keys import PublicKey, Signer, seal, unseal
from security.models.statement import Claim, card, shas

if TYPE_CHECKING:  # who only checks carries no configuration
    from security.policy import Plan

KIND = "https://slsa.dev/provenance/v1"
BUILD = "urn:sluice:training/v1"
BUILDER = "urn:sluice:pipeline"


def moment(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339, in UTC and whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def predicate(plan: "Plan", told: Mapping[str, Any], datasets: Mapping[str, str], finished: float) -> dict[str, Any]:
    """What is said, from the sealed plan, the whole of `model.json`, and the datasets by what they are called."""
    return {
        "buildDefinition": {
            "buildType": BUILD,
            "externalParameters": {
                "document": {"name": plan.document["pipeline_name"], "sha256": plan.document_sha256},
                "policy": {"name": plan.policy["name"], "sha256": plan.policy_sha256},
                "target": plan.target,
                "partition": plan.partition,
                "window": plan.window,
            },
            "internalParameters": {
                "plan": plan.sha256,
                "baseline": plan.baseline,
                "hyperparameters": told.get("hyperparameters", {}),
                "partitions": plan.inputs,
            },
            "resolvedDependencies": dependencies(plan.code, plan.lock, datasets),
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {"code": plan.code, "key_isolation": plan.isolation}},
            "metadata": {
                "invocationId": plan.run,
                "startedOn": moment(plan.started),
                "finishedOn": moment(finished),
            },
        },
    }


def dependencies(code: str, lock: str, datasets: Mapping[str, str]) -> list[dict[str, Any]]:
    """What went in, as resource descriptors of in-toto."""
    listing = {"of": "a canonical listing (RFC 8785) of files and their SHA-256"}
    data = [(f"data:{name}", sha, listing) for name, sha in sorted(datasets.items())]
    every = [*data, ("code", code, listing), ("lock", lock, {"of": "the file"})]
    return [{"name": name, "digest": {"sha256": sha}, "annotations": of} for name, sha, of in every]


def sign(plan: "Plan", files: Mapping[str, bytes], datasets: Mapping[str, str], finished: float, by: Signer) -> bytes:
    """The provenance of a model with these files. `finished`: seconds since the epoch."""
    return seal(KIND, shas(files), predicate(plan, card(files)[1], datasets, finished), by)


def check(envelope: bytes, files: Mapping[str, bytes], claim: Claim, key: PublicKey) -> dict[str, Any]:
    """What is said, held against what the model's statement says; `LogBroken` where they differ."""
    statement = unseal(envelope, key)
    try:
        told: dict[str, Any] = statement["predicate"]
        build, details = told["buildDefinition"], told["runDetails"]
        parts = set(told), set(build), set(details), set(details["metadata"])
        said = (build["internalParameters"]["plan"], details["metadata"]["invocationId"], details["builder"]["id"])
        times = [datetime.fromisoformat(details["metadata"][name]) for name in ("startedOn", "finishedOn")]
        went = json.dumps(build["resolvedDependencies"], sort_keys=True)
    except (ValueError, KeyError, TypeError, AttributeError) as why:
        raise LogBroken(f"not a model's provenance ({type(why).__name__})") from None
    if statement["predicateType"] != KIND or build["buildType"] != BUILD or parts != _PARTS:
        raise LogBroken(f"a provenance of another form; allowed: {KIND} of the build type {BUILD}")
    if statement["subject"] != [{"name": n, "digest": {"sha256": sha}} for n, sha in sorted(shas(files).items())]:
        raise LogBroken("the provenance is about other files than those that are here")
    if said != (claim.plan, claim.run, BUILDER) or times[0] > times[1]:
        raise LogBroken(
            "the provenance names another run, plan or builder than the model's statement, or ends before it begins"
        )
    if went != json.dumps(dependencies(claim.code, claim.lock, claim.datasets), sort_keys=True):
        raise LogBroken("the provenance names other data, code or lock than the model's statement")
    return told


_PARTS = (
    {"buildDefinition", "runDetails"},
    {"buildType", "externalParameters", "internalParameters", "resolvedDependencies"},
    {"builder", "metadata"},
    {"invocationId", "startedOn", "finishedOn"},
)
"""The keys of predicate, build definition, run details and metadata."""
