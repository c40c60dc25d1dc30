"""The rows keep their contract: types, ids, times, the window; and, once cleaned, nothing to reject or twice there."""

from security.gates.contract.gate import ABOUT_ROWS, RULES, DataContract, batches, faulty, material, nowhere, reasons
from security.gates.contract.kinds import partition
from security.gates.contract.limits import ContractLimits, Listed, Volume, breaks
from security.gates.contract.listed import said
from security.gates.contract.tally import Tally

__all__ = [
    "ABOUT_ROWS",
    "RULES",
    "ContractLimits",
    "DataContract",
    "Listed",
    "Tally",
    "Volume",
    "batches",
    "breaks",
    "faulty",
    "material",
    "nowhere",
    "partition",
    "reasons",
    "said",
]
