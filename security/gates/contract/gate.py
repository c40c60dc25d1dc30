"""Data contract: rows are of known kinds, with ids and times as declared, inside the plan's window, and not repeated.

A look cannot know the limits that it will be judged by, so it counts rows by `Kind`. `breaks` says which rules a kind
breaks under given limits; the judge and the task that drops rows both ask it, so that what is counted here is what is
dropped there. Rules about rows become findings when the share of rows that break any of them is above `most_rejected`;
in a cleaned set, when there is one.
A look takes 16 bytes of disk a row, to find exact repetitions by their hashes (`security.rows.repeats`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from security.gate import Gate, Violation
from security.gates.contract.decoys import VIOLATIONS
from security.gates.contract.kinds import CEILING, FLOOR, LETTERS, SHOWN, Counts, Ints, Kind, Tally, empty, kinds
from security.material import Handed, Material
from security.rows import read
from security.rows.columns import Fault
from security.rows.scan import scan
from security.verdict import Breach, Frozen, Rule, Subject

_CONTROLS = ("NIST-800-53:SI-10", "OWASP-AISVS:v1.0-C1.1.3", "OWASP-ML02:2023")


class ContractLimits(Frozen):
    """What a policy may set. The window is of whole days, both included; `skew` forgives minutes outside of it."""

    types: tuple[Literal["view", "click", "purchase", "rating"], ...] = Field(
        default=("view", "click", "purchase"), min_length=1
    )
    longest_id: Literal[8, 16, 32, 64, 128, 256] = 64
    letters: Literal["plain", "printable"] = "plain"
    most_rejected: float = Field(default=0.0, ge=0, le=0.5)
    since: date | Literal[""]
    """Empty: every day from 1990 on."""
    until: date
    skew: Literal[0, 5] = 0
    min_rows: int = Field(default=1, ge=1)
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
    return tuple(sorted(broken))


def _inside(kind: Kind, limits: ContractLimits) -> bool:
    if kind.day in ("before", "after"):
        return False
    day, since = date.fromisoformat(kind.day), limits.since or FLOOR
    late = day == limits.until + timedelta(days=1) and kind.edge == "first"
    early = day == since - timedelta(days=1) and kind.edge == "last"
    return since <= day <= limits.until or bool(limits.skew and (late or early))


def reasons(batch: pa.RecordBatch, limits: ContractLimits) -> tuple[list[tuple[str, ...]], Ints]:
    """Which rules the rows of a batch break: the combinations that occur, and for each row the index of its own."""
    found, index = kinds(batch)
    return [breaks(kind, limits) for kind in found], index


def faulty(batch: pa.RecordBatch, limits: ContractLimits) -> pa.BooleanArray:
    """For each row whether it breaks a rule about rows: what the judge counts, and what cleaning drops."""
    rules, index = reasons(batch, limits)
    return pa.array(np.array([bool(rule) for rule in rules], dtype=bool)[index])


def batches(files: Sequence[Path], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of the files, and after them a batch of none for each file without."""
    counts = Counter(dict.fromkeys(names, 0))
    for batch in read(files, names):
        counts[batch.column("file").dictionary[0].as_py()] += batch.num_rows
        yield batch
    for name in names:
        if not counts[name]:
            yield empty(name)


def material(subject: Subject, files: Sequence[Path], names: Sequence[str], expected: int) -> Material[pa.RecordBatch]:
    """The rows of the files, and after them a batch of none for each file without; `expected` rows in all."""
    return Material(
        subject,
        lambda: batches(files, names),
        expected=expected,
        unit="rows",
        weigh=lambda batch: int(batch.num_rows),
        sample=1,
    )


def _rule(rule: str, severity: Literal["medium", "high"], title: str, remedy: str) -> Rule:
    return Rule(id=rule, title=title, severity=severity, remedy=remedy, controls=_CONTROLS)


