"""Who is in which group, from what the published features say of users; and how well embeddings tell it.

All groups are behavioural: made of what users were seen to do before the test, never of what they are. No column of the
rows says that, and none comes this far. The evaluation writes them, and the runner makes them again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import rankdata

from security.gates.fairness import PREFIX
from tasks.dataset import PARTS, Features
from tasks.recommender.fold import Weights, fold
from tasks.recommender.histories import Histories

FOLDS = 5
"""Parts of the users, each of which is predicted from the others."""
SHRUNK = 0.1
"""What the ridge adds to the variance of each standardised column."""
DIGITS = 6
"""Of a figure that is told."""
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


def _activity(found: Features, users: Ints) -> Flags:
    """Heavy users: more items than the median of those that are evaluated, before the test."""
    count = np.bincount(found.user[_before(found)], minlength=len(found.users))[users]
    return np.asarray(count > np.median(count))


def _tenure(found: Features, users: Ints) -> Flags:
    """New users: their first item is later than the median of those that are evaluated."""
    first = np.full(len(found.users), np.iinfo(np.int64).max)
    before = _before(found)
    np.minimum.at(first, found.user[before], found.time[before])
    order = np.sort(first[users])
    # The lower median, which is a time that was there: a mean of two is no whole number.
    return np.asarray(first[users] > order[(len(order) - 1) // 2])


def _before(found: Features) -> Flags:
    return np.asarray(found.part != PARTS.index("test"))


_MADE: Mapping[str, tuple[Callable[[Features, Ints], Flags], tuple[str, str]]] = {
    "activity": (_activity, ("light", "heavy")),
    "tenure": (_tenure, ("old", "new")),
}
BEHAVIOURS = tuple(_MADE)
"""What users can be grouped by."""


def columns(found: Features, users: Ints, named: Sequence[str]) -> dict[str, pa.Array]:
    """For each of the `BEHAVIOURS` named a column of the scores: the group of each of `users`, which are indices."""
    made = {}
    for name in named:
        of, (no, yes) = _MADE[name]
        made[f"{PREFIX}{name}"] = pa.array(np.where(of(found, users), yes, no).tolist(), pa.string())
    return made


def told(found: Features, groups: Mapping[str, pa.Array], weights: Weights, seen: Histories) -> dict[str, str]:
    """What the scores' schema says of `groups`, its columns: which they are, every column that training was given, and
    how well the embeddings of the users, whose histories are `seen`, predict each."""
    embedded = fold(weights, seen).astype(np.float64)
    names = {column.removeprefix(PREFIX): each.to_numpy(zero_copy_only=False) for column, each in groups.items()}
    areas = {name: (auc(embedded, each), len(each)) for name, each in names.items()}
    proxy = {name: {"auc": area, "users": users} for name, (area, users) in areas.items() if area is not None}
    said: dict[str, Any] = {
        "groups": dict.fromkeys(sorted(names), "behavioural"),
        "inputs": list(found.columns),
        "proxy": proxy,
    }
    return {name: json.dumps(value, sort_keys=True) for name, value in said.items()}


def auc(embedded: NDArray[np.float64], groups: NDArray[Any]) -> float | None:
    """How well embeddings [users, width] tell the two groups apart, as the area under the ROC curve; 0.5 is chance.

    Each user is predicted by a ridge regression on the others' folds, so that no user is told from itself. None where
    there are not two groups with a user for each fold.
    """
    there, place, count = np.unique(groups, return_inverse=True, return_counts=True)
    if len(there) != 2 or count.min() < FOLDS:
        return None
    # One user after the other of each group: every fold has both.
    part = np.empty(len(groups), dtype=np.int64)
    for group in range(2):
        part[place == group] = np.arange(count[group]) % FOLDS
    scored = np.empty(len(groups))
    for each in range(FOLDS):
        known = part != each
        centre, spread = embedded[known].mean(axis=0), embedded[known].std(axis=0)
        plain = (embedded - centre) / np.where(spread > 0, spread, 1.0)
        wanted = place[known] - place[known].mean()
        square = plain[known].T @ plain[known] + SHRUNK * known.sum() * np.eye(plain.shape[1])
        scored[~known] = plain[~known] @ np.linalg.solve(square, plain[known].T @ wanted)
    ranks = rankdata(np.round(scored, 12))
    over = float(ranks[place == 1].sum()) - count[1] * (count[1] + 1) / 2
    return round(float(over / (count[0] * count[1])), DIGITS)
