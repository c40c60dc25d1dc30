"""The transformations of cleaning: of whole accounts, which rows stay; and who is taken for a bot, and why.

A suspect is told of by a keyed hash, rows and signs, never by id.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from security.rows.accounts import Bots, measure, signs
from tasks.parts import Mask, Part


def hidden(user: str, key: bytes) -> str:
    """The keyed hash by which a side file tells of a user."""
    return hmac.new(key, b"suspect\0" + user.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Suspect:
    """An account that shows signs of a bot."""

    user: str
    rows: int
    signs: tuple[str, ...]

    def told(self, key: bytes) -> dict[str, object]:
        """What a side file tells of it."""
        return {"user": hidden(self.user, key), "rows": self.rows, "signs": self.signs}


@dataclass
class Watch:
    """What is known while accounts pass: the catalogue's size, who was found before and who now, and with what signs.

    `widest` is the most different items of one day of anybody who stays.
    """

    bots: Bots
    catalogue: int
    before: dict[str, tuple[str, ...]] = field(default_factory=dict)
    found: list[Suspect] = field(default_factory=list)
    widest: int = 0


def deduplicate(part: Part, stay: Mask, _: Watch) -> Mask:
    """Each row once: two rows are one when user, item, type and time are the same. None where they say two groups."""
    return stay & ~part.twice & ~part.torn


def filter_bots(part: Part, stay: Mask, watch: Watch) -> Mask:
    """Without the rows of accounts that show a sign of a bot."""
    once = ~part.twice
    seen = measure(part.user[once], part.item.filter(pa.array(once)), part.time[once], watch.catalogue)
    shown = [signs(kind, watch.bots) for kind in seen.kinds]
    bad = np.array([bool(each) for each in shown])[seen.which]
    known = {index: watch.before[part.names[index].as_py()] for index in _among(part.names, watch.before)}
    bad[list(known)] = True
    sizes = np.bincount(part.user[stay], minlength=len(bad)).tolist()
    for index in np.flatnonzero(bad).tolist():
        why = known.get(index) or shown[seen.which[index]]
        watch.found.append(Suspect(part.names[index].as_py(), sizes[index], why))
    watch.widest = max(watch.widest, int(seen.broad[~bad].max(initial=0)))
    return np.asarray(stay & ~bad[part.user])


TRANSFORMATIONS: dict[str, Callable[[Part, Mask, Watch], Mask]] = {
    "deduplicate": deduplicate,
    "filter_bots": filter_bots,
}
"""What a document may name under `transformations`: of whole accounts, which rows of those that stayed stay."""


def _among(names: pa.StringArray, some: Mapping[str, object]) -> list[int]:
    """Where in `names` those of `some` stand."""
    if not some:
        return []
    found = pc.is_in(names, pa.array(some, pa.string()))
    return np.flatnonzero(found.to_numpy(zero_copy_only=False)).tolist()
