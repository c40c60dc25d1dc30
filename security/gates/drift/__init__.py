"""The rows have not moved away from a reference that the plan names: each column compared, or named as not compared."""

from security.gates.drift.baseline import BASELINE, opened, sealed
from security.gates.drift.facts import COLUMNS, MOST, ROLES, Facts, Given, Hidden, material
from security.gates.drift.gate import RULES, DriftMonitoring
from security.gates.drift.limits import CEILINGS, DriftLimits

__all__ = [
    "BASELINE",
    "CEILINGS",
    "COLUMNS",
    "MOST",
    "ROLES",
    "RULES",
    "DriftLimits",
    "DriftMonitoring",
    "Facts",
    "Given",
    "Hidden",
    "material",
    "opened",
    "sealed",
]
