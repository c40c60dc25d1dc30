"""No personal data in the rows, but what the policy names: each column looked through, each finding by place."""

from security.gates.personal.facts import NAMES, SPLIT, Column, Facts, Hit
from security.gates.personal.gate import RULES, PiiDetection
from security.gates.personal.known import material, naming
from security.gates.personal.limits import Action, Language, PersonalLimits, Role
from security.gates.personal.sweep import DECLARED, Sweep

__all__ = [
    "DECLARED",
    "NAMES",
    "RULES",
    "SPLIT",
    "Action",
    "Column",
    "Facts",
    "Hit",
    "Language",
    "PersonalLimits",
    "PiiDetection",
    "Role",
    "Sweep",
    "material",
    "naming",
]
