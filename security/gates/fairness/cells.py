"""Sufficient statistics of groups: users, mean and variance by one count each, and which of them are told."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from security.errors import CannotTell
from security.gates.fairness.facts import CROSS, METRICS, POOL, ROUND, Group, Grouping, Moments, Seen
from security.gates.fairness.hide import crossed, kept, pooled
from security.gates.fairness.tally import Users

MOST = 100_000
"""Intersections of two groupings, at most."""


def means(codes: Any, values: Mapping[str, Any], groups: int) -> tuple[Any, dict[str, Any]]:
    """Users of each group, and the mean of each metric: NaN where a group has none. `codes` are 0 to groups - 1."""
    counts = np.bincount(codes, minlength=groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        return counts, {name: np.bincount(codes, each, groups) / counts for name, each in values.items()}


def moments(codes: Any, values: Mapping[str, Any], groups: int) -> tuple[Any, dict[str, tuple[Any, Any]]]:
    """Users of each group; mean and variance of each metric. Variances are taken about the mean of all."""
    counts, found = means(codes, values, groups)
    both = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, each in values.items():
            middle = float(each.mean())
            apart = each - middle
            apart *= apart
            spread = np.bincount(codes, apart, groups) / counts - (found[name] - middle) ** 2
            both[name] = found[name], np.maximum(spread, 0.0)
    return counts, both


def shown(users: Users, floor: int) -> Users:
    """The users that figures are made of."""
    size = len(users.values[METRICS[0]])
    return users.only(kept(users.codes, {name: len(each) for name, each in users.names.items()}, size, floor))


def _group(grouping: str, name: str, at: int, counts: Any, found: Mapping[str, tuple[Any, Any]]) -> Group:
    metrics = {
        metric: Moments(mean=float(found[metric][0][at]), variance=float(found[metric][1][at])) for metric in METRICS
    }
    return Group(grouping=grouping, name=name, users=int(counts[at]) // ROUND * ROUND, metrics=metrics)


def _share(part: int, whole: int) -> float:
    """Rounded up, so that a size cannot be had from it."""
    return min(math.ceil(100 * part / whole) / 100, 1.0) if whole else 1.0


def told(users: Users, kinds: Mapping[str, Grouping], floor: int, depth: int) -> tuple[Group, dict[str, Seen], Any]:
    """The whole, each grouping, and each group that is large enough; `CannotTell` where too few users are left."""
    left, every = shown(users, floor), len(users.values[METRICS[0]])
    size = len(left.values[METRICS[0]])
    if size < floor:
        raise CannotTell(f"there are not {floor} users of whom figures can be told", "coverage")
    whole = _group("", "", 0, *moments(np.zeros(size, dtype=np.int64), left.values, 1))
    seen: dict[str, Seen] = {}
    groups: list[Group] = []
    large: dict[str, Any] = {}
    for name in sorted(kinds):
        code, names = left.codes[name], left.names[name]
        counts = np.bincount(users.codes[name] + 1, minlength=len(names) + 1)
        few = np.bincount(code[code >= 0], minlength=len(names)) < floor
        large[name] = np.flatnonzero(~few)
        groups += _line(name, left, few, floor)
        hidden = _share(int(counts[1:][few].sum()), every)
        kind: Literal["declared", "behavioural", "mixed"] = kinds[name]
        gone = tuple(each for each, is_few in zip(names, few, strict=True) if is_few)
        unknown = _share(int(counts[0]), every)
        seen[name] = Seen(kind=kind, groups=len(names), suppressed=gone, hidden=hidden, unknown=unknown)
    if depth > 1:
        for one in sorted(kinds):
            for other in sorted(kinds):
                if one < other:
                    pair, found = _pair(one, other, left, large, kinds, floor)
                    seen[f"{one}{CROSS}{other}"] = pair
                    groups += found
    return whole, seen, tuple(groups)


def _line(name: str, left: Users, few: Any, floor: int) -> list[Group]:
    """Groups of one grouping, and the small ones together."""
    code, names = left.codes[name], left.names[name]
    known = code >= 0
    values = {metric: each[known] for metric, each in left.values.items()} if not known.all() else left.values
    code = code[known]
    # Small ones are one more group: nothing of each is ever worked out.
    merged = np.where(few, len(names), np.arange(len(names)))[code]
    if not len(code):
        return []
    counts, found = moments(merged, values, len(names) + 1)
    told = [_group(name, names[at], at, counts, found) for at in np.flatnonzero(~few).tolist()]
    if pooled(np.bincount(code, minlength=len(names)), floor):
        told.append(_group(name, POOL, len(names), counts, found))
    return told


def _pair(
    one: str, other: str, left: Users, large: Mapping[str, Any], kinds: Mapping[str, Grouping], floor: int
) -> tuple[Seen, list[Group]]:
    """Intersections of the groups that are told of; the rest of each grouping is the last row, and column."""
    rows, columns = large[one], large[other]
    shape = len(rows) + 1, len(columns) + 1
    if shape[0] * shape[1] > MOST:
        raise CannotTell(f"{one} and {other} have more than {MOST:,} intersections")
    places = []
    for name, kept_ in ((one, rows), (other, columns)):
        place = np.full(len(left.names[name]) + 1, len(kept_))
        place[kept_] = np.arange(len(kept_))
        places.append(place[left.codes[name]])
    cells = places[0] * shape[1] + places[1]
    table = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    hidden = crossed(table, floor)
    # A cell that is all of its row or column is that group: it is told of already.
    same = (table == table.sum(0, keepdims=True)) | (table == table.sum(1, keepdims=True))
    counts, found = moments(cells, left.values, table.size)
    names = [[left.names[name][at] for at in kept_] for name, kept_ in ((one, rows), (other, columns))]
    called = f"{one}{CROSS}{other}"
    groups, gone, lost = [], [], 0
    for row, column in np.argwhere(table[:-1, :-1] > 0).tolist():
        name = f"{names[0][row]}{CROSS}{names[1][column]}"
        if hidden[row, column]:
            gone.append(name)
            lost += int(table[row, column])
        elif not same[row, column]:
            groups.append(_group(called, name, row * shape[1] + column, counts, found))
    size = int(table.sum())
    outside = size - int(table[:-1, :-1].sum())
    kind: Literal["declared", "behavioural", "mixed"] = kinds[one] if kinds[one] == kinds[other] else "mixed"
    there = int((table[:-1, :-1] > 0).sum())
    return Seen(
        kind=kind, groups=there, suppressed=tuple(gone), hidden=_share(lost, size), unknown=_share(outside, size)
    ), groups
