"""What a schema says of all rows: the catalogue, how long lists are, whose they are, and groups of items."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from security.errors import CannotTell
from security.gates.bias.facts import OTHERS, POPULARITY, Kind, Name, System
from security.gates.bias.items import Grouping, declared, popular
from security.verdict import Frozen

LARGEST = 4_000_000
"""Items of a catalogue, at most: what bounds memory."""
MOST = 100
"""The largest k."""
GROUPINGS = 8
"""Declared groupings, at most."""
OF = "of_"


class Declared(Frozen):
    """How a schema describes a grouping: its kind, and the names of its groups in order of their codes."""

    kind: Kind
    groups: tuple[str, ...]


_GROUPINGS: TypeAdapter[dict[Name, Declared]] = TypeAdapter(dict[Name, Declared])


@dataclass(frozen=True)
class Told:
    """`popularity`: bytes of a uint32 for each item; `codes`: grouping -> bytes of a uint8 for each item."""

    items: int
    k: int
    systems: tuple[System, ...]
    popularity: bytes
    groupings: tuple[tuple[str, Declared], ...]
    codes: tuple[bytes, ...]

    @property
    def counts(self) -> Any:
        """How many users have each item in `seen`."""
        return np.frombuffer(self.popularity, "<u4").astype(np.int64)

    def grouped(self) -> dict[str, Grouping]:
        """Every grouping by name, popularity first; `CannotTell` where one is not of this catalogue."""
        found = {POPULARITY: popular(self.counts)}
        for (name, said), codes in zip(self.groupings, self.codes, strict=True):
            found[name] = declared(name, said.kind, said.groups, codes, self.items)
        return found


def _size(given: Mapping[bytes, bytes]) -> tuple[int, int]:
    items, ks = given.get(b"items", b""), given.get(b"k", b"").split(b",")
    if not (items.isdigit() and len(items) < 10 and 0 < int(items) <= LARGEST):
        raise CannotTell(f"the evaluation's schema does not say how many items the catalogue has, up to {LARGEST:,}")
    if not all(k.isdigit() and len(k) < 4 and 1 <= int(k) <= MOST for k in ks) or ks != sorted(set(ks), key=int):
        raise CannotTell(f"the evaluation's schema does not say k, ascending, from 1 to {MOST}")
    if int(items) < 2 * int(ks[-1]):
        raise CannotTell("the catalogue has fewer items than two lists: a list of nearly all of it tells nothing")
    return int(items), int(ks[-1])


def columns(schema: Any) -> list[str]:
    """The columns of a schema that are looked at."""
    wanted = {"user", "held", "seen", "top_model", *(f"top_{each}" for each in OTHERS)}
    return [name for name in schema.names if name in wanted]


def told(schema: Any) -> Told:
    """What the columns and the metadata of a schema say; `CannotTell` where they are not as they should be."""
    given: Mapping[bytes, bytes] = schema.metadata or {}
    items, k = _size(given)
    many = pa.list_(pa.int32())
    systems: tuple[System, ...] = ("model", *(each for each in OTHERS if f"top_{each}" in schema.names))
    wanted = {"user": pa.int32(), "held": many, "seen": many} | {f"top_{each}": many for each in systems}
    there = [(each.name, each.type) for each in schema if each.name in wanted]
    if len(there) != len(wanted) or dict(there) != wanted:
        raise CannotTell(f"the evaluation's columns are not {', '.join(wanted)} of int32 and lists of int32")
    popularity = given.get(POPULARITY.encode(), b"")
    if len(popularity) != 4 * items:
        raise CannotTell("the evaluation's schema does not say how popular each item is")
    try:
        said = _GROUPINGS.validate_python(json.loads(given.get(b"groupings", b"{}")))
    except (ValidationError, ValueError):
        raise CannotTell("`groupings` of the evaluation's schema cannot be read") from None
    if len(said) > GROUPINGS:
        raise CannotTell(f"the evaluation has more than {GROUPINGS} groupings of items")
    groupings = tuple(sorted(said.items()))
    codes = tuple(given.get(f"{OF}{name}".encode(), b"") for name, _ in groupings)
    return Told(items, k, systems, popularity, groupings, codes)


def said(popularity: Any, groupings: Mapping[str, tuple[Declared, Any]]) -> dict[bytes, bytes]:
    """Metadata of these counts [items], and of these groupings: how each is described, and codes [items]."""
    found = {POPULARITY.encode(): np.asarray(popularity).astype("<u4").tobytes()}
    described = {name: each.model_dump(mode="json") for name, (each, _) in groupings.items()}
    found[b"groupings"] = json.dumps(described, sort_keys=True).encode()
    return found | {f"{OF}{n}".encode(): np.asarray(c).astype(np.uint8).tobytes() for n, (_, c) in groupings.items()}
