"""What a library that draws may get of rows: few of them, of types that it knows, and of values only the common ones.

A column becomes numbers or categories, or is left out with a reason. Categories of few rows, and those beyond a bound,
become one; of ids there is only how many rows share one. So no cost grows with how many values a column has, and no
picture holds a value that few rows have.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Kind = Literal["number", "category", "time", "id"]

CATEGORIES = 1_000
"""Categories that a column has at most, the folded one included."""
RARE = 10
"""Rows that a category has in one of the two samples, at least, to be named."""
COLUMNS = 100
"""Columns that are drawn, at most."""
FOLDED = "other (folded)"
LABEL = 40
"""Characters of a label, at most."""
PLAIN = str.maketrans({"<": "‹", ">": "›", "&": "+", '"': "'", "`": "'", "\\": "/", "$": "§"})
"""What opens something in HTML, in a script or in a picture's text -> what looks like it."""


def sample(batches: Iterable[pa.RecordBatch], most: int, seed: int = 0) -> pa.Table:
    """A uniform sample of at most `most` rows, in their order, in one pass over `batches` of one schema.

    The same rows and seed give the same sample, in whatever batches they come. About three times `most` rows and one
    batch are held. Without a batch it is a table without columns.
    """
    rng = np.random.default_rng(seed)
    kept: pa.Table | None = None
    keys, bar = np.empty(0), 1.0
    for batch in batches:
        drawn = rng.random(batch.num_rows)
        chosen = np.flatnonzero(drawn < bar)
        # A copy: a slice would hold on to its batch.
        part = pa.Table.from_batches([batch.take(pa.array(chosen))])
        kept = part if kept is None else pa.concat_tables([kept, part])
        keys = np.concatenate([keys, drawn[chosen]])
        if len(keys) > 2 * most:
            kept, keys = _least(kept, keys, most)
            bar = keys.max(initial=0.0)
    return pa.table({}) if kept is None else _least(kept, keys, most)[0]


def _least(rows: pa.Table, keys: np.ndarray, most: int) -> tuple[pa.Table, np.ndarray]:
    """The rows of the `most` least keys, in their order."""
    if len(keys) <= most:
        return rows, keys
    places = np.sort(np.argsort(keys, kind="stable")[:most])
    return rows.take(pa.array(places)).combine_chunks(), keys[places]


@dataclass
class Tamed:
    """Two samples of the same columns, numbers as float64 without infinity and categories as text.

    `notes` says of each column that is drawn what it became, `left` of each other why it is not; `missing` is the share
    of nulls of each side, infinities included.
    """

    reference: dict[str, pa.Array] = field(default_factory=dict)
    current: dict[str, pa.Array] = field(default_factory=dict)
    numbers: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    missing: dict[str, tuple[float, float]] = field(default_factory=dict)


class Untold(Exception):
    """Why a column is left out."""


def plain(value: str) -> str:
    """Text that opens nothing anywhere and has an end."""
    shown = "".join(c if c.isprintable() else "·" for c in value[: LABEL + 1].translate(PLAIN))
    return shown if len(shown) <= LABEL else shown[: LABEL - 1] + "…"


def tame(reference: pa.Table, current: pa.Table, kinds: Mapping[str, Kind], seed: int = 0) -> Tamed:
    """What may be drawn of two samples. A column without a kind, or on one side only, is left out and named."""
    tamed = Tamed()
    for name in dict.fromkeys([*reference.column_names, *current.column_names, *kinds]):
        label = unique(plain(name), tamed.notes | tamed.left)
        try:
            _column(tamed, label, name, reference, current, kinds, seed)
        except Untold as why:
            tamed.left[label] = str(why)
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as why:
            tamed.left[label] = f"cannot be read as what it was declared ({type(why).__name__})"
    return tamed


def unique(label: str, taken: Mapping[str, object]) -> str:
    """A label that is not taken yet."""
    number, free = 1, label
    while free in taken:
        number += 1
        free = f"{label} ({number})"
    return free


def _column(
    tamed: Tamed, label: str, name: str, reference: pa.Table, current: pa.Table, kinds: Mapping[str, Kind], seed: int
) -> None:
    if name not in kinds:
        raise Untold("no kind was declared")
    if kinds[name] not in get_args(Kind):
        raise Untold("no such kind")
    if len(tamed.notes) >= COLUMNS:
        raise Untold(f"{COLUMNS} columns are drawn before it")
    sides = []
    for side, table in (("reference", reference), ("current", current)):
        if table.column_names.count(name) != 1:
            raise Untold(f"not once in the {side} rows")
        found = table[name]
        found = found.combine_chunks() if found.num_chunks != 1 else found.chunk(0)
        found = found.dictionary_decode() if pa.types.is_dictionary(found.type) else found
        if pa.types.is_nested(found.type) or _bytes(found.type) and kinds[name] != "id":
            raise Untold(f"{side}: {found.type} has no picture")
        if found.null_count == len(found):
            raise Untold(f"{side}: nothing but nulls" if len(found) else f"{side}: no rows")
        sides.append(found)
    before, after = sides
    if kinds[name] == "category":
        before, after, note = _fold(_words(before), _words(after))
        tamed.categories.append(label)
    else:
        before, after, note = {"number": _numbers, "time": _times, "id": _shared}[kinds[name]](before, after, seed)
        for side, found in (("reference", before), ("current", after)):
            if found.null_count == len(found):
                raise Untold(f"{side}: nothing but nulls and infinities")
        tamed.numbers.append(label)
    tamed.reference[label], tamed.current[label], tamed.notes[label] = before, after, note
    tamed.missing[label] = (before.null_count / len(before), after.null_count / len(after))


