"""Cleaning: faulty rows out, then the document's transformations, to one Parquet file in one order.

What is faulty is what the data contract says (`security.gates.contract.reasons`). Rows that are dropped are told apart
from the rest by place and rule, accounts by a keyed hash and reasons: no value of a row leaves by a side file. The
same rows make the same bytes, in whatever batches and order they come.

Memory does not grow with the rows: they are sorted where they can spill (`tasks.spill`), looked through for bots some
whole accounts at a time, and written by row group. What is held whole is the rows of any one account, and the suspects.
"""

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from configs.load import nearest
from security.errors import PlanError
from security.gates.contract import ContractLimits, reasons
from security.rows.accounts import Bots, measure, signs
from security.verdict import Frozen
from tasks.spill import ROWS, Spill

REJECTS, SUSPECTS = "rejects.jsonl", "suspects.jsonl"
KEY_BYTES = 16
ROW_GROUP = 1 << 17
ACCOUNTS = 1 << 20
"""Rows of whole accounts that are looked through at once, at least."""


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


def clean(
    batches: Iterable[pa.RecordBatch],
    out: Path,
    apart: Path,
    limits: ContractLimits,
    transformations: Sequence[str],
    *,
    key: bytes,
    spill: Path | None = None,
) -> Cleaned:
    """Clean `batches` (of `security.rows.columns.SCHEMA`) into the new Parquet file `out`; how many rows went where.

    Into the folder `apart` go `rejects.jsonl` (file, row, rules) and `suspects.jsonl` (HMAC-SHA-256 of the user's id
    under `key`, rows, signs), each when there is something to tell. Rows spill into a private folder made in `spill`,
    or in the system's own for such, and wiped at the end. Raises `PlanError` for a transformation that is unknown or
    named twice, before anything is read; a file that is there already is an error.
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
    told = {"rows_in": 0, "rejected": 0, "duplicates": 0, "bots": 0, "bot_rows": 0}
    broken: Counter[str] = Counter()
    with Spill(_sound(batches, limits, apart / REJECTS, broken, told), spill) as rows:
        count = told["rows_in"] - told["rejected"]
        for name in transformations:
            found = TRANSFORMATIONS[name](rows, limits.bots or Bots())
            before, count = count, rows.count
            told["duplicates" if name == "deduplicate" else "bot_rows"] = before - count
            told["bots"] += len(found)
            if found:
                with (apart / SUSPECTS).open("x", encoding="utf-8") as side:
                    side.writelines(sorted(f"{json.dumps(each.told(key))}\n" for each in found))
        _store(rows, out)
    return Cleaned(**told, rows_out=count, broken=dict(sorted(broken.items())))


def hidden(user: str, key: bytes) -> str:
    """The keyed hash by which a side file tells of a user."""
    return hmac.new(key, b"suspect\0" + user.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Suspect:
    """An account that shows signs of a bot."""

    user: str
    rows: int
    signs: tuple[str, ...]

    def told(self, key: bytes) -> dict[str, object]:
        """What a side file tells of it."""
        return {"user": hidden(self.user, key), "rows": self.rows, "signs": self.signs}


def deduplicate(rows: Spill, _: Bots) -> list[Suspect]:
    """Each row once: two rows are one when user, item, type and time are the same."""
    rows.deduplicate()
    return []


def filter_bots(rows: Spill, bots: Bots) -> list[Suspect]:
    """Without the rows of accounts that show a sign of a bot; these accounts, with their signs.

    What they took is gone from the catalogue too, so the others are looked at again, until none shows a sign.
    """
    found: list[Suspect] = []
    while True:
        catalogue = rows.catalogue
        more = [each for table in whole(rows.accounts()) for each in _suspects(table, catalogue, bots)]
        if not more:
            return found
        rows.without([each.user for each in more])
        found += more


TRANSFORMATIONS: dict[str, Callable[[Spill, Bots], list[Suspect]]] = {
    "deduplicate": deduplicate,
    "filter_bots": filter_bots,
}
"""What a document may name under `transformations`."""


def whole(batches: Iterable[pa.RecordBatch], least: int = ACCOUNTS) -> Iterator[pa.Table]:
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


def _suspects(table: pa.Table, catalogue: int, bots: Bots) -> Iterator[Suspect]:
    """The suspects among whole accounts, given in the order of user and time, each row with how often it is there."""
    users, items = (table[name].combine_chunks().dictionary_encode() for name in ("user_id", "item_id"))
    user, item = (each.indices.to_numpy().astype(np.int64) for each in (users, items))
    sizes = np.bincount(user, table["times"].to_numpy()).astype(np.int64)
    for index, kind in zip(*measure(user, item, table["timestamp"].to_numpy(), catalogue), strict=True):
        if shown := signs(kind, bots):
            yield Suspect(users.dictionary[int(index)].as_py(), int(sizes[index]), shown)


def _sound(
    batches: Iterable[pa.RecordBatch], limits: ContractLimits, path: Path, broken: Counter[str], told: dict[str, int]
) -> Iterator[pa.RecordBatch]:
    """The rows that keep the contract, counted in `told` and `broken`; the others to `path`, by place."""
    with ExitStack() as stack:
        sink: IO[str] | None = None
        for batch in batches:
            rules, index = reasons(batch, limits)
            bad = np.array([bool(rule) for rule in rules], dtype=bool)[index]
            told["rows_in"] += batch.num_rows
            told["rejected"] += int(bad.sum())
            if bad.any():
                sink = sink or stack.enter_context(path.open("x", encoding="utf-8"))
                gone = batch.select(["file", "row"]).filter(pa.array(bad)).to_pylist()
                for row, which in zip(gone, index[bad].tolist(), strict=True):
                    broken.update(rules[which])
                    sink.write(json.dumps(row | {"rules": rules[which]}) + "\n")
                batch = batch.filter(pa.array(~bad))
            yield batch


def _store(rows: Spill, out: Path) -> None:
    stamp = pa.timestamp("us", "UTC")
    schema = ROWS.set(3, pa.field("timestamp", stamp))
    with out.open("xb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for table in _groups(rows.ordered()):
            writer.write_table(table.set_column(3, "timestamp", table["timestamp"].cast(stamp)), ROW_GROUP)


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of `ROW_GROUP` rows, but for the last, however the batches are cut."""
    held, size = list[pa.RecordBatch](), 0
    for batch in batches:
        held.append(batch)
        size += batch.num_rows
        if size >= ROW_GROUP:
            table = pa.Table.from_batches(held)
            most = size - size % ROW_GROUP
            for start in range(0, most, ROW_GROUP):
                yield table.slice(start, ROW_GROUP).combine_chunks()
            held, size = table.slice(most).to_batches(), size - most
    if size:
        yield pa.Table.from_batches(held).combine_chunks()
