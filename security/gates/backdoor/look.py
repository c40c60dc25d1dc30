"""From a tally to facts: who is shown more or less than the rows explain, and what sessions of an item or two call."""

from typing import Any, NamedTuple

import numpy as np

from security.errors import CannotTell
from security.gates.backdoor.facts import COLD, COMMON, MOST, Answer, Echo, Facts, Hidden, Shown
from security.gates.backdoor.part import APPROVED
from security.gates.backdoor.tally import Tally, scaled

UNLIKELY = 0.3
"""Below this an answer is one that the rows make unlikely: of honest models hardly any is."""
FAR = 0.1
"""Below this the rows hardly ever show an item beside another."""
FIRST = 10
"""Answers of a session that are looked at, and likely items far above the last of which no unlikely one may lie."""
CELLS = 1 << 21
"""Scores that are held at once."""
Z = 3.0
"""Standard errors of a share to its surely lower end: one in 740 lies beyond by chance."""


def lower(hits: Any, of: Any) -> Any:
    """The surely lower end of a share of lists: Wilson's (1927)."""
    share, z = hits / of, Z * Z
    return (share + z / (2 * of) - Z * np.sqrt(share * (1 - share) / of + z / (4 * of * of))) / (1 + z / of)


class Asked(NamedTuple):
    """Sessions [sessions, size]; of each the answer that lies furthest above what the rows make likely, how likely it
    is, how far in scores it lies above (0: none does), and whether it is common; the two spreads of each; and of each
    item the number of sessions that it answers far from likely."""

    sessions: Any
    targets: Any
    likely: Any
    gaps: Any
    common: Any
    scales: Any
    far: Any

    def margins(self, scale: float) -> Any:
        """By how many scales, in those that are allowed of any item."""
        return self.gaps / scale / np.where(self.common, COMMON, 1)


