"""The rows of a look against the baseline that they were counted in: all of them, and the newest partition alone."""

from datetime import date

from security.drift.compare import compare
from security.drift.levels import Drift
from security.drift.profile import Reference, Time
from security.drift.side import Part
from security.errors import CannotTell
from security.gates.drift.facts import Facts
from security.gates.drift.limits import DriftLimits

WEEKS = 2
"""Weeks of which a baseline is, at least, before rows are held against those of their day of the week."""


def compared(facts: Facts, limits: DriftLimits) -> Drift:
    """What moved, by the policy's levels: what the judge sees, and who shows it. `CannotTell` by the cause `reference`
    where there is no baseline, or the rows were not counted in its cells."""
    if facts.baseline is None or facts.unlike:
        raise CannotTell(facts.unlike or "there is no baseline", "reference")
    return compare(facts.baseline, facts.seen, limits.levels, limits.each)


def newest(facts: Facts, limits: DriftLimits) -> Drift | None:
    """The same for the newest partition alone. None where it is not compared, or has no row."""
    if facts.baseline is None or facts.newest is None or not limits.watches:
        return None
    levels, by = limits.alone
    before = facts.profile.rows > facts.newest.profile.rows
    part = Part(_share(facts.baseline, limits), facts.newest.fresh if before else {})
    return compare(facts.baseline, facts.newest, levels, by, part)


def _share(baseline: Reference, limits: DriftLimits) -> float:
    """The share of the baseline's rows that the newest partition is held to have: of days, where the baseline has each
    day of the week twice and more, those of its weekday."""
    even, time = 1 / limits.partitions, baseline.columns.get("timestamp")
    if limits.partitions < WEEKS * 7 or not isinstance(time, Time) or not sum(time.weekdays) or not limits.since:
        return even
    first, last = date.fromisoformat(limits.since), date.fromisoformat(limits.until)
    if (last - first).days + 1 != limits.partitions:  # months have no day of the week
        return even
    return 7 * even * time.weekdays[last.weekday()] / sum(time.weekdays)


def shown(facts: Facts, limits: DriftLimits) -> Drift:
    """Both as people see them: the newest partition's columns are called so."""
    drift, alone = compared(facts, limits), newest(facts, limits)
    last = alone.columns if alone else ()
    told = tuple(each.model_copy(update={"column": f"newest {each.column or 'rows'}"}) for each in last)
    return drift.model_copy(update={"columns": drift.columns + told})
