"""Groups of items: those that popularity makes, and those that somebody declared."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from security.errors import CannotTell
from security.gates.bias.facts import HEAD, LONGEST, MIDDLE, NAMES, POPULARITY, TAIL, Kind

FIFTH = 0.2
"""Share of the interactions of the head, and of the tail."""
UNKNOWN = 255
"""The code of an item whose group nobody knows."""


@dataclass(frozen=True, eq=False)
class Grouping:
    """`codes` [items]: place in `names` of each item's group; the place after the last for unknown ones."""

    kind: Kind
    names: tuple[str, ...]
    codes: Any


def popular(counts: Any) -> Grouping:
    """Head, middle and tail by how often each item was taken: whole numbers. Equal items are in one group.

    Head: less than a fifth of all interactions are of more popular items; tail: less than a fifth are of less popular
    ones. A popularity of which both is true, as it holds more than three fifths, is neither.
    """
    total = int(counts.sum())
    levels, level = np.unique(counts, return_inverse=True)
    held = np.bincount(level, weights=counts) if total else np.zeros(len(levels))
    below = np.cumsum(held) - held
    above = total - below - held
    top, last = above < FIFTH * total, below < FIFTH * total
    codes = np.where(top & ~last, 0, np.where(last & ~top, 2, 1))
    return Grouping("behavioural", (HEAD, MIDDLE, TAIL), codes[level].astype(np.int64))


def declared(name: str, kind: Kind, names: tuple[str, ...], codes: bytes, items: int) -> Grouping:
    """A grouping as a schema has it; `CannotTell` where it is not one of this catalogue."""
    odd = len(set(names)) < len(names) or any(not n or len(n) > LONGEST or not n.isprintable() for n in names)
    if name == POPULARITY or len(names) > NAMES or odd:
        raise CannotTell(f"grouping {name} has more than {NAMES} groups, or names that are doubled, long or odd")
    found = np.frombuffer(codes, np.uint8).astype(np.int64)
    if len(found) != items or bool(((found >= len(names)) & (found != UNKNOWN)).any()):
        raise CannotTell(f"grouping {name} does not say of each of {items:,} items which group it is in")
    return Grouping(kind, names, np.where(found == UNKNOWN, len(names), found))