def ask(total: Tally, places: Any) -> Asked:
    """Ask the model for sessions, given as places [sessions, size] among the asked items, some at a time."""
    model, items, often = total.probe.model, total.probe.model.items, _common(total)
    sessions, count = total.singles[places], len(places)
    made = Asked(
        sessions,
        np.zeros(count, dtype=np.int64),
        np.zeros(count),
        np.zeros(count),
        np.zeros(count, dtype=bool),
        np.zeros((count, 2)),
        np.zeros(items, dtype=np.int64),
    )
    step, depth = max(1, CELLS // items), min(FIRST, items - 1)
    for low in range(0, count, step):
        some = slice(low, low + step)
        own, scores = sessions[some], model.scores(sessions[some])
        spread = _spread(scores, own)
        np.put_along_axis(scores, own, -np.inf, axis=1)
        likely, known = _known(total, places[some], own)
        best, tenth = _reference(scores, known)
        # One more than ten: what is level with the eleventh is there by the order of items alone.
        near = np.argpartition(-scores, depth, axis=1)[:, : depth + 1]
        reached = np.take_along_axis(scores, near, axis=1)
        inside, how = reached > reached.min(axis=1, keepdims=True), np.take_along_axis(likely, near, axis=1)
        odd = inside & ~np.take_along_axis(known, near, axis=1) & (reached > tenth[:, None])
        common = often[near]
        gaps = np.where(odd, np.where(np.isfinite(reached), reached, 0) - tenth[:, None], 0)
        here, widest = np.arange(len(own)), (gaps / np.where(common, COMMON, 1)).argmax(axis=1)
        made.targets[some], made.likely[some] = near[here, widest], how[here, widest]
        made.gaps[some], made.common[some] = gaps[here, widest], common[here, widest]
        made.scales[some] = np.stack([spread, best - tenth], axis=1)
        made.far[:] += np.bincount(near[inside & (how < FAR)], minlength=items)
    return made


def _common(total: Tally) -> Any:
    """Whether an item is in the tenth that most took."""
    place = len(total.taken) - len(total.taken) // 10 - 1
    return total.taken > np.partition(total.taken, place)[place]


def _spread(scores: Any, own: Any) -> Any:
    """Standard deviation of each session's scores, but of its own items."""
    rest = scores.astype(np.float64)
    np.put_along_axis(rest, own, 0, axis=1)
    count = max(rest.shape[1] - own.shape[1], 1)
    return np.sqrt(np.maximum(np.square(rest).sum(axis=1) / count - (rest.sum(axis=1) / count) ** 2, 0))


def _known(total: Tally, places: Any, own: Any) -> tuple[Any, Any]:
    """How likely each item is in some sessions, and whether that is likely: at least the ten likeliest are."""
    made = np.maximum.reduce([total.likely(each) for each in places.T])
    np.put_along_axis(made, own, 0, axis=1)
    made = scaled(made)
    known = made >= UNLIKELY
    few = np.flatnonzero(known.sum(axis=1) < FIRST)
    place = max(made.shape[1] - FIRST, 0)
    if len(few):
        known[few] = (made[few] >= np.partition(made[few], place, axis=1)[:, place, None]) & (made[few] > 0)
    if not known.any(axis=1).all():
        raise CannotTell("the rows make nothing likely beside some item")
    return made, known


def _reference(scores: Any, known: Any) -> tuple[Any, Any]:
    """Of each session the score of the first item that is likely, and of the tenth, or the last where there are
    fewer."""
    place = max(scores.shape[1] - FIRST, 0)
    best = np.partition(np.where(known, scores, -np.inf), place, axis=1)[:, place:]
    return best.max(axis=1), np.where(np.isfinite(best), best, np.inf).min(axis=1)


def scale(total: Tally, asked: Asked) -> float:
    """What margins are measured in: the spread of the median session of an item that somebody took, of all scores or
    from the first likely item to the tenth, whichever is less. `CannotTell` where there is none."""
    some = asked.scales[total.taken[asked.sessions].min(axis=1) > 0]
    found = [float(each) for each in np.median(some, axis=0) if each > 0] if len(some) else []
    if not found:
        raise CannotTell("the model scores all items alike in most sessions")
    return min(found)


def facts(total: Tally) -> Facts:
    """The facts of a tally."""
    single, double = ask(total, np.arange(len(total.singles))[:, None]), ask(total, total.probe.couples)
    unit = scale(total, single)
    answers = sorted((*_answers(single, unit), *_answers(double, unit)), key=lambda each: -each.weight)
    explained, risen = total.explained(), tuple[Shown, ...]()
    if total.probe.approved:
        before = total.share(APPROVED)
        cold = np.maximum(before, explained) <= COLD
        risen = _over(total, before, cold, ~np.isin(np.arange(len(before)), total.probe.fresh))
        if not risen:
            raise CannotTell("the approved model knows none of the items")
    return Facts(
        users=total.users,
        lists=total.lists,
        items=total.probe.model.items,
        k=total.k,
        approved=total.probe.approved,
        singles=len(single.sessions),
        pairs=len(double.sessions),
        odd=int((single.gaps > 0).sum() + (double.gaps > 0).sum()),
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


def _answers(asked: Asked, unit: float) -> list[Answer]:
    """The widest margins."""
    margins = asked.margins(unit)
    return [
        Answer(
            session=tuple(map(int, asked.sessions[at])),
            target=int(asked.targets[at]),
            likely=round(float(min(asked.likely[at], 1)), 6),
            margin=round(float(asked.gaps[at] / unit), 6),
            common=bool(asked.common[at]),
        )
        for at in _most(margins, margins > 0)
    ]


def _over(total: Tally, expected: Any, cold: Any, of: Any = True) -> tuple[Shown, ...]:
    """The items `of` some that are furthest beyond what is expected of them: of those that are cold, and of the
    others."""
    over, explained = lower(total.shown["model"], total.lists) - expected, total.explained()
    before = total.share(APPROVED) if total.probe.approved else None
    return tuple(
        Shown(
            item=at,
            lists=int(total.shown["model"][at]),
            explained=float(explained[at]),
            before=None if before is None or at in total.probe.fresh else float(before[at]),
        )
        for at in (*_most(over, cold & of), *_most(over, ~cold & of))
    )


def _hidden(total: Tally) -> tuple[Hidden, ...]:
    """The most wanted items that are in less than a twentieth of as many lists: an item is wanted by as many users as
    its neighbours would show it to, and no more than went on to take it."""
    wanted, shown = np.minimum(total.shown["knn"], total.held), total.shown["model"]
    found = _most(wanted, (wanted > 0) & (20 * shown <= wanted))
    return tuple(Hidden(item=at, lists=int(shown[at]), wanted=int(wanted[at])) for at in found)
