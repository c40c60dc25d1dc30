"""Somebody who stands between the steps of a run, and what he does there.

The pipeline tells a listener of every gate and step; a few functions are wrapped for the moments of which it tells
nobody (between listing and reading, between signing and looking, between two stages). A moment is `ingest gate 2`,
`features step 1`, `listed`, `signed`, `written` (the scores, before they are hashed), `scored`, or `before train`.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import flows.pipeline
import tasks.evaluate
import tasks.ingest
import tasks.train
from security.verdict import Effect, Verdict
from tasks.home import Home
from tasks.run import Run, current
from tests.attacks.bucket import Operator

LASTING = ("store", "evidence", "baselines", "keys")
"""Folders of the home whose files outlive a run."""


@dataclass
class Ground:
    """Where an attack happens: one prefix of one bucket, and the runs of one home."""

    home: Home
    operator: Operator
    bucket: str
    prefix: str
    passed: Run
    """A run that passed and serves."""
    kept: dict[Path, bytes] = field(default_factory=dict)
    ends: ExitStack = field(default_factory=ExitStack)
    """Servers that the attacker runs."""

    def write(self, path: Path, data: bytes) -> None:
        """Alter a file; what was in it is remembered if it is one that outlives a run."""
        self._remember(path)
        path.write_bytes(data)

    def remove(self, path: Path) -> None:
        """Remove such a file."""
        self._remember(path)
        path.unlink()

    def _remember(self, path: Path) -> None:
        if path.relative_to(self.home.root).parts[0] in LASTING:
            self.kept.setdefault(path, path.read_bytes())

    def flip(self, path: Path) -> None:
        """Alter one bit in the middle of a file."""
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        self.write(path, bytes(data))

    def restore(self) -> None:
        """Every such file as it was, and servers ended."""
        for path, data in self.kept.items():
            path.write_bytes(data)
        self.kept.clear()
        self.ends.close()


Act = Callable[[Run, Ground], object]


class Attacker:
    """Acts at its moments; `acted` says at which of them it did."""

    def __init__(self, ground: Ground, acts: Mapping[str, Act]) -> None:
        self.ground, self.acts = ground, dict(acts)
        self.told, self.acted = Counter[str](), list[str]()

    def gate(self, stage: str, verdict: Verdict, effect: Effect, seconds: float) -> None:
        """A gate of a stage has ended."""
        self.told[f"{stage} gate"] += 1
        self.now(f"{stage} gate {self.told[f'{stage} gate']}")

    def step(self, stage: str, text: str) -> None:
        """Work goes on."""
        self.told[f"{stage} step"] += 1
        self.now(f"{stage} step {self.told[f'{stage} step']}")

    def now(self, moment: str) -> None:
        """A moment has come."""
        if moment in self.acts:
            self.acts[moment](current(), self.ground)
            self.acted.append(moment)

    def wait(self, patch: pytest.MonkeyPatch) -> None:
        """Stand at the moments of which no listener is told."""
        self._after(patch, tasks.ingest, "window", "listed")
        self._after(patch, tasks.train, "sign", "signed")
        self._before(patch, tasks.evaluate, "measure", "written")
        self._after(patch, tasks.evaluate, "measure", "scored")
        for stage in ("features", "train", "evaluate", "deploy"):
            self._before(patch, flows.pipeline, stage, f"before {stage}")

    def _after(self, patch: pytest.MonkeyPatch, module: Any, name: str, moment: str) -> None:
        real = getattr(module, name)

        def both(*args: Any, **options: Any) -> Any:
            made = real(*args, **options)
            self.now(moment)
            return made

        patch.setattr(module, name, both)

    def _before(self, patch: pytest.MonkeyPatch, module: Any, name: str, moment: str) -> None:
        real = getattr(module, name)

        def both(*args: Any, **options: Any) -> Any:
            self.now(moment)
            return real(*args, **options)

        patch.setattr(module, name, both)
