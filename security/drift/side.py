"""Both sides of a comparison, and the scores that every column has."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from security.drift import floors
from security.drift.held import Held
from security.drift.levels import Levels, Score, scored
from security.drift.profile import Base, Number


class Part(NamedTuple):
    """What is compared are the rows of a `share` of as much time as the reference is of, one day's of 28, say. `fresh`:
    of each column of ids, how many are in no rows before; without the column where there are no rows before."""

    share: float
    fresh: Mapping[str, int]


class Sides(NamedTuple):
    """A column in the reference and now, the rows now in the reference's cells by part, and under what they are
    compared. `kish` is the larger one of both; `least` the rows below which the reference tells nothing apart. Of rows
    of a `part` of the time what grows with time is no more than in the reference; `fresh` ids are in no rows before.
    `own` is the users' column: each of them brings one value along."""

    then: Any
    now: Any
    held: dict[str, Held]
    levels: Levels
    kish: float
    least: int
    part: bool = False
    fresh: int | None = None
    own: bool = False

    def times(self, then: float, now: float) -> float:
        """How many times more, or fewer; of rows of a part only how many times more."""
        return ratio(then, now) if not self.part or now > then else 1.0


class Weighed(NamedTuple):
    """Scores; effective rows; what was left out; and why nothing can be told by these scores, if that is so."""

    scores: list[Score]
    rows: float
    left: str = ""
    blind: str = ""


def apart(one: float, other: float, effect: float) -> float:
    """1/n + 1/m for effective sizes; rows of both sides, at least one each."""
    return effect * (1 / max(one, 1) + 1 / max(other, 1))


def effective(one: float, other: float, effect: float) -> float:
    """Effective rows of the smaller side."""
    return min(one, other) / effect


def percent(share: float) -> str:
    """A share as people read it."""
    return f"{share * 100:.3g} %"


def shift(sides: Sides, name: str, what: str, counts: tuple[int, int], sizes: tuple[int, int], effect: float) -> Score:
    """The score of a share that was one thing and is another."""
    then, now = (count / size if size else 0.0 for count, size in zip(counts, sizes, strict=True))
    pooled = sum(counts) / max(sum(sizes), 1)
    floor = floors.share(pooled, apart(*sizes, effect))
    return scored(sides.levels, name, abs(now - then), floor, f"{what}: {percent(then)}, now {percent(now)}")


def ratio(then: float, now: float) -> float:
    """How many times more, or fewer; at least 1."""
    small, large = sorted((max(then, 1.0), max(now, 1.0)))
    return large / small


def always(sides: Sides) -> list[Score]:
    """The scores of type, nulls, and whatever is no value."""
    then: Base = sides.then
    now: Base = sides.now
    same = then.type == now.type
    words = f"type: {then.type}" if same else f"type: {then.type}, now {now.type}"
    found = [scored(sides.levels, "type", float(not same), 0.0, words)]
    read = then.rows - then.unread, now.rows - now.unread
    found.append(shift(sides, "missing", "nulls", (then.nulls, now.nulls), read, max(then.gaps, now.gaps)))
    if then.unread or now.unread:
        unread, rows = (then.unread, now.unread), (then.rows, now.rows)
        found.append(shift(sides, "unread", "rows that cannot be read", unread, rows, sides.kish))
    if isinstance(then, Number) and isinstance(now, Number):
        values = read[0] - then.nulls, read[1] - now.nulls
        odd = max(then.odd, now.odd)
        if then.nan or now.nan:
            found.append(shift(sides, "nan", "not a number", (then.nan, now.nan), values, odd))
        if then.infinite or now.infinite:
            found.append(shift(sides, "infinite", "infinite", (then.infinite, now.infinite), values, odd))
    return found


def many(sides: Sides, then: int, now: int, sizes: tuple[int, int], spread: tuple[float, float] | None = None) -> Score:
    """The score of the number of different values: it may grow as the rows do. `spread`: their variances, if known."""
    grown = sides.times(*sizes)
    each = max(min(sides.kish, max(sizes) / max(min(then, now), 1)), 1)
    both = zip(spread or (each * then, each * now), (then, now), strict=True)
    doubt = floors.SPREAD * sum(known / max(size, 1) ** 2 for known, size in both) ** 0.5
    words, more = f"different values: {then:,}, now {now:,}", sides.times(then, now)
    # Where only more would tell, there is no doubt that there are not more.
    chance = grown * (1 + doubt) if not sides.part or more > 1 else 1.0
    return scored(sides.levels, "distinct", more, chance, words)
