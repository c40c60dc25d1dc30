"""The rows keep their contract: types, ids, times, the window; and, once cleaned, nothing to reject or twice there."""

from security.gates.contract.gate import (
    ABOUT_ROWS,
    RULES,
    ContractLimits,
    DataContract,
    batches,
    breaks,
    faulty,
    material,
    reasons,
)
from security.gates.contract.kinds import Tally

__all__ = [
    "ABOUT_ROWS",
    "RULES",
    "ContractLimits",
    "DataContract",
    "Tally",
    "batches",
    "breaks",
    "faulty",
    "material",
    "reasons",
]
