"""What every figure is made of: for each user hits, recall, nDCG and what the list shows; joined in order of the rows.

Batches are measured alone and put together, so that how rows fall into batches changes no figure. How popular an item
is, is known when all are read; so the lists of all users are kept, of 4 k + 40 bytes a user.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from security.errors import CannotTell
from security.gates.fairness.facts import DEPTH, LONGEST, METRICS, NAMES, Grouping, Name, Proxy
from security.material import Material
from security.rows import lists
from security.verdict import Subject

BATCH = 8192
"""Users that are measured at once."""
PREFIX = "group_"
_GROUPS: TypeAdapter[dict[Name, Grouping]] = TypeAdapter(dict[Name, Grouping])
_PROXY: TypeAdapter[dict[Name, Proxy]] = TypeAdapter(dict[Name, Proxy])
_INPUTS: TypeAdapter[list[str]] = TypeAdapter(list[str])


@dataclass(frozen=True)
class Told:
    """What a schema says of all rows. `inputs` is None where nobody told them."""

    items: int
    k: int
    floor: int
    depth: int
    groups: dict[Name, Grouping]
    proxy: dict[Name, Proxy]
    inputs: tuple[str, ...] | None


def told(schema: Any) -> Told:
    """What the columns and the metadata of a schema say; `CannotTell` where they are not as they should be."""
    given: Mapping[bytes, bytes] = schema.metadata or {}
    numbers = {}
    # Of several k the last, which is the length of the lists: a user is shown all of a list.
    last = given.get(b"k", b"").rpartition(b",")[2]
    for name, least, most in (("items", 4, 10**9), ("k", 2, 1000), ("floor", 1, 10_000), ("depth", 1, DEPTH)):
        value = last if name == "k" else given.get(name.encode(), b"")
        if not (value.isdigit() and len(value) < 11 and least <= int(value) <= most):
            raise CannotTell(f"the evaluation's schema has no `{name}` of {least} to {most:,}")
        numbers[name] = int(value)
    if numbers["items"] < 2 * numbers["k"]:
        raise CannotTell("the catalogue has fewer items than two lists: a list of nearly all of it tells nothing")
    try:
        groups = _GROUPS.validate_python(json.loads(given.get(b"groups", b"")))
        proxy = _PROXY.validate_python(json.loads(given.get(b"proxy", b"{}")))
        inputs = tuple(_INPUTS.validate_python(json.loads(given[b"inputs"]))) if b"inputs" in given else None
    except (ValidationError, ValueError):
        raise CannotTell("`groups`, `proxy` or `inputs` of the evaluation's schema cannot be read") from None
    many = pa.list_(pa.int32())
    wanted = {"user": pa.int32(), "held": many, "top_model": many}
    wanted |= {f"{PREFIX}{name}": pa.string() for name in groups}
    there = {each.name: each.type for each in schema}
    used = {name for name in there if name in wanted or name.startswith(PREFIX)}
    if len(there) != len(schema) or used != set(wanted) or any(there[name] != wanted[name] for name in wanted):
        raise CannotTell(f"the evaluation's columns are not {', '.join(wanted)}, as `groups` describes them")
    if unknown := sorted(set(proxy) - set(groups)):
        raise CannotTell(f"`proxy` tells of {unknown[0]}, of which there is no column")
    return Told(**numbers, groups=groups, proxy=proxy, inputs=inputs)


@dataclass(frozen=True)
class Part:
    """Rows of one batch: arrays of one entry a user with held-out items, but `user`, that has all.

    `tops`: users x k, int32, -1 where there is no item of the catalogue; `groups`: grouping -> Arrow strings; `items`
    that somebody holds, and how many do; `faults`: lists not of k, items that are there again, foreign items.
    """

    user: Any
    hits: Any
    recall: Any
    ndcg: Any
    tops: Any
    groups: dict[str, Any]
    items: Any
    holders: Any
    faults: tuple[int, int, int]


def measured(batch: Any, about: Told) -> Part:
    """What each user of a batch gets, by the definitions of precision@k, recall@k and nDCG@k with gains of 0 and 1."""
    if batch.column("user").null_count:
        raise CannotTell("the evaluation has empty cells")
    size, k = batch.num_rows, about.k
    rows, items, _ = lists.flat(batch.column("held"))
    again = ~lists.first(lists.keys(rows, items))
    outside = (items < 0) | (items >= about.items)
    kept = ~again & ~outside
    held = np.sort(lists.keys(rows[kept], items[kept]))
    wanted = np.bincount(held >> 32, minlength=size)
    some = wanted > 0
    users, shown, lengths = lists.flat(batch.column("top_model"))
    keys, rank = lists.keys(users, shown), lists.ranks(lengths)
    first, foreign = lists.first(keys), (shown < 0) | (shown >= about.items)
    hit = first & (rank < k) & ~foreign & lists.within(keys, held)
    gain = 1 / np.log2(np.arange(2, k + 2))
    hits = np.bincount(users[hit], minlength=size)[some]
    reached = np.bincount(users[hit], weights=gain[rank[hit]], minlength=size)[some]
    tops = np.full((size, k), -1, dtype=np.int32)
    good = (rank < k) & ~foreign
    tops[users[good], rank[good]] = shown[good]
    popular, holders = np.unique(held & 0xFFFFFFFF, return_counts=True)
    faults = int((lengths != k).sum()), int((~first).sum() + again.sum()), int(foreign.sum() + outside.sum())
    return Part(
        user=batch.column("user").to_numpy(),
        hits=hits,
        recall=hits / wanted[some],
        ndcg=reached / np.cumsum(gain)[np.minimum(wanted[some], k) - 1],
        tops=tops[some],
        groups={name: batch.column(f"{PREFIX}{name}").filter(pa.array(some)) for name in about.groups},
        items=popular,
        holders=holders,
        faults=faults,
    )


@dataclass(frozen=True)
class Users:
    """Users with held-out items. `values`: metric -> float64 of each; `codes`: grouping -> place in `names`, or -1."""

    values: dict[str, Any]
    codes: dict[str, Any]
    names: dict[str, list[str]]

    def only(self, kept: Any) -> "Users":
        """Some of them: a mask of one entry a user."""
        values = {name: each[kept] for name, each in self.values.items()}
        return replace(self, values=values, codes={name: each[kept] for name, each in self.codes.items()})


@dataclass(frozen=True)
class Tally:
    """Measured rows; `a + b` has those of both, in this order. That of nothing adds nothing."""

    about: Told | None = None
    parts: tuple[Part, ...] = ()

    def __add__(self, other: "Tally") -> "Tally":
        """`CannotTell` where the two are of other catalogues, groupings or floors."""
        if self.about is None or other.about is None:
            return self if other.about is None else other
        if self.about != other.about:
            raise CannotTell("the evaluation's batches are of different catalogues or groupings")
        return Tally(self.about, self.parts + other.parts)

    @property
    def user(self) -> Any:
        """The id of every row."""
        return np.concatenate([part.user for part in self.parts])

    @property
    def faults(self) -> tuple[int, int, int]:
        """Odd lists, repeated items, foreign items."""
        odd, again, foreign = (sum(each) for each in zip(*(part.faults for part in self.parts), strict=True))
        return odd, again, foreign

    def users(self) -> Users:
        """All users that have held-out items. `CannotTell` where names of groups are too many, too long or odd."""
        about, parts = self.about, self.parts
        if about is None or not parts:
            raise CannotTell("there is no user to look at", "coverage")
        holders = np.zeros(about.items, dtype=np.int64)
        for part in parts:
            np.add.at(holders, part.items, part.holders)
        hits = np.concatenate([part.hits for part in parts])
        surprise = np.append(np.log2((len(hits) + 1) / (holders + 1)), 0.0)
        weights = 1 / np.log2(np.arange(2, about.k + 2))
        # By columns, as a product with a matrix adds up in another order where there are other rows.
        shown = [sum(weight * surprise[part.tops[:, at]] for at, weight in enumerate(weights)) for part in parts]
        values = {
            "precision": hits / about.k,
            "recall": np.concatenate([part.recall for part in parts]),
            "ndcg": np.concatenate([part.ndcg for part in parts]),
            "exposure": np.concatenate(shown) / weights.sum(),
        }
        codes, names = {}, {}
        for name in sorted(about.groups):
            column = pa.chunked_array([part.groups[name] for part in parts], pa.string()).combine_chunks()
            coded = column.dictionary_encode()
            found = coded.dictionary.to_pylist()
            if len(found) > NAMES or any(not each or len(each) > LONGEST or not each.isprintable() for each in found):
                raise CannotTell(f"grouping {name} has more than {NAMES} groups, or names that are empty, long or odd")
            order = sorted(range(len(found)), key=found.__getitem__)
            places = np.append(np.argsort(order), -1)
            codes[name] = places[coded.indices.fill_null(len(found)).to_numpy()].astype(np.int64)
            names[name] = [found[at] for at in order]
        return Users({name: values[name] for name in METRICS}, codes, names)


def tally(batch: Any) -> Tally:
    """The tally of one Arrow batch of any size that fits in memory."""
    about = told(batch.schema)
    return Tally(about, (measured(batch, about),))


def counted(items: Iterable[Any]) -> Tally:
    """The tally of all batches, each measured in pieces of at most `BATCH` users."""
    total = Tally()
    for item in items:
        for start in range(0, max(item.num_rows, 1), BATCH):
            total += tally(item.slice(start, BATCH))
    return total


def material(subject: Subject, files: Sequence[Path], expected: int, *, floor: int, depth: int) -> Material[Any]:
    """The rows of the Parquet `files`, whose bytes the caller has checked; `expected` users as listed elsewhere.

    `floor` and `depth` are `k` and `depth` of the limits: a look knows no limits, and leaves out smaller groups.
    """

    def source() -> Iterator[Any]:
        try:
            for path in files:
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(batch_size=BATCH):
                        given = dict(batch.schema.metadata or {})
                        given |= {b"floor": str(floor).encode(), b"depth": str(depth).encode()}
                        yield batch.replace_schema_metadata(given)
        except (OSError, pa.ArrowException) as why:
            raise CannotTell(f"the evaluation cannot be read as Parquet ({type(why).__name__})") from None

    return Material(subject, source, expected=expected, unit="users", weigh=lambda batch: int(batch.num_rows), sample=1)
