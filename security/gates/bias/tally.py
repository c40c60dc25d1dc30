"""Sums over users and items, from the lists alone: what every figure is made of. Rows are read once, in batches.

How popular items are must be known before the first list is weighed, so whoever opens the rows counts that ahead and
tells it; it is counted here again, and a look that counted otherwise tells nothing. Memory is bounded by the catalogue,
the batch, and 4 bytes a user. Sums are of whole numbers, so that no cut into batches changes any.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from security.bootstrap import REPLICATES, drawers, resampled
from security.errors import CannotTell
from security.gates.bias.facts import POPULARITY
from security.gates.bias.told import Declared, Told, columns, said, told
from security.material import Material
from security.rows import lists
from security.verdict import Subject

__all__ = ["ALPHA", "BATCH", "Declared", "Tally", "counted", "divergence", "material"]

BATCH = 8192
"""Users that are measured at once."""
ALPHA = 0.01
"""How much of a user's own mix is put into the list's (Steck 2018)."""
UNIT = 1 << 40
"""Sums of figures are whole numbers of this fraction, and those of exposure of `SHOWN`."""
SHOWN = 1 << 36
DRAWERS, CELLS = 64, 1 << 25
"""Drawers of users, fewer where they would have more cells than this, but never fewer than 8."""
FIXED = 3
"""Columns before those of groupings: whether a user has items, how popular they are, and those of the list."""


def divergence(own: Any, shown: Any) -> Any:
    """Steck's KL(p || q') in nats, of each row of shares [users, groups]."""
    total = np.zeros(len(own))
    for at in range(own.shape[1]):
        p, q = own[:, at], (1 - ALPHA) * shown[:, at] + ALPHA * own[:, at]
        some = p > 0
        total[some] += p[some] * np.log(p[some] / q[some])
    return total


class Tally:
    """What is summed up of the rows so far."""

    def __init__(self, about: Told) -> None:
        self.about, self.grouped = about, about.grouped()
        self.told, items = about.counts, about.items
        self.peak = max(int(self.told.max()), 1)
        """Popularity is in those of the most popular item."""
        # One more, for places where there is no item.
        self.popular = np.append(self.told, 0)
        self.codes = {name: np.append(each.codes, len(each.names) + 1) for name, each in self.grouped.items()}
        gain = 1 / np.log2(np.arange(2, about.k + 2))
        self.gain = gain / gain.sum()
        self.weights = np.rint(self.gain * SHOWN).astype(np.int64)
        many = int(np.clip(CELLS // items, 8, DRAWERS))
        self.drawers, self.sizes = np.zeros((many, items), dtype=np.int64), np.zeros(many, dtype=np.int64)
        """The model's exposure of each item by each drawer's users, and how many users those are."""
        self.shown = {each: np.zeros(items, dtype=np.int64) for each in about.systems[1:]}
        self.counts = np.zeros(items, dtype=np.int64)
        self.held = {name: np.zeros(len(each.names) + 1, dtype=np.int64) for name, each in self.grouped.items()}
        self.ids: list[Any] = []
        self.users = self.bare = 0
        self.faults = np.zeros(5, dtype=np.int64)
        """Lists not of k; repeated and foreign items of lists; odd ones of `held`, and of `seen`."""
        self.starts: dict[str, int] = {}
        width = FIXED
        for name, each in self.grouped.items():
            self.starts[name] = width
            width += 1 + 2 * (len(each.names) + 1)
        self.sums = np.zeros(width, dtype=object)
        """Of each column: `FIXED`, then of each grouping the divergence, exposure of each group, relevance of each."""
        self.beside = {each: np.zeros(3, dtype=object) for each in self.shown}
        """Of each other system: popularity of lists, exposure of the tail, divergence by popularity."""
        self.weight, self.replicates = np.zeros(REPLICATES), np.zeros((REPLICATES, width))

    def _shares(self, rows: Any, items: Any, size: int, name: str) -> Any:
        """How many of each row's items are in each group: [size, groups + 1]."""
        width = len(self.grouped[name].names) + 1
        return np.bincount(rows * width + self.grouped[name].codes[items], minlength=size * width).reshape(size, width)

    def _exposed(self, tops: Any, name: str) -> Any:
        """Exposure of each group by each list."""
        size, width = len(tops), len(self.grouped[name].names) + 1
        cells = np.arange(size)[:, None] * (width + 1) + self.codes[name][tops]
        weights = np.broadcast_to(self.gain, tops.shape).ravel()
        return np.bincount(cells.ravel(), weights, size * (width + 1)).reshape(size, width + 1)[:, :width]

    def _lists(self, column: Any, *, judged: bool) -> tuple[Any, Any]:
        """The first k items of each list, -1 where there is none of the catalogue, and their mean popularity."""
        rows, items, lengths = lists.flat(column)
        rank = lists.ranks(lengths)
        foreign = (items < 0) | (items >= self.about.items)
        if judged:
            again = int((~lists.first(lists.keys(rows, items))).sum())
            self.faults[:3] += [int((lengths != self.about.k).sum()), again, int(foreign.sum())]
        tops = np.full((len(lengths), self.about.k), -1, dtype=np.int64)
        good = (rank < self.about.k) & ~foreign
        tops[rows[good], rank[good]] = items[good]
        there = np.maximum((tops >= 0).sum(axis=1), 1)
        return tops, self.popular[tops].sum(axis=1) / (there * self.peak)

    def _column(self, column: Any, at: int) -> tuple[Any, Any]:
        """Row and item of each entry that is of the catalogue."""
        rows, items, _ = lists.flat(column)
        foreign = (items < 0) | (items >= self.about.items)
        keys = lists.keys(rows, items)
        # Items that rise within each row, as they mostly do, are not there again.
        again = 0 if bool((np.diff(keys) > 0).all()) else int((~lists.first(keys)).sum())
        self.faults[at] += again + int(foreign.sum())
        return rows[~foreign], items[~foreign]

    def _add(self, tops: Any, onto: Any, offsets: Any) -> None:
        """Exposure of each item, onto a flat array, each row from its offset."""
        for rank, weight in enumerate(self.weights):
            there = tops[:, rank] >= 0
            np.add.at(onto, offsets[there] + tops[there, rank], weight)

    def take(self, batch: Any) -> None:
        """Add the users of a batch."""
        if batch.column("user").null_count:
            raise CannotTell("the evaluation has empty cells")
        users, size = batch.column("user").to_numpy(), batch.num_rows
        held, wanted = self._column(batch.column("held"), 3)
        seen, own = self._column(batch.column("seen"), 4)
        self.counts += np.bincount(own, minlength=self.about.items)
        some = np.bincount(held, minlength=size) > 0
        have = np.bincount(seen, minlength=size)
        known = have > 0
        popularity = np.bincount(seen, self.told[own], size) / (np.maximum(have, 1) * self.peak)
        tops, shown = self._lists(batch.column("top_model"), judged=True)
        values = [known.astype(float), popularity, shown * known]
        mix = {}
        for name in self.grouped:
            mix[name] = self._shares(seen, own, size, name) / np.maximum(have, 1)[:, None]
            relevant = self._shares(held, wanted, size, name)
            exposed = self._exposed(tops, name)
            self.held[name] += relevant.sum(axis=0)
            values += [divergence(mix[name], exposed), *exposed.T]
            values += list((relevant / np.maximum(relevant.sum(axis=1, keepdims=True), 1)).T)
        whole = np.stack(values, axis=1)[some]
        self.sums += np.rint(whole * UNIT).astype(np.int64).sum(axis=0).astype(object)
        weight, replicates = resampled(users[some], whole)
        self.weight += weight
        self.replicates += replicates
        which = drawers(users, len(self.sizes))
        self.sizes += np.bincount(which[some], minlength=len(self.sizes))
        self._add(tops[some], self.drawers.reshape(-1), which[some] * self.about.items)
        for system, onto in self.shown.items():
            tops, shown = self._lists(batch.column(f"top_{system}"), judged=False)
            exposed = self._exposed(tops, POPULARITY)
            rest = np.stack([shown * known, exposed[:, 2], divergence(mix[POPULARITY], exposed)], axis=1)[some]
            self.beside[system] += np.rint(rest * UNIT).astype(np.int64).sum(axis=0).astype(object)
            self._add(tops[some], onto, np.zeros(int(some.sum()), dtype=np.int64))
        self.users += size
        self.bare += int((~some).sum())
        self.ids.append(users)


