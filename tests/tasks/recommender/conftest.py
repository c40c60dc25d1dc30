"""The sample and MovieLens as pairs (user, item, time), and small models to work on."""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deployments.lake import sample
from tasks.recommender.histories import Histories, histories
from tasks.recommender.split import Split, pairs, temporal

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Interactions:
    """First occurrences of pairs, as indices into the shape (users, items)."""

    user: Ints
    item: Ints
    time: Ints
    shape: tuple[int, int]
    rating: NDArray[np.float64] | None = None
    """How much the user liked it, where that is known."""

    def matrix(self, mask: NDArray[np.bool_]) -> Histories:
        """The chosen pairs as histories."""
        return histories(self.user[mask], self.item[mask], self.shape)


@dataclass(frozen=True, eq=False)
class Parts:
    """A split as histories; `seen` is train and validation together."""

    train: Histories
    validation: Histories
    test: Histories
    seen: Histories


@pytest.fixture(scope="session")
def parts() -> Callable[[Interactions], Parts]:
    """The split of the measurements: a fifth for the test, a tenth of the rest for early stopping."""

    def make(data: Interactions) -> Parts:
        split: Split = temporal(data.user, data.item, data.time, test=0.2, validation=0.1)
        return Parts(
            train=data.matrix(split.train),
            validation=data.matrix(split.validation),
            test=data.matrix(split.test),
            seen=data.matrix(split.train | split.validation),
        )

    return make


@pytest.fixture(scope="session")
def lake() -> Interactions:
    """The sample's humans; users are numbered in the order of their ids, as the oracle has them."""
    bots = sample.truth().bots
    bodies = (body for key, body in sample.partitions() if key.startswith(sample.PREFIX))
    rows = [row for body in bodies for row in map(json.loads, gzip.decompress(body).splitlines())]
    rows = [row for row in rows if row["user_id"] not in bots]
    user = np.unique([row["user_id"] for row in rows], return_inverse=True)[1]
    item = np.array([int(row["item_id"][1:]) for row in rows])
    time = np.array([row["timestamp"][:-1] for row in rows], dtype="datetime64[s]").astype(np.int64)
    first = pairs(user, item, time)
    return Interactions(user[first], item[first], time[first], (1000, 800))


@pytest.fixture(scope="session")
def movielens() -> Interactions:
    """MovieLens' ml-latest-small, every rating counted as an interaction."""
    beside = Path(__file__).parents[3].parent / "shared"
    path = Path(os.environ.get("SLUICE_SHARED", beside)) / "data" / "ml-latest-small" / "ratings.csv"
    if not path.is_file():
        pytest.skip(f"MovieLens is not at {path}; set SLUICE_SHARED to the folder that holds data/ml-latest-small")
    with path.open(newline="") as file:
        told = list(csv.DictReader(file))
    user, item, time = (np.array([int(row[name]) for row in told]) for name in ("userId", "movieId", "timestamp"))
    users, user = np.unique(user, return_inverse=True)
    items, item = np.unique(item, return_inverse=True)
    first = pairs(user, item, time)
    rating = np.array([float(row["rating"]) for row in told])[first]
    return Interactions(user[first], item[first], time[first], (len(users), len(items)), rating)


@pytest.fixture
def weights() -> Callable[[int, int, int], dict[str, NDArray[np.float32]]]:
    """Random weights, biases included, for (items, width, seed)."""

    def make(items: int, width: int, seed: int) -> dict[str, NDArray[np.float32]]:
        rng = np.random.default_rng(seed)
        return {
            "encoder": rng.normal(size=(items, width)).astype(np.float32),
            "encoder_bias": rng.normal(size=width).astype(np.float32),
            "decoder": rng.normal(size=(width, items)).astype(np.float32),
            "decoder_bias": rng.normal(size=items).astype(np.float32),
        }

    return make


@pytest.fixture
def rows() -> Callable[..., Histories]:
    """Random histories for (users, items, share, seed); the first row is empty."""

    def make(users: int, items: int, share: float, seed: int) -> Histories:
        taken = np.random.default_rng(seed).random((users, items)) < share
        taken[0] = False
        user, item = np.nonzero(taken)
        return histories(user, item, (users, items))

    return make
