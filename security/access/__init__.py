"""What may be done at a Kubernetes API server: what a rollout needs there, what it must not have, and what rules grant.

`needs` is the one list of what the rollout does. Rules are read as Kubernetes' RBAC reads them.
"""

from security.access.action import SYSTEM, Action, Where
from security.access.everyone import everyone
from security.access.grants import Excess, Grant, Paths, allows, beyond
from security.access.needs import FORBIDDEN, NEEDED, RESOURCES, family

__all__ = [
    "FORBIDDEN",
    "NEEDED",
    "RESOURCES",
    "SYSTEM",
    "Action",
    "Excess",
    "Grant",
    "Paths",
    "Where",
    "allows",
    "beyond",
    "everyone",
    "family",
]
