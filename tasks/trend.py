"""What people see of a pipeline's metrics from run to run: each metric with its threshold, over partitions. Decides
nothing; it is what the gate over metrics saw, kept beside the scores of drift (`tasks.ledger`)."""

from security.verdict import Observation
from tasks import history, ledger
from tasks.history import Point
from tasks.run import Run

SYSTEMS = ("model", "popularity")
"""Whose metrics are kept."""


def named(run: Run) -> str:
    """The file's name: no pipeline has a dot in its own."""
    return f"{run.plan.document['pipeline_name']}.metrics"


def heard(run: Run, stage: str, task: str, seen: Observation) -> None:
    """Keep the metrics that the document asks for, refused or not."""
    asked = run.plan.document["stages"][3]
    points = []
    for system in SYSTEMS:
        found = seen.facts["systems"][system]["metrics"]
        for metric in (each for each in asked["metrics"] if each in found):
            limit = asked["thresholds"].get(metric) if system == "model" else None
            value = found[metric]["value"]
            below = limit is not None and found[metric]["low"] < limit
            points.append(Point(run.plan.partition, system, metric, value, limit, below))
    told = ledger.line(run.plan.run, run.plan.partition, f"{stage}/{task}", run.plan.sha256, points)
    ledger.append(run.home, named(run), told)


def section(run: Run) -> str:
    """HTML for the page of a run; empty where no metric was ever kept."""
    past = ledger.read(run.home, named(run))
    points = [point for place in sorted(past.points) for point in past.points[place]]
    if not points:
        return ""
    skipped = f'<p class="k">{past.skipped:,} lines of the file of metrics are damaged or foreign: skipped.</p>'
    return f"<h2>Metrics over time</h2>{history.plot(points, 'below')}" + (skipped if past.skipped else "")
