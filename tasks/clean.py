"""Cleaning: faulty rows out, then the document's transformations, to one Parquet file in one order.

What is faulty is what the data contract says (`security.gates.contract.reasons`). Rows that are dropped are told apart
from the rest by place and rule, accounts by a keyed hash and reasons: no value of a row leaves by a side file. The
same rows make the same bytes, in whatever batches and order they come.

Memory: batches are read one at a time, but sorting holds every sound row, as 17 bytes and about as much again while
sorting, and every distinct id once.
"""

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from configs.load import nearest
from security.errors import PlanError
from security.gates.contract import ContractLimits, reasons
from security.rows.accounts import Bots, measure, signs
from security.rows.columns import COLUMNS
from security.verdict import Frozen

REJECTS, SUSPECTS = "rejects.jsonl", "suspects.jsonl"
KEY_BYTES = 16
ROW_GROUP = 1 << 17
_WIDTHS = (np.int32, np.int32, np.int8)

Ints = NDArray[np.signedinteger[Any]]
Flags = NDArray[np.bool_]


class Cleaned(Frozen):
    """How many rows went where. `bots` are accounts; `broken` counts rejected rows by rule, some by several."""

    rows_in: int
    rejected: int
    duplicates: int
    bots: int
    bot_rows: int
    rows_out: int
    broken: dict[str, int]

    def counts(self) -> dict[str, int]:
        """The counts in words, in the order in which rows go."""
        return {
            "rows in": self.rows_in,
            "rejected": self.rejected,
            "duplicates": self.duplicates,
            "rows of suspected bots": self.bot_rows,
            "rows out": self.rows_out,
        }


@dataclass(frozen=True, eq=False)
class Rows:
    """Sound rows as columns of equal length, sorted: time (microseconds since 1970), then the three names.

    User, item and kind are indices into `names`, whose lists are sorted, so that the order of indices is that of text.
    """

    user: Ints
    item: Ints
    kind: Ints
    time: Ints
    names: tuple[list[str], list[str], list[str]]

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.time)

    def only(self, keep: Flags) -> "Rows":
        """The rows that are kept."""
        return Rows(self.user[keep], self.item[keep], self.kind[keep], self.time[keep], self.names)


def clean(
    batches: Iterable[pa.RecordBatch],
    out: Path,
    apart: Path,
    limits: ContractLimits,
    transformations: Sequence[str],
    *,
    key: bytes,
) -> Cleaned:
    """Clean `batches` (of `security.rows.columns.SCHEMA`) into the new Parquet file `out`; how many rows went where.

    Into the folder `apart` go `rejects.jsonl` (file, row, rules) and `suspects.jsonl` (HMAC-SHA-256 of the user's id
    under `key`, rows, signs), each when there is something to tell. Raises `PlanError` for a transformation that is
    unknown or named twice, before anything is read; a file that is there already is an error.
    """
    for name in transformations:
        if name not in TRANSFORMATIONS:
            raise PlanError(
                f"no transformation {name!r}{nearest(name, TRANSFORMATIONS)}; there are {', '.join(TRANSFORMATIONS)}"
            )
        if list(transformations).count(name) > 1:
            raise PlanError(f"transformation {name!r} is named twice")
    if len(key) < KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes; at least {KEY_BYTES} are needed to hide an id")
    broken: Counter[str] = Counter()
    rows, rows_in = _sound(batches, limits, apart / REJECTS, broken)
    told = {"rows_in": rows_in, "rejected": rows_in - rows.count, "duplicates": 0, "bots": 0, "bot_rows": 0}
    for name in transformations:
        before = rows.count
        sizes = np.bincount(rows.user, minlength=len(rows.names[0]))
        rows, found = TRANSFORMATIONS[name](rows, limits.bots or Bots())
        told["duplicates" if name == "deduplicate" else "bot_rows"] = before - rows.count
        told["bots"] += len(found)
        if found:
            lines = (
                {"user": hidden(rows.names[0][user], key), "rows": int(sizes[user]), "signs": signs}
                for user, signs in found.items()
            )
            with (apart / SUSPECTS).open("x", encoding="utf-8") as side:
                side.writelines(sorted(f"{json.dumps(line)}\n" for line in lines))
    _store(rows, out)
    return Cleaned(**told, rows_out=rows.count, broken=dict(sorted(broken.items())))


