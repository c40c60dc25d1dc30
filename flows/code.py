"""What runs, as digests: the code of Sluice's packages as Python would import it, and the lock of its environment.

They are taken once in a process, when its first plan is sealed; a file that changes afterwards is not seen here.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from configs.load import Terms
from tasks.code import digest
from tasks.lock import NAME, PIPELINE


@cache
def code() -> str:
    """Digest of the code as imported: every Python and configuration file of Sluice's packages."""
    return digest()


@cache
def lock() -> str:
    """Digest of the lock file that this environment is made from; empty where Sluice runs without one beside it."""
    return hashlib.sha256(PIPELINE.read_bytes()).hexdigest() if PIPELINE.is_file() else ""


def beside(gates: Mapping[str, Terms]) -> dict[str, str]:
    """Name -> digest of the locks beside it that a policy names, of those that are there."""
    limits = gates[NAME].limits if NAME in gates else {}
    told = [*limits.get("also", ()), *limits.get("within", ())]
    paths = [PIPELINE.parent / name for name in told if isinstance(name, str) and Path(name).name == name]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()}
