"""What people see of how items are shown: figures beside their limits, groups of items, how exposure is shared out.

Nothing is decided by it. Figures are those that the gate saw; sentences are those that it is judged by.
"""

import html

from security.gates.bias import Facts, Limits, Row, rows
from security.verdict import Observation
from tasks.bars import Bar, svg
from tasks.run import Run

NAME = "bias_detection"
SIDE = 320
"""Pixels of the plot's sides."""
COLOURS = {
    "model": "#2463b0",
    "approved": "#7a3fb0",
    "knn": "#2e8b57",
    "popularity": "#b3131b",
    "random": "#8a97a6",
    "ceiling": "#c98a00",
}
WORDS = {"kept": "pass", "broken": "fail", "open": "inconclusive"}
NOTE = (
    '<p class="k">Exposure falls with the place in a list as 1 / log2(rank + 1). Groups by popularity are made of what '
    "users did before the test: head and tail hold a fifth of the interactions each. Intervals are of 95 %, by a "
    "bootstrap of users, of one figure alone. Basis: observed.</p>"
)


def heard(run: Run, stage: str, task: str, seen: Observation) -> None:
    """Keep for the page what the gate over exposure saw."""
    limits = Limits.model_validate(run.plan.terms[stage][task][NAME].limits)
    run.notes["exposure"] = Facts.model_validate(seen.facts), limits


def section(run: Run) -> str:
    """HTML for the page of a run; empty where nothing was looked at."""
    if "exposure" not in run.notes:
        return ""
    facts, limits = run.notes["exposure"]
    told = "".join(_line(row) for row in rows(facts, limits))
    parts = ["<h2>Exposure of items</h2>", f'<table class="exposure">{told}</table>', _curves(facts)]
    for name, grouped in facts.groupings.items():
        parts.append(f"<h3>{html.escape(name)} ({html.escape(grouped.kind)})</h3>")
        bounds = limits.groupings.get(name)
        for what, limit in (("relevance", bounds and bounds.relevance), ("catalogue", bounds and bounds.catalogue)):
            found = [(each, getattr(each, f"by_{what}")) for each in grouped.groups]
            bars = [
                Bar(group.name, ratio.value, ratio.low, ratio.high, True, f", {group.items:,} items")
                for group, ratio in found
                if ratio is not None
            ]
            if bars:
                parts.append(f"<p>exposure in those of the share of the {_WHAT[what]}; 1 is even</p>")
                parts.append(svg(f"exposure of each group by {name} and {what}", bars, limit, 110, 260))
    return "".join([*parts, NOTE])


_WHAT = {"relevance": "items that users went on to take", "catalogue": "catalogue"}


def _line(row: Row) -> str:
    word = WORDS[row.side]
    return f'<tr><td class="{word}">{row.side}</td><td>{html.escape(row.sentence)}</td></tr>'


def _curves(facts: Facts) -> str:
    """How much of all exposure the least exposed items have, of each system (Lorenz 1905)."""
    parts = [f'<path d="M0 {SIDE}L{SIDE} 0" stroke="#d5dce4" fill="none"/>']
    for place, (system, colour) in enumerate((name, COLOURS[name]) for name in COLOURS if name in facts.curves):
        points = facts.curves[system]
        steps = max(len(points) - 1, 1)
        line = " ".join(f"{SIDE * n / steps:.1f},{SIDE * (1 - share):.1f}" for n, share in enumerate(points))
        wide = 3 if system == "model" else 1.5
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="{wide}" points="{line}"/>')
        parts.append(f'<text x="{SIDE + 12}" y="{24 + 20 * place}" fill="{colour}">{html.escape(system)}</text>')
    return (
        "<p>share of all exposure (up) that the least exposed items have, by their share of the catalogue (right); the "
        "diagonal is even</p>"
        f'<svg role="img" aria-label="how exposure is shared out" width="{SIDE + 120}" height="{SIDE + 8}" '
        f'viewBox="0 0 {SIDE + 120} {SIDE + 8}">{"".join(parts)}</svg>'
    )
