"""What a look is handed with the rows: names of columns that may be told, and the model to look with.

A key of JSON may be a value, and nothing of a row is told. So only names that a contract or a policy knows are; every
other column has a number, and can be found by file and row.
"""

import json
from collections.abc import Iterable

import pyarrow as pa

from security.material import Material
from security.personal.found import Model

_NAMES, _MODEL = b"known", b"model"


def naming(batch: pa.RecordBatch, names: Iterable[str], model: Model | None = None) -> pa.RecordBatch:
    """The batch, marked with names that are known, and with the model to look with."""
    told = {_NAMES: json.dumps(sorted(set(names))).encode()} | ({_MODEL: json.dumps(model).encode()} if model else {})
    return batch.replace_schema_metadata({**(batch.schema.metadata or {}), **told})


def known(batch: pa.RecordBatch) -> frozenset[str]:
    """The names that a batch is marked with; none where it is not."""
    return frozenset(json.loads((batch.schema.metadata or {}).get(_NAMES, b"[]")))


def modelled(batch: pa.RecordBatch) -> Model | None:
    """The model that a batch is marked with, if it is."""
    told = (batch.schema.metadata or {}).get(_MODEL)
    return Model(*json.loads(told)) if told else None


def material(
    rows: Material[pa.RecordBatch], names: Iterable[str], model: Model | None = None
) -> Material[pa.RecordBatch]:
    """Rows, each batch marked with these names and with this model."""
    source, told = rows.source, sorted(set(names))
    rows.source = lambda: (naming(batch, told, model) for batch in source())
    return rows
