"""What a look is given: the items of a subject, counted as they are handed out, once.

The count is the source's, against an independent listing; the look knows neither what it took nor what there should be,
and cannot tell the subject from a canary, which travels in the very same way.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from security.errors import CannotTell
from security.verdict import Basis, Subject

M = TypeVar("M")


class Material(Generic[M]):
    """Opens the subject for one look, counting what is handed out; `expected` comes from an independent listing.

    `weigh` says how many units an item holds (rows of a batch). `sample` is how many items a canary is made from.
    """

    def __init__(
        self,
        subject: Subject,
        source: Callable[[], Iterable[M]],
        *,
        expected: int,
        unit: str,
        weigh: Callable[[M], int] = lambda _: 1,
        sample: int = 100,
        basis: Basis = Basis.OBSERVED,
    ) -> None:
        self.subject, self.source, self.expected, self.unit = subject, source, expected, unit
        self.weigh, self.sample, self.basis = weigh, sample, basis
        self.inspected = 0
        """What the last look took, set when it has ended."""

    def __iter__(self) -> Iterator[M]:
        return iter(self.source())

    def decoy(self, items: Sequence[M]) -> "Material[M]":
        """The same material with other items: what a canary is made of."""
        return Material(
            self.subject,
            lambda: items,
            expected=sum(map(self.weigh, items)),
            unit=self.unit,
            weigh=self.weigh,
            sample=self.sample,
            basis=self.basis,
        )

    def handed(self) -> tuple["Handed[M]", Callable[[], int]]:
        """What a look gets, and the count of what it took. It knows nothing of how much there should be."""
        taken = 0

        def each() -> Iterator[M]:
            nonlocal taken
            for item in self.source():
                yield item
                taken += self.weigh(item)

        return Handed(self.subject, each()), lambda: taken


class Handed(Generic[M]):
    """The items of one look, once: a second pass is an error. The subject is the same for a canary."""

    def __init__(self, subject: Subject, items: Iterator[M]) -> None:
        self.subject = subject
        self._items: Iterator[M] | None = items

    def __iter__(self) -> Iterator[M]:
        if self._items is None:
            raise CannotTell("the material was opened twice", "crash")
        items, self._items = self._items, None
        return items
