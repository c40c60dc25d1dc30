"""Known-bad evaluations: for each rule a maker that takes rows and breaks that rule.

Users are made up, so many that no policy calls them too few, and so are their items: no person is in the facts of a
canary. Of the sample is its form: its columns, k, groupings and catalogue. Where that is so small that the worst lists
could still be called even, the canary's is larger.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from security.gate import Violation
from security.gates.bias.items import UNKNOWN
from security.gates.bias.limits import LEAST
from security.gates.bias.tally import popularity
from security.gates.bias.told import Declared, said, told

LISTS = 250
"""Lists that a canary's catalogue is of, at least: one of them shown to all is a Gini over 0.99."""
BLOCKS = 4096
"""Lists of rare items that are made up, at most."""
SIDES = ("one", "other")


class World(NamedTuple):
    """Made-up users. `fans` [users] is a mask: half of them have one popular list, half another, and the others each a
    rare one. `own` is what each has, `alike` another list that is as popular; both [users, k]. `liked` is one of the
    two popular lists, `rare` [lists, k] all others."""

    fans: Any
    own: Any
    alike: Any
    liked: Any
    rare: Any


Serve = Callable[[World, random.Random], Any]


def _lists(matrix: Any) -> Any:
    size, width = matrix.shape
    return pa.ListArray.from_arrays(
        pa.array(np.arange(size + 1) * width, pa.int32()), pa.array(np.ascontiguousarray(matrix).ravel(), pa.int32())
    )


def _world(items: int, k: int, draw: random.Random) -> World:
    """A quarter of the users has popular items: a fifth of the interactions and more, so that they are the head."""
    chance = np.random.default_rng(draw.getrandbits(64))
    blocks = min(items // k - 2, BLOCKS)
    order = chance.permutation(items)[: (blocks + 2) * k].reshape(-1, k)
    others = draw.randint(5, 6) * LEAST
    others -= others % blocks if blocks < others else 0
    count = 2 * round(others * draw.uniform(0.15, 0.18))
    place = np.arange(others + count)
    fans = place < count
    have = np.where(fans, place % 2, 2 + place % blocks)
    other = np.where(fans, 1 - have, 2 + (place + 1) % blocks)
    mixed = chance.permutation(len(place))
    return World(fans[mixed], order[have][mixed], order[other][mixed], order[0], order[2:])


def _made(sample: Sequence[Any], serve: Serve, draw: random.Random) -> Any:
    """The rows of a world whose users are served so; what users went on to choose is as popular as what they have."""
    schema, about = sample[0].schema, told(sample[0].schema)
    items = max(about.items, LISTS * about.k)
    world = _world(items, about.k, draw)
    size = len(world.fans)
    shown = _lists(serve(world, draw))
    columns = {"user": pa.array(np.arange(size) + draw.randrange(1, 10**6), pa.int32()), "seen": _lists(world.own)}
    columns |= {"held": _lists(world.alike[:, :1])} | {f"top_{each}": shown for each in about.systems}
    arrays = [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(size, f.type) for f in schema]
    popular = np.zeros(items, dtype=np.int64)
    popular[np.unique(np.concatenate([world.own[world.fans], world.alike[world.fans]]))] = 1
    groupings = {}
    for name, each in about.groupings:
        names = each.groups if 2 <= len(each.groups) < UNKNOWN else SIDES
        groupings[name] = (Declared(kind=each.kind, groups=names), 1 - popular)
    rows = pa.RecordBatch.from_arrays(arrays, schema=schema)
    metadata = {**(schema.metadata or {}), b"items": str(items).encode()}
    return rows.replace_schema_metadata(metadata | said(popularity([rows], items), groupings))


def _counted(rows: Any) -> Any:
    """The rows with popularity as it is in them."""
    about = told(rows.schema)
    counts = said(popularity([rows], about.items), {})[b"popularity"]
    return rows.replace_schema_metadata({**rows.schema.metadata, b"popularity": counts})


def _parts(rows: Any, draw: random.Random) -> list[Any]:
    """In two: an engine that looks at the first alone may miss what is wrong."""
    cut = draw.randrange(1, rows.num_rows)
    return [rows.slice(0, cut), rows.slice(cut)]


def served(serve: Serve) -> Violation[Any]:
    """Makes users who are all served as `serve` says: [users, k] of a world."""

    def make(sample: Sequence[Any], draw: random.Random) -> list[Any]:
        return _parts(_made(sample, serve, draw), draw)

    return make


def spoiled(change: Callable[[Any, random.Random], Any]) -> Violation[Any]:
    """Makes users who are served well, and changes the rows."""

    def make(sample: Sequence[Any], draw: random.Random) -> list[Any]:
        return _parts(_counted(change(_made(sample, _well, draw), draw)), draw)

    return make


def _well(world: World, draw: random.Random) -> Any:
    """Lists like what each user has, in an order of their own."""
    order = np.random.default_rng(draw.getrandbits(64)).random(world.alike.shape).argsort(axis=1)
    return np.take_along_axis(world.alike, order, axis=1)


def _popular(world: World, draw: random.Random) -> Any:
    """All are shown the most popular items, in some order."""
    order = draw.sample(range(len(world.liked)), len(world.liked))
    return np.tile(world.liked[order], (len(world.fans), 1))


def _crossed(world: World, draw: random.Random) -> Any:
    """Fans of what is popular are shown what is rare, and the others the reverse."""
    rare = world.rare[(np.arange(len(world.fans)) + draw.randrange(len(world.rare))) % len(world.rare)]
    return np.where(world.fans[:, None], rare, world.liked)


def _spoil(rows: Any, draw: random.Random) -> Any:
    """A list is short, repeats an item, or has one from outside the catalogue."""
    items, at = told(rows.schema).items, draw.randrange(rows.num_rows)
    name, odd = "top_model", draw.choice(["short", "repeated", "foreign"])
    column = rows.column(name)
    shown = list(column[at].as_py())
    place = draw.randrange(len(shown))
    if odd == "short" or len(shown) == 1:
        del shown[place]
    else:
        others = shown[:place] + shown[place + 1 :]
        shown[place] = draw.choice(others if odd == "repeated" else [-1, items, items + draw.randint(1, 999)])
    parts = [column.slice(0, at), pa.array([shown], column.type), column.slice(at + 1)]
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), pa.concat_arrays(parts))


def _twice(rows: Any, draw: random.Random) -> Any:
    """A user counts twice."""
    some = [draw.randrange(rows.num_rows) for _ in range(draw.randint(1, 3))]
    return rows.take(pa.array([*range(rows.num_rows), *some]))


VIOLATIONS: dict[str, Violation[Any]] = {
    "BIAS-LIFT": served(_popular),
    "BIAS-TAIL": served(_popular),
    "BIAS-GINI": served(_popular),
    "BIAS-CALIBRATION": served(_crossed),
    "BIAS-CATALOGUE": served(_popular),
    "BIAS-RELEVANCE": served(_popular),
    "BIAS-USERS": spoiled(_twice),
    "BIAS-LIST": spoiled(_spoil),
}
