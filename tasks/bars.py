"""Horizontal bars with intervals, as SVG without scripts: for the page of a run."""

import html
from collections.abc import Sequence
from typing import NamedTuple

STRONG, PALE = "#2463b0", "#aab7c6"
LONG, HIGH = 460, 26
"""Of the longest interval, and of a bar, in pixels."""


class Bar(NamedTuple):
    """A value with the ends of its interval; `more` is said behind it."""

    name: str
    value: float
    low: float
    high: float
    strong: bool
    more: str = ""


def svg(label: str, bars: Sequence[Bar], line: float | None, left: int = 110, right: int = 150) -> str:
    """Bars, each with its interval, and a dashed line where a limit is. `left`: pixels for names; `right`: for what is
    said."""
    top = max([bar.high for bar in bars] + [line or 0.0, 1e-9])
    parts = []
    for number, bar in enumerate(bars):
        y, colour = HIGH * number + 4, STRONG if bar.strong else PALE
        long, low, high = (LONG * end / top for end in (bar.value, bar.low, bar.high))
        ends = f"{bar.low:.3f}", f"{bar.high:.3f}"
        said = f"{bar.value:.3f}" + (f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else "") + bar.more
        parts.append(
            f'<text x="0" y="{y + 14}">{html.escape(bar.name)}</text>'
            f'<rect x="{left}" y="{y}" width="{long:.1f}" height="18" fill="{colour}"/>'
            f'<path class="interval" d="M{left + low:.1f} {y + 9}H{left + high:.1f}M{left + low:.1f} {y + 4}v10'
            f'M{left + high:.1f} {y + 4}v10" stroke="#1b2733"/>'
            f'<text x="{left + 8 + high:.1f}" y="{y + 14}">{html.escape(said)}</text>'
        )
    wide, height = left + LONG + right, HIGH * len(bars) + 8
    if line is not None:
        x = left + LONG * line / top
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}" stroke="#b3131b" stroke-dasharray="4 3"/>')
    return (
        f'<svg role="img" aria-label="{html.escape(label)}" width="{wide}" height="{height}" '
        f'viewBox="0 0 {wide} {height}">{"".join(parts)}</svg>'
    )
