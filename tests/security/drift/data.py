"""Logs made from a seed, of rows drawn one by one or of users who each have their own ways."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from security.drift.compare import compare
from security.drift.levels import Drift, Levels
from security.drift.profile import Reference, Spec
from security.drift.sketch import Facts, Sketch, planned

SECRET = bytes(range(32))
ROLES = {"user": "id", "item": "category", "kind": "category", "stars": "category", "at": "time"}
EVENTS, ALIKE = 50, 0.3
"""Rows of each user, and the share of the variance that lies between users."""


def log(rows: int, seed: int, clustered: bool, items: int = 400) -> pa.Table:
    """Columns of every role. Of clustered rows each user has 50, alike in every column."""
    draw = np.random.default_rng(seed)
    user = np.arange(rows) // EVENTS if clustered else np.arange(rows)
    draw.shuffle(user)

    def normal() -> NDArray[np.float64]:
        alone = draw.standard_normal(rows)
        if not clustered:
            return alone
        return ALIKE**0.5 * draw.standard_normal(user.max() + 1)[user] + (1 - ALIKE) ** 0.5 * alone

    def chosen(shares: NDArray[np.float64]) -> NDArray[np.int64]:
        own = draw.choice(len(shares), user.max() + 1, p=shares)[user]
        alone = draw.choice(len(shares), rows, p=shares)
        return np.where(draw.random(rows) < ALIKE**0.5, own, alone) if clustered else alone

    zipf = 1 / np.arange(1, items + 1) ** 0.9
    height, gap, near = normal(), normal(), normal()
    table = {
        "user": pa.array(np.char.add(f"u{seed}-", user.astype(str))),
        "item": pa.array(np.char.add("i", chosen(zipf / zipf.sum()).astype(str))),
        "kind": pa.array(np.array(["view", "click", "cart", "buy"])[chosen(np.array([0.7, 0.2, 0.07, 0.03]))]),
        "stars": pa.array(chosen(np.array([0.05, 0.1, 0.2, 0.4, 0.25])) + 1),
        "height": pa.array(height, mask=gap < -1.6),
        "price": pa.array(np.exp(near + 3)),
        "wait": pa.array(np.where(normal() > 0.5, 0.0, np.abs(normal()) * 30)),
        "clicks": pa.array(np.floor(np.exp(normal())).astype(np.int64)),
        "at": pa.array((1.7e9 + 86_400 * (20 * draw.random(rows) // 1 + (normal() / 8) % 1)).astype(np.int64)),
    }
    return pa.table(table)


def spec(table: pa.Table) -> Spec:
    """The spec of such a log."""
    roles = {name: role for name, role in ROLES.items() if name in table.column_names}
    pairs = (("kind", "stars"),) if {"kind", "stars"} <= set(table.column_names) else ()
    return planned(table.schema, roles, "user" if "user" in roles else "", pairs)


def facts(table: pa.Table, reference: Reference | None = None, under: Spec | None = None, rows: int = 65_536) -> Facts:
    """The facts of a table, in batches of so many rows."""
    under = under or (reference.spec if reference else spec(table))
    sketch = Sketch(SECRET, under, reference)
    for batch in table.to_batches(max_chunksize=rows):
        sketch.add(batch)
    return sketch.facts()


def drift(then: pa.Table, now: pa.Table, levels: Levels | None = None, under: Spec | None = None) -> Drift:
    """What moved between two tables."""
    reference = facts(then, under=under).profile
    return compare(reference, facts(now, reference), levels)
