"""What people see in Prefect: a table of verdicts, the refusal as an artifact and one log line, the tag `refused`.

Nothing is decided by any of it. A report that cannot be made is logged and changes no outcome: the refusal stands in
the log of the run, whatever Prefect's server says.
"""

import html
import logging
import re
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext

from security.gates.personal import Facts, PersonalLimits
from security.verdict import Effect, Observation, Verdict
from tasks import baseline, drawing, exposure, served, trend, watch
from tasks.hits import found
from tasks.run import Run

TAG = "refused"
"""The UI's filter "Failed" hides a state of another name; this tag finds it."""


def safe(text: str) -> str:
    """Text for a Markdown artifact: no markup, no links, no images of anybody else's."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~])", r"\\\1", html.escape(text, quote=False))


LOOKS = str.maketrans({"[": "(", "]": ")", "<": "‹", ">": "›", "`": "'"})
"""What opens something in Markdown -> what looks like it."""


def cell(value: object) -> str:
    """Text for a table artifact, without what opens a link, an image, code or HTML in Markdown.

    Of Prefect's two UIs one renders cells as Markdown and fetches their images; the other shows an escape as written.
    """
    return str(value).translate(LOOKS)


def verdict(run: Run, stage: str, task: str, said: Verdict, follows: Effect, seen: Observation, seconds: float) -> None:
    """Keep a verdict for the table and the page."""
    row = {
        "stage": stage,
        "task": task,
        "gate": said.gate,
        "outcome": said.outcome.value,
        "effect": f"{follows.action}, {follows.because}",
        "basis": seen.basis.value,
        "coverage": f"{seen.coverage.inspected:,}/{seen.coverage.expected:,} {seen.coverage.unit}",
        "canary": "not caught" if said.cause == "canary" else "caught" if seen.canaries else "none",
        "reason": said.reason if follows.because != "waived" else f"waived: {said.reason}",
        "seconds": round(seconds, 2),
    }
    run.notes.setdefault("verdicts", []).append(row)
    if said.gate == "PII_detection" and seen.facts:
        limits = PersonalLimits.model_validate(run.plan.terms[stage][task][said.gate].limits)
        told, unseen = found(Facts.model_validate(seen.facts), limits, f"{stage}/{task}")
        before = run.notes.get("personal", ([], []))
        run.notes["personal"] = ([*before[0], *told], list(dict.fromkeys([*before[1], *unseen])))
    if said.gate == baseline.NAME:
        _quietly(lambda: watch.heard(run, stage, task, seen), "drift is not shown")
        _quietly(lambda: drawing.begin(run, stage, task), "drift is not drawn")
    if said.gate == served.NAME and seen.facts:
        _quietly(lambda: served.heard(run, stage, task, seen), "groups of users are not shown")
    if said.gate == exposure.NAME and seen.facts:
        _quietly(lambda: exposure.heard(run, stage, task, seen), "exposure of items is not shown")
    if said.gate == "metric_thresholds" and seen.facts:
        run.notes["metrics"] = {system: scores["metrics"] for system, scores in seen.facts["systems"].items()}
        if beside := seen.facts["approved"]:
            run.notes["metrics"]["approved"] = beside["scores"]["metrics"]
        _quietly(lambda: trend.heard(run, stage, task, seen), "metrics are not kept for pages to come")
        most = run.plan.terms[stage][task][said.gate].limits["attempts"]
        run.notes["attempt"] = f"attempt {seen.facts['attempts']['count']:,} of {most:,} on this data"


def table(run: Run) -> None:
    """The verdicts of the flow run that is ending, as a table artifact."""
    rows = [{k: cell(v) for k, v in row.items()} for row in run.notes.get("verdicts", [])]
    if rows and FlowRunContext.get():
        _quietly(
            lambda: create_table_artifact(key="gate-verdicts", table=rows, description="Every verdict of this run")
        )


def refuse(run: Run, state: State[Any]) -> State[Any]:
    """Say a refusal where people look for it; the state that the flow run ends in."""
    message = str(state.message)
    context = FlowRunContext.get()
    if context and context.flow_run:
        get_run_logger().error("refused: %s", message)
        flow_run = context.flow_run
        where = f"Run `{run.plan.run}`, target `{run.plan.target}`. This stage published nothing."
        body = f"# Refused\n\n{safe(message)}\n\n{where}\n"

        _quietly(lambda: _tag(flow_run.id, flow_run.tags))
        _quietly(lambda: create_markdown_artifact(key="refusal", markdown=body, description="Why this run was refused"))
        table(run)
    return state


def _quietly(work: Any, failed: str = "not reported to Prefect") -> None:
    try:
        work()
    except Exception as why:  # noqa: BLE001 - see the module's docstring
        logging.getLogger("sluice").warning("%s: %s", failed, type(why).__name__)


def unplanned(state: State[Any]) -> State[Any]:
    """Say a refusal that came before there was a run."""
    context = FlowRunContext.get()
    if context and context.flow_run:
        get_run_logger().error("refused: %s", state.message)
        _quietly(lambda: create_markdown_artifact(key="refusal", markdown=f"# Refused\n\n{safe(str(state.message))}\n"))
        flow_run = context.flow_run
        _quietly(lambda: _tag(flow_run.id, flow_run.tags))
    return state


def _tag(flow_run: Any, tags: list[str]) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run, tags=sorted({*tags, TAG}))
