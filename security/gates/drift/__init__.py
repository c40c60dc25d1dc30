"""The rows have not moved away from a reference that the plan names: each column compared, or named as not compared.

Who opens the rows hands over with them the baseline (`opened(envelope, key).bytes`, or None) and a secret of at least
32 bytes that is the same for every run of a pipeline: under another one no baseline can be compared. The plan's
limits name the baseline's digest; where there is none, `first` says whether that fails or is established. What a look
that passed holds as `Facts.profile` may be the next baseline, `sealed` by the producer; that of a run that was
refused is one only if a person says so.
"""

from security.gates.drift.baseline import BASELINE, opened, sealed
from security.gates.drift.compared import compared, newest, shown
from security.gates.drift.facts import COLUMNS, MOST, ROLES, Facts, Given, Hidden, material
from security.gates.drift.gate import NEWEST, RULES, DriftMonitoring
from security.gates.drift.limits import CEILINGS, DriftLimits

__all__ = [
    "BASELINE",
    "CEILINGS",
    "COLUMNS",
    "MOST",
    "NEWEST",
    "ROLES",
    "RULES",
    "DriftLimits",
    "DriftMonitoring",
    "Facts",
    "Given",
    "Hidden",
    "compared",
    "material",
    "newest",
    "opened",
    "sealed",
    "shown",
]
