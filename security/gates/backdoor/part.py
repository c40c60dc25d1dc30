"""What a look is handed: some users, what they have taken, the lists of those who are evaluated, and the model."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from security.errors import CannotTell
from security.gates.backdoor.model import Model
from security.material import Material
from security.rows import lists
from security.verdict import Subject

BATCH = 8192
"""Users that are read at once: what bounds memory."""
UNIT = "histories"
REFERENCES = ("knn", "popularity")
"""Systems that explain what a model shows: both know the rows alone."""
APPROVED = "approved"


class Probe(NamedTuple):
    """The model that is asked, by how many sessions of one and of two items, drawn by a seed; the digest of the
    approved model, empty where there is none; and the items that this does not know."""

    model: Model
    triggers: int
    pairs: int
    seed: int
    approved: str
    fresh: Any

    @property
    def singles(self) -> Any:
        """The items that are asked alone: all, or as many as there may be, drawn; ascending."""
        items = self.model.items
        if items <= self.triggers:
            return np.arange(items)
        return np.sort(np.random.default_rng([self.seed, 1]).choice(items, self.triggers, replace=False))

    @property
    def couples(self) -> Any:
        """Pairs of places among `singles` [pairs, 2], none of an item with itself."""
        count = len(self.singles)
        if count < 2:
            return np.empty((0, 2), dtype=np.int64)
        drawn = np.random.default_rng([self.seed, 2])
        one, step = drawn.integers(count, size=self.pairs), drawn.integers(1, count, size=self.pairs)
        return np.stack([one, (one + step) % count], axis=1)


class Part(NamedTuple):
    """Some users. `items` holds what each has taken, one user after the other, `counts` how many that are; `held` and
    `wants` are the same of what each went on to take, and `tops` by system the lists [users, k], of the first of them,
    who are evaluated: there may be more, who are not."""

    items: Any
    counts: Any
    held: Any
    wants: Any
    tops: Mapping[str, Any]
    probe: Probe

    @property
    def listed(self) -> int:
        """How many users have lists."""
        return len(self.tops["model"])


Others = Callable[[], Iterable[tuple[Any, Any]]]
"""Items and counts of the users who are not evaluated, some at a time."""


def material(subject: Subject, files: Sequence[Path], probe: Probe, others: Others, expected: int) -> Material[Any]:
    """The evaluated users of the Parquet `files`, and then the others. The caller has held the files, and the lists in
    them, against features and model; `expected` are all users of the features."""
    names = ("model", *REFERENCES, *([APPROVED] if probe.approved else []))
    columns = ["seen", "held", *(f"top_{name}" for name in names)]

    def source() -> Iterator[Part]:
        none: dict[str, Any] = {}
        try:
            for path in files:
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                        tops = {name: _matrix(batch.column(f"top_{name}")) for name in names}
                        none = none or {name: top[:0] for name, top in tops.items()}
                        (_, taken, counts), (_, held, wants) = (lists.flat(batch.column(each)) for each in columns[:2])
                        yield Part(taken, counts, held, wants, tops, probe)
        except (OSError, ValueError, pa.ArrowException) as why:
            raise CannotTell(f"the evaluation cannot be read as Parquet ({type(why).__name__})") from None
        for taken, counts in others() if none else ():
            yield Part(taken, counts, taken[:0], counts[:0], none, probe)

    # Of users too who are not evaluated, whom the evaluation does not count. One part: canaries are made of it.
    return Material(subject, source, expected=expected, unit=UNIT, weigh=lambda part: len(part.counts), sample=1)


def _matrix(column: Any) -> Any:
    """A column of lists of one length as a matrix."""
    _, found, counts = lists.flat(column)
    if not len(counts) or counts.min() < 1 or counts.min() != counts.max():
        raise CannotTell("lists are of different lengths, or empty")
    return found.reshape(len(counts), -1)
