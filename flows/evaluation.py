"""What a model is measured by: the plan seals it before the model is trained, and whoever measures it keeps to that.

Thresholds and metrics are the document's, which the plan has whole; the data that of its `inputs`, by the store's
versions.
"""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, Final

from security.errors import PlanError
from security.gate import engine
from security.registry import GATES
from security.walk import Matrix
from tasks.recommender.split import LEAST, TEST, VALIDATION

LISTS: Final = (
    "security.bootstrap",
    "security.memo",
    "security.rows.lists",
    "tasks.approved",
    "tasks.dataset",
    "tasks.declared",
    "tasks.evaluate",
    "tasks.form",
    "tasks.groups",
    "tasks.recommender.baselines",
    "tasks.recommender.fold",
    "tasks.recommender.histories",
    "tasks.recommender.joint",
    "tasks.recommender.linear",
    "tasks.recommender.metrics",
    "tasks.recommender.split",
)
"""Modules that split and rank, that make both again, and that gates measure with and that are in no gate's folder."""


@cache
def _lists() -> str:
    """Digest of the modules' sources, which are not imported for that."""
    whole = hashlib.sha256()
    for name in LISTS:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise PlanError(f"module {name} cannot be found: what measures a model cannot be sealed")
        whole.update(name.encode() + b"\0" + hashlib.sha256(Path(spec.origin).read_bytes()).digest())
    return whole.hexdigest()


def evaluation(matrix: Matrix) -> dict[str, dict[str, Any]]:
    """The split by its bounds, and the code by its digests: of each gate over scores, and of what makes the lists."""
    after = [gate for sides in matrix["evaluate"].values() for gate in sides["after"]]
    gates = {name: engine(GATES[name]).sha256 for name in after if GATES[name].kind == "scores"}
    return {
        "split": {"test": TEST, "validation": VALIDATION, "least": LEAST},
        "code": {"lists": _lists(), **gates},
    }
