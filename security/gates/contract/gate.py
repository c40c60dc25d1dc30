"""Data contract: rows are of known kinds, with ids and times as declared, inside the plan's window, and not repeated.

A look cannot know the limits that it will be judged by, so it counts rows by `Kind`. `breaks` says which rules a kind
breaks under given limits; the judge and the task that drops rows both ask it, so that what is counted here is what is
dropped there. Rules about rows become findings when the share of rows that break any of them is above `most_rejected`;
in a cleaned set, when there is one.
How much memory a look takes: see `security.gates.contract.trails`.
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.contract.decoys import VIOLATIONS
from security.gates.contract.kinds import (
    FLOOR,
    SHOWN,
    Counts,
    Ints,
    calendar,
    empty,
    kinds,
    placed,
)
from security.gates.contract.limits import ContractLimits, breaks, crowd
from security.gates.contract.listed import listing
from security.gates.contract.tally import Tally
from security.material import Handed, Material
from security.rows import read
from security.rows.scan import scan
from security.verdict import Breach, Frozen, Rule, Subject

NONE: Mapping[str, Sequence[str]] = MappingProxyType({})
_CONTROLS = ("NIST-800-53:SI-10", "OWASP-AISVS:v1.0-C1.1.3", "OWASP-ML02:2023")


def reasons(batch: pa.RecordBatch, limits: ContractLimits) -> tuple[list[tuple[str, ...]], Ints]:
    """Which rules the rows of a batch break: the combinations that occur, and for each row the index of its own."""
    found, index = kinds(batch)
    return [breaks(kind, limits) for kind in found], index


def nowhere(name: str) -> str:
    """Of files that lie in no partition."""
    return ""


def faulty(batch: pa.RecordBatch, limits: ContractLimits) -> pa.BooleanArray:
    """For each row whether it breaks a rule about rows: what the judge counts, and what cleaning drops."""
    rules, index = reasons(batch, limits)
    return pa.array(np.array([bool(rule) for rule in rules], dtype=bool)[index])


def batches(
    files: Sequence[Path],
    names: Sequence[str],
    lies: Callable[[str], str] = nowhere,
    groups: Mapping[str, Sequence[str]] = NONE,
) -> Iterator[pa.RecordBatch]:
    """The rows of the files, and after them a batch of none for each file without.

    Each batch is marked with the partition that `lies` says of its file's name, empty for none, and with the columns of
    `groups` and the names that each may have.
    """
    counts = Counter(dict.fromkeys(names, 0))
    for batch in read(files, names):
        name = batch.column("file").dictionary[0].as_py()
        counts[name] += batch.num_rows
        yield listing(placed(batch, lies(name)), groups)
    for name in names:
        if not counts[name]:
            yield listing(placed(empty(name), lies(name)), groups)


def material(
    subject: Subject, source: Callable[[], Iterable[pa.RecordBatch]], expected: int
) -> Material[pa.RecordBatch]:
    """Rows as `batches` hands them out, opened anew by `source`; `expected` rows in all."""
    return Material(
        subject,
        source,
        expected=expected,
        unit="rows",
        weigh=lambda batch: int(batch.num_rows),
        sample=1,
    )


def _rule(rule: str, severity: Literal["medium", "high"], title: str, remedy: str) -> Rule:
    return Rule(id=rule, title=title, severity=severity, remedy=remedy, controls=_CONTROLS)


_SOURCE = "Correct the source; the rows are listed by file and row among the rejects."
_BOTS = "Find out who they are; `filter_bots` takes them out, and the policy says how many rows that may cost."
_VOLUME = "Find out what was lost or added at the source; if it is meant to be, change the contract."
RULES = {
    rule.id: rule
    for rule in (
        _rule("CON-NULL", "medium", "A declared value is missing, null or of another type", _SOURCE),
        _rule("CON-TYPE", "medium", "An interaction type that is not allowed", _SOURCE),
        _rule("CON-ID", "medium", "An id that is empty, too long, or of other characters", _SOURCE),
        _rule("CON-TIME", "medium", "A timestamp that tells no time", _SOURCE),
        _rule("CON-GROUP", "medium", "A group that the contract does not list", _SOURCE),
        _rule("CON-WINDOW", "high", "A time outside the window", "Find out how the rows came into this partition."),
        _rule("CON-PARTITION", "high", "A time outside the partition that its file lies in", _SOURCE),
        _rule("CON-VOLUME", "high", "A partition with far more or fewer rows than those before it", _VOLUME),
        _rule("CON-BOTS", "high", "Accounts that behave like no person", _BOTS),
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
    "CON-GROUP": "say a group that is not listed, or two",
    "CON-WINDOW": "are of a time outside the window",
    "CON-PARTITION": "are of a time outside the partition that their file lies in",
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
        if facts.rows and (lost := sorted({each.name for each in limits.groups} - {*facts.listed})):
            raise CannotTell(f"{', '.join(lost)}: nobody looked which groups rows say there")
        if facts.rows < limits.min_rows:
            yield Breach(rule="CON-ROWS", place="rows", message=f"{facts.rows:,} rows; at least {limits.min_rows:,}")
        for name, count, low, high in _odd(facts.partitions, limits):
            message = f"{count:,} rows; allowed: {low:,} to {high:,}, by the median of the partitions before it"
            yield Breach(rule="CON-VOLUME", place=name, message=message)
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

        if limits.bots:
            accounts, rows, shown = crowd(facts.groups, limits.bots)
            whole = sum(group.rows for group in facts.groups)
            if accounts and rows / whole > (0 if limits.clean else limits.bots.most):
                allowed = "none once they were filtered" if limits.clean else f"{limits.bots.most:.2%} of the rows"
                message = f"{accounts:,} accounts, {rows:,} of {whole:,} rows, behave like no person ({shown})"
                yield Breach(rule="CON-BOTS", place="accounts", message=f"{message}; allowed: {allowed}")

    def active(self, limits: ContractLimits) -> Sequence[str]:
        """All; repetitions only count in a cleaned set, volumes, accounts and groups where the limits say so."""
        silent: dict[str, object] = {"CON-DUP": limits.clean, "CON-VOLUME": limits.volume}
        silent |= {"CON-BOTS": limits.bots, "CON-GROUP": limits.groups}
        return [rule for rule in self.rules if silent.get(rule, True)]

    def brief(self, facts: Counts) -> str:
        """Rows by interaction type."""
        types = Counter[str]()
        for cell in facts.cells:
            types[cell.kind.type or "none"] += cell.rows
        return ", ".join(f"{count:,} {kind}" for kind, count in types.most_common())


def _odd(partitions: Mapping[str, int], limits: ContractLimits) -> Iterator[tuple[str, int, int, int]]:
    """Partitions with too few or too many rows: name, rows, the fewest and the most allowed. A gap has none."""
    if not limits.volume or not partitions:
        return
    series = {name: partitions.get(name, 0) for name in calendar(min(partitions), max(partitions))}
    names, counts = list(series), list(series.values())
    for number, name in enumerate(names):
        before = counts[max(0, number - limits.volume.recent) : number]
        if len(before) >= limits.volume.fewest:
            middle = statistics.median(before)
            low, high = math.ceil(middle * limits.volume.lowest), math.floor(middle * limits.volume.highest)
            if not low <= counts[number] <= high:
                yield name, counts[number], low, high


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
        "CON-GROUP": "; ".join(f"{each.name}: {', '.join(each.values)}" for each in limits.groups),
        "CON-WINDOW": f"{since} to {limits.until}, give or take {limits.skew} minutes",
        "CON-PARTITION": f"the partition's own days, give or take {limits.skew} minutes",
    }[rule]
