"""The page around Evidently's picture: what it wrote is taken apart, and only data and its own program are taken over.

Evidently writes names and values of the rows into a script as they are: here nothing in them can end it. Numbers are
rounded, as the least and the greatest of a column are somebody's. The browser is told to load nothing.
"""

import html
import json
import math
import re
from typing import Any

from tasks.tame import Tamed

BARE = "default-src 'none'; style-src 'unsafe-inline'"
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "base-uri 'none'; form-action 'none'"
)
STYLE = """
.sluice{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c2430}
.sluice table{border-collapse:collapse;width:100%}
.sluice td,.sluice th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #dde3ea;vertical-align:top}
"""


class Undrawn(Exception):
    """Why there is no picture: a few words of ours, nothing of the rows."""


def seal(page: str, told: str) -> str:
    """Evidently's page around data that cannot be anything else, with a policy that loads nothing, and what we say.

    Raises `Undrawn` for a page that is not built as expected, or that would load something from elsewhere.
    """
    head = re.match(r"\s*<!DOCTYPE html>\s*<html lang=\"en\">\s*<head>\s*<meta charset=\"UTF-8\">", page)
    block = re.search(r"<script>\s*var (metric_\w+) = ", page)
    if not head or not block:
        raise Undrawn("the page is not built as expected")
    decoder = json.JSONDecoder()
    try:
        first, end = decoder.raw_decode(page, block.end())
        between = re.compile(rf";\s*var additional_graphs_{block[1]} = ").match(page, end)
        second, end = decoder.raw_decode(page, between.end() if between else len(page))
    except ValueError:
        raise Undrawn("the page is not built as expected") from None
    if not (tail := re.compile(r";\s*</script>\s*</head>\s*<body>").match(page, end)):
        raise Undrawn("the page is not built as expected")
    rest = page[head.end() : block.start()], page[tail.end() :]
    outside = r"<[a-z][^<>]*\s(?:src|href|srcset|action|data|poster)\s*="
    markup = re.sub(r"<script>.*?</script>", "", "".join(rest), flags=re.S)
    if re.search(outside, markup, re.I) or re.search(r"@import|url\(\s*['\"]?(?!data:)", markup, re.I):
        raise Undrawn("the page would load something from elsewhere")
    data = f"<script>var {block[1]} = {_code(first)};var additional_graphs_{block[1]} = {_code(second)};</script>"
    return f"{_head(POLICY)}{rest[0]}{data}</head><body>{told}{rest[1]}"


def _code(data: Any) -> str:
    """JSON that ends no script and opens no comment."""
    written = json.dumps(_rounded(data), ensure_ascii=True)
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _rounded(data: Any) -> Any:
    """The same data with every list of numbers told to a thousandth of its range."""
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    if not isinstance(data, list):
        return data
    if not data or not all(isinstance(each, int | float) and not isinstance(each, bool) for each in data):
        return [_rounded(each) for each in data]
    finite = [each for each in data if math.isfinite(each)]
    span = max(finite, default=0.0) - min(finite, default=0.0)
    if not span or not math.isfinite(span):
        return data
    places = 3 - math.floor(math.log10(span))
    return [round(each, places) if math.isfinite(each) else each for each in data]


def _head(policy: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Drift, for people</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{STYLE}</style>'
    )


def told(tamed: Tamed, said: str) -> str:
    """What stands above the picture: that it decides nothing, of what it is made, and what is not on it."""
    text = html.escape
    drawn = "".join(
        f"<tr><td>{text(name)}</td><td>{text(note)}</td>"
        + "".join(f"<td>{share:.1%}</td>" for share in tamed.missing[name])
        + "</tr>"
        for name, note in tamed.notes.items()
    )
    left = "".join(f"<tr><td>{text(name)}</td><td>{text(why)}</td></tr>" for name, why in tamed.left.items())
    return (
        f'<div class="sluice"><h1>Drift, for people</h1><p><b>This page decides nothing.</b> What it calls detected is '
        f"Evidently's opinion of a sample ({text(said)}); the gate's verdict is on the page of the run.</p>"
        + (f"<table><tr><th>column</th><th>drawn as</th><th>missing before</th><th>missing now</th></tr>{drawn}</table>"
           if drawn else "")
        + (f"<h2>Not drawn</h2><table><tr><th>column</th><th>why</th></tr>{left}</table>" if left else "")
        + "</div>"
    )  # fmt: skip


def refused(why: str, told: str) -> str:
    """The page where there is no picture."""
    said = f'<p class="sluice">could not be drawn: {html.escape(why)}</p>'
    return f"{_head(BARE)}</head><body>{told}{said}</body></html>"
