"""Groups that rows say, as their contract lists them: of each user and each item one, or none.

Whose rows say two is in none: nobody can tell which holds. Groups lie beside the features, in a file of their own; they
are for the evaluation, and the process that trains is handed none of them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from configs.contract import contract
from security.errors import BadInput
from security.policy import Plan

Of = Literal["user", "item"]
SIDES: tuple[Of, ...] = get_args(Of)
FILE = "groups.parquet"
SCHEMA = pa.schema({"of": pa.string(), "grouping": pa.string(), "place": pa.int32(), "group": pa.string()})
"""`place`: index of the user or the item in the vocabulary."""
Groups = Mapping[Of, Mapping[str, pa.StringArray]]
"""Whose it is -> grouping -> group of each, null where nobody knows it."""


def named(plan: Plan) -> dict[Of, list[str]]:
    """The columns that the plan's document groups by, as its contract has them: whose they are -> names, sorted."""
    promised, stage = contract(plan.contract), plan.document["stages"][3]
    asked: dict[Of, set[str]] = {"user": {*stage.get("groups", ())}, "item": {*stage.get("item_groups", ())}}
    return {of: sorted(asked[of] & promised.groups(of).keys()) for of in SIDES}


def gathered(rows: pa.Table, wanted: Mapping[Of, list[str]], places: Mapping[Of, NDArray[np.int64]]) -> pa.Table:
    """A table of `SCHEMA`: of each user and item what its rows say where they say one thing, in order.

    `places`: of each row the index of its user, and of its item. `BadInput` where a column is not there.
    """
    made = [SCHEMA.empty_table()]
    for of in SIDES:
        for name in wanted[of]:
            if name not in rows.column_names:
                raise BadInput("rows.parquet", f"column {name}", "none", "what the contract promises, or nulls")
            coded = rows[name].combine_chunks().dictionary_encode()
            there = coded.is_valid().to_numpy(zero_copy_only=False)
            size = max(len(coded.dictionary), 1)
            pairs = np.unique(places[of][there] * size + coded.indices.drop_null().to_numpy())
            whose, first, count = np.unique(pairs // size, return_index=True, return_counts=True)
            whose, which = whose[count == 1], (pairs % size)[first[count == 1]]
            told = [pa.repeat(of, len(whose)), pa.repeat(name, len(whose)), pa.array(whose, pa.int32())]
            made.append(pa.table([*told, coded.dictionary.take(pa.array(which))], schema=SCHEMA))
    return pa.concat_tables(made)


def read(folder: Path, sizes: Mapping[Of, int]) -> Groups:
    """The groups in a folder of features, of so many users and items; `BadInput` where the file is not of this form."""
    try:
        table = pq.read_table(folder / FILE)
    except (OSError, pa.ArrowException) as why:
        raise BadInput(f"features/{FILE}", "file", f"what cannot be read ({type(why).__name__})", "features") from None
    if table.schema != SCHEMA or any(column.null_count for column in table.columns):
        raise BadInput(f"features/{FILE}", "columns", "others, or empty cells", ", ".join(SCHEMA.names))
    found: dict[Of, dict[str, pa.StringArray]] = {of: {} for of in SIDES}
    keys = [table[name].combine_chunks().dictionary_encode() for name in ("of", "grouping")]
    for of in SIDES:
        for name in keys[1].dictionary.to_pylist():
            mine = np.ones(len(table), bool)
            for key, value in zip(keys, (of, name), strict=True):
                mine &= key.indices.to_numpy() == key.dictionary.index(value).as_py()
            part = table.filter(pa.array(mine))
            place = part["place"].to_numpy()
            if not len(place):
                continue
            if place.min() < 0 or place.max() >= sizes[of] or len(np.unique(place)) < len(place):
                raise BadInput(
                    f"features/{FILE}", f"{of}s by {name}", "a place twice, or none", f"0 to {sizes[of] - 1}, each once"
                )
            at = np.full(sizes[of], -1)
            at[place] = np.arange(len(place))
            found[of][name] = part["group"].combine_chunks().take(pa.array(at, mask=at < 0))
    return found
