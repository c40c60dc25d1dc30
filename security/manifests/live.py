"""An object as a cluster gives it back, without what the API server has added of its own.

Only what means nothing for what is judged is taken out: who wrote which field and when, what has come of it, and
defaults, each by the very value that the server gives it. A field with another value stays, and `parse` refuses it
where it does not know it.
"""

from typing import Any

METADATA = frozenset(
    {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "ownerReferences"}
)
DEFAULTS: dict[str, dict[str, Any]] = {
    "Namespace": {"finalizers": ["kubernetes"]},
    "Service": {
        "sessionAffinity": "None",
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
    },
    "Job": {"completionMode": "NonIndexed", "podReplacementPolicy": "TerminatingOrFailed", "manualSelector": False},
}
"""Kind -> fields of its `spec` -> what the server sets where nobody did."""
GIVEN = {"Service": frozenset({"clusterIPs", "ipFamilies"}), "Job": frozenset({"selector"})}
"""Kind -> fields of its `spec` that the server alone decides."""
POD: dict[str, Any] = {"schedulerName": "default-scheduler"}


def written(told: dict[str, Any]) -> dict[str, Any]:
    """What somebody wrote of an object. The object that is given is not changed."""
    kind = str(told.get("kind"))
    made = {key: each for key, each in told.items() if key != "status"}
    made["metadata"] = _metadata(made.get("metadata"))
    spec = made.get("spec")
    if isinstance(spec, dict):
        defaults, given = DEFAULTS.get(kind, {}), GIVEN.get(kind, frozenset())
        kept = {key: each for key, each in spec.items() if key not in given and (key, each) not in defaults.items()}
        if kind == "Pod":
            kept = _pod(kept)
        elif isinstance(kept.get("template"), dict):
            kept["template"] = _template(kept["template"])
        made["spec"] = kept
        if kind == "Namespace" and not kept:
            del made["spec"]
    return made


def _metadata(told: Any) -> Any:
    return {key: each for key, each in told.items() if key not in METADATA} if isinstance(told, dict) else told


def _template(told: dict[str, Any]) -> dict[str, Any]:
    made = {**told, "metadata": _metadata(told.get("metadata", {}))}
    return {**made, "spec": _pod(made["spec"])} if isinstance(made.get("spec"), dict) else made


def _pod(told: dict[str, Any]) -> dict[str, Any]:
    made = {key: each for key, each in told.items() if (key, each) not in POD.items()}
    if made.get("serviceAccount") == made.get("serviceAccountName"):
        made.pop("serviceAccount", None)  # the old name of the same
    return made
