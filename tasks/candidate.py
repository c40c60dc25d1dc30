"""Opens what is about to serve, for its gates: the manifests that were rendered, and what the candidate runs on."""

import os
from pathlib import Path
from typing import Any

from security.errors import CannotTell
from security.material import Material
from security.verdict import Basis, Ref, Subject
from tasks import image, lock, process, service
from tasks.run import Run
from tasks.store import files


def manifests(subject: Subject, folder: Path) -> Material[Any]:
    """Manifests as they lie there. No probe is among them: nothing was deployed yet."""
    items = [(path.name, path.read_bytes()) for path in files(folder)]
    there = sum(len(names) for _, _, names in os.walk(folder))
    return Material(
        subject, lambda: items, expected=there, unit="manifests", sample=len(items) or 1, basis=Basis.RENDERED
    )


def system(run: Run, ref: Ref) -> Material[Any]:
    """What the candidate's process runs on. Its command and its variables are those that the kernel has of it."""
    folder = run.home.root / "service" / run.plan.run
    if ref.uri != f"endpoint:{run.plan.run}":
        raise CannotTell(f"the candidate is this run's own, not {ref.uri}")
    argv, env = process.told(folder / "process.json")
    return image.process(run.home, lock.SERVING, folder / service.PACKAGES, argv, env, of=ref.sha256)
