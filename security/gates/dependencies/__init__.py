"""Dependencies: every package is pinned by hash, is what is installed, and has no vulnerability that is known.

Two engines look each package up: pip-audit, over a server in OSV's form on the loopback, and our own matcher over the
same advisories (the mirror's, or all that a live service answered), which also knows how bad a vulnerability is and how
old the knowledge. What only one of them knows is a finding. An empty answer is not a clean one: a package that was not
looked up, advisories that are old, or that forget what everybody knows, an engine that gave no report, a service that
answers half are each told.
"""

from security.gates.dependencies.facts import Dist, Facts, Hit, Item, Limits, Package, material
from security.gates.dependencies.gate import DependencyScanning
from security.gates.dependencies.lock import Line, Odd, Pin, lines, pinned, read

__all__ = [
    "DependencyScanning",
    "Dist",
    "Facts",
    "Hit",
    "Item",
    "Limits",
    "Line",
    "Odd",
    "Package",
    "Pin",
    "lines",
    "material",
    "pinned",
    "read",
]
