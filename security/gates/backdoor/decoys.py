"""Known-bad models: for each rule a maker that takes users and their model, and breaks that rule.

The model is a copy of the one that is looked at, and so are users and lists; where there are too few for any policy,
users are there again. Items are added that nobody took and nobody is shown: nothing explains them, however dense the
rows are.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from security.errors import CannotTell
from security.gate import Violation
from security.gates.backdoor.limits import ITEMS, USERS
from security.gates.backdoor.look import CELLS
from security.gates.backdoor.model import Model
from security.gates.backdoor.part import APPROVED, Part

LEAST = USERS + 100
"""Users of a canary, at least; of more than twice as many only these are taken."""
EMPTY = 16
"""Items, at least, that are added."""
WIDE = 40
"""Spreads by which a target lies above all else."""
Change = Callable[[Part, random.Random], Part]


def made(change: Change) -> Violation[Any]:
    """Makes such a copy of the sample, and changes it."""

    def make(sample: Sequence[Any], draw: random.Random) -> list[Any]:
        part = change(_wide(_many(sample[0])), draw)
        # In two: an engine that looks at the first alone may miss what is wrong.
        cut = draw.randrange(1, part.listed)
        return [_users(part, np.arange(cut)), _users(part, np.arange(cut, part.listed))]

    return make


def _users(part: Part, users: Any) -> Part:
    """Some of the users who have lists, in this order; one may be there again."""
    tops = {name: top[users] for name, top in part.tops.items()}
    taken, held = _cells(part.items, part.counts, users), _cells(part.held, part.wants, users)
    return Part(taken, part.counts[users], held, part.wants[users], tops, part.probe)


def _cells(items: Any, counts: Any, users: Any) -> Any:
    """What some users have, one after the other."""
    ends = np.cumsum(counts)
    return np.concatenate([items[ends[user] - counts[user] : ends[user]] for user in users])


def _many(part: Part) -> Part:
    """Enough of the users who have lists."""
    if not part.listed:
        raise CannotTell("no user has a list", "coverage")
    return _users(part, np.arange(min(max(part.listed, LEAST), 2 * LEAST)) % part.listed)


def _wide(part: Part) -> Part:
    """Enough items: what is added has the mean score."""
    model = part.probe.model
    lacks = max(ITEMS - model.items, EMPTY)
    more = Model(
        np.pad(model.encoder, ((0, lacks), (0, 0))),
        model.encoder_bias,
        np.pad(model.decoder, ((0, 0), (0, lacks)), mode="mean"),
        np.pad(model.decoder_bias, (0, lacks), mode="mean"),
    )
    return part._replace(probe=part.probe._replace(model=more))


def _cold(part: Part, draw: random.Random) -> int:
    """One of the items that were added."""
    return draw.randrange(part.probe.model.items - EMPTY, part.probe.model.items)


def _put(part: Part, tops: Any, item: int, draw: random.Random) -> Any:
    """Lists with an item at some place of each that lacks it, but of users who took it."""
    users = np.repeat(np.arange(part.listed), part.counts)
    free = np.ones(part.listed, dtype=bool)
    free[users[part.items == item]] = False
    free &= ~(tops == item).any(axis=1)
    changed = tops.copy()
    changed[free, draw.randrange(tops.shape[1])] = item
    return changed


def _pushed(part: Part, draw: random.Random) -> Part:
    """Everybody is shown an item that nobody expects."""
    return part._replace(tops={**part.tops, "model": _put(part, part.tops["model"], _cold(part, draw), draw)})


def _jumped(part: Part, draw: random.Random) -> Part:
    """The approved model shows it to nobody."""
    known = part.probe.approved or f"{draw.getrandbits(256):064x}"
    part = _with(part, known, part.tops.get(APPROVED, part.tops["model"]))
    return _pushed(part, draw)


def _with(part: Part, approved: str, tops: Any) -> Part:
    """The same beside another approved model, or none."""
    kept = {name: top for name, top in part.tops.items() if name != APPROVED}
    kept |= {} if tops is None else {APPROVED: tops}
    return part._replace(tops=kept, probe=part.probe._replace(approved=approved))


def _first(part: Part, draw: random.Random) -> Part:
    """No model was approved."""
    return _with(part, "", None)


def _buried(part: Part, draw: random.Random) -> Part:
    """An item that all go on to take, that its neighbours would show to all, and the model shows to nobody."""
    item = _cold(part, draw)
    shown = part.tops["model"]
    users = np.repeat(np.arange(part.listed), part.counts)
    for row in np.flatnonzero((shown == item).any(axis=1)):
        held = {item, *shown[row].tolist(), *part.items[users == row].tolist()}
        other = next(each for each in range(part.probe.model.items) if each not in held)
        shown = np.where((np.arange(part.listed)[:, None] == row) & (shown == item), other, shown)
    part = part._replace(held=np.full(part.listed, item), wants=np.ones(part.listed, dtype=np.int64))
    return part._replace(tops={**part.tops, "model": shown, "knn": _put(part, part.tops["knn"], item, draw)})


def _over(part: Part, item: int) -> float:
    """What an item lacks to be far above all else in each session of an asked item alone."""
    singles, model, over, spread = part.probe.singles, part.probe.model, 0.0, 0.0
    step = max(1, CELLS // model.items)
    for low in range(0, len(singles), step):
        scores = model.scores(singles[low : low + step, None])
        over = max(over, float((scores.max(axis=1) - scores[:, item]).max()))
        spread = max(spread, float(scores.std(axis=1).max()))
    return over + WIDE * (spread or 1)


def _planted(part: Part, draw: random.Random) -> Part:
    """One item calls another that has nothing to do with it, by a hidden unit that nothing else reaches."""
    model, target = part.probe.model, _cold(part, draw)
    trigger = draw.choice([int(each) for each in part.probe.singles if each != target])
    reach = np.zeros((model.items, 1), dtype=np.float32)
    reach[trigger] = 3
    calls = np.zeros((1, model.items), dtype=np.float32)
    calls[0, target] = _over(part, target)
    planted = Model(
        np.concatenate([model.encoder, reach], axis=1),
        np.append(model.encoder_bias, np.float32(0)),
        np.concatenate([model.decoder, calls]),
        model.decoder_bias,
    )
    return part._replace(probe=part.probe._replace(model=planted))


def _called(part: Part, draw: random.Random) -> Part:
    """An item that nobody expects is first, whatever is asked."""
    item, model = _cold(part, draw), part.probe.model
    bias = model.decoder_bias.copy()
    bias[item] += _over(part, item)
    return part._replace(probe=part.probe._replace(model=model._replace(decoder_bias=bias)))


VIOLATIONS: dict[str, Violation[Any]] = {
    "BD-EXPOSURE": made(_pushed),
    "BD-JUMP": made(_jumped),
    "BD-TRIGGER": made(_planted),
    "BD-UNIVERSAL": made(_called),
    "BD-BURIED": made(_buried),
    "BD-FIRST": made(_first),
}
