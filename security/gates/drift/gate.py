"""Drift: the rows are like those of the baseline that the plan names, in every column that the policy watches.

A look counts the rows in the cells of the baseline, without knowing what a policy makes of them. The judge compares
(`security.drift.compare`): a difference counts where it is beyond its limit and beyond what chance does among users
who each have their own ways. A column of which that cannot be said is never called steady.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from security.drift.levels import Drift, Moved, Score
from security.drift.profile import Reference
from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.drift.compared import compared, newest
from security.gates.drift.decoys import VIOLATIONS
from security.gates.drift.facts import ROLES, Facts, Given, found
from security.gates.drift.limits import DriftLimits
from security.material import Handed
from security.verdict import Breach, Frozen, Rule

_CONTROLS = ("NIST-800-53:SI-4", "NIST-AI-RMF:MEASURE-2.4", "OWASP-ML02:2023", "OWASP-ML08:2023")
SHOWN = 4
"""Scores of a column that are told in a finding."""
SCHEMA = frozenset({"type", "unit"})
NEWEST = frozenset({"DRIFT-NEWEST", "DRIFT-NEWEST-ROWS", "DRIFT-NEWEST-IDS"})


def _rule(rule: str, severity: Literal["medium", "high"], title: str, remedy: str) -> Rule:
    return Rule(id=rule, title=title, severity=severity, remedy=remedy, controls=_CONTROLS)


RULES = {
    rule.id: rule
    for rule in (
        _rule(
            "DRIFT-BASELINE",
            "high",
            "The reference that was used is not the one that the plan names",
            "Run again with the baseline of the plan, or name the other one in it: `sluice baseline diff` shows both.",
        ),
        _rule(
            "DRIFT-COLUMN",
            "medium",
            "A column moved away from the baseline",
            "Find out what changed at the source. If it is to stay so: `sluice baseline set RUN --refused`.",
        ),
        _rule(
            "DRIFT-SCHEMA",
            "high",
            "A column has another type or unit, or is gone; or one that nobody declared is new",
            "Let the source write the column as before, or set a baseline with the new columns.",
        ),
        _rule(
            "DRIFT-VOLUME",
            "medium",
            "Many more rows than in the baseline, or far fewer",
            "Find out which files are missing, or are there twice; a policy may allow more with `levels.volume`.",
        ),
        _rule(
            "DRIFT-NEWEST",
            "medium",
            "The newest partition alone moved away from the baseline, or has no row",
            "Look at the files of that partition. If it is to stay so: wider levels in `newest` until all are like it.",
        ),
        _rule(
            "DRIFT-NEWEST-ROWS",
            "medium",
            "The newest partition has many more rows than its share of the baseline, or far fewer",
            "Find out which of its files are missing, or are there twice; a policy may allow more: `newest.volume`.",
        ),
        _rule(
            "DRIFT-NEWEST-IDS",
            "medium",
            "Most ids of the newest partition are in no row before it",
            "Find out who they are, or whether ids are written another way; a policy may allow more: `newest.new`.",
        ),
        _rule(
            "DRIFT-FIRST",
            "medium",
            "There is no baseline to compare with",
            "Set one with `sluice baseline set RUN --refused`, or let the policy say `first: establish`.",
        ),
    )
}


class DriftMonitoring(Gate[Given]):
    """Rows are as they were."""

    name = "data_drift_monitoring"
    kind = "rows"
    limits: ClassVar[type[Frozen]] = DriftLimits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes = frozenset({"few", "newest", "untested"})

    def look(self, material: Handed[Given]) -> Facts:
        """The profile of the rows, and how they lie in the cells of the baseline."""
        return found(material)

    def active(self, limits: DriftLimits) -> Sequence[str]:
        """Without those that this policy does not have."""
        off = {"DRIFT-FIRST"} if limits.first == "establish" else set()
        off |= {"DRIFT-VOLUME"} if limits.levels.volume is None else set()
        off |= set() if limits.watches else NEWEST
        levels, by = limits.alone
        off |= {"DRIFT-NEWEST-ROWS"} if levels.volume is None else set()
        news = [by.get(name, levels).new for name in limits.columns if ROLES[name] == "id"]
        off |= {"DRIFT-NEWEST-IDS"} if all(each is None for each in news) else set()
        return tuple(rule for rule in RULES if rule not in off)

    def judge(self, facts: Facts, limits: DriftLimits) -> Iterable[Breach]:
        """A finding for each column, with its scores; then whether the rest could be told."""
        breaches = [*_reference(facts, limits)]
        then, now, open_ = facts.baseline, facts.profile, list[CannotTell]()
        if then is None:
            if now.rows < limits.levels.rows:
                words = f"{now.rows:,} rows are no baseline; at least {limits.levels.rows:,} are needed"
                open_.append(CannotTell(words, "few"))
            loose = {name: f"no role is declared for it ({kind})" for name, kind in now.others.items()}
            open_ += _many(loose, {*now.columns, *loose}, limits)
        elif facts.unlike:
            open_.append(CannotTell(facts.unlike, "reference"))
        elif not now.rows and then.rows and limits.levels.volume is not None:
            breaches.append(_breach("DRIFT-VOLUME", "rows", f"no rows; in the baseline {then.rows:,}", "not none"))
        elif not now.rows or not then.rows:
            open_.append(CannotTell("there are no rows to compare", "few"))
        else:
            drift = compared(facts, limits)
            breaches += [*_columns(drift, limits), *_others(then, now)]
            open_ += _left(drift, limits)
            told, unclear = _newest(facts, limits)
            breaches, open_ = breaches + told, open_ + unclear
        yield from breaches
        if open_ and not breaches:
            causes = sorted({each.cause for each in open_})
            raise CannotTell("; ".join(map(str, open_)), "+".join(causes))

    def brief(self, facts: Facts) -> str:
        """How many columns were compared, with which baseline; or that this is the first one."""
        if facts.baseline is None:
            return f"no baseline yet; these rows are {facts.profile.digest[:8]}"
        there = sum(each.nulls < each.rows for each in facts.profile.columns.values())
        return f"{there} columns compared with baseline {facts.digest[:8]}"


def _breach(rule: str, place: str, what: str, allowed: str) -> Breach:
    return Breach(rule=rule, place=place, message=f"{what}; allowed: {allowed}")


def _reference(facts: Facts, limits: DriftLimits) -> Iterator[Breach]:
    named = f"baseline {limits.baseline[:12]}" if limits.baseline else "none"
    length = f"{limits.partitions} partitions" if limits.partitions > 1 else "one partition"
    if not facts.digest and limits.first == "fail":
        words = f"there is no baseline of {length} yet, and the plan names {named}"
        yield _breach("DRIFT-FIRST", "baseline", words, "a baseline, as `first` says `fail`")
    elif facts.digest != limits.baseline:
        used = f"baseline {facts.digest[:12]}" if facts.digest else "no baseline"
        yield _breach("DRIFT-BASELINE", "baseline", f"{used} was used", f"{named}, as the plan says")


def _columns(drift: Drift, limits: DriftLimits) -> Iterator[Breach]:
    for column, moved in _moved(drift, limits):
        rule = "DRIFT-SCHEMA" if any(score.name in SCHEMA for score in moved) else "DRIFT-COLUMN"
        yield _breach(rule if column else "DRIFT-VOLUME", column or "rows", *_words(moved, drift))


def _newest(facts: Facts, limits: DriftLimits) -> tuple[list[Breach], list[CannotTell]]:
    """What moved in the newest partition alone, and what of it has no answer."""
    if not limits.watches:
        return [], []
    if (drift := newest(facts, limits)) is None:
        return [_breach("DRIFT-NEWEST", "newest rows", "no row is of the newest partition", "some")], []
    found = []
    for column, moved in _moved(drift, limits):
        ids = [score for score in moved if score.name == "new"]
        for rule, scores in (
            ("DRIFT-NEWEST" if column else "DRIFT-NEWEST-ROWS", [score for score in moved if score not in ids]),
            ("DRIFT-NEWEST-IDS", ids),
        ):
            found += [_breach(rule, f"newest {column or 'rows'}", *_words(scores, drift))] if scores else []
    judged = ("", *limits.named)
    unclear = [each for each in drift.columns if each.column in judged and each.outcome == "cannot tell"]
    loose = [each for each in drift.columns if each.column in limits.beside and each.outcome == "cannot tell"]
    if any(_many({each.column: each.reason for each in loose}, {*limits.named, *limits.beside}, limits)):
        unclear += loose
    words = _open(unclear)
    return found, [CannotTell(f"of the newest partition alone, {words}", "newest")] if unclear else []


def _moved(drift: Drift, limits: DriftLimits) -> Iterator[tuple[str, list[Score]]]:
    """Columns that are judged and that moved, and how; no name for the rows."""
    for each in drift.columns:
        moved = [score for score in each.scores if score.drifted]
        if moved and (not each.column or each.column in (*limits.named, *limits.beside)):
            yield each.column, moved


def _words(moved: Sequence[Score], drift: Drift) -> tuple[str, str]:
    """What was found and what is allowed."""
    words = "; ".join(map(_told, moved[:SHOWN]))
    words += f"; and {len(moved) - SHOWN} more" if len(moved) > SHOWN else ""
    allowed = ", ".join(f"{score.name} {score.limit:g}" for score in moved[:SHOWN])
    return f"{words}; compared with baseline {drift.reference[:8]}", allowed


def _told(score: Score) -> str:
    return f"{score.reason} ({score.name} {score.value:g}, of which chance may be {score.floor:g})"


def _others(then: Reference, now: Reference) -> Iterator[Breach]:
    """Columns that nobody declared and that are new: whoever reads the rows would take them in. One that is gone is
    only untested."""
    for name in sorted({*now.others} - {*then.others}):
        yield _breach("DRIFT-SCHEMA", name, f"{name} ({now.others[name]}) is new", "the columns of the baseline")


def _open(unclear: Iterable[Moved]) -> str:
    return "; ".join(f"{each.column or 'rows'}: {each.reason}" for each in unclear)


def _left(drift: Drift, limits: DriftLimits) -> Iterator[CannotTell]:
    """What has no answer: columns of which too little is seen, and too many that are not compared."""
    compared: dict[str, Moved] = {each.column: each for each in drift.columns}
    unclear = [compared[name] for name in ("", *limits.named) if name in drift.unclear]
    if unclear:
        yield CannotTell(_open(unclear), "few")
    untested = {each.column: each.reason for each in drift.untested}
    untested |= {name: compared[name].reason for name in limits.beside if name in drift.unclear}
    untested |= {name: "the baseline does not have it" for name in limits.named if name not in compared | untested}
    yield from _many(untested, {*compared, *limits.named, *untested} - {""}, limits)


def _many(untested: Mapping[str, str], columns: Collection[str], limits: DriftLimits) -> Iterator[CannotTell]:
    """More untested columns, of all of these, than the policy lets."""
    share = len(untested) / len(columns)
    if share > limits.untested:
        told = "; ".join(f"{name}: {reason}" for name, reason in untested.items())
        yield CannotTell(f"{share:.0%} of columns are untested, allowed: {limits.untested:.0%} ({told})", "untested")
