"""The scores of each column over partitions: a plot for the page of a run, a table for a terminal. Decides nothing."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

PANELS, MORE, POINTS = 24, 96, 60
"""Panels of a plot that are seen at once, those that are folded away below, and partitions on each, at most."""
WIDTH, ACROSS, HIGH = 352, 2, 164
"""Of a panel: pixels, how many stand beside each other, pixels."""
LEFT, TOP, SPAN, DEEP = 44, 44, 288, 76
"""Of the field of a panel: its edge, its top, its width and its height in pixels."""
BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Point:
    """A score of a column in a partition; `value` is None where there is none, and then it counts as a gap."""

    partition: str
    column: str
    score: str
    value: float | None
    limit: float | None
    drifted: bool


Series = dict[str, Point]
"""Partition -> point."""


def series(points: Sequence[Point]) -> dict[tuple[str, str], Series]:
    """(Column, score) -> its points; of two for one partition the later counts."""
    found: dict[tuple[str, str], Series] = {}
    for point in points:
        found.setdefault((point.column, point.score), {})[point.partition] = point
    return found


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _worst(each: Series) -> tuple[bool, float]:
    """What is shown first: what has drifted, then what came nearest to its limit."""
    near = [
        value / limit
        for point in each.values()
        if (value := _known(point.value)) is not None and (limit := _known(point.limit)) and limit > 0
    ]
    return not any(point.drifted for point in each.values()), -max(near, default=0.0)


def _short(value: str, most: int) -> str:
    shown = "".join(c if c.isprintable() else "·" for c in value[: most + 1])
    return html.escape(shown if len(shown) <= most else shown[: most - 1] + "…")


def _order(found: dict[tuple[str, str], Series]) -> list[tuple[str, str]]:
    """What has drifted; then of every column what came nearest to its limit; then all others."""
    worst = sorted(found, key=lambda key: (_worst(found[key]), key))
    drifted = [key for key in worst if not _worst(found[key])[0]]
    calm = worst[len(drifted) :]
    first = {key[0]: key for key in reversed(calm)}
    return [*drifted, *sorted(calm, key=lambda key: first[key[0]] != key)]


def plot(points: Sequence[Point], word: str = "drifted") -> str:
    """Inline SVG, a panel for each column and score, with a line of words on what was left out. `word`: what is said of
    a point beyond its limit.

    Partitions are in the order of their names, the same on every panel, so that one without a value is a gap. The
    panels of what has drifted come first, then one of every column; many are folded away. A line in red is the limit,
    and so is a point that has drifted.
    """
    found = series(points)
    if not found:
        return '<p class="k">No scores yet.</p>'
    partitions = sorted({point.partition for point in points})
    shown, order = partitions[-POINTS:], _order(found)
    drifted = sum(point.drifted for each in found.values() for point in each.values())
    label = f"scores of {len(found)} columns over {len(partitions)} partitions, {drifted} of them {word}"
    left = []
    if len(order) > PANELS + MORE:
        left.append(f"{len(order) - PANELS - MORE} panels that are farthest from their limits")
    if len(partitions) > POINTS:
        left.append(f"{len(partitions) - POINTS} partitions before {html.escape(shown[0])}")
    more = order[PANELS : PANELS + MORE]
    rest = f"<details><summary>{len(more)} panels more</summary>{_grid(found, more, shown, 'the rest', word)}</details>"
    return (
        _grid(found, order[:PANELS], shown, label, word)
        + (rest if more else "")
        + f'<p class="k">Red: {word}, × where there is no value; the dashed line is the limit.'
        + (f" Not shown: {', '.join(left)}." if left else "")
        + "</p>"
    )


def _grid(
    found: dict[tuple[str, str], Series], order: Sequence[tuple[str, str]], shown: list[str], label: str, word: str
) -> str:
    places = (f"translate({WIDTH * (n % ACROSS)} {HIGH * (n // ACROSS)})" for n in range(len(order)))
    panels = "".join(
        f'<g transform="{place}">{_panel(key, found[key], shown, word)}</g>'
        for place, key in zip(places, order, strict=True)
    )
    width, height = WIDTH * ACROSS, HIGH * -(-len(order) // ACROSS)
    return (
        f'<svg role="img" aria-label="{label}" width="100%" height="{height}" '
        f'viewBox="0 0 {width} {height}" preserveAspectRatio="xMinYMin meet">{panels}</svg>'
    )


def _panel(key: tuple[str, str], each: Series, partitions: Sequence[str], word: str) -> str:
    points = [each.get(name) for name in partitions]
    values = [None if point is None else _known(point.value) for point in points]
    limits = [None if point is None else _known(point.limit) for point in points]
    top = max([abs(v) for v in values + limits if v is not None], default=0.0) * 1.08 or 1.0
    low = min([v for v in values + limits if v is not None and v < 0], default=0.0) * 1.08
    step = SPAN / max(len(partitions) - 1, 1)

    def x(n: float) -> float:
        return LEFT + (step * n if len(partitions) > 1 else SPAN / 2)

    def y(value: float) -> float:
        return TOP + DEEP * (top - value) / (top - low)

    # The page's style is stronger than an attribute of `text`, but says nothing of what is in it.
    parts = [
        f'<text x="0" y="14"><tspan font-weight="600">{_short(key[0], 24)}</tspan></text>'
        f'<text x="0" y="30"><tspan fill="#5b6673">{_short(key[1], 24)}</tspan></text>'
        f'<path d="M{LEFT} {TOP}V{TOP + DEEP}H{LEFT + SPAN}" fill="none" stroke="#aab7c6"/>'
        f'<text x="{LEFT - 6}" y="{TOP + 5}" text-anchor="end">{top:.2g}</text>'
        f'<text x="{LEFT - 6}" y="{TOP + DEEP}" text-anchor="end">{low:.2g}</text>'
        f'<text x="{LEFT}" y="{TOP + DEEP + 18}">{_short(partitions[0], 14)}</text>'
    ]
    if len(partitions) > 1:
        parts.append(
            f'<text x="{LEFT + SPAN}" y="{TOP + DEEP + 18}" text-anchor="end">{_short(partitions[-1], 14)}</text>'
        )
    # A limit is drawn through the gaps of its values, but not where nobody said one; where it changes it steps.
    for run in _runs(limits):
        dashes = f"M{x(run[0][0] - 0.5 * bool(run[0][0])):.1f} {y(run[0][1]):.1f}"
        for n, limit in run:
            last = n == len(limits) - 1
            dashes += f"V{y(limit):.1f}H{x(n if last and n else n + 0.5):.1f}"
        parts.append(f'<path d="{dashes}" fill="none" stroke="#b3131b" stroke-dasharray="4 3"/>')
    parts.extend(
        '<polyline fill="none" stroke="#2463b0" stroke-width="2" points="'
        + " ".join(f"{x(n):.1f},{y(value):.1f}" for n, value in run)
        + '"/>'
        for run in _runs(values)
    )
    for n, (point, value) in enumerate(zip(points, values, strict=True)):
        if value is not None and point is not None:
            size, colour = (3.5, "#b3131b") if point.drifted else (2, "#2463b0")
            told = f"{_short(point.partition, 40)}: {value:.4g}" + (f", {word}" if point.drifted else "")
            parts.append(
                f'<circle cx="{x(n):.1f}" cy="{y(value):.1f}" r="{size}" fill="{colour}"><title>{told}</title></circle>'
            )
        elif point is not None and point.drifted:
            parts.append(
                f'<text x="{x(n):.1f}" y="{TOP + DEEP - 4}" text-anchor="middle"><tspan fill="#b3131b">×</tspan></text>'
            )
    return "".join(parts)


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Stretches without a gap: (place, value)."""
    found: list[list[tuple[int, float]]] = [[]]
    for n, value in enumerate(values):
        if value is not None:
            found[-1].append((n, value))
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


def summary(points: Sequence[Point]) -> Table:
    """A line for each column and score: the last value, its limit, and a bar for each of the last partitions."""
    found = series(points)
    partitions = sorted({point.partition for point in points})[-(POINTS // 3) :]
    table = Table("column", "score", "last", "limit", "drifted", "over time", box=None, pad_edge=False)
    for key in sorted(found, key=lambda key: (_worst(found[key]), key)):
        points_ = [found[key].get(name) for name in partitions]
        values = [None if point is None else _known(point.value) for point in points_]
        top = max([value for value in values if value is not None], default=0.0) or 1.0
        line = Text()
        for point, value in zip(points_, values, strict=True):
            bar = " " if value is None else BARS[min(max(int(value / top * 8), 0), 7)]
            line.append(bar, style="red" if point is not None and point.drifted else "")
        last = found[key].get(partitions[-1])
        value, limit = (None, None) if last is None else (_known(last.value), _known(last.limit))
        table.add_row(
            Text(key[0]),
            Text(key[1]),
            "none" if value is None else f"{value:.4g}",
            "none" if limit is None else f"{limit:.4g}",
            Text(str(sum(point.drifted for point in found[key].values()))),
            line,
        )
    return table
