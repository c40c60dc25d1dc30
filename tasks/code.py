"""The code of Sluice's packages as Python would import it now, as one digest: what a plan seals."""

import hashlib
import importlib.machinery
import importlib.util
from pathlib import Path

from deployments.image.closure import PACKAGES
from security.errors import PlanError

FOREIGN = tuple(set(importlib.machinery.all_suffixes()) - {".py"} | {".so", ".pyd", ".pyc", ".pth"})
"""Endings that Python imports and nobody reviews."""


def digest() -> str:
    """Digest of every Python and configuration file of Sluice's packages. `PlanError` for one that cannot be found, or
    has code in it that nobody can read."""
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
