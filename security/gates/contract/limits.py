"""What a data contract and a policy allow of rows, and which rules a kind of row breaks under it."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal, Self

from pydantic import Field, model_validator

from security.gates.contract.kinds import CEILING, FLOOR, HIGHEST, LETTERS, RECENT, Group, Kind
from security.rows.accounts import Bots, signs
from security.rows.columns import Fault
from security.verdict import Frozen


class Volume(Frozen):
    """How many rows a partition has, against the median of up to `recent` before it, wherever there are `fewest`."""

    recent: int = Field(ge=1, le=RECENT)
    fewest: int = Field(ge=1, le=RECENT)
    lowest: float = Field(ge=0, le=1)
    highest: float = Field(ge=1, le=HIGHEST)


class Listed(Frozen):
    """A column that says a group, and the names that it may have."""

    name: str
    values: tuple[str, ...] = Field(min_length=2)


class ContractLimits(Frozen):
    """What a contract and a policy may set. The window is of whole days, both included; `skew` forgives minutes."""

    types: tuple[Literal["view", "click", "purchase", "rating"], ...] = Field(
        default=("view", "click", "purchase"), min_length=1
    )
    longest_id: Literal[8, 16, 32, 64, 128, 256] = 64
    letters: Literal["plain", "printable"] = "plain"
    groups: tuple[Listed, ...] = ()
    most_rejected: float = Field(default=0.0, ge=0, le=0.5)
    since: date | Literal[""]
    """Empty: every day from 1990 on."""
    until: date
    skew: Literal[0, 5] = 0
    min_rows: int = Field(default=1, ge=1)
    volume: Volume | None = None
    bots: Bots | None = None
    """Where accounts are judged: a set that was just fetched by their share of its rows, a cleaned one by each."""
    clean: bool = False
    """A set in which nothing is to be rejected any more, and no row is repeated."""

    @model_validator(mode="after")
    def _window(self) -> Self:
        if not FLOOR <= (self.since or FLOOR) <= self.until < CEILING:
            raise ValueError(f"a window must begin before it ends, from {FLOOR} on and before {CEILING}")
        return self


@lru_cache(1 << 15)
def breaks(kind: Kind, limits: ContractLimits) -> tuple[str, ...]:
    """The rules that a row of this kind breaks, sorted."""
    broken = set()
    if kind.faults & (Fault.MISSING | Fault.NULL | Fault.TYPE):
        broken.add("CON-NULL")
    if kind.faults & Fault.TIME:
        broken.add("CON-TIME")
    if kind.faults & Fault.KIND or (kind.type and kind.type not in limits.types):
        broken.add("CON-TYPE")
    allowed = LETTERS[: LETTERS.index(limits.letters) + 1]
    if kind.faults & (Fault.EMPTY | Fault.LONG) or kind.length > limits.longest_id or kind.letters not in allowed:
        broken.add("CON-ID")
    if kind.day and not _inside(kind, limits):
        broken.add("CON-WINDOW")
    if kind.faults & Fault.GROUP:
        broken.add("CON-GROUP")
    near = limits.skew and (kind.side, kind.edge) in (("before", "last"), ("after", "first"))
    if kind.side not in ("", "in") and not near:
        broken.add("CON-PARTITION")
    return tuple(sorted(broken))


def _inside(kind: Kind, limits: ContractLimits) -> bool:
    if kind.day in ("before", "after"):
        return False
    day, since = date.fromisoformat(kind.day), limits.since or FLOOR
    late = day == limits.until + timedelta(days=1) and kind.edge == "first"
    early = day == since - timedelta(days=1) and kind.edge == "last"
    return since <= day <= limits.until or bool(limits.skew and (late or early))


def crowd(groups: Iterable[Group], bots: Bots) -> tuple[int, int, str]:
    """Accounts that show a sign of a bot: how many, how many rows they have, and which signs how often."""
    accounts = rows = 0
    shown = Counter[str]()
    for group in groups:
        if found := signs(group.kind, bots):
            accounts, rows = accounts + group.accounts, rows + group.rows
            shown.update(dict.fromkeys(found, group.accounts))
    return accounts, rows, ", ".join(f"{name} {count:,}" for name, count in sorted(shown.items()))
