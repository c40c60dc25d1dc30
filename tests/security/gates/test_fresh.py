"""Known-bad copies in which the newest partition alone is bad: an engine that makes up what it tells is caught."""

import random
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from security.errors import CannotTell
from security.gates.drift import DriftLimits, DriftMonitoring, Given
from security.gates.drift.facts import Newest
from security.material import Handed
from tests.attacks.bucket import DAYS, rows
from tests.security.gates import test_drift
from tests.security.gates.test_drift import GATE, told
from tests.security.gates.test_newest import LIMITS, OLDER, PARTITIONS, given, good, some


def test_an_engine_that_tells_of_all_rows_what_it_should_tell_of_the_newest_is_caught() -> None:
    class Liar(DriftMonitoring):
        def look(self, material: Handed[Given]) -> Any:
            facts = GATE.look(material)
            whole = Newest(**dict(facts.seen), fresh={"user_id": 0, "item_id": 0}) if facts.baseline else None
            return facts.model_copy(update={"newest": whole})

    limits = LIMITS | {"levels": test_drift.LEVELS | {"volume": None}}
    bad, terms = some(0.25, "interaction_type", "purchase"), DriftLimits.model_validate(limits)
    missed = 0
    for seed in range(24):
        items = GATE.violations["DRIFT-NEWEST"](list(good().source()), random.Random(seed))
        found = {each.rule for each in Liar().judge(Liar().look(good().decoy(items).handed()[0]), terms)}
        missed += "DRIFT-NEWEST" not in found
    assert missed > 12
    assert "canary" in {told(given(OLDER, bad), limits, seed=seed, gate=Liar()).cause for seed in range(6)}


@pytest.mark.parametrize("rule", ["DRIFT-NEWEST-ROWS", "DRIFT-NEWEST-IDS"])
def test_an_engine_that_forges_nothing_but_a_count_of_it_is_caught(rule: str) -> None:
    """As many rows as one's share of the baseline, or no id that is new: everything else is as it was seen."""

    class Liar(DriftMonitoring):
        def look(self, material: Handed[Given]) -> Any:
            facts = GATE.look(material)
            if (last := facts.newest) is None or facts.baseline is None:
                return facts
            rows = min(facts.baseline.rows // PARTITIONS, facts.profile.rows)
            forged = last.model_copy(update={"profile": last.profile.model_copy(update={"rows": rows})})
            if rule == "DRIFT-NEWEST-IDS":
                forged = last.model_copy(update={"fresh": dict.fromkeys(last.fresh, 0)})
            return facts.model_copy(update={"newest": forged})

    terms = DriftLimits.model_validate(LIMITS | {"newest": {"new": 0.9}})
    for seed in range(12):
        items = GATE.violations[rule](list(good().source()), random.Random(seed))
        for gate, caught in ((GATE, True), (Liar(), False)):
            found = set[str]()
            with suppress(CannotTell):
                for each in gate.judge(gate.look(good().decoy(items).handed()[0]), terms):
                    found.add(each.rule)  # noqa: PERF401 - what was found before it cannot tell counts
            assert (rule in found) is caught, seed


def test_known_bad_partitions_are_empty_or_of_another_mix_or_of_one_id() -> None:
    terms, sample_, places = DriftLimits.model_validate(LIMITS), list(good().source()), set[str]()
    for seed in range(40):
        items = GATE.violations["DRIFT-NEWEST"](sample_, random.Random(seed))
        found = list(GATE.judge(GATE.look(good().decoy(items).handed()[0]), terms))
        places |= {each.place for each in found if each.rule == "DRIFT-NEWEST"}
        assert any(each.rule == "DRIFT-NEWEST" for each in found)
    assert places >= {f"newest {name}" for name in ("rows", "interaction_type", "timestamp", "user_id")}


def day(date: str) -> pa.RecordBatch:
    """The rows of one of the days of a small bucket."""
    found = rows(date)
    moments = [datetime.fromisoformat(str(row["timestamp"]).replace("Z", "+00:00")).timestamp() for row in found]
    columns = {name: [row[name] for row in found] for name in ("user_id", "item_id", "interaction_type")}
    made = pa.table({**columns, "timestamp": [int(each * 1e6) for each in moments]})
    return made.combine_chunks().to_batches()[0]


@pytest.mark.parametrize("last", ["2024-01-05", "2024-01-04", "2024-01-07"])
def test_where_all_rows_are_of_two_weekdays_too_many_are_many_times_those_of_its_own(last: str) -> None:
    """A first look at two days of 28: the newest is held against its weekday, which has all rows, half, or none."""
    span = {"since": str(date.fromisoformat(last) - timedelta(days=27)), "until": last}
    newest = {"new": 0.9, "weight": 10, "hours": 0.4, "move": 0.05}
    terms = DriftLimits.model_validate(span | {"partitions": 28, "newest": newest, "first": "establish"})
    for seed in range(24):
        look = test_drift.given(day(DAYS[0]), against=None, newest=day(DAYS[1]), partitions=28)
        items = GATE.violations["DRIFT-NEWEST-ROWS"](list(look.source())[:1], random.Random(seed))
        found = {each.rule for each in GATE.judge(GATE.look(look.decoy(items).handed()[0]), terms)}
        assert "DRIFT-NEWEST-ROWS" in found, seed
