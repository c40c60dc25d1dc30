"""Where an API server keeps the kinds of objects that a rollout knows, and no other."""

from typing import Any, NamedTuple

from deployments.kubernetes.errors import Odd


class Kind(NamedTuple):
    """Its version, its name in paths, and whether it lies in a namespace."""

    version: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """Empty for the oldest one."""
        return self.version.rpartition("/")[0]


KINDS = {
    "Namespace": Kind("v1", "namespaces", namespaced=False),
    "ServiceAccount": Kind("v1", "serviceaccounts"),
    "ConfigMap": Kind("v1", "configmaps"),
    "Service": Kind("v1", "services"),
    "Pod": Kind("v1", "pods"),
    "NetworkPolicy": Kind("networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "Deployment": Kind("apps/v1", "deployments"),
    "Job": Kind("batch/v1", "jobs"),
    "Lease": Kind("coordination.k8s.io/v1", "leases"),
    "SelfSubjectAccessReview": Kind("authorization.k8s.io/v1", "selfsubjectaccessreviews", namespaced=False),
    "SelfSubjectRulesReview": Kind("authorization.k8s.io/v1", "selfsubjectrulesreviews", namespaced=False),
    "SelfSubjectReview": Kind("authentication.k8s.io/v1", "selfsubjectreviews", namespaced=False),
}


def path(kind: str, namespace: str = "", name: str = "") -> str:
    """The path of an object, or of all of them without a name. `Odd` for a kind that is not known."""
    if (known := KINDS.get(kind)) is None:
        raise Odd(f"{kind}: a kind that is not known; allowed: {', '.join(KINDS)}")
    if known.namespaced != bool(namespace):
        raise Odd(f"{kind}: {'no namespace is named' if known.namespaced else 'it lies in no namespace'}")
    root = f"/apis/{known.version}" if known.group else f"/api/{known.version}"
    return "/".join([root, *(["namespaces", namespace] if namespace else []), known.plural, *([name] if name else [])])


def place(told: dict[str, Any]) -> str:
    """What an object is called in a sentence: `Kind/name`."""
    return f"{told.get('kind')}/{told.get('metadata', {}).get('name')}"


def where(told: dict[str, Any]) -> tuple[str, str, str]:
    """Kind, name and namespace of an object."""
    about = told["metadata"]
    return told["kind"], about["name"], about.get("namespace", "")
