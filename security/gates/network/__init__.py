"""Who can speak with what is deployed, and with whom it can: as its network policies allow, and as a probe has seen.

What can be reached must be what the policy declares, in both directions: more is a way in or out, less is a service
that does not work. It is held over every pod that there could be, and over ranges of addresses, not over a sample.
That a cluster's network enforces its policies no manifest can show: a probe that was run there can, with a connection
that must come about and one that must not. Without it the gate has found what it can find, and says that it cannot tell
the rest (the cause `probe`).
"""

from security.gates.network.facts import PROBE, Facts, Limits, Probe
from security.gates.network.gate import NetworkPolicyEnforcement

__all__ = ["PROBE", "Facts", "Limits", "NetworkPolicyEnforcement", "Probe"]
