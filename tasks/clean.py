"""Cleaning: faulty rows out, then the document's transformations, to one Parquet file in one order.

What is faulty is what the data contract says (`security.gates.contract.reasons`). Rows that are dropped are told apart
from the rest by place and rule, accounts by a keyed hash and reasons: no value of a row leaves by a side file. The
same rows make the same bytes, in whatever batches and order they come.

Memory does not grow with the rows: they are sorted once, by account and time, where they can spill (`tasks.spill`),
transformed some whole accounts at a time (`tasks.transform`), and written by row group in that order. What is held
whole is the rows of any one account, and the suspects.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from configs.load import nearest
from security.errors import PlanError
from security.gates.contract import ContractLimits, reasons, said
from security.rows.accounts import ITEMS, Bots
from security.rows.ahead import ahead, ended
from security.verdict import Frozen
from tasks.parts import Part, groups, whole
from tasks.spill import ROWS, Spill
from tasks.transform import TRANSFORMATIONS, Suspect, Watch

REJECTS, SUSPECTS = "rejects.jsonl", "suspects.jsonl"
KEY_BYTES = 16
ROW_GROUP = 1 << 17
ACCOUNTS = 1 << 18
"""Rows of whole accounts that are looked through at once, at least."""
STORED = ROWS.set(3, pa.field("timestamp", pa.timestamp("us", "UTC")))


def layout(schema: pa.Schema) -> dict[str, Any]:
    """How rows are written. Times rise within an account, so that their differences are small."""
    return {
        "compression": "zstd",
        "use_dictionary": [name for name in schema.names if name != "timestamp"],
        "column_encoding": {"timestamp": "DELTA_BINARY_PACKED"},
    }


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
    groups: Sequence[str] = (),
) -> Cleaned:
    """Clean `batches` (of `security.rows.columns.SCHEMA`) into the new Parquet file `out`; how many rows went where.

    Into the folder `apart` go `rejects.jsonl` (file, row, rules) and `suspects.jsonl` (HMAC-SHA-256 of the user's id
    under `key`, rows, signs), each when there is something to tell. Rows spill into a private folder made in `spill`,
    or in the system's own for such, and wiped at the end. `groups`: columns that are kept beside the four. Raises
    `PlanError` for a transformation that is unknown or named twice, before anything is read; a file that is there
    already is an error.
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
    told = {"rows_in": 0, "rejected": 0}
    broken: Counter[str] = Counter()
    named = [pa.field(name, pa.string()) for name in groups]
    sound = (grouped(batch, groups) for batch in _sound(batches, limits, apart / REJECTS, broken, told))
    with Spill(sound, spill, schema=pa.schema([*ROWS, *named])) as rows, ExitStack() as unless:
        file = out.open("xb")
        unless.callback(out.unlink)
        with file:
            gone, found = _store(rows, file, transformations, limits.bots or Bots(), pa.schema([*STORED, *named]))
        if found:
            with (apart / SUSPECTS).open("x", encoding="utf-8") as side:
                side.writelines(sorted(f"{json.dumps(each.told(key))}\n" for each in found))
        unless.pop_all()
    told |= {"duplicates": gone["deduplicate"], "bots": len(found), "bot_rows": gone["filter_bots"]}
    left = told["rows_in"] - told["rejected"] - gone.total()
    return Cleaned(**told, rows_out=left, broken=dict(sorted(broken.items())))


def _sound(
    batches: Iterable[pa.RecordBatch], limits: ContractLimits, path: Path, broken: Counter[str], told: dict[str, int]
) -> Iterator[pa.RecordBatch]:
    """The rows that keep the contract, counted in `told` and `broken`; the others to `path`, by place."""
    with ExitStack() as stack:
        sink: IO[str] | None = None
        for batch in stack.enter_context(ended(iter(batches))):
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


def grouped(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """The batch, and after its own columns those of groups: what each row says there, null where it says nothing."""
    for name, (values, _) in said(batch, names).items():
        batch = batch.append_column(name, values)
    return batch


def _store(
    rows: Spill, file: IO[bytes], names: Sequence[str], bots: Bots, stored: pa.Schema
) -> tuple[Counter[str], list[Suspect]]:
    """Write what stays, in order; how many rows each transformation took, and the suspects.

    What suspects took is gone from the catalogue too. Where that makes somebody who stayed too broad, all is done again
    with the smaller catalogue, until it does not.
    """
    watch = Watch(bots, rows.catalogue() if "filter_bots" in names else 0)
    while True:
        file.seek(0)
        file.truncate()
        gone = Counter[str]()
        with (
            ended(ahead(groups(_stays(rows, names, watch, gone), ROW_GROUP))) as tables,
            pq.ParquetWriter(file, stored, **layout(stored)) as writer,
        ):
            for table in tables:
                writer.write_table(table.set_column(3, stored[3], table["timestamp"].cast(stored[3].type)), ROW_GROUP)
        suspects = {each.user: each.signs for each in watch.found}
        if len(suspects) > len(watch.before) and watch.widest * 100 > bots.breadth * ITEMS:
            catalogue = rows.catalogue(suspects)
            if catalogue >= ITEMS and watch.widest * 100 > bots.breadth * catalogue:
                watch = Watch(bots, catalogue, suspects)
                continue
        return gone, watch.found


def _stays(rows: Spill, names: Sequence[str], watch: Watch, gone: Counter[str]) -> Iterator[pa.RecordBatch]:
    with ended(ahead(rows.ordered())) as batches:
        for table in whole(batches, ACCOUNTS):
            part = Part(table)
            stay = np.ones(len(table), bool)
            for name in names:
                before = int(stay.sum())
                stay = TRANSFORMATIONS[name](part, stay, watch)
                gone[name] += before - int(stay.sum())
            yield from (part.table if stay.all() else part.table.filter(pa.array(stay))).to_batches()
