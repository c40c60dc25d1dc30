"""What runs, as digests: the code of Sluice's packages as Python would import it, and the lock of its environment.

They are taken once in a process, when its first plan is sealed; a file that changes afterwards is not seen here.
"""

import hashlib
import importlib.machinery
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from configs.load import Terms
from security.errors import PlanError
from tasks.lock import NAME, PIPELINE

FOREIGN = tuple(set(importlib.machinery.all_suffixes()) - {".py"} | {".so", ".pyd", ".pyc", ".pth"})
"""Endings that Python imports and nobody reviews."""
PACKAGES = ("configs", "flows", "security", "tasks", "deployments")


@cache
def code() -> str:
    """Digest of the code as imported: every Python and configuration file of Sluice's packages."""
    total = hashlib.sha256()
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise PlanError(f"package {package} cannot be found: its code cannot be sealed")
        root = Path(next(iter(spec.submodule_search_locations)))
        for path in sorted(root.rglob("*")):
            if "__pycache__" not in path.parts and path.suffix in FOREIGN:
                raise PlanError(f"{package}/{path.relative_to(root)}: code that cannot be read; allowed: source only")
            if "__pycache__" not in path.parts and path.suffix in (".py", ".json", ".yaml"):
                name = f"{package}/{path.relative_to(root).as_posix()}"
                total.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


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
