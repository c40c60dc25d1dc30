"""Names of columns that may be told: those that a contract or a policy knows.

A key of JSON may be a value, and nothing of a row is told. So a look is handed, with the rows, the names that are known
without them; every other column has a number, and can be found by file and row.
"""

import json
from collections.abc import Iterable

import pyarrow as pa

from security.material import Material

_NAMES = b"known"


def naming(batch: pa.RecordBatch, names: Iterable[str]) -> pa.RecordBatch:
    """The batch, marked with names that are known."""
    told = json.dumps(sorted(set(names))).encode()
    return batch.replace_schema_metadata({**(batch.schema.metadata or {}), _NAMES: told})


def known(batch: pa.RecordBatch) -> frozenset[str]:
    """The names that a batch is marked with; none where it is not."""
    return frozenset(json.loads((batch.schema.metadata or {}).get(_NAMES, b"[]")))


def material(rows: Material[pa.RecordBatch], names: Iterable[str]) -> Material[pa.RecordBatch]:
    """Rows, each batch marked with these names."""
    source, told = rows.source, sorted(set(names))
    rows.source = lambda: (naming(batch, told) for batch in source())
    return rows
