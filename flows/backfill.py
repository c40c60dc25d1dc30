"""The same pipeline for every partition of a range, oldest first; none is deployed unless asked.

In one process, one run and one log a partition. A refusal in one does not stop the others; the end names each.
"""

from datetime import date, timedelta
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Failed
from pydantic import Field

from flows.pipeline import NAME, pipeline
from tasks.report import cell

MOST = 366
"""Partitions that one backfill may take."""
DAY = r"^\d{4}-\d{2}-\d{2}$"


def partitions(start: str, end: str) -> list[str]:
    """Every day from `start` to `end`, both included."""
    first, last = date.fromisoformat(start), date.fromisoformat(end)
    if not first <= last or (last - first).days >= MOST:
        raise ValueError(f"from {start} to {end}: allowed: 1 to {MOST} days, the first one first")
    return [str(first + timedelta(days=n)) for n in range((last - first).days + 1)]


@flow(name="backfill", retries=0, flow_run_name="backfill {start} to {end}", validate_parameters=True)
def backfill(
    start: Annotated[str, Field(pattern=DAY)],
    end: Annotated[str, Field(pattern=DAY)],
    document: Annotated[str, Field(pattern=NAME)] = "sample",
    policy: Annotated[str, Field(pattern=NAME)] = "local",
    window: Annotated[int, Field(ge=1, le=3_660)] | None = None,
    deploy: bool = False,
    stop_on_refusal: bool = False,
    requested_by: str = "",
    reason: str = "",
) -> Any:
    """Run the pipeline for each day of a range.

    Args:
        start: first day, 2023-10-25.
        end: last day, 2023-10-27.
        document: what the pipeline is.
        policy: how it is judged.
        window: how many partitions up to each are trained on; all, if left out.
        deploy: whether each model is deployed; a backfill deploys none unless told to.
        stop_on_refusal: end at the first refusal instead of going on with the next partition.
        requested_by: who asked for this.
        reason: why.
    """
    rows: list[dict[str, str]] = []
    for day in partitions(start, end):
        state: State[Any] = pipeline(
            document=document,
            policy=policy,
            partition=day,
            window=window,
            deploy=deploy,
            requested_by=requested_by,
            reason=reason,
            return_state=True,
        )  # type: ignore[assignment]
        rows.append({"partition": day, "state": state.name or "", "message": (state.message or "")[:500]})
        if stop_on_refusal and not state.is_completed():
            break
    table = [{key: cell(value) for key, value in row.items()} for row in rows]
    create_table_artifact(key="backfill", table=table, description=f"{start} to {end}")
    bad = [row for row in rows if row["state"] != "Completed"]
    if bad:
        named = ", ".join(f"{row['partition']} {row['state']}" for row in bad)
        return Failed(
            name="BackfillIncomplete", message=f"{len(bad)} of {len(rows)} partitions did not complete: {named}"
        )
    return rows
