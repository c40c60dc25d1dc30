"""Which groups are not told of, so that none below the floor can be had, by subtraction from the others either.

Of one grouping: a user whose group is small, or unknown, is left out of every figure where these users are too few to
be told of as one. What is left adds up to figures of groups that are large enough, or of the small ones together. Of
two groupings crossed: as long as one row or column would give a small cell away, its next smallest is hidden as well,
and so for a cell that rows and columns together determine: in the graph whose vertices are rows and columns and whose
edges are hidden cells, such a cell is a bridge (Gusfield 1988, A graph theoretic approach to statistical data
security). Sums over several lines are not looked at beyond that.
"""

from typing import Any

import numpy as np


def small(counts: Any, floor: int) -> Any:
    """Groups that somebody is in, and that are below the floor."""
    return (counts > 0) & (counts < floor)


def pooled(counts: Any, floor: int) -> bool:
    """Whether the small ones can be told of together: two or more, that reach the floor."""
    few = small(counts, floor)
    return int(few.sum()) > 1 and int(counts[few].sum()) >= floor


def kept(codes: dict[str, Any], sizes: dict[str, int], users: int, floor: int) -> Any:
    """Users that figures are made of, as a mask. `codes`: grouping -> group of each user, -1 for unknown."""
    stay = np.ones(users, dtype=bool)
    while True:
        before = int(stay.sum())
        for name, code in codes.items():
            counts = np.bincount(code[stay] + 1, minlength=sizes[name] + 1)
            unknown, counts = counts[0], counts[1:]
            if 0 < unknown < floor:
                stay &= code >= 0
            few = small(counts, floor)
            if few.any() and not pooled(counts, floor):
                stay &= ~np.append(few, False)[code]
        if int(stay.sum()) == before:
            return stay


def crossed(table: Any, floor: int) -> Any:
    """Cells that are hidden, of a table whose last row and column hold what is told of in no other.

    Those are never told of. `table` has counts, rows x columns.
    """
    hidden = small(table, floor)
    hidden[-1] |= table[-1] > 0
    hidden[:, -1] |= table[:, -1] > 0
    lines: list[Any] = [(row, slice(None)) for row in range(table.shape[0])]
    lines += [(slice(None), column) for column in range(table.shape[1])]
    while sum(_shut(line, table, hidden, floor) for line in lines) or _cut(table, hidden, floor):
        continue
    return hidden


def _shut(line: Any, table: Any, hidden: Any, floor: int) -> int:
    """Hide the smallest of a line until what is hidden of it reaches the floor; how many were."""
    counts, gone = table[line], hidden[line]
    before = int(gone.sum())
    for at in np.argsort(counts, kind="stable"):
        if not 0 < int(counts[gone].sum()) < floor:
            break
        gone[at] |= counts[at] > 0
    return int(gone.sum()) - before


def _cut(table: Any, hidden: Any, floor: int) -> int:
    """Hide one more cell beside each small one that rows and columns determine; how many were."""
    done = 0
    for row, column in bridges(hidden):
        if table[row, column] < floor:
            for counts, gone in ((table[row], hidden[row]), (table[:, column], hidden[:, column])):
                free = np.flatnonzero(~gone & (counts > 0))
                if len(free):
                    gone[free[np.argmin(counts[free])]] = True
                    done += 1
                    break
    return done


def bridges(hidden: Any) -> list[tuple[int, int]]:
    """Hidden cells that are on no cycle of rows and columns: each is known to who knows all sums (Tarjan 1974)."""
    rows, columns = hidden.shape
    near: list[list[int]] = [[] for _ in range(rows + columns)]
    for row, column in np.argwhere(hidden).tolist():
        near[row].append(rows + column)
        near[rows + column].append(row)
    at = [0] * len(near)
    low = [0] * len(near)
    found, count = [], 0
    for start in range(len(near)):
        if at[start]:
            continue
        count += 1
        at[start] = low[start] = count
        stack = [(start, -1, iter(near[start]))]
        while stack:
            here, came, ways = stack[-1]
            for other in ways:
                if not at[other]:
                    count += 1
                    at[other] = low[other] = count
                    stack.append((other, here, iter(near[other])))
                    break
                if other != came:
                    low[here] = min(low[here], at[other])
            else:
                stack.pop()
                if came >= 0:
                    low[came] = min(low[came], low[here])
                    if low[here] > at[came]:
                        found.append((min(here, came), max(here, came) - rows))
    return found