def _bytes(kind: pa.DataType) -> bool:
    looks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(look(kind) for look in looks)


def _float(found: pa.Array) -> pa.Array:
    """Numbers as float64; null for what is not finite."""
    kind = found.type
    if pa.types.is_boolean(kind):
        found = found.cast(pa.uint8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise Untold(f"{kind} is not a number")
    found = found.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_finite(found), found, pa.scalar(None, pa.float64()))


def _numbers(before: pa.Array, after: pa.Array, _: int) -> tuple[pa.Array, pa.Array, str]:
    found = _float(before), _float(after)
    lost = sum(b.null_count - a.null_count for a, b in zip((before, after), found, strict=True))
    return *found, "numbers" + (f", {lost:,} that are not finite left out" if lost else "")


def _times(before: pa.Array, after: pa.Array, _: int) -> tuple[pa.Array, pa.Array, str]:
    """Seconds from the middle of the reference: a time of day or year has too many digits to be told by a rounded one.

    Of integers the unit is not known: they are taken as they are, so that a change of unit is seen.
    """
    clocks = [pa.types.is_temporal(side.type) and not pa.types.is_duration(side.type) for side in (before, after)]
    if clocks[0] != clocks[1]:
        raise Untold(f"{before.type} became {after.type}")
    if clocks[0]:
        before, after = (_seconds(side) for side in (before, after))
    before, after = _float(before), _float(after)
    valid = before.drop_null()
    if not len(valid):
        raise Untold("reference: nothing but nulls and infinities")
    middle = pa.scalar(float(np.median(valid.to_numpy())))
    unit = "seconds" if clocks[0] else "units"
    return pc.subtract(before, middle), pc.subtract(after, middle), f"{unit} from the middle of the reference"


def _seconds(found: pa.Array) -> pa.Array:
    if pa.types.is_time(found.type):
        ticks = found.cast(pa.time64("us") if found.type.bit_width == 64 else pa.time32("ms"), safe=False)
        return pc.divide(ticks.cast(pa.int64() if found.type.bit_width == 64 else pa.int32()).cast(pa.float64()),
                         1e6 if found.type.bit_width == 64 else 1e3)  # fmt: skip
    if pa.types.is_date(found.type):
        return pc.multiply(found.cast(pa.date32()).cast(pa.int32()).cast(pa.float64()), 86_400.0)
    per = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[found.type.unit]
    return pc.divide(found.cast(pa.int64()).cast(pa.float64(), safe=False), per)


def _shared(before: pa.Array, after: pa.Array, seed: int) -> tuple[pa.Array, pa.Array, str]:
    """For each row how many rows of its side have its id, among as many rows on either side: else they do not compare.

    Rows of the longer side that are not among them are null.
    """
    rows = min(len(before), len(after))
    counts = []
    for side in (before, after):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(side))[:rows])
        ids = side.take(pa.array(chosen)).dictionary_encode().indices
        known = ids.is_valid().to_numpy(zero_copy_only=False)
        codes = ids.drop_null().to_numpy()
        found = np.full(len(side), np.nan)
        found[chosen[known]] = np.bincount(codes)[codes] if len(codes) else 0
        counts.append(pa.array(found, from_pandas=True))
    return counts[0], counts[1], f"an id: rows of the same id among {rows:,}; the ids themselves are nowhere"


def _words(found: pa.Array) -> pa.Array:
    if pa.types.is_temporal(found.type) and not pa.types.is_date(found.type):
        found = found.cast(pa.int64() if found.type.bit_width == 64 else pa.int32())
    return found.cast(pa.large_string())


def _fold(before: pa.Array, after: pa.Array) -> tuple[pa.Array, pa.Array, str]:
    """Categories of `RARE` rows on either side, the most frequent `CATEGORIES` - 1 of them; the others as one."""
    both = pa.chunked_array([before, after]).dictionary_encode().unify_dictionaries()
    values = both.chunk(0).dictionary
    codes = [chunk.indices for chunk in both.chunks]
    counts = np.array([np.bincount(side.drop_null().to_numpy(), minlength=len(values)) for side in codes])
    common = np.flatnonzero(counts.max(axis=0) >= RARE)
    order = common[np.argsort(-counts.sum(axis=0)[common], kind="stable")]
    chosen = order if len(order) == len(values) <= CATEGORIES else order[: CATEGORIES - 1]
    labels: dict[str, int] = {FOLDED: 0}
    to = np.zeros(len(values), np.int64)
    for code in chosen.tolist():
        # Two values that look alike stay two.
        label = unique(plain(values[code].as_py()), labels)
        to[code] = labels[label] = len(labels)
    names, places = pa.array(list(labels)), pa.array(to)
    told = [names.take(places.take(side)) for side in codes]
    folded = len(values) - len(chosen)
    return *told, "categories" + (f"; {folded:,} rare ones folded into one" if folded else "")