def hidden(user: str, key: bytes) -> str:
    """The keyed hash by which a side file tells of a user."""
    return hmac.new(key, b"suspect\0" + user.encode(), hashlib.sha256).hexdigest()


def deduplicate(rows: Rows, _: Bots) -> tuple[Rows, dict[int, tuple[str, ...]]]:
    """Each row once: two rows are one when user, item, type and time are the same."""
    columns = (rows.time, rows.user, rows.item, rows.kind)
    again = np.zeros(rows.count, bool)
    again[1:] = np.logical_and.reduce([column[1:] == column[:-1] for column in columns])
    return rows.only(~again), {}


def filter_bots(rows: Rows, bots: Bots) -> tuple[Rows, dict[int, tuple[str, ...]]]:
    """Without the rows of accounts that show a sign of a bot; these accounts, with their signs.

    What they took is gone from the catalogue too, so the others are looked at again, until none shows a sign.
    """
    found: dict[int, tuple[str, ...]] = {}
    while rows.count:
        once, _ = deduplicate(rows, bots)
        order = np.argsort(once.user, kind="stable")  # rows are in order of time, and stay so within each account
        users, kinds = measure(once.user[order], once.item[order], once.time[order], len(np.unique(once.item)))
        shown = [(user, signs(kind, bots)) for user, kind in zip(users.tolist(), kinds, strict=True)]
        more = {user: which for user, which in shown if which}
        if not more:
            break
        found |= more
        taken = np.zeros(len(rows.names[0]), bool)
        taken[list(more)] = True
        rows = rows.only(~taken[rows.user])
    return rows, found


TRANSFORMATIONS: dict[str, Callable[[Rows, Bots], tuple[Rows, dict[int, tuple[str, ...]]]]] = {
    "deduplicate": deduplicate,
    "filter_bots": filter_bots,
}
"""What a document may name under `transformations`."""


def _sound(
    batches: Iterable[pa.RecordBatch], limits: ContractLimits, path: Path, broken: Counter[str]
) -> tuple[Rows, int]:
    """The rows that keep the contract, sorted, and how many there were in all; the others to `path`, by place."""
    codes: tuple[dict[str, int], ...] = ({}, {}, {})
    columns: list[list[Ints]] = [[], [], [], []]
    total = 0
    with ExitStack() as stack:
        sink: IO[str] | None = None
        for batch in batches:
            total += batch.num_rows
            rules, index = reasons(batch, limits)
            bad = np.array([bool(rule) for rule in rules], dtype=bool)[index]
            if bad.any():
                sink = sink or stack.enter_context(path.open("x", encoding="utf-8"))
                gone = batch.select(["file", "row"]).filter(pa.array(bad)).to_pylist()
                for row, which in zip(gone, index[bad].tolist(), strict=True):
                    broken.update(rules[which])
                    sink.write(json.dumps(row | {"rules": rules[which]}) + "\n")
                batch = batch.filter(pa.array(~bad))
            for held, known, name, width in zip(columns, codes, COLUMNS, _WIDTHS, strict=False):
                coded = batch.column(name).dictionary_encode()
                places = [known.setdefault(value, len(known)) for value in coded.dictionary.to_pylist()]
                held.append(np.array(places, width)[coded.indices.to_numpy()])
            columns[3].append(batch.column("timestamp").to_numpy())
    names = tuple(sorted(known) for known in codes)
    ranked = []
    for held, known, ordered, width in zip(columns, codes, names, _WIDTHS, strict=False):
        rank = np.zeros(len(known), width)
        rank[[known[name] for name in ordered]] = np.arange(len(known))
        ranked.append(rank[np.concatenate([np.zeros(0, width), *held])])
        held.clear()
    user, item, kind = ranked
    time = np.concatenate([np.zeros(0, np.int64), *columns[3]])
    order = np.lexsort((kind, item, user, time))
    return Rows(user[order], item[order], kind[order], time[order], (names[0], names[1], names[2])), total


def _store(rows: Rows, out: Path) -> None:
    coded = zip(COLUMNS, (rows.user, rows.item, rows.kind), rows.names, strict=False)
    table = {name: pa.array(names, pa.string()).take(pa.array(codes)) for name, codes, names in coded}
    table["timestamp"] = pa.array(rows.time, pa.int64()).cast(pa.timestamp("us", "UTC"))
    with out.open("xb") as file:
        pq.write_table(pa.table(table), file, row_group_size=ROW_GROUP, compression="zstd")
