"""One run: its plan, its log, what this process trusts, and where it works.

A run is begun, worked in, and closed, whatever happens: the closing statement counts what was said, the index gets the
head of the log, and what was kept apart while it worked is wiped.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING, Any, Protocol

from security.errors import PlanError
from security.keys import Keys
from security.log import Index, Log
from security.policy import Plan
from security.rows.buckets import FOLDER
from security.rows.kept import Kept
from security.verdict import Effect, Observation, Ref, Snapshot, Verdict
from security.verify import Proof, Trust, inherited, verify
from tasks import signer as signer_
from tasks.home import Home

if TYPE_CHECKING:
    from deployments.kubernetes.rollout import Placed

REFUSED = "SecurityGateFailed"
"""The name of the state in which a refused run ends."""


class Listener(Protocol):
    """Who is told how a run goes, as it goes."""

    def gate(self, stage: str, verdict: Verdict, effect: Effect, seconds: float) -> None:
        """A gate has ended."""

    def step(self, stage: str, text: str) -> None:
        """Work goes on."""


class Quiet:
    """Tells nobody."""

    def gate(self, stage: str, verdict: Verdict, effect: Effect, seconds: float) -> None:
        """Nothing."""

    def step(self, stage: str, text: str) -> None:
        """Nothing."""


@dataclass
class Run:
    """A run while it works. `notes` is what stages leave for the page; it decides nothing."""

    plan: Plan
    log: Log
    trust: Trust
    home: Home
    keys: Keys
    source: Any
    listener: Listener = field(default_factory=Quiet)
    notes: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Ref] = field(default_factory=dict)
    """Digest -> what a task of this run made."""
    published: dict[str, Ref] = field(default_factory=dict)
    """Kind -> what this run or its predecessor published."""
    visits: dict[str, Snapshot] = field(default_factory=dict)
    """Digest of a bucket's reference -> the answers of the one visit whose parts its gates judge."""
    kept: dict[str, Kept] = field(default_factory=dict)
    """Digest of fetched rows -> the rows as they are read once, by whoever is first to look at them."""
    heard: dict[tuple[str, str, str, str], Observation] = field(default_factory=dict)
    """Stage, task, gate and digest of what it looked at -> the observation that is in the log."""
    formed: dict[str, int] = field(default_factory=dict)
    """Digest of scores -> users that they are of, once their form held against what this run has published."""
    imported: dict[str, str] = field(default_factory=dict)
    """What the process that trained has imported: name -> file, `standard` or `made`."""
    looked: str = ""
    """Digest of the entry of the index that says that this run looks at its test slice."""
    counted: int | None = None
    """Rows that the runner itself counted in quarantine; None where another run fetched them."""
    pinned: dict[str, Any] | None = None
    """Partition -> the objects that the runner itself found pinned and hashed in quarantine."""
    refusal: str = ""
    """What the first stage that was refused said: shown, and decides nothing."""
    placed: "Placed | None" = None
    """What this run has placed in a cluster."""
    let: tuple[str, str] | None = None
    """Namespace and name where its candidate may serve while it is looked at; None where it may not, or serves."""
    clock: dict[str, float] = field(default_factory=lambda: {"gates": 0.0, "work": 0.0})
    started: float = field(default_factory=time.monotonic)

    def place(self, name: str, *, private: bool = False) -> Path:
        """A fresh place for an output: `staging:name`, or `quarantine:name` for what was not looked at yet or must not
        outlive the stage."""
        path = self.home.path(f"{'quarantine' if private else 'staging'}:{name}", self.plan.run)
        if path.exists():
            raise PlanError(f"{name} was made already in this run")
        return path

    def path(self, ref: Ref) -> Path:
        """Where a reference's bytes lie."""
        return self.home.path(ref.uri, self.plan.run)

    def wipe(self, *schemes: str) -> None:
        """Remove what this run kept apart, all of it or that of some places, and forget rows that it kept."""
        try:
            while self.kept:
                self.kept.popitem()[1].close()
        finally:
            self.home.wipe(self.plan.run, *schemes)

    def settle(self, stages: set[str] | None) -> Proof:
        """Verify the log up to the head that this process knows."""
        return verify(self.log.path, self.trust, stages=stages, head=self.log.head)


_run: ContextVar[Run | None] = ContextVar("run", default=None)
_stage: ContextVar[str] = ContextVar("stage", default="")


def current() -> Run:
    """The run that this code works in."""
    if (run := _run.get()) is None:
        raise PlanError("guarded work may only run inside a run")
    return run


def stage_now() -> str:
    """The stage that this code works in, empty outside of one."""
    return _stage.get()


@contextmanager
def inside(run: Run, stage: str = "") -> Iterator[None]:
    """Work in a run, or in a stage of it."""
    tokens = _run.set(run), _stage.set(stage)
    try:
        yield
    finally:
        _run.reset(tokens[0])
        _stage.reset(tokens[1])


Seal = Callable[[str], Plan]
"""Makes the plan, given the newest entry of the index."""


def begin(seal: Seal, trust: Trust, home: Home, source: Any, listener: Listener, ready: Path | None = None) -> Run:
    """Seal the plan as the first statement of a new log, and open the run in the index.

    `ready` is the evidence folder of the predecessor, copied so that this run's evidence stands alone.
    """
    keys = signer_.keys(home)
    signer = keys.signer("producer")
    index = Index(home.index, signer)
    plan = seal(index.head)
    folder = home.evidence(plan.run)
    folder.mkdir(parents=True)
    if ready:
        copytree(ready, folder / "predecessor")
    log = Log(folder / "log.jsonl", signer)
    index.append("opened", run=plan.run, plan=plan.sha256, partition=plan.partition, document=plan.document_sha256)
    log.append("plan", {"plan": plan.sha256}, plan=plan.model_dump(mode="json"))
    run = Run(plan, log, trust, home, keys, source, listener)
    home.mark(plan.run)
    FOLDER[:] = [home.folder("quarantine", private=True)]
    if ready:
        run.published.update({ref.kind: ref for ref in inherited(log.path, plan, trust).values()})
    return run


def close(run: Run, outcome: str) -> None:
    """End the log with its count, tell the index, wipe what was kept apart."""
    try:
        run.log.append("closed", count=run.log.count, outcome=outcome)
        Index(run.home.index, run.log.signer).append("ended", run=run.plan.run, head=run.log.head, outcome=outcome)
    finally:
        run.wipe()
