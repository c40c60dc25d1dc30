"""What is kept of findings while rows are looked through: counts and first places; and which texts were looked at."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from security.gates.personal.facts import SHOWN, Form, Place
from security.personal.shape import Shape
from security.rows.hashes import Words

KNOWN = 1 << 20
"""Texts of a column that are remembered, at most."""


class Seen(NamedTuple):
    """What was found in a text: entity, form, shape, score, and what it looks like."""

    entity: str
    form: Form
    shape: Shape
    score: float
    example: str


class Tally:
    """Of what is counted as one: cells, highest score, the first places with their forms."""

    def __init__(self) -> None:
        self.cells, self.score, self.first = 0, 0.0, list[tuple[Place, str]]()

    def later(self, place: Place) -> bool:
        """Whether nothing from a place on is among the first."""
        return len(self.first) == SHOWN and self.first[-1][0] < place

    def keep(self, places: Iterable[tuple[Place, str]]) -> None:
        """Take in places, in whatever order they come."""
        self.first = sorted([*self.first, *places])[:SHOWN]


class Known:
    """The texts of a column that were looked at: hashes of all, and what was found in those in which there was any."""

    def __init__(self) -> None:
        self.hashes, self.found = np.zeros(0, np.uint64), dict[int, tuple[Seen, ...]]()

    def new(self, hashes: Words) -> NDArray[np.bool_]:
        """Which of these were not looked at."""
        places = np.searchsorted(self.hashes, hashes)
        places[places == len(self.hashes)] = 0
        return self.hashes[places] != hashes if len(self.hashes) else np.ones(len(hashes), bool)

    def add(self, hashes: Words, found: dict[int, tuple[Seen, ...]]) -> None:
        """Keep what was found in these, by index, as long as there is room."""
        if len(self.hashes) + len(hashes) <= KNOWN:
            self.hashes = np.sort(np.concatenate([self.hashes, hashes]))
            self.found.update((int(hashes[index]), some) for index, some in found.items())