_SOURCE = "Correct the source; the rows are listed by file and row among the rejects."
RULES = {
    rule.id: rule
    for rule in (
        _rule("CON-NULL", "medium", "A declared value is missing, null or of another type", _SOURCE),
        _rule("CON-TYPE", "medium", "An interaction type that is not allowed", _SOURCE),
        _rule("CON-ID", "medium", "An id that is empty, too long, or of other characters", _SOURCE),
        _rule("CON-TIME", "medium", "A timestamp that tells no time", _SOURCE),
        _rule("CON-WINDOW", "high", "A time outside the window", "Find out how the rows came into this partition."),
        _rule("CON-DUP", "medium", "A cleaned set holds a row twice", "Run `deduplicate`."),
        _rule("CON-EMPTY", "high", "A file without rows", "Find out why the partition is empty."),
        _rule("CON-ROWS", "high", "Fewer rows than a set must have", "Find out what is missing at the source."),
    )
}
ABOUT_ROWS = {
    "CON-NULL": "lack a declared value, or have one of another type",
    "CON-TYPE": "have another interaction type",
    "CON-ID": "have an id that is empty, too long, or of other characters",
    "CON-TIME": "have a timestamp that tells no time",
    "CON-WINDOW": "are of a time outside the window",
}
"""Rules about rows, and what rows that break them do."""


class DataContract(Gate[pa.RecordBatch]):
    """Rows are what the contract says that they are."""

    name = "data_contract"
    kind = "rows"
    limits: ClassVar[type[Frozen]] = ContractLimits
    facts: ClassVar[type[Frozen]] = Counts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS

    def look(self, material: Handed[pa.RecordBatch]) -> Counts:
        """Rows by kind."""
        facts: Counts = scan(material, {self.name: Tally})[self.name].facts()
        return facts

    def judge(self, facts: Counts, limits: ContractLimits) -> Iterable[Breach]:
        """One finding for each rule that is broken, with how often and where first."""
        if facts.rows < limits.min_rows:
            yield Breach(rule="CON-ROWS", place="rows", message=f"{facts.rows:,} rows; at least {limits.min_rows:,}")
        for name in facts.empty:
            yield Breach(rule="CON-EMPTY", place=name, message="no rows; a file has at least one")
        broken = [(breaks(cell.kind, limits), cell) for cell in facts.cells]
        rejected = sum(cell.rows for rules, cell in broken if rules)
        most = 0.0 if limits.clean else limits.most_rejected
        if rejected and rejected / facts.rows > most:
            for rule, what in ABOUT_ROWS.items():
                cells = [cell for rules, cell in broken if rule in rules]
                if cells:
                    count = sum(cell.rows for cell in cells)
                    places = _places(facts, [place for cell in cells for place in cell.first])
                    message = f"{count:,} of {facts.rows:,} rows {what}; allowed: {_allowed(rule, limits)}"
                    message += f"; {rejected:,} rows are rejected in all, at most {most:.2%} may be; {places[1]}"
                    yield Breach(rule=rule, place=places[0], message=message)
        if limits.clean and facts.duplicates:
            first, told = _places(facts, facts.doubled)
            message = f"{facts.duplicates:,} of {facts.rows:,} rows repeat another; allowed: none; {told}"
            yield Breach(rule="CON-DUP", place=first, message=message)

    def active(self, limits: ContractLimits) -> Sequence[str]:
        """All; repetitions only count in a cleaned set."""
        return [rule for rule in self.rules if limits.clean or rule != "CON-DUP"]

    def brief(self, facts: Counts) -> str:
        """Rows by interaction type."""
        types = Counter[str]()
        for cell in facts.cells:
            types[cell.kind.type or "none"] += cell.rows
        return ", ".join(f"{count:,} {kind}" for kind, count in types.most_common())


def _places(facts: Counts, places: Iterable[tuple[int, int]]) -> tuple[str, str]:
    """The first place, and a few words about the first few."""
    told = [f"{facts.files[file]} row {row}" for file, row in sorted(places)[:SHOWN]]
    return told[0], f"first: {', '.join(told)}"


def _allowed(rule: str, limits: ContractLimits) -> str:
    since = limits.since or FLOOR
    return {
        "CON-NULL": "every declared value, of its type",
        "CON-TYPE": ", ".join(limits.types),
        "CON-ID": f"1 to {limits.longest_id} {limits.letters} characters",
        "CON-TIME": "RFC 3339 with a zone, or seconds or milliseconds since 1970",
        "CON-WINDOW": f"{since} to {limits.until}, give or take {limits.skew} minutes",
    }[rule]
