"""The table for people of personal data: what was found where, and what was not looked at. Decides nothing.

A finding is shown by its shape only: no letter and no digit of it, and nothing of the text around it.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from security.gates.personal import Facts, PersonalLimits
from security.gates.personal import Hit as Found
from security.personal.shape import SHOWN, masked

HEADS = ("column", "entity", "cells", "share", "action", "examples, masked")
EXAMPLES = 3
"""Shapes of a line, at most."""
EXPLAINED = {
    "id": "none, ids look like it",
    "time": "none, times look like it",
    "agent": "none, a version, a link or a date",
}
"""What is said of a finding that its column's role explains."""
LINES = 200
"""Lines of a table, at most; how many more there are is said."""


@dataclass(frozen=True)
class Hit:
    """What was found of one entity in one column.

    `count` is of cells, `share` of those that hold something, from 0 to 1. `examples` are masked already, and anything
    else in them is masked once more when it is shown.
    """

    column: str
    entity: str
    count: int
    share: float
    action: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unseen:
    """What was not looked at: an entity in all columns, a column, or both, and why."""

    entity: str
    column: str
    reason: str


def found(facts: Facts, limits: PersonalLimits, where: str) -> tuple[list[Hit], list[Unseen]]:
    """What a look at `where` found, with what becomes of it under these limits; and what it did not look at."""
    hits = []
    for each in facts.hits:
        share = facts.share(each)
        counts = limits.counts(each, facts)
        action = limits.action(each.column, each.entity) if counts else _explained(each, limits)
        form = "" if each.form == "plain" else f" ({each.form})"
        hits.append(Hit(f"{each.column} ({where})", each.entity + form, each.cells, share, action, (each.example,)))
    unseen = [Unseen(entity, "", "needs a model of a language") for entity in facts.unseen]
    for column in facts.columns:
        if column.opaque:
            told = f"{column.opaque:,} cells are bytes of no known encoding: looked at only as far as they are ASCII"
            unseen.append(Unseen("", column.name, told))
    return hits, unseen


def _explained(hit: Found, limits: PersonalLimits) -> str:
    """Why a finding is none."""
    if hit.form == "split":
        return "none, two cells look like it by chance"
    return EXPLAINED.get(limits.roles.get(hit.column, "text"), "none")


def _shape(example: str) -> str:
    """An example as it may be shown, whoever made it."""
    if not example.endswith("…"):
        return masked(example)
    return masked(example[:-1])[: SHOWN - 1] + "…"


def _plain(value: str) -> str:
    """Text in which nothing moves what stands beside it."""
    shown = "".join(c if c.isprintable() else "·" for c in value[:81])
    return shown if len(shown) <= 80 else shown[:79] + "…"


def _share(value: float) -> str:
    """A share in percent: what is not nothing is not told as nothing, nor what is not all as all."""
    if 0 < value < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= value < 1:
        return "> 99.9 %"
    return f"{value:.1%}".replace("%", " %")


def _rows(hits: Sequence[Hit]) -> list[tuple[str, ...]]:
    """What the table says, the most frequent first."""
    return [
        (
            _plain(each.column),
            _plain(each.entity),
            f"{each.count:,}",
            _share(each.share),
            _plain(each.action),
            ", ".join(list(dict.fromkeys(map(_shape, each.examples)))[:EXAMPLES]),
        )
        for each in sorted(hits, key=lambda each: (-each.count, each.column, each.entity))
    ]


def _gaps(unseen: Sequence[Unseen]) -> list[tuple[str, str, str]]:
    return [(_plain(e.entity) or "all", _plain(e.column) or "all", _plain(e.reason)) for e in unseen]


def table(hits: Sequence[Hit], unseen: Sequence[Unseen]) -> str:
    """HTML for the page of a run: a table of what was found, one of what was not looked at.

    Nothing found is said in words, and so is that everything was looked at.
    """
    told = _html(HEADS, _rows(hits)) if hits else "<p>Nothing was found in what was looked at.</p>"
    gaps = _html(("entity", "column", "why"), _gaps(unseen)) if unseen else "<p>Every entity, in every column.</p>"
    return (
        f"<h2>Personal data</h2>{told}"
        f'<p class="k">Of a finding only its shape is shown: x is a letter, 9 a digit, · anything else.</p>'
        f"<h2>{'Not looked at' if unseen else 'Looked at'}</h2>{gaps}"
    )


def _html(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [("th", heads), *(("td", row) for row in rows[:LINES])]
    cells = "".join(
        "<tr>" + "".join(f"<{tag}>{html.escape(value)}</{tag}>" for value in line) + "</tr>" for tag, line in lines
    )
    more = f'<p class="k">and {len(rows) - LINES:,} more lines</p>' if len(rows) > LINES else ""
    return f"<table>{cells}</table>{more}"
