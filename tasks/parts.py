"""Rows in the order of accounts, cut where it suits: never within one (`whole`, `Part`), or by number (`groups`)."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from security.rows.accounts import Ints
from security.rows.columns import COLUMNS

Mask = NDArray[np.bool_]
_SAME = ("item_id", "interaction_type")
_AT = " at"
"""What no column is called."""


class Part:
    """Rows of whole accounts, in the order of user, time, item, type and groups; given in that of user and time."""

    def __init__(self, table: pa.Table) -> None:
        self.table = _one(table)
        users, time = self.table["user_id"].chunk(0), self.table["timestamp"].chunk(0).to_numpy()
        fresh = _differs(users)
        first = np.flatnonzero(np.r_[True, fresh])
        self.names = users.take(pa.array(first))
        self.user = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(users)]))
        self.time: Ints = time
        tied = ~fresh & (time[1:] == time[:-1])
        near = np.flatnonzero(tied) + 1
        if not self._alike(near, self._others).all():
            self._settle(tied)
        self.twice = np.zeros(len(users), bool)
        """Which rows repeat the one before, whatever group they say."""
        self.twice[near[self._alike(near, _SAME)]] = True
        self.torn = self._torn()
        """Which rows are there several times, and say different groups: nobody can tell which holds."""

    @property
    def item(self) -> pa.StringArray:
        """What was taken."""
        return self.table["item_id"].chunk(0)

    @property
    def _others(self) -> tuple[str, ...]:
        """Every column that rows of one user and one moment can differ in: item, type, then groups."""
        return _SAME + tuple(name for name in self.table.column_names if name not in COLUMNS)

    def _alike(self, near: Ints, names: Iterable[str]) -> Mask:
        """Whether these rows have in these columns what the one before has."""
        same = np.ones(len(near), bool)
        for name in names:
            column = self.table[name].chunk(0)
            found = pc.equal(column.take(near), column.take(near - 1))
            same &= (found.fill_null(False) if found.null_count else found).to_numpy(zero_copy_only=False)
        return same

    def _torn(self) -> Mask:
        torn, which = np.zeros(len(self.twice), bool), np.cumsum(~self.twice) - 1
        for name in self._others[len(_SAME) :] if self.twice.any() else ():
            coded = self.table[name].chunk(0).dictionary_encode()
            some = coded.is_valid().to_numpy(zero_copy_only=False)
            size = max(len(coded.dictionary), 1)
            pairs = np.unique(which[some] * size + coded.indices.drop_null().to_numpy())
            torn |= (np.bincount(pairs // size, minlength=which[-1] + 1) > 1)[which]
        return torn

    def _settle(self, tied: Mask) -> None:
        """Put rows of one user and one moment in order."""
        some = np.flatnonzero(np.r_[False, tied] | np.r_[tied, False])
        moment = np.cumsum(~np.r_[False, tied][some])
        rows = self.table.select(self._others).take(some).append_column(_AT, pa.array(moment))
        keys = [(name, "ascending") for name in (_AT, *self._others)]
        order = np.arange(len(self.table))
        order[some] = some[pc.sort_indices(rows, sort_keys=keys).to_numpy()]
        self.table = _one(self.table.take(order))


def _one(table: pa.Table) -> pa.Table:
    """The table in one piece; what has no such, since Arrow counts the bytes of a column by 32 bits, is an error."""
    table = table.combine_chunks()
    if any(column.num_chunks != 1 for column in table.columns):
        raise OverflowError(f"{table.num_rows:,} rows of whole accounts are more than can be gone through at once")
    return table


def _differs(column: pa.StringArray) -> NDArray[np.bool_]:
    """Of each value but the first, whether it is another than the one before."""
    size = len(column) - 1
    return np.asarray(pc.not_equal(column.slice(1), column.slice(0, size)).to_numpy(zero_copy_only=False))


def whole(batches: Iterable[pa.RecordBatch], least: int) -> Iterator[pa.Table]:
    """Rows in order of `user_id` as tables that no account is cut by, of at least so many rows but for the last."""
    held, size = list[pa.RecordBatch](), 0
    for batch in batches:
        if not batch.num_rows:
            continue
        users = batch.column("user_id")
        start = int(pc.index(users, users[-1]).as_py())
        if size + start >= least and held and not start and held[-1].column("user_id")[-1] != users[0]:
            yield pa.Table.from_batches(held)
            held, size = [], 0
        elif start and size + start >= least:
            yield pa.Table.from_batches([*held, batch.slice(0, start)])
            held, size, batch = [], 0, batch.slice(start)
        held.append(batch)
        size += batch.num_rows
    if held:
        yield pa.Table.from_batches(held)


def groups(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """Tables of `size` rows, but for the last, however the batches are cut."""
    held, count = list[pa.RecordBatch](), 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        if count >= size:
            table = pa.Table.from_batches(held)
            most = count - count % size
            for start in range(0, most, size):
                yield table.slice(start, size).combine_chunks()
            held, count = table.slice(most).to_batches(), count - most
    if count:
        yield pa.Table.from_batches(held).combine_chunks()
