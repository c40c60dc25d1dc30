"""What a cluster's network policies allow: who reaches whom, by which ports; worked out, not asked for.

Semantics are those of NetworkPolicy in networking.k8s.io/v1: a pod that no policy selects in a direction is open in it,
one that some select may do what any of them allows, and a connection needs both of its ends.
"""

from security.network.model import Cluster, Endpoint, Expression, Listening, Peer, Policy, Ports, Rule, Selector
from security.network.ports import Reach
from security.network.reach import Pod, between, outside, pods, side

__all__ = [
    "Cluster",
    "Endpoint",
    "Expression",
    "Listening",
    "Peer",
    "Pod",
    "Policy",
    "Ports",
    "Reach",
    "Rule",
    "Selector",
    "between",
    "outside",
    "pods",
    "side",
]
