"""What people see of drift: each column with its scores, what was not compared, and how it went before.

Nothing is decided by it. Everything is from the facts that are in the log, and from the file of scores of the runs
before: no value of a row is in either, and names of columns that nobody declared are hashes already.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from security.drift.levels import Moved, Score, Untested
from security.errors import CannotTell
from security.gates.drift import DriftLimits, Facts, shown
from security.verdict import Observation
from tasks import baseline, drawing, history, ledger
from tasks.history import Point
from tasks.run import Run

HEADS = ("where", "column", "effective rows", "outcome", "scores", "reason")
LINES = 200
"""Lines of a table, at most; how many more there are is said."""
LONGEST = 300
"""Characters of a cell, at most."""
CLASSES = {"drifted": "fail", "cannot tell": "inconclusive", "steady": "pass"}


@dataclass(frozen=True)
class Look:
    """What was compared at a place, and with which baseline; `said` is why nothing was, where that is so."""

    place: str
    baseline: str = ""
    columns: tuple[Moved, ...] = ()
    untested: tuple[Untested, ...] = ()
    said: str = ""


def looked(facts: Facts, limits: DriftLimits, place: str) -> Look:
    """What the gate compared, compared again from its facts."""
    if facts.baseline is None:
        none = f"baseline {limits.baseline[:12]} was not used" if limits.baseline else "there is no baseline yet"
        return Look(place, said=f"{none}: {facts.profile.rows:,} rows were counted, none compared.")
    try:
        drift = shown(facts, limits)
    except CannotTell as why:
        return Look(place, facts.digest, said=f"nothing could be compared: {why}.")
    return Look(place, facts.digest, drift.columns, drift.untested)


def points(look: Look, partition: str) -> list[Point]:
    """The scores that have a limit."""
    return [
        Point(partition, _column(each.column), score.name, score.value, score.limit, score.drifted)
        for each in look.columns
        for score in _limited(each)
    ]


def heard(run: Run, stage: str, task: str, seen: Observation) -> None:
    """Keep what a look for drift saw for the page, and its scores for the pages to come."""
    place, limits = f"{stage}/{task}", run.plan.terms[stage][task][baseline.NAME].limits
    if not seen.facts:
        look = Look(place, said="nothing was looked at.")
    else:
        look = looked(Facts.model_validate(seen.facts), DriftLimits.model_validate(limits), place)
    run.notes.setdefault("drift", []).append(look)
    if found := points(look, run.plan.partition):
        told = ledger.line(run.plan.run, run.plan.partition, place, look.baseline, found)
        ledger.append(run.home, run.plan.document["pipeline_name"], told)


def section(run: Run) -> str:
    """HTML for the page of a run; empty where nothing was looked at. Whatever goes wrong is a line on it."""
    looks: list[Look] = run.notes.get("drift", [])
    picture: drawing.Drawing | None = run.notes.get("picture")
    if not looks:
        return ""
    parts: list[Callable[[], str]] = [lambda: table(looks), picture.line if picture else str, lambda: plots(run)]
    return "<h2>Drift</h2>" + "".join(map(_tried, parts))


def _tried(part: Callable[[], str]) -> str:
    try:
        return part()
    except Exception as why:  # noqa: BLE001 - a page without it is better than none
        return f'<p class="k">Could not be shown: {type(why).__name__}.</p>'


def table(looks: Sequence[Look]) -> str:
    """HTML: what was compared with what, column by column, and what was not compared, and why."""
    against = "".join(f"<p>{_plain(each.place)}: {_against(each)}</p>" for each in looks)
    rows = [(look, each) for look in looks for each in look.columns]
    order = sorted(rows, key=lambda row: list(CLASSES).index(row[1].outcome))
    told = _html(HEADS, [_row(*row) for row in order]) if rows else ""
    gaps = [(look.place, each.column, each.reason) for look in looks for each in look.untested]
    left = [tuple(f"<td>{_plain(cell)}</td>" for cell in gap) for gap in gaps]
    untested = f"<h2>Not compared</h2>{_html(('where', 'column', 'why'), left)}" if gaps else ""
    note = "A score counts where it is beyond both its limit and what chance does. Rows are those of the smaller side."
    return against + told + (f'<p class="k">{note}</p>' if told else "") + untested


def _against(look: Look) -> str:
    if not look.baseline:
        return html.escape(look.said)
    named = f"compared with baseline <code>{_plain(look.baseline[:12])}</code>"
    return f"{named}. {html.escape(look.said)}" if look.said else f"{named}, {len(look.columns):,} columns."


def _row(look: Look, each: Moved) -> tuple[str, ...]:
    scores = "<br>".join(map(_score, sorted(_limited(each), key=lambda score: not score.drifted)))
    return (
        f"<td>{_plain(look.place)}</td>",
        f"<td>{_plain(_column(each.column))}</td>",
        f"<td>{each.rows:,.0f}</td>",
        f'<td class="{CLASSES[each.outcome]}">{_plain(each.outcome)}</td>',
        f"<td>{scores}</td>",
        f"<td>{_plain(each.reason)}</td>",
    )


def _score(score: Score) -> str:
    told = f"{_plain(score.name)} {score.value:.4g} (chance {score.floor:.4g}, limit {score.limit:.4g})"
    return f'<span class="fail">{told}</span>' if score.drifted else told


def _html(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first = "".join(f"<th>{head}</th>" for head in heads)
    lines = "".join(f"<tr>{''.join(row)}</tr>" for row in rows[:LINES])
    more = f'<p class="k">and {len(rows) - LINES:,} more lines</p>' if len(rows) > LINES else ""
    return f"<table><tr>{first}</tr>{lines}</table>{more}"


def plots(run: Run) -> str:
    """HTML: the scores of this pipeline up to now, refused runs included, a plot for each place."""
    past = ledger.read(run.home, run.plan.document["pipeline_name"])
    told = "".join(
        f"<h2>Drift over time, {_plain(place)}</h2>{history.plot(past.points[place])}" for place in sorted(past.points)
    )
    if past.skipped:
        told += f'<p class="k">{past.skipped:,} lines of the file of scores are damaged or foreign: skipped.</p>'
    return told or f"<h2>Drift over time</h2>{history.plot([])}"


def _limited(each: Moved) -> list[Score]:
    return [score for score in each.scores if score.limit is not None]


def _column(name: str) -> str:
    return name or "rows"


def _plain(value: Any) -> str:
    """Text for HTML in which nothing moves what stands beside it."""
    shown = "".join(c if c.isprintable() else "·" for c in str(value)[: LONGEST + 1])
    return html.escape(shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…")
