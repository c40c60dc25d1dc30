"""The log of a run in small: one task a stage, one gate a task, everything as it must be unless it is changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from security.keys import Signer
from security.log import Log
from security.verdict import Basis, Coverage, Engine, Observation, Outcome, Ref, Subject, Verdict, digest
from security.walk import ORDER

Step = tuple[str, dict[str, Any]]
"""Kind of a statement, and what it says."""
Change = Callable[[list[Step]], object]
MADE = ("rows", "features", "model", "scores", "endpoint")
"""What each stage publishes."""
NAME, RUN, LATER, GATE = "recommender", "run-7", "run-8", "model_artifact_scan"
POLICY = {"name": "kubernetes_test", "gates": {}}
MATRIX = {stage: {"work": {"before": [], "after": [GATE]}} for stage in ORDER}


def plan(signer: str, run: str = RUN, stages: tuple[str, ...] = ORDER, **changes: Any) -> dict[str, Any]:
    """What of a plan the service reads. `signer`: id of the producer's key."""
    told = {"run": run, "predecessor": {}, "document": {"pipeline_name": NAME}, "document_sha256": "e" * 64}
    told |= {"policy": POLICY, "policy_sha256": digest(POLICY), "target": "kubernetes_test", "window": None}
    told |= {"partition": "2026-01-05", "evaluation": {"split": {"test": 0.2}}, "inputs": {"2026-01-05": "v1"}}
    return {**told, "matrix": {stage: MATRIX[stage] for stage in stages}, "signer": signer, **changes}


def ref(stage: str, model: str) -> Ref:
    """What a stage makes: the model of this digest, or something of it."""
    kind = MADE[ORDER.index(stage)]
    sha = model if stage == "train" else digest([kind, model])
    version = model if stage in ("evaluate", "deploy") else ""
    return Ref(kind=kind, uri=f"store:{kind}", sha256=sha, size=1, count=1, unit="files", version=version)


def verdict(stage: str, made: Ref, **changes: Any) -> dict[str, Any]:
    """The verdict on what a stage made: passed, over one file."""
    seen = Observation(
        gate=GATE,
        subject=Subject(kind=made.kind, name=made.uri, sha256=made.sha256),
        coverage=Coverage(unit="files", expected=1, inspected=1),
        facts={},
        canaries=(),
        basis=Basis.OBSERVED,
        engine=Engine(name="none", version="1", sha256="9" * 64),
        taken=1.0,
    )
    told = seen.model_dump(mode="json")
    said = {"gate": GATE, "outcome": Outcome.PASS, "cause": "", "reason": "1/1 files", "findings": ()}
    judged = Verdict(**{**said, "observation": digest(told), "rules": "8" * 64, **changes})
    effect = {"action": "proceed", "because": "enforced", "waivers": [], "also": ""}
    about = {"stage": stage, "task": "work", "gate": GATE, "observation": told}
    return {**about, "verdict": judged.model_dump(mode="json"), "effect": effect}


def steps(sealed: dict[str, Any], model: str, stages: tuple[str, ...], *, closed: bool = False) -> list[Step]:
    """The statements of a run through some stages. `sealed`: its plan; `model`: digest of the model."""
    found: list[Step] = [("plan", {"plan": sealed})]
    for stage in stages:
        made, before = ref(stage, model), ORDER.index(stage)
        inputs = [ref(ORDER[before - 1], model).model_dump(mode="json")] if before else []
        told = {"stage": stage, "output": made.model_dump(mode="json")}
        found.append(("output", {**told, "task": "work", "inputs": inputs}))
        found.append(("verdict", verdict(stage, made)))
        found.append(("published", told))
    return [*found, ("closed", {"count": len(found), "outcome": "passed"})] if closed else found


def put(folder: Path, signer: Signer, told: list[Step]) -> str:
    """Write and sign a log in a new folder; its head."""
    log = Log(folder / "log.jsonl", signer)
    for kind, content in told:
        log.append(kind, **content)
    return log.head


def alone(folder: Path, signer: Signer, model: str, change: Change = lambda _: None) -> str:
    """The log of one run that trained and evaluated, and is about to deploy; its head."""
    told = steps(plan(signer.public.id), model, ORDER[:4])
    change(told)
    return put(folder, signer, told)


def after(
    folder: Path,
    signer: Signer,
    model: str,
    change: Change = lambda _: None,
    before: Change = lambda _: None,
    **named: Any,
) -> str:
    """The log of a run that evaluates, and about to deploy, after one that trained; its head. `before` changes that of
    the earlier run, `named` the plan of the later one."""
    told = steps(plan(signer.public.id, stages=ORDER[:3]), model, ORDER[:3], closed=True)
    before(told)
    head = put(folder / "predecessor", signer, told)
    sealed = plan(signer.public.id, LATER, ORDER[3:], predecessor={"run": RUN, "head": head})
    told = steps({**sealed, **named}, model, ORDER[3:4])
    change(told)
    return put(folder, signer, told)
