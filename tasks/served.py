"""What people see of how groups of users are served: each group's share of what all get, with its interval.

Nothing is decided by it. Figures are fairlearn's, which agree with those that were judged or are not shown; groups that
are too small are named and have none.
"""

import html

from security.gates.fairness import METRICS, Facts, Limits, counted, material
from security.gates.fairness.report import Row, rows
from security.verdict import Observation
from tasks.bars import Bar, svg
from tasks.run import Run

NAME = "fairness_metrics"
UNITS = {"exposure": " bits"}
LEFT, RIGHT = 190, 330
"""Pixels for the names of groups, and for what is said of them."""
NOTE = (
    '<p class="k">Each bar is the mean of a group in those of all users; 1 is the same. Intervals are of 95 %, by a '
    "bootstrap of users, of one group alone; the dashed line is the lowest ratio that the policy allows. Behavioural "
    "groups are made of what users did before the test, cut at the median. Basis: observed.</p>"
)
MOST = 40
"""Groups that are drawn of a grouping; how many more there are is said."""


def heard(run: Run, stage: str, task: str, seen: Observation) -> None:
    """Keep for the page what the gate over groups saw, and the figures with intervals, made again from the scores."""
    facts = Facts.model_validate(seen.facts)
    limits = Limits.model_validate(run.plan.terms[stage][task][NAME].limits)
    run.notes["groups"] = facts, limits, []
    ref = run.outputs[seen.subject.sha256]
    written = material(
        seen.subject, [run.path(ref) / "scores.parquet"], facts.users, floor=facts.floor, depth=facts.depth
    )
    run.notes["groups"] = facts, limits, rows(counted(written.source()), facts)


def section(run: Run) -> str:
    """HTML for the page of a run; empty where no groups were looked at."""
    if "groups" not in run.notes:
        return ""
    facts, limits, found = run.notes["groups"]
    parts = ["<h2>Groups of users</h2>"]
    if not found:
        parts.append('<p class="inconclusive">Figures by group could not be made again: none is shown.</p>')
    for grouping in facts.groupings:
        parts += [_grouping(facts, limits, grouping, [row for row in found if row.grouping == grouping])]
    return "".join([*parts, NOTE])


def _grouping(facts: Facts, limits: Limits, grouping: str, found: list[Row]) -> str:
    seen = facts.groupings[grouping]
    told = [f"<h3>{html.escape(grouping)} ({html.escape(seen.kind)})</h3>"]
    if proxy := facts.proxy.get(grouping):
        chance = "of two groups 0.5 is chance, of more the best told counts"
        words = f"Embeddings tell {grouping}: AUC {proxy.auc:.3f} over {proxy.users:,} users; {chance}."
        told.append(f"<p>{html.escape(words)}</p>" if proxy.auc is not None else "")
    if seen.suppressed:
        words = f"Suppressed, of fewer than {facts.floor} users or told by others: {', '.join(seen.suppressed)}"
        told.append(f'<p class="suppressed">{html.escape(words)}</p>')
    lowest = limits.lowest(seen.kind)
    for metric in METRICS:
        mine = [row for row in found if row.metric == metric]
        bars = [
            Bar(
                row.group,
                row.ratio,
                row.low,
                row.high,
                metric in lowest,
                f", {row.value:.4f}{UNITS.get(metric, '')} of {row.users:,}",
            )
            for row in mine[:MOST]
            if row.low == row.low
        ]
        if bars:
            told.append(f"<p>{metric}@{facts.k}</p>" if metric != "exposure" else "<p>exposure</p>")
            told.append(svg(f"{metric} of each group by {grouping}", bars, lowest.get(metric), LEFT, RIGHT))
        if len(mine) > MOST:
            told.append(f'<p class="k">and {len(mine) - MOST:,} more groups</p>')
    return "".join(told)
