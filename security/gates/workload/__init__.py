"""How what runs on a cluster is held: the Pod Security Standard "restricted", and what it leaves open.

Every container of every kind of workload is looked at: containers, init containers, ephemeral ones. What a container
does not say for itself, its pod says. A document that keeps no schema known here is a finding of its own, as nobody can
tell what a cluster makes of it.
"""

from security.gates.workload.facts import Facts, Limits
from security.gates.workload.gate import WorkloadHardening

__all__ = ["Facts", "Limits", "WorkloadHardening"]
