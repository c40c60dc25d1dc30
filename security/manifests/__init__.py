"""Kubernetes manifests: read strictly, in one reading only, into objects of kinds that are known.

Whatever is not known here (a kind, a field, a spelling that another reader would take for something else) is
`CannotTell`: a gate that guessed what a cluster makes of it would judge something else than what will run.
"""

from security.manifests.material import material
from security.manifests.object import Object
from security.manifests.objects import (
    ConfigMap,
    Namespace,
    NetworkPolicy,
    PodDisruptionBudget,
    Service,
    ServiceAccount,
    parse,
)
from security.manifests.reader import Item, documents
from security.manifests.roles import Role
from security.manifests.workloads import Workload

__all__ = [
    "ConfigMap",
    "Item",
    "Namespace",
    "NetworkPolicy",
    "Object",
    "PodDisruptionBudget",
    "Role",
    "Service",
    "ServiceAccount",
    "Workload",
    "documents",
    "material",
    "parse",
]
