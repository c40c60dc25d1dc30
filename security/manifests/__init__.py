"""Kubernetes manifests: read strictly, in one reading only, into objects of kinds that are known.

Whatever is not known here (a kind, a field, a spelling that another reader would take for something else) is
`CannotTell`: a gate that guessed what a cluster makes of it would judge something else than what will run.
"""

from security.manifests.objects import (
    ConfigMap,
    Namespace,
    NetworkPolicy,
    Object,
    PodDisruptionBudget,
    Service,
    ServiceAccount,
    Workload,
    parse,
)
from security.manifests.reader import Item, documents

__all__ = [
    "ConfigMap",
    "Item",
    "Namespace",
    "NetworkPolicy",
    "Object",
    "PodDisruptionBudget",
    "Service",
    "ServiceAccount",
    "Workload",
    "documents",
    "parse",
]
