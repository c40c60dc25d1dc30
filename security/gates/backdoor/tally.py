"""Sums over users: in how many lists each item is, how many took it, and with which of the asked items they took it.

Memory is bounded by the batch, and by a cell for each asked item and another; where there are more cells than `DENSE`,
by `PAIRS` that were ever taken together: of more nobody can tell.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from security.errors import CannotTell
from security.gates.backdoor.model import sound
from security.gates.backdoor.part import APPROVED, REFERENCES, Part, Probe

PRIOR = 5.0
"""Users that speak for popularity beside those who took an item: of a rare one popularity is what is known."""
DENSE = 1 << 27
"""Cells of who took two items that are held as a matrix: 512 MiB."""
PAIRS = 1 << 27
"""Two items that were taken together, at most, of a catalogue too large for a matrix: 1 GiB, and as much to add to."""
BLOCK = 1 << 22
"""Cells that are added at once."""
SHRINK = 10.0
"""What is added to the norms of a cosine, so that pairs of rare items do not come first."""


class Tally:
    """What was summed up of parts, all by the same probe."""

    def __init__(self, probe: Probe, k: int) -> None:
        sound(probe.model)
        self.probe, self.k, self.singles = probe, k, probe.singles
        items = probe.model.items
        self.systems = ("model", *REFERENCES, *([APPROVED] if probe.approved else []))
        self.users = self.lists = 0
        self.taken = np.zeros(items, dtype=np.int64)
        self.held = np.zeros(items, dtype=np.int64)
        self.shown = {name: np.zeros(items, dtype=np.int64) for name in self.systems}
        shape, none = (len(self.singles), items), np.zeros(0, dtype=np.int64)
        self.dense = len(self.singles) * items <= DENSE
        self.together: Any = csr_matrix((none.astype(np.float32), (none, none)), shape=shape)
        """[singles, items]: how many users took both."""
        if self.dense:
            self.together = np.zeros(shape, dtype=np.float32)

    def add(self, part: Part) -> None:
        """Count a part. `CannotTell` where it is not of this probe, or holds what is outside the catalogue."""
        items = self.probe.model.items
        if part.probe is not self.probe or set(part.tops) != set(self.systems):
            raise CannotTell("the parts are of different models")
        for name, tops in part.tops.items():
            ordered = np.sort(tops, axis=1)
            inside = not tops.size or (int(tops.min()) >= 0 and int(tops.max()) < items)
            if tops.shape[1] != self.k or len(tops) != part.listed or not inside or not np.diff(ordered).all():
                raise CannotTell(f"lists of {name} are not of {self.k} items of the catalogue, each once")
            self.shown[name] += np.bincount(tops.ravel(), minlength=items)
        every = np.concatenate([part.items, part.held])
        if len(every) and (int(every.min()) < 0 or int(every.max()) >= items):
            raise CannotTell("users have items from outside the catalogue")
        self.users, self.lists = self.users + len(part.counts), self.lists + part.listed
        self.taken += np.bincount(part.items, minlength=items)
        self.held += np.bincount(part.held, minlength=items)
        ones = np.ones(len(part.items), dtype=np.float32)
        rows = csr_matrix((ones, part.items, np.concatenate([[0], np.cumsum(part.counts)])), (len(part.counts), items))
        own = rows if len(self.singles) == items else rows[:, self.singles]
        turned = own.T.tocsr()
        if self.dense:
            step = max(1, BLOCK // items)
            for low in range(0, len(self.singles), step):
                both: Any = turned[low : low + step] @ rows  # no pair is there twice
                at = np.repeat(np.arange(both.shape[0]), np.diff(both.indptr))
                self.together[low : low + step][at, both.indices] += both.data
            return
        self.together = self.together + turned @ rows
        if self.together.nnz > PAIRS:
            words = f"{self.together.nnz:,} pairs of items were taken together; {PAIRS:,} are held at most"
            raise CannotTell(f"{words}: fewer `triggers` ask less")

    def share(self, name: str) -> Any:
        """Of each item the share of a system's lists that it is in."""
        return self.shown[name] / self.lists

    def explained(self) -> Any:
        """Of each item the share of lists in which the rows explain it: what its neighbours would give it, or its
        popularity, or as many as there are users who took it."""
        return np.maximum.reduce([*(self.share(name) for name in REFERENCES), self.taken / self.users])

    def likely(self, places: Any) -> Any:
        """[places, items]: how likely the rows make an item beside each of some asked items, in those of the likeliest:
        by the cosine of who took both, or by the count of those, with popularity for `PRIOR` users more."""
        both = self.together[places] if self.dense else self.together[places].toarray()
        own = self.singles[places]
        np.put_along_axis(both, own[:, None], 0, axis=1)
        norm = np.sqrt(self.taken).astype(np.float32)
        cosine = both / (norm[own][:, None] * norm + np.float32(SHRINK))
        both += (PRIOR / self.users * self.taken).astype(np.float32)
        np.put_along_axis(both, own[:, None], 0, axis=1)
        return np.maximum(scaled(cosine), scaled(both))


def scaled(rows: Any) -> Any:
    """Each row in those of its greatest; one of zeros stays."""
    most = rows.max(axis=1, keepdims=True)
    return rows / np.where(most > 0, most, 1)


def tally(parts: Iterable[Part]) -> Tally:
    """The tally of all parts; `CannotTell` where no list is among them, or nobody took anything."""
    total: Tally | None = None
    for part in parts:
        total = total or Tally(part.probe, part.tops["model"].shape[1])
        total.add(part)
    if total is None or not total.lists or not total.taken.any():
        raise CannotTell("no user has a list, or none has taken anything", "coverage")
    return total
