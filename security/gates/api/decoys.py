"""Known-bad answers: a good sample with one thing in it as it must not be."""

import random
from collections.abc import Sequence
from typing import Any

from security.gate import Violation
from security.gates.api.facts import DOCUMENT, FLOOD, FLOODED, HEADERS, OPEN, REFUSED, SERVED
from security.posture import Answer, amended, reply


def _with(rule: str, sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    """The sample with one answer to one question of `rule` as it must not be."""
    change: dict[str, Any]
    if rule in ("API-28", "API-29"):
        return amended(sample, DOCUMENT, **_declared(rule, reply(sample, DOCUMENT), draw))
    if rule == "API-25" and draw.random() < 0.3:
        kept: list[dict[str, Any]] = [{"status": 429, "items": 0}, {"items": 0}, {"mine": False}]
        return amended(sample, FLOODED, **draw.choice(kept))
    if rule == "API-25":
        worse: list[dict[str, Any]] = [{"status": status} for status in (200, 401, 404, 500)]
        return amended(sample, FLOOD, **draw.choice([*worse, {"later": False}, {"items": 1}]))
    if rule in REFUSED:
        question = draw.choice(REFUSED[rule][1])
        # Any status that is no refusal; with items it must count even where the status alone would do.
        status, items = draw.choice([(200, 0), (200, 10), (204, 0), (206, 3), (302, 0), (307, 0), (401, 5), (500, 0)])
        change = {"status": status, "items": items, "challenge": True}
    elif rule == "API-POS":
        question = draw.choice(SERVED)
        bad: list[dict[str, Any]] = [{"status": status, "challenge": True} for status in (401, 404, 500)]
        bad.append({"mine": False})
        if question != "right-version":
            bad.append({"items": 0})
        change = draw.choice(bad)
    elif rule in ("API-19", "API-23"):
        question = draw.choice(SERVED)
        change = {"same" if rule == "API-19" else "exact": False}
    else:
        question = draw.choice([question for question, _ in sample if question != DOCUMENT])
        change = {"spills": True} if rule == "API-24" else {"bare": [draw.choice(HEADERS)]}
    return [(each, {**answer, **change} if each == question else answer) for each, answer in sample]


def _declared(rule: str, answer: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """Members of the document's answer, one of them as it must not be."""
    operations = [dict(each) for each in answer.get("operations", ())]
    closed = [each for each in operations if (each["method"], each["path"]) not in OPEN]
    if rule == "API-29" and (not closed or draw.random() < 0.5):
        return {"undeclared": [f"GET /{draw.choice(['admin', 'debug', 'reload', 'v0'])}"]}
    one = draw.choice(closed) if closed else {}
    if rule == "API-29":
        one["status"] = draw.choice([404, 405, 501])
    else:
        one |= draw.choice([{"secured": False}, {"status": 200}, {"status": 204}, {"status": 302}, {"status": 400}])
    return {"operations": operations}


def maker(rule: str) -> Violation[Answer]:
    """What makes known-bad material for a rule."""
    return lambda sample, draw: _with(rule, sample, draw)
