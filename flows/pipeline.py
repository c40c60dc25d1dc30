"""One run: the plan is sealed, the stages follow one another, the whole log is verified, and only then something moves.

Parameters are names and dates. Rows, keys and secrets are never parameters: Prefect stores those.
"""

import time
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from prefect import flow
from prefect.settings import PREFECT_API_URL
from prefect.states import Failed
from pydantic import Field

from configs import load
from configs.load import ConfigError
from flows import brief as briefs
from flows import plan as planning
from flows.deploy import deploy
from flows.evaluate import evaluate
from flows.features import features
from flows.ingest import ingest
from flows.train import train
from security.appraise import elsewhere, reasons
from security.errors import LogBroken, PlanError, Refused, SluiceError
from security.log import cut, lost
from security.verify import Proof, Trust, verify
from tasks import baseline, card, drawing, models, report
from tasks.deploy import promote, sweep, withdraw
from tasks.home import Home
from tasks.page import write
from tasks.run import REFUSED, Listener, Quiet, Run, begin
from tasks.source import Place, Source, newest, reference, versions
from tasks.stage import held

NAME = r"^[a-z0-9_]+$"
"""Documents and policies are named, never pointed at: who may call the flow cannot bring a weaker one along."""
LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)
"""Who is told how a run goes. Not a parameter: Prefect would store it."""


@held
def through(run: Run) -> None:
    """The stages of the plan, in their order, each fed by what the one before published."""
    place = Place.of(run.plan.document["stages"][0]["source"])
    took = run.published
    steps: dict[str, Any] = {
        "ingest": lambda: ingest(reference(run.source, place)),
        "features": lambda: features(took["rows"]),
        "train": lambda: train(took["features"]),
        "evaluate": lambda: evaluate(took["model"], took["features"]),
        "deploy": lambda: deploy(took["model"], took["scores"]),
    }
    with drawing.beside(run):
        for name in run.plan.matrix:
            steps[name]()


def _oracle(source: Source, place: Place) -> Source:
    """The embedded sample knows its own ceiling; other data has none."""
    from deployments.lake import sample

    def chances(users: list[str], items: list[str]) -> Any:
        names, ids, probability = sample.oracle_scores()
        rows = {str(name): row for row, name in enumerate(names)}
        columns = {str(name): column for column, name in enumerate(ids)}
        known = np.zeros((len(users), len(items)), dtype=np.float32)
        for row, user in enumerate(users):
            if user in rows:
                known[row] = [probability[rows[user], columns[item]] if item in columns else 0.0 for item in items]
        return known

    if not source.embedded or place.prefix != sample.PREFIX:
        return source
    return replace(source, oracle=chances)


def _appraised(path: Path, trust: Trust) -> None:
    """`Refused`, each reason by name, for a run under another policy that under this one would have been stopped."""
    if (name := elsewhere(path, trust)) and (found := reasons(path, trust)):
        lines = "".join(f"\n  {each}" for each in found)
        raise Refused(f"under policy {trust.policy.name} the run, which was under {name}, stops:{lines}")


def _begin(home: Home, brief: briefs.Brief, partition: str, window: int | None, after: str, wanted: list[str]) -> Run:
    home.sweep()
    sweep(home)
    trust = planning.trust(brief, home)
    if gone := lost(home.index, trust.key, home.index.parent):
        raise LogBroken(f"the index of runs knows nothing of run {gone[0]}: it was cut, or is not the one of this home")
    if short := cut(home.index, home.index.parent):
        raise LogBroken(f"the index of runs does not have what run {short[0]} saw in it: it was cut, or is another")
    place = Place.of(brief.document["stages"][0]["source"])
    source = _oracle(Source.read(home), place)
    ready, predecessor, before = None, None, None
    if after:
        ready = home.evidence(after)
        _appraised(ready / "log.jsonl", trust)
        before = verify(ready / "log.jsonl", trust)
        predecessor = {"run": after, "head": before.head}
        partition, window = before.plan.partition, before.plan.window
    chosen = newest(source, place) if partition == "latest" else partition

    # What is measured was trained before: on what that run's plan names, whatever the store lists today.
    again = before and wanted[:1] == ["evaluate"]
    inputs = before.plan.inputs if before and again else versions(source, place, chosen, window)

    def seal(index: str) -> Any:
        return planning.plan(
            brief,
            home,
            index,
            partition=chosen,
            window=window,
            stages=wanted,
            predecessor=predecessor,
            inputs=inputs,
        )

    return begin(seal, trust, home, source, LISTENER.get() or Quiet(), ready)


