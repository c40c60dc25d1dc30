"""What a rollout does at the API server, and what whoever rolls out must not be able to do.

`NEEDED` is the one list of what the rollout does: it applies (server-side, which needs `patch`, and `create` where
there is nothing yet), reads back, lists what others could add, and takes away what a release alone had. A lease is
made and replaced. The namespace is there before. Who needs one call more adds it here.

Whoever may create a Deployment runs a pod in that namespace, with any of its accounts and secrets: no right of the
deployer keeps it from that, only what is admitted there.
"""

from collections.abc import Iterator, Mapping

from security.access.action import SYSTEM, Action, Where

_MADE, _LISTED, _GONE = ("get", "create", "patch"), ("get", "list", "create", "patch"), ("delete",)
_IN: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "serviceaccounts"): _MADE,
    ("", "configmaps"): _MADE,
    ("", "services"): (*_LISTED, *_GONE),
    ("", "pods"): ("list",),
    ("apps", "deployments"): (*_LISTED, *_GONE),
    ("batch", "jobs"): (*_LISTED, *_GONE),
    ("networking.k8s.io", "networkpolicies"): _LISTED,
    ("policy", "poddisruptionbudgets"): _LISTED,
    ("coordination.k8s.io", "leases"): ("get", "create", "update"),
}
NEEDED: tuple[Action, ...] = (
    Action("get", "namespaces", named=True),
    Action("patch", "namespaces", named=True),
    *(Action(verb, resource, group) for (group, resource), verbs in _IN.items() for verb in verbs),
)
RESOURCES: Mapping[str, tuple[str, str]] = {
    "Namespace": ("", "namespaces"),
    "ServiceAccount": ("", "serviceaccounts"),
    "ConfigMap": ("", "configmaps"),
    "Service": ("", "services"),
    "Deployment": ("apps", "deployments"),
    "Job": ("batch", "jobs"),
    "NetworkPolicy": ("networking.k8s.io", "networkpolicies"),
    "PodDisruptionBudget": ("policy", "poddisruptionbudgets"),
}
"""Kind of a manifest -> the group and the resource by which it is applied."""
_RBAC, _ADMISSION, _SIGNED = "rbac.authorization.k8s.io", "admissionregistration.k8s.io", "certificates.k8s.io"
_WRITES = ("create", "update", "patch", "delete", "deletecollection")
_CALLS = ("pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy")
_GUARDS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations", "validatingadmissionpolicies",
    "validatingadmissionpolicybindings")  # fmt: skip


def _each(verbs: str, resources: str, group: str = "", *where: Where) -> Iterator[Action]:
    for place in where or ("here",):
        for resource in resources.split():
            yield from (Action(verb, resource, group, place) for verb in verbs.split())


FORBIDDEN: Mapping[str, tuple[Action, ...]] = {
    "secrets": (
        *_each("get list watch", "secrets", "", "here", "kube-system", "everywhere"),
        *_each("create patch", "secrets"),
    ),
    "exec": (
        *_each("get create", " ".join(_CALLS)),
        *_each("update patch", "pods/ephemeralcontainers"),
    ),
    "tokens": (
        *_each("create", "serviceaccounts/token", "", "here", "kube-system"),
        *_each("update patch", "certificatesigningrequests/approval", _SIGNED, "everywhere"),
        *_each("approve sign", "signers", _SIGNED, "everywhere"),
    ),
    "rbac": (
        *_each("create update patch delete bind escalate", "roles", _RBAC, "here", "kube-system"),
        *_each("create update patch delete", "rolebindings", _RBAC, "here", "kube-system"),
        *_each("create update patch delete bind escalate", "clusterroles", _RBAC, "everywhere"),
        *_each("create update patch delete", "clusterrolebindings", _RBAC, "everywhere"),
    ),
    "impersonation": (
        *_each("impersonate", "users groups", "", "everywhere"),
        *_each("impersonate", "serviceaccounts", "", "here", "kube-system"),
        *_each("impersonate", "uids userextras", "authentication.k8s.io", "everywhere"),
    ),
    "nodes": (
        *_each("get list create update patch delete", "nodes", "", "everywhere"),
        *_each("get create", "nodes/proxy", "", "everywhere"),
        *_each("get list create update patch delete", "persistentvolumes", "", "everywhere"),
    ),
    "admission": (
        *_each("create update patch delete", " ".join(_GUARDS), _ADMISSION, "everywhere"),
        *_each("create update patch delete", "customresourcedefinitions", "apiextensions.k8s.io", "everywhere"),
        *_each("create update patch delete", "apiservices", "apiregistration.k8s.io", "everywhere"),
        *_each("delete deletecollection", "networkpolicies", "networking.k8s.io"),
    ),
    "namespaces": (
        *_each("create list update patch delete", "namespaces", "", "everywhere"),
        Action("delete", "namespaces", named=True),
    ),
    "elsewhere": tuple(each.at(where) for where in SYSTEM for each in NEEDED if not each.named),
    "wild": (*_each("*", "*", "*", "here", "everywhere"),),
}
"""What whoever rolls out must not be able to do, by families."""


def family(verb: str, resource: str, group: str) -> str:
    """The family of what a rule grants beyond what is needed; `more` where it has none."""
    base = resource.partition("/")[0]
    if "*" in verb or "*" in resource or "*" in group:
        return "wild"
    if verb.startswith("impersonate") or group == "authentication.k8s.io":
        return "impersonation"
    if group == _RBAC:
        return "rbac" if verb not in ("get", "list", "watch") else "more"
    if resource == "serviceaccounts/token" or (group == _SIGNED and verb not in ("get", "list", "watch")):
        return "tokens"
    if resource in (*_CALLS, "pods/ephemeralcontainers") and not group:
        return "exec"
    if group in (_ADMISSION, "apiextensions.k8s.io", "apiregistration.k8s.io") and verb in _WRITES:
        return "admission"
    if (group, base) == ("networking.k8s.io", "networkpolicies") and verb.startswith("delete"):
        return "admission"
    core = {"secrets": "secrets", "nodes": "nodes", "persistentvolumes": "nodes", "namespaces": "namespaces"}
    return core.get(base, "more") if not group else "more"
