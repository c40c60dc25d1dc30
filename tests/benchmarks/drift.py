"""A log of numbers and categories, made from a seed: six columns, and a seventh of five thousand items."""

import numpy as np
import pyarrow as pa

ITEMS = 5_000
NUMERICAL = ("stars", "price", "wait", "at")
CATEGORICAL = ("kind", "device", "item")


def made(rows: int, seed: int, moved: float = 0.0) -> pa.Table:
    """Seven columns; prices are higher by a share of themselves."""
    draw = np.random.default_rng(seed)
    shares = 1 / np.arange(1, ITEMS + 1) ** 0.9
    return pa.table(
        {
            "stars": draw.integers(1, 6, rows),
            "price": draw.lognormal(3, 1, rows) * (1 + moved),
            "wait": draw.exponential(30, rows),
            "at": draw.integers(1_700_000_000, 1_701_000_000, rows),
            "kind": draw.choice(["view", "click", "cart", "buy"], rows, p=[0.7, 0.2, 0.07, 0.03]),
            "device": draw.choice(["ios", "android", "web"], rows),
            "item": np.char.add("B", draw.choice(ITEMS, rows, p=shares / shares.sum()).astype(str)),
        }
    )


def users(rows: int, different: int, seed: int) -> pa.Table:
    """Ids of so many users, and two columns beside them."""
    draw = np.random.default_rng(seed)
    user = draw.permutation(np.arange(rows) % different)
    return pa.table(
        {
            "user": np.char.add("u", user.astype(str)),
            "session": np.char.add("s", user.astype(str)),
            "price": draw.lognormal(3, 1, rows),
        }
    )
