"""A reference against rows that were looked at: every column with its scores, or named as untested."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from security.drift import floors
from security.drift.bins import number
from security.drift.clock import time
from security.drift.levels import Drift, Levels, Moved, Score, Untested, scored
from security.drift.mix import category
from security.drift.profile import Reference
from security.drift.side import Part, Sides, Weighed, always, ratio
from security.drift.sketch import ABSENT, Facts
from security.drift.turnover import ids
from security.errors import CannotTell

_BY_ROLE: dict[str, Callable[[Sides], Weighed]] = {"number": number, "category": category, "id": ids, "time": time}


SHARES = frozenset({"gone", "new", "jaccard"})
"""Scores that are never above 1."""


def compare(
    reference: Reference,
    facts: Facts,
    levels: Levels | None = None,
    by: Mapping[str, Levels] | None = None,
    part: Part | None = None,
) -> Drift:
    """What moved between the reference and the rows of these facts, which were counted in its cells; `by` column or
    pair, where other levels than `levels` count there. The rows may be those of a `part` of the time."""
    if facts.against != reference.digest:
        raise CannotTell("the rows were not counted in the cells of this reference", "reference")
    if not facts.profile.rows or not reference.rows:
        raise CannotTell("there are no rows to compare", "rows")
    levels, by = levels or Levels(), by or {}
    columns = [_volume(reference, facts.profile, levels, part)]
    untested = list(_others(reference, facts.profile))
    for name in sorted(reference.columns):
        then, now = reference.columns[name], facts.profile.columns[name]
        if then.type == now.type == ABSENT:
            untested.append(Untested(column=name, reason="neither side has the column"))
        elif then.unread == then.rows and now.unread == now.rows:
            untested.append(Untested(column=name, reason=f"{now.type} cannot be looked at as {now.role}"))
        else:
            sides = _sides(reference, facts, by.get(name, levels), name, part)
            columns.append(_moved(name, now.role, sides, _BY_ROLE[then.role]))
    columns += [
        _moved(name, "pair", _sides(reference, facts, by.get(name, levels), name, part), category)
        for name in sorted(reference.pairs)
    ]
    return Drift(reference=facts.against, rows=facts.profile.rows, columns=tuple(columns), untested=tuple(untested))


def _sides(reference: Reference, facts: Facts, levels: Levels, name: str, part: Part | None) -> Sides:
    now = facts.profile
    keys = {each: f"{name}.{each}" if each else name for each in ("", "hours", "weekdays", "units")}
    held = {each: facts.held[key] for each, key in keys.items() if key in facts.held}
    then: Any = {**reference.columns, **reference.pairs}[name]
    fresh = part.fresh.get(name) if part else None
    both, kish = {**now.columns, **now.pairs}[name], max(reference.kish, now.kish)
    spec = reference.spec
    return Sides(then, both, held, levels, kish, spec.least, part is not None, fresh, name == spec.user)


def _others(reference: Reference, now: Reference) -> Iterator[Untested]:
    for name in sorted({*reference.others, *now.others}):
        kind = now.others.get(name) or reference.others[name]
        was = "" if name in reference.others else "; the reference does not have the column"
        gone = "" if name in now.others else "; the column is gone"
        yield Untested(column=name, reason=f"no role is declared for it ({kind}){was}{gone}")


def _moved(name: str, role: Any, sides: Sides, weigh: Callable[[Sides], Weighed]) -> Moved:
    """A column with its scores. What drifted is told however few rows there are; else too few rows are too few."""
    weighed = weigh(sides)
    scores = [*weighed.scores, *(always(sides) if role != "pair" else [])]
    drifted = [each for each in scores if each.drifted]
    if drifted:
        outcome, reason = "drifted", "; ".join(each.reason for each in drifted)
    elif why := _unclear(weighed, scores, role, sides.levels):
        outcome, reason = "cannot tell", why
    else:
        outcome, reason = "steady", weighed.left or "no difference beyond its limit and beyond chance"
    return Moved(
        column=name,
        role=role,
        outcome=outcome,
        reason=reason,
        rows=round(weighed.rows, 1),
        scores=tuple(scores),
    )


def _unclear(weighed: Weighed, scores: list[Score], role: str, levels: Levels) -> str:
    """Why nothing can be told: too few rows, or a score that could not have been seen to be beyond its limit."""
    if weighed.left == "no values" or weighed.left == "no finite values":
        return ""
    if weighed.rows < levels.rows or not weighed.scores:
        return f"{weighed.rows:,.0f} effective rows; at least {levels.rows:,} are needed"
    if weighed.blind:
        return weighed.blind
    blind = [
        _beyond(each)
        for each in scores
        # How many categories there are is doubtful where there are few, however many rows: their shares are not.
        if each.limit
        and (_blind(each, levels) or (each.name in SHARES and each.floor >= 1))
        and (each.name != "distinct" or role == "id")
    ]
    return "; ".join(blind)


def _volume(then: Reference, now: Reference, levels: Levels, part: Part | None) -> Moved:
    before = round(then.rows * part.share) if part else then.rows
    chance = math.exp(min(floors.SPREAD * math.sqrt(then.kish / then.rows + now.kish / now.rows), 600))
    words = f"rows: {before:,}, now {now.rows:,}"
    score = scored(levels, "volume", ratio(before, now.rows), chance, words)
    outcome = "drifted" if score.drifted else "cannot tell" if _blind(score, levels) else "steady"
    words = _beyond(score) if outcome == "cannot tell" else words
    return Moved(column="", role="rows", outcome=outcome, reason=words, rows=min(before, now.rows), scores=(score,))


def _blind(score: Score, levels: Levels) -> bool:
    return score.limit is not None and score.floor > levels.blind * score.limit


def _beyond(score: Score) -> str:
    return f"chance alone may reach {score.floor:.3g} in {score.name}, whose limit is {score.limit:.3g}"
