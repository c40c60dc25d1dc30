"""Sets of ports: protocol and number, as ranges in one spelling, with the algebra of sets."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

PROTOCOLS = ("SCTP", "TCP", "UDP")
LAST = 65_535
Range = tuple[str, int, int]
"""Protocol, first and last port."""


@dataclass(frozen=True)
class Reach:
    """A set of ports. `ranges` are sorted, apart, and none is empty: equal sets are equal records."""

    ranges: tuple[Range, ...] = ()

    @classmethod
    def of(cls, ranges: Iterable[Range]) -> Self:
        """The union of ranges, in any order."""
        merged: list[Range] = []
        for protocol, low, high in sorted(ranges):
            if low > high:
                continue
            if merged and merged[-1][0] == protocol and low <= merged[-1][2] + 1:
                merged[-1] = (protocol, merged[-1][1], max(high, merged[-1][2]))
            else:
                merged.append((protocol, low, high))
        return cls(tuple(merged))

    @classmethod
    def everything(cls) -> Self:
        """All ports of all protocols."""
        return cls(tuple((protocol, 1, LAST) for protocol in PROTOCOLS))

    def __or__(self, other: "Reach") -> "Reach":
        if not self.ranges or not other.ranges:
            return other if not self.ranges else self
        return Reach.of((*self.ranges, *other.ranges))

    def __and__(self, other: "Reach") -> "Reach":
        return Reach.of(
            (protocol, max(low, first), min(high, last))
            for protocol, low, high in self.ranges
            for kind, first, last in other.ranges
            if kind == protocol
        )

    def __sub__(self, other: "Reach") -> "Reach":
        if not self.ranges or not other.ranges:
            return self
        left = list(self.ranges)
        for kind, first, last in other.ranges:
            cut: list[Range] = []
            for protocol, low, high in left:
                if protocol != kind or high < first or last < low:
                    cut.append((protocol, low, high))
                else:
                    cut += [(protocol, low, first - 1), (protocol, last + 1, high)]
            left = cut
        return Reach.of(left)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __str__(self) -> str:
        if self == Reach.everything():
            return "every port"
        told = [f"{p}/{low}" if low == high else f"{p}/{low}-{high}" for p, low, high in self.ranges]
        return ", ".join(told) or "no port"