@flow(name="pipeline", retries=0, flow_run_name="{document} {partition}", validate_parameters=True)
def pipeline(
    document: Annotated[str, Field(pattern=NAME)] = "sample",
    policy: Annotated[str, Field(pattern=NAME)] = "local",
    partition: Annotated[str, Field(pattern=r"^(latest|\d{4}-\d{2}(-\d{2})?)$")] = "latest",
    window: Annotated[int, Field(ge=1, le=3_660)] | None = None,
    deploy: bool = True,
    stages: list[Literal["ingest", "features", "train", "evaluate", "deploy"]] | None = None,
    after: Annotated[str, Field(pattern=r"^[0-9TZa-f-]*$")] = "",
    requested_by: str = "",
    reason: str = "",
    unsafe_service: bool = False,
) -> Any:
    """Ingest, features, train, evaluate and deploy, every task between its gates.

    Args:
        document: what the pipeline is, by name: shipped, or in the folder SLUICE_CONFIGS.
        policy: how it is judged, by name.
        partition: the day (2023-10-27) or month (2016-10) that the run is about; `latest` for the newest there is.
        window: how many partitions up to this one are trained on; all, if left out.
        deploy: whether the model is deployed if every gate lets it.
        stages: some of the stages, in a row; all, if left out.
        after: the run that these stages go on from; with no stages given, its model is deployed again.
        requested_by: who asked for this run.
        reason: why.
        unsafe_service: deploy a service that accepts expired tokens, to see it refused.
    """
    home = Home.here()
    try:
        if not PREFECT_API_URL.value():
            raise PlanError("no Prefect server: set PREFECT_API_URL; a throw-away server forgets what it was told")
        brief = briefs.read(document, policy, by_path=False)
        wanted = list(stages or (["deploy"] if after else load.SHORT.values()))
        run = _begin(home, brief, partition, window, after, wanted if deploy else [s for s in wanted if s != "deploy"])
    except (SluiceError, ConfigError) as why:
        return report.unplanned(Failed(name=REFUSED, message=f"plan: {why}"))
    run.notes |= {
        "unsafe_service": unsafe_service,
        "requested_by": requested_by,
        "reason": reason,
        "begun": time.time(),
    }
    try:
        return _end(run, through(run))
    finally:  # also of an interruption: a candidate that does not serve is not left running
        withdraw(run)


def _end(run: Run, outcome: Any) -> Any:
    """What follows from a run that has ended: a proven candidate serves, and people see how it went."""
    if isinstance(outcome, Proof):
        try:
            baseline.keep(run.home, run.log.signer, outcome)
        except (SluiceError, OSError) as why:
            outcome = report.refuse(run, Failed(name=REFUSED, message=f"baseline: {why}"))
    if isinstance(outcome, Proof) and {"train", "evaluate"} <= outcome.available.keys():
        try:
            card.write(run.home.evidence(run.plan.run), outcome, models.declared(run), models.register(run, outcome))
        except (SluiceError, OSError) as why:
            outcome = report.refuse(run, Failed(name=REFUSED, message=f"registry: {why}"))
    if isinstance(outcome, Proof) and "deploy" in run.plan.matrix:
        try:
            run.notes["serving"] = promote(run, outcome)
        except SluiceError as why:
            outcome = report.refuse(run, Failed(name=REFUSED, message=f"promotion: {why}"))
    if isinstance(outcome, Proof):
        report.table(run)
    run.notes["page"] = str(write(run, outcome))
    LAST.set(run)
    return {"run": run.plan.run, "head": outcome.head} if isinstance(outcome, Proof) else outcome


LAST: ContextVar[Run | None] = ContextVar("last", default=None)
"""The run that `pipeline` has just ended, for a caller in the same process that wants to show it."""
