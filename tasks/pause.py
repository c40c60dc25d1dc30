"""A run that waits for a person: paused in Prefect, with a form that says what is to be approved and how.

The click is not the approval: what is filled in decides nothing. When the run goes on, or nobody came in time, the gate
`approval` looks for what a person signed.
"""

from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from pydantic import Field

from security.gates import approval
from security.verdict import Ref, Subject
from security.words import within
from tasks import approvals
from tasks.run import Run

EVERY = 2
"""Seconds from one look at the state of the paused run to the next."""


class Answer(RunInput):
    """The form of a paused run."""

    note: str = Field(default="", max_length=300, title="Note", description="It decides nothing: sign an approval")


def person(run: Run, model: Ref) -> bool:
    """Wait for a person, where the policy wants more of them than approved this model; whether it waited. Where nobody
    resumed the run in time it goes on too: the gate looks."""
    gate = approval.Approval()
    limits = approval.Limits.model_validate(run.plan.terms["deploy"]["serve"][gate.name].limits)
    if limits.persons == approval.NOBODY or not limits.wait:
        return False
    facts = gate.look(
        approvals.of(run, model, Subject(kind=model.kind, name=model.uri, sha256=model.sha256)).handed()[0]
    )
    if not list(gate.judge(facts, limits)):
        return False
    said = (
        f"{limits.persons} to approve model {model.sha256[:12]}{within(facts.image)} for {run.plan.target}: "
        f"`sluice approval give {run.plan.run} --target {run.plan.target} ...`, and then to resume this run"
    )
    run.listener.step("deploy", f"waits {limits.wait:,} s for {said}")
    try:
        pause_flow_run(
            wait_for_input=Answer.with_initial_data(description=f"Sluice waits for {said}."),
            timeout=limits.wait,
            poll_interval=min(EVERY, limits.wait),
        )
    except FlowPauseTimeout:
        run.listener.step("deploy", f"nobody came within {limits.wait:,} s: it waited for {said}")
    return True