def counted(items: Iterable[Any]) -> Tally:
    """The tally of all batches, each measured in pieces of at most `BATCH` users. `CannotTell` where there is none,
    where they are of different catalogues, or where items are not as popular as was told."""
    total: Tally | None = None
    for item in items:
        about = told(item.schema)
        total = total or Tally(about)
        if about != total.about:
            raise CannotTell("the evaluation's batches are of different catalogues, k, systems or groupings")
        for start in range(0, item.num_rows, BATCH):
            total.take(item.slice(start, BATCH))
    if total is None or total.users == total.bare:
        raise CannotTell("no user has a held-out item", "coverage")
    if not np.array_equal(total.counts, total.told):
        raise CannotTell("items are not as popular as the evaluation's schema says")
    return total


def popularity(batches: Iterable[Any], items: int) -> Any:
    """How many users have each item in `seen`; those from outside the catalogue are left out."""
    counts = np.zeros(items, dtype=np.int64)
    for batch in batches:
        _, found, _ = lists.flat(batch.column("seen"))
        counts += np.bincount(found[(found >= 0) & (found < items)], minlength=items)
    return counts


def material(
    subject: Subject,
    files: Sequence[Path],
    expected: int,
    groupings: Mapping[str, tuple[Declared, Any]] | None = None,
) -> Material[Any]:
    """The rows of the Parquet `files`, whose bytes the caller has checked; `expected` users as listed elsewhere.

    `groupings`: name -> how it is described, and of each item of the catalogue the place of its group, 255 where nobody
    knows it. Popularity is counted when the rows are first opened; a look counts it again.
    """
    ahead: dict[bytes, bytes] = {}

    def batches(wanted: Any) -> Iterator[Any]:
        for path in files:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(batch_size=BATCH, columns=wanted(file.schema_arrow))

    def source() -> Iterator[Any]:
        try:
            if not ahead:
                size = (pq.read_schema(files[0]).metadata or {}).get(b"items", b"") if files else b""
                if not (size.isdigit() and len(size) < 8):
                    raise CannotTell("the evaluation's schema does not say how many items the catalogue has")
                counts = popularity(batches(lambda schema: [n for n in schema.names if n == "seen"]), int(size))
                ahead.update(said(counts, groupings or {}))
            for batch in batches(columns):
                yield batch.replace_schema_metadata({**(batch.schema.metadata or {}), **ahead})
        except (OSError, KeyError, pa.ArrowException) as why:
            raise CannotTell(f"the evaluation cannot be read as Parquet ({type(why).__name__})") from None

    return Material(subject, source, expected=expected, unit="users", weigh=lambda batch: int(batch.num_rows), sample=1)
