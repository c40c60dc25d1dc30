"""Patterns of * (any text) and ? (one character), as policies have them, compared with texts and with each other.

The patterns of a set are tried all at once: one whole number holds a bit for every place in each of them, and a
character of the other side moves all places by one shift. The time is that of the one length times the other over some
thirty, whatever the patterns are; nothing is tried and taken back, so that no pattern is slower than another.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

_STARS = re.compile(r"\*+")


class Patterns:
    """A set of patterns as one automaton.

    `ends`: each pattern as it was given, and a bit. The bits that `meeting` and `covering` return are those of the
    patterns of which it is true, among others that mean nothing.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.ends: dict[str, int] = {}
        places: defaultdict[str, list[int]] = defaultdict(list)
        starts, guards, place = list[int](), list[int](), 0
        for text in dict.fromkeys(texts):
            starts.append(place)
            for symbol in _STARS.sub("*", text):
                places[symbol].append(place)
                place += 1
            self.ends[text] = 1 << place
            guards.append(place + 1)
            place += 2
        self._starts, self._places = _bits(starts), ((1 << place) - 1) ^ _bits(guards)
        self._stars, self._ones = _bits(places.pop("*", [])), _bits(places.pop("?", []))
        self._letters = {symbol: _bits(found) for symbol, found in places.items()}
        self._single = self._ones
        for found in self._letters.values():
            self._single |= found

    def covering(self, part: str) -> int:
        """Which patterns surely match every text that `part` matches."""
        at = self._onward(self._starts)
        for symbol in part:
            taken = 0 if symbol == "*" else self._ones | self._letters.get(symbol, 0)
            at = self._onward((at & self._stars) | ((at & taken) << 1))
        return at

    def meeting(self, other: str) -> int:
        """For which patterns there is a text that they and `other` match."""
        at = self._starts
        for symbol in other:
            if symbol == "*":
                at = self._upward(at)
                continue
            at = self._onward(at)
            taken = self._single if symbol == "?" else self._ones | self._letters.get(symbol, 0)
            at = (at & self._stars) | ((at & taken) << 1)
        return self._onward(at)

    def _onward(self, at: int) -> int:
        """The places, and those after a star that matches nothing."""
        return at | ((at & self._stars) << 1)

    def _upward(self, at: int) -> int:
        """In each pattern all places from the lowest on. The sum ripples up to it, or into the place left between."""
        free = self._places ^ at
        return at | (self._places & ~(free ^ (free + self._starts)))


def meets(one: str, other: str) -> bool:
    """Whether there is a text that both patterns match."""
    known = Patterns([one])
    return bool(known.meeting(other) & known.ends[one])


def covers(whole: str, part: str) -> bool:
    """Whether a pattern surely matches every text that another one matches."""
    known = Patterns([whole])
    return bool(known.covering(part) & known.ends[whole])


def _bits(places: list[int]) -> int:
    made = bytearray(places[-1] // 8 + 1 if places else 0)
    for place in places:
        made[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(made, "little")
