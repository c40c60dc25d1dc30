"""What the identity that deploys must be allowed to do: with it nothing that is done here is refused.

Whatever it may do besides is too much.
"""

from typing import NamedTuple

from deployments.kubernetes.kinds import KINDS

_APPLY = ("get", "patch", "create")
_LISTED = (*_APPLY, "list")
_OWN = (*_LISTED, "delete")
VERBS = {
    "Namespace": _APPLY,
    "ServiceAccount": _APPLY,
    "ConfigMap": _APPLY,
    "NetworkPolicy": _LISTED,
    "PodDisruptionBudget": _LISTED,
    "Service": _OWN,
    "Deployment": _OWN,
    "Job": _OWN,
    "Pod": ("list",),
    "Lease": ("get", "create", "update"),
}
"""Kind -> verbs: what is applied, what is read back whoever made it, what a release has of its own."""


class Right(NamedTuple):
    """One verb on one kind of resource, as an access review spells it."""

    verb: str
    group: str
    resource: str
    namespaced: bool


NEEDED = tuple(
    Right(verb, KINDS[kind].group, KINDS[kind].plural, KINDS[kind].namespaced)
    for kind, verbs in VERBS.items()
    for verb in verbs
)
