"""Columns that say in which group a user is, or an item: what rows say there, and which say what the contract has not.

A look is handed the columns and their values with each batch, as metadata of its schema; so is a canary.
"""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from security.rows.beside import beside

Flags = NDArray[np.bool_]
LISTED = b"listed"


def listing(batch: pa.RecordBatch, groups: Mapping[str, Iterable[str]]) -> pa.RecordBatch:
    """The batch, marked with these columns and the values that each may have."""
    told = json.dumps({name: list(values) for name, values in groups.items()}, sort_keys=True)
    return batch.replace_schema_metadata({**(batch.schema.metadata or {}), LISTED: told.encode()}) if groups else batch


@lru_cache(16)
def _read(told: bytes) -> Mapping[str, pa.StringArray]:
    return {name: pa.array(values, pa.string()) for name, values in json.loads(told).items()}


def listed(batch: pa.RecordBatch) -> Mapping[str, pa.StringArray]:
    """The columns that a batch is marked with, and the values that each may have; none where it is not."""
    return _read((batch.schema.metadata or {}).get(LISTED, b"{}"))


def said(batch: pa.RecordBatch, names: Iterable[str]) -> dict[str, tuple[pa.StringArray, Flags]]:
    """Of each of these columns what each row says, null where that is nothing; and which rows say it twice.

    A text of no characters says nothing: so a CSV writes what is not there.
    """
    size = len(batch)
    found = {name: (pa.nulls(size, pa.string()), np.zeros(size, bool)) for name in names}
    for name, rows, texts in beside(batch) if found else ():
        if name in found:
            some = pc.fill_null(pc.not_equal(texts, ""), False).to_numpy(zero_copy_only=False)
            rows, texts = rows[some], texts.filter(pa.array(some))
            place = np.full(size, -1)
            place[rows] = np.arange(len(rows))
            found[name] = texts.take(pa.array(place, mask=place < 0)), np.bincount(rows, minlength=size) > 1
    return found


def odd(batch: pa.RecordBatch) -> Flags | None:
    """Which rows say of a group what the contract has not, or say it twice; None where no column says any."""
    wanted = listed(batch)
    if not wanted:
        return None
    bad = np.zeros(len(batch), bool)
    for name, (values, twice) in said(batch, wanted).items():
        known = pc.or_(pc.is_null(values), pc.is_in(values, wanted[name])).to_numpy(zero_copy_only=False)
        bad |= twice | ~known
    return bad
