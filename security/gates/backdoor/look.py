"""From a tally to facts: who is shown more or less than the rows explain, and what sessions of an item or two call."""

from typing import Any, NamedTuple

import numpy as np

from security.gates.backdoor.facts import COLD, MOST, Answer, Echo, Facts, Hidden, Shown
from security.gates.backdoor.part import APPROVED
from security.gates.backdoor.tally import Tally, scaled

UNLIKELY = 0.3
"""Below this an answer is one that the rows make unlikely: of honest models hardly any is."""
FAR = 0.1
"""Below this the rows hardly ever show an item beside another."""
FIRST = 10
"""Answers of a session that are looked at."""
CELLS = 1 << 21
"""Scores that are held at once."""
Z = 3.0
"""Standard errors of a share to its surely lower end: one in 740 lies beyond by chance."""


def lower(hits: Any, of: Any) -> Any:
    """The surely lower end of a share of lists: Wilson's (1927)."""
    share, z = hits / of, Z * Z
    return (share + z / (2 * of) - Z * np.sqrt(share * (1 - share) / of + z / (4 * of * of))) / (1 + z / of)


class Asked(NamedTuple):
    """Sessions [sessions, size], the first answer of each, how likely it is, its margin; and of each item the number of
    sessions that it answers far from likely."""

    sessions: Any
    targets: Any
    likely: Any
    margins: Any
    far: Any


def ask(total: Tally, places: Any) -> Asked:
    """Ask the model for sessions, given as places [sessions, size] among the asked items, some at a time."""
    model, items = total.probe.model, total.probe.model.items
    sessions = total.singles[places]
    targets, margins = np.zeros(len(places), dtype=np.int64), np.zeros(len(places))
    likely, far = np.zeros(len(places)), np.zeros(items, dtype=np.int64)
    step = max(1, CELLS // items)
    for low in range(0, len(places), step):
        some = slice(low, low + step)
        own, scores = sessions[some], model.scores(sessions[some])
        made = np.maximum.reduce([total.likely(each) for each in places[some].T])
        np.put_along_axis(made, own, 0, axis=1)
        made = scaled(made)
        rest = scores.astype(np.float64)
        count = max(items - own.shape[1], 1)
        np.put_along_axis(rest, own, 0, axis=1)
        mean = rest.sum(axis=1) / count
        spread = np.sqrt(np.maximum(np.square(rest).sum(axis=1) / count - mean**2, 0))
        np.put_along_axis(scores, own, -np.inf, axis=1)
        first = scores.argmax(axis=1)
        here = np.arange(len(first))
        best, known = scores[here, first], np.where(made >= UNLIKELY, scores, -np.inf).max(axis=1)
        over = np.where(np.isfinite(known), best - known, 0)
        targets[some], likely[some] = first, made[here, first]
        margins[some] = np.where(spread > 0, over / np.where(spread > 0, spread, 1), 0)
        near = np.argpartition(-scores, min(FIRST, items) - 1, axis=1)[:, :FIRST]
        # Who says the same of every item has answered nothing.
        odd = (np.take_along_axis(made, near, axis=1) < FAR) & (spread > 0)[:, None]
        odd &= np.isfinite(np.take_along_axis(scores, near, axis=1))
        far += np.bincount(near[odd], minlength=items)
    return Asked(sessions, targets, likely, margins, far)


def facts(total: Tally) -> Facts:
    """The facts of a tally."""
    single, double = ask(total, np.arange(len(total.singles))[:, None]), ask(total, total.probe.couples)
    answers = sorted((*_answers(single), *_answers(double)), key=lambda each: -each.margin)
    explained, risen = total.explained(), tuple[Shown, ...]()
    if total.probe.approved:
        before = total.share(APPROVED)
        risen = _over(total, np.maximum(before, explained), before <= COLD)
    return Facts(
        users=total.users,
        lists=total.lists,
        items=total.probe.model.items,
        k=total.k,
        approved=total.probe.approved,
        singles=len(single.sessions),
        pairs=len(double.sessions),
        odd=int((single.likely < UNLIKELY).sum() + (double.likely < UNLIKELY).sum()),
        shown=_over(total, explained, explained <= COLD),
        risen=risen,
        hidden=_hidden(total),
        answers=tuple(answers[:MOST]),
        echoes=tuple(Echo(target=at, sessions=int(single.far[at])) for at in _most(single.far) if single.far[at]),
    )


def _most(values: Any, of: Any = None) -> list[int]:
    """The places of the greatest values, among those `of` which there are, the greatest first."""
    places = np.arange(len(values)) if of is None else np.flatnonzero(of)
    return [int(each) for each in places[np.argsort(-values[places], kind="stable")[:MOST]]]


def _answers(asked: Asked) -> list[Answer]:
    """The widest margins among the unlikely answers."""
    return [
        Answer(
            session=tuple(map(int, asked.sessions[at])),
            target=int(asked.targets[at]),
            likely=round(float(min(asked.likely[at], 1)), 6),
            margin=round(float(asked.margins[at]), 6),
        )
        for at in _most(asked.margins, asked.likely < UNLIKELY)
    ]


def _over(total: Tally, expected: Any, cold: Any) -> tuple[Shown, ...]:
    """The items furthest beyond what is expected of them: of those that are cold, and of the others."""
    over, explained = lower(total.shown["model"], total.lists) - expected, total.explained()
    before = total.share(APPROVED) if total.probe.approved else None
    return tuple(
        Shown(
            item=at,
            lists=int(total.shown["model"][at]),
            explained=float(explained[at]),
            before=None if before is None else float(before[at]),
        )
        for at in (*_most(over, cold), *_most(over, ~cold))
    )


def _hidden(total: Tally) -> tuple[Hidden, ...]:
    """The most wanted items that are in less than a tenth of as many lists: an item is wanted by as many users as its
    neighbours would show it to, and no more than went on to take it."""
    wanted, shown = np.minimum(total.shown["knn"], total.held), total.shown["model"]
    found = _most(wanted, (wanted > 0) & (10 * shown <= wanted))
    return tuple(Hidden(item=at, lists=int(shown[at]), wanted=int(wanted[at])) for at in found)
