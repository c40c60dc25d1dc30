"""The page of a run: one HTML file without scripts or anything from elsewhere. Shows; decides nothing.

Every figure on it is from the run's verdicts and says its basis; the log beside it is what counts.
"""

import html
from pathlib import Path
from typing import Any

from security.verdict import Outcome
from security.verify import Proof
from tasks import exposure, hits, served, trend, watch
from tasks.bars import Bar, svg
from tasks.run import Run

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c2430;background:#fff}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.3rem 0}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #dde3ea;vertical-align:top}
.pass{color:#14713d}.fail,.inconclusive{color:#b3131b;font-weight:600}.k{color:#5b6673}code{overflow-wrap:anywhere}
svg text{font:13px system-ui,sans-serif;fill:#1c2430}
"""
HEADS = ("stage", "gate", "outcome", "basis", "looked at", "canary", "reason", "s")
Metrics = dict[str, dict[str, dict[str, float]]]
"""System -> metric -> value, low, high."""
SYSTEMS = ("model", "approved", "knn", "popularity", "random", "shuffled", "ceiling")


def text(value: Any) -> str:
    """Text for HTML."""
    return html.escape(str(value))


def _bars(metrics: Metrics, name: str, threshold: float | None) -> str:
    """Bars of one metric for each system, and the threshold as a line."""
    found = [(system, metrics[system][name]) for system in SYSTEMS if name in metrics.get(system, {})]
    bars = [Bar(system, each["value"], each["low"], each["high"], system == "model") for system, each in found]
    return svg(f"{name} of each system", bars, threshold)


def _curve(epochs: list[tuple[int, float, float | None, float]]) -> str:
    """Each epoch's loss and, where it was looked at, its metric on the validation slice, each to its own scale; the
    time of all."""
    lines, names = [], [("loss", "#2463b0", 1, ".0f"), ("validation nDCG@10", "#c98a00", 2, ".3f")]
    for place, (name, colour, column, form) in enumerate(names):
        found = [(n, value) for n, each in enumerate(epochs) if (value := each[column]) is not None]
        if not found:
            continue
        low, high = min(value for _, value in found), max(value for _, value in found)
        span = (high - low) or 1.0
        points = " ".join(
            f"{60 + 540 * n / max(len(epochs) - 1, 1):.1f},{10 + 120 * (high - value) / span:.1f}" for n, value in found
        )
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
        x, anchor = (0, "start") if not place else (720, "end")
        lines.append(f'<text x="{x}" y="16" text-anchor="{anchor}" fill="{colour}">{high:{form}}</text>')
        lines.append(f'<text x="{x}" y="134" text-anchor="{anchor}" fill="{colour}">{low:{form}}</text>')
        lines.append(f'<text x="{60 + 200 * place}" y="156" fill="{colour}">{name}</text>')
    spent = sum(each[3] for each in epochs)
    return (
        '<svg role="img" aria-label="loss and validation metric of each epoch" width="720" height="162" '
        f'viewBox="0 0 720 162">{"".join(lines)}</svg>'
        f'<p class="k">{len(epochs):,} epochs, {spent:.1f} s, {spent / max(len(epochs), 1):.3f} s each.</p>'
    )


def metrics(run: Run) -> Metrics:
    """What the gate that looked at the scores made of them."""
    found: Metrics = run.notes.get("metrics", {})
    return found


def write(run: Run, outcome: Any) -> Path:
    """Write the page; where it is."""
    plan, rows = run.plan, run.notes.get("verdicts", [])
    good = isinstance(outcome, Proof)
    said = "passed" if good else f"refused: {getattr(outcome, 'message', outcome)}"
    held = ", ".join(plan.confined) or plan.loose or "nothing confines the training"
    whole = max(run.clock["gates"] + run.clock["work"], 1e-9)
    body = [
        f"<h1>{text(plan.document['pipeline_name'])}, partition {text(plan.partition)}</h1>",
        f'<p class="{Outcome.PASS if good else Outcome.FAIL}">{text(said)}</p>',
        f'<p class="k">run <code>{text(plan.run)}</code> · target {text(plan.target)} · '
        f"key isolation {text(plan.isolation)} ({text(held)}) · "
        f"policy {'unsigned (UnsafeUnsignedPolicy)' if plan.signed.startswith('Unsafe') else 'signed by its owner'} · "
        f"source: {text(run.source.what)}</p>",
        "<h2>Gates</h2><table><tr>" + "".join(f"<th>{name}</th>" for name in HEADS) + "</tr>",
    ]
    for row in rows:
        cells = "".join(f"<td>{text(row[k])}</td>" for k in ("basis", "coverage", "canary", "reason", "seconds"))
        body.append(
            f"<tr><td>{text(row['stage'])}/{text(row['task'])}</td><td>{text(row['gate'])}</td>"
            f'<td class="{text(row["outcome"])}">{text(row["outcome"])}</td>{cells}</tr>'
        )
    share = run.clock["gates"] / whole
    body.append(f'</table><p class="k">Gates took {run.clock["gates"]:.1f} s, {share:.0%} of the guarded time.</p>')
    if looks := run.notes.get("personal"):
        body.append(hits.table(*looks))
    body.append(watch.section(run))
    if found := metrics(run):
        wanted = plan.document["stages"][3]["thresholds"]
        names = plan.document["stages"][3]["metrics"]
        body.extend(f"<h2>{text(name)}</h2>" + _bars(found, name, wanted.get(name)) for name in names)
        body.append(f'<p class="k">{text(run.notes.get("attempt", ""))}</p>')
        body.append(
            '<p class="k">Full catalogue, seen items removed, each user\'s last 20 % held out. Basis: observed. '
            "shuffled is a control that must fail; approved is the model that is, on the users of whose held-out items "
            "it learned none; the dashed line is the threshold, which the lower end of the model's interval must meet "
            "(95 %, bootstrap of users).</p>"
        )
        body.append(trend.section(run))
    body.append(served.section(run))
    body.append(exposure.section(run))
    if run.notes.get("epochs"):
        body.append("<h2>Training</h2>" + _curve(run.notes["epochs"]))
    for title, key in (("Rows", "clean"), ("Features", "features")):
        if key in run.notes:
            cells = "".join(
                f"<tr><td>{text(k)}</td><td>{text(f'{v:,}' if isinstance(v, int) else v)}</td></tr>"
                for k, v in run.notes[key].items()
            )
            body.append(f"<h2>{title}</h2><table>{cells}</table>")
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{text(plan.run)}</title>'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{STYLE}</style><body>{''.join(body)}</body></html>"
    )
    path = run.home.folder("pages") / f"{plan.run}.html"
    path.write_text(page, encoding="utf-8")
    return path
