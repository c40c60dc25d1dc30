"""Who is in which group, from what the published features say of users; and how well embeddings tell it.

Behavioural groups are made of what users were seen to do before the test; declared ones are what rows say of them, as
the contract lists it. The evaluation writes both, and the runner makes them again. Groups of items are declared alone.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import rankdata

from security.gates.bias import UNKNOWN, Declared
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


def columns(found: Features, users: Ints, named: Mapping[str, str]) -> dict[str, pa.Array]:
    """For each grouping, which is of some kind, a column of the scores: the group of each of `users`, which are
    indices; null where nobody knows it."""
    made = {}
    for name, kind in named.items():
        if kind == "declared":
            values = found.groups["user"].get(name, pa.nulls(len(found.users), pa.string())).take(pa.array(users))
        else:
            of, (no, yes) = _MADE[name]
            values = pa.array(np.where(of(found, users), yes, no).tolist(), pa.string())
        made[f"{PREFIX}{name}"] = values
    return made


def of_items(found: Features, named: Sequence[str]) -> dict[str, tuple[Declared, NDArray[np.uint8]]]:
    """Groupings of items as the gate over exposure takes them: how each is described, and codes [items]."""
    made = {}
    for name in named:
        coded = found.groups["item"].get(name, pa.nulls(len(found.items), pa.string())).dictionary_encode()
        names = sorted(coded.dictionary.to_pylist())
        places = np.array([*(names.index(each) for each in coded.dictionary.to_pylist()), UNKNOWN], dtype=np.uint8)
        codes = places[coded.indices.fill_null(len(names)).to_numpy()]
        made[name] = Declared(kind="declared", groups=tuple(names)), codes
    return made


def told(
    found: Features,
    groups: Mapping[str, pa.Array],
    kinds: Mapping[str, str],
    weights: Weights,
    seen: Histories,
    floor: int,
) -> dict[str, str]:
    """What the scores' schema says of `groups`, its columns: which `kinds` they are of, every column that training was
    given, and how well the embeddings of the users, whose histories are `seen`, predict each: of groups of at least
    `floor` users."""
    embedded = fold(weights, seen).astype(np.float64)
    names = {column.removeprefix(PREFIX): each.to_numpy(zero_copy_only=False) for column, each in groups.items()}
    areas = {name: auc(embedded, each, floor) for name, each in names.items()}
    proxy = {name: {"auc": each[0], "users": each[1]} for name, each in areas.items() if each is not None}
    said: dict[str, Any] = {
        "groups": {name: kinds[name] for name in sorted(names)},
        "inputs": list(found.columns),
        "proxy": proxy,
    }
    return {name: json.dumps(value, sort_keys=True) for name, value in said.items()}


def auc(embedded: NDArray[np.float64], groups: NDArray[Any], floor: int = FOLDS) -> tuple[float, int] | None:
    """How well embeddings [users, width] tell a group, as the area under the ROC curve, and of how many users.

    Of two groups 0.5 is chance. Of more it is that of the one that is best told from all others, which a mean would
    hide; the best of many is above 0.5 by chance too, of twenty groups of fifty users about 0.6. Each user is
    predicted by a ridge regression on the others' folds, so that no user is told from itself. Users of whom nobody
    knows the group, and groups of fewer than `floor` users, are left out. None where there are not two groups then.
    """
    known = np.array([each is not None for each in groups], dtype=bool)
    _, place, count = np.unique(groups[known].astype(str), return_inverse=True, return_counts=True)
    large = (count >= max(floor, FOLDS))[place]
    embedded = embedded[known][large]
    there, place = np.unique(place[large], return_inverse=True)
    if len(there) < 2:
        return None
    scored = _scored(embedded, place, len(there))
    areas = [_area(scored[:, each], place == each) for each in range(1 if len(there) == 2 else 0, len(there))]
    return round(max(areas), DIGITS), len(place)


def _scored(embedded: NDArray[np.float64], place: Ints, groups: int) -> NDArray[np.float64]:
    """Of each user a score for each group [users, groups], by regressions on the other folds."""
    part = np.empty(len(place), dtype=np.int64)
    for group in range(groups):  # one user after the other of each group: every fold has all
        mine = place == group
        part[mine] = np.arange(mine.sum()) % FOLDS
    scored = np.empty((len(place), groups))
    wanted = np.eye(groups)[place]
    for each in range(FOLDS):
        known = part != each
        centre, spread = embedded[known].mean(axis=0), embedded[known].std(axis=0)
        plain = (embedded - centre) / np.where(spread > 0, spread, 1.0)
        square = plain[known].T @ plain[known] + SHRUNK * known.sum() * np.eye(plain.shape[1])
        apart = wanted[known] - wanted[known].mean(axis=0)
        scored[~known] = plain[~known] @ np.linalg.solve(square, plain[known].T @ apart)
    return scored


def _area(scored: NDArray[np.float64], mine: Flags) -> float:
    """How often one of `mine` is scored higher than one of the others."""
    ranks, count = rankdata(np.round(scored, 12)), int(mine.sum())
    over = float(ranks[mine].sum()) - count * (count + 1) / 2
    return over / (count * (len(mine) - count))
