"""The newest partition alone: of many days one may be another, and move nothing of all of them."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from security.gates.drift import DriftLimits, Facts, Given, material, newest, shown
from security.material import Material
from security.rows.beside import BESIDE
from security.verdict import Outcome, Verdict
from tests.security.gates import test_drift
from tests.security.gates.test_drift import GATE, REFERENCE, ROWS, SECRET, broken, log, put, rows_of, told

PARTITIONS = 3
LIMITS: dict[str, Any] = test_drift.LIMITS | {"partitions": PARTITIONS}
LAST = ROWS // PARTITIONS
OLDER, DAY = log(2).slice(0, ROWS - LAST), log(2).slice(ROWS - LAST)


def given(older: pa.RecordBatch, last: pa.RecordBatch) -> Material[Given]:
    """Rows of earlier partitions and of the newest of three, for a look."""
    return test_drift.given(older, against=REFERENCE, newest=last, partitions=PARTITIONS)


def good() -> Material[Given]:
    """Rows of the source that the baseline is of."""
    return given(OLDER, DAY)


def some(share: float, name: str, value: str) -> pa.RecordBatch:
    """The newest rows, of which a share has another value."""
    mask = pa.array(np.random.default_rng(5).random(LAST) < share)
    return put(DAY, name, pc.if_else(mask, pa.scalar(value), DAY[name]))


def renamed(name: str) -> pa.RecordBatch:
    """The newest rows with other ids."""
    return put(DAY, name, pc.binary_join_element_wise(DAY[name], "two", "-"))


def test_rows_of_the_same_source_pass() -> None:
    for seed in range(12):
        found = told(good(), LIMITS, seed=seed)
        assert (found.outcome, found.findings, found.cause) == (Outcome.PASS, (), ""), found.reason


@pytest.mark.parametrize(
    ("last", "levels", "told_"),
    [
        (some(0.25, "interaction_type", "purchase"), {}, "NEWEST interaction_type"),
        (some(0.08, "item_id", "film-1").slice(0, LAST // 4), {}, "NEWEST-ROWS rows"),
        (renamed("user_id"), {"new": 0.5}, "NEWEST-IDS user_id"),
        (renamed("item_id"), {"new": 0.5}, "NEWEST-IDS item_id"),
        (DAY.slice(0, 0), {}, "NEWEST rows"),
    ],
)
def test_what_moved_in_it_alone_is_found_there_and_nowhere_else(
    last: pa.RecordBatch, levels: dict[str, float | None], told_: str
) -> None:
    found = told(given(OLDER, last), LIMITS | {"newest": levels})
    assert found.outcome is Outcome.FAIL
    rule, place = told_.split()
    assert broken(found) == {(f"DRIFT-{rule}", f"newest {place}")}, found.reason
    assert "; allowed: " in found.findings[0].message
    assert told(given(OLDER, last), LIMITS | {"newest": None}).outcome is Outcome.PASS, "all together are as before"


def test_one_user_who_has_half_of_it_is_found_though_rows_of_a_user_grow_with_time() -> None:
    found = told(given(OLDER, some(0.55, "user_id", "person-1")), LIMITS)
    assert ("DRIFT-NEWEST", "newest user_id") in broken(found)
    alone = newest(GATE.look(good().handed()[0]), DriftLimits.model_validate(LIMITS))
    assert alone is not None
    (user,) = (each for each in alone.columns if each.column == "user_id")
    assert {each.name: each.value for each in user.scores}["weight"] == 1.0, "fewer rows of a user are no news in a day"
    assert {each.name for each in user.scores} & {"gone", "jaccard"} == set()


def test_a_partition_without_a_row_is_found_whatever_else_is_asked() -> None:
    levels = test_drift.LEVELS | {"volume": None}
    found = told(given(log(2), DAY.slice(0, 0)), LIMITS | {"levels": levels})
    assert broken(found) == {("DRIFT-NEWEST", "newest rows")}
    assert "no row is of the newest partition; allowed: some" in found.findings[0].message


def test_too_few_rows_of_it_are_inconclusive_by_a_cause_of_their_own() -> None:
    limits = LIMITS | {"levels": test_drift.LEVELS | {"volume": None}}
    found = told(given(log(2), DAY.slice(0, 150)), limits)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "newest")
    assert "of the newest partition alone, interaction_type: 150 effective rows; at least 200" in found.reason
    assert {"few", "newest"} <= GATE.causes


def test_of_one_partition_it_is_not_asked() -> None:
    for limits in (LIMITS | {"partitions": 1}, LIMITS | {"newest": None}):
        assert "DRIFT-NEWEST" not in GATE.active(DriftLimits.model_validate(limits))
        assert told(given(log(2), DAY.slice(0, 0)), limits).outcome is Outcome.PASS


def test_levels_of_its_own_count_before_those_of_all_and_of_a_column() -> None:
    limits = DriftLimits.model_validate(
        LIMITS | {"by": {"interaction_type": {"move": 0.2, "js": 0.3}}, "newest": {"move": 0.4}}
    )
    levels, by = limits.alone
    assert (levels.move, by["interaction_type"].move, by["interaction_type"].js) == (0.4, 0.2, 0.3)
    assert (limits.levels.move, limits.each["interaction_type"].move) == (0.1, 0.2)
    with pytest.raises(ValidationError, match="newest.hours is 0.7: nothing would be a drift"):
        DriftLimits.model_validate(LIMITS | {"newest": {"hours": 0.7}})
    with pytest.raises(ValidationError, match="newest.weight is None"):
        DriftLimits.model_validate(LIMITS | {"newest": {"weight": None}})
    for levels in ({"newest": {"new": 1.0}}, {"by": {"user_id": {"new": 0.96}}}):
        with pytest.raises(ValidationError, match="new is .*: strangers would be taken for chance; at most 0.95"):
            DriftLimits.model_validate(LIMITS | levels)
    with pytest.raises(ValidationError, match="nosuch"):
        DriftLimits.model_validate(LIMITS | {"newest": {"nosuch": 0.1}})


def test_people_see_it_under_names_of_its_own() -> None:
    facts, limits = GATE.look(good().handed()[0]), DriftLimits.model_validate(LIMITS)
    names = [each.column for each in shown(facts, limits).columns]
    assert names == ["", *REFERENCE.columns, "newest rows", *(f"newest {name}" for name in REFERENCE.columns)]


def test_facts_of_it_that_cannot_be_are_none() -> None:
    facts = GATE.look(good().handed()[0])
    assert facts.newest is not None
    assert (facts.profile.rows, facts.newest.profile.rows) == (ROWS, LAST)
    whole = facts.model_dump()
    for changes in (
        {"newest": whole["newest"] | {"against": "0" * 64}},
        {"newest": whole["newest"] | {"fresh": {"user_id": 0}}},
        {"newest": whole["newest"] | {"fresh": {"user_id": 0, "item_id": 61}}},
        {"profile": whole["newest"]["profile"], "newest": {**whole["newest"], "profile": whole["profile"]}},
        {"digest": "", "baseline": None, "held": {}},
    ):
        with pytest.raises(ValidationError, match="newest rows|not there"):
            Facts.model_validate(whole | changes)


def test_a_declared_column_of_which_it_tells_nothing_is_untested_there() -> None:
    def told_by(rows: pa.RecordBatch) -> pa.RecordBatch:
        some = np.random.default_rng(rows.num_rows).random(rows.num_rows) < 0.25
        texts = [[("channel", "web")] if has else None for has in some]
        return put(rows, "beside", pa.array(texts, BESIDE))

    def verdict(untested: float) -> Verdict:
        def look(rows: Material[pa.RecordBatch], baseline: bytes | None, last: pa.RecordBatch) -> Material[Given]:
            every = {"beside": {"channel": "category"}, "partitions": PARTITIONS}
            return material(rows, baseline, SECRET, newest=lambda each: each is last, **every)  # type: ignore[arg-type]

        older, last = told_by(OLDER), told_by(DAY)
        base = GATE.look(look(rows_of(told_by(log(1))), None, last).handed()[0]).profile
        limits = LIMITS | {"levels": test_drift.LEVELS | {"missing": 0.1}, "untested": untested}
        limits |= {"baseline": base.digest, "beside": {"channel": "category"}}
        return told(look(rows_of(older, last), base.bytes, last), limits)

    found = verdict(0.1)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "newest"), found.reason
    assert "of the newest partition alone, channel: " in found.reason
    assert verdict(0.2).outcome is Outcome.PASS, "one column of five may be untested"


def test_a_few_new_people_cannot_be_told_and_many_are_found() -> None:
    levels = {"levels": test_drift.LEVELS | {"volume": None}, "newest": {"new": 0.9}}
    few = put(DAY.slice(0, 250), "user_id", [f"two-{row % 25}" for row in range(250)])
    found = told(given(OLDER, few), LIMITS | levels)
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "newest")
    assert "user_id: chance alone may reach 1 in new, whose limit is 0.9" in found.reason, found.reason
    many = put(DAY, "user_id", [f"two-{row % 500}" for row in range(LAST)])
    assert broken(told(given(OLDER, many), LIMITS | levels)) == {("DRIFT-NEWEST-IDS", "newest user_id")}


def test_where_there_is_no_row_before_no_id_is_called_new() -> None:
    levels = {"levels": test_drift.LEVELS | {"volume": None}, "newest": {"new": 0.5}}
    found = told(given(log(2).slice(0, 0), log(2)), LIMITS | levels)
    assert found.outcome is Outcome.PASS, found.reason


def test_ids_are_new_that_no_row_before_has_whatever_the_baseline() -> None:
    """Not by a sample: of 20,000 people a day's 2,000 have a handful among the smallest tokens of all."""
    before = log(2, 40_000)
    older = put(before, "user_id", [f"person-{row % 20_000}" for row in range(40_000)])
    day = put(log(3, 4_000), "user_id", [f"person-{row % 1_000}" if row % 2 else f"two-{row}" for row in range(4_000)])
    facts = GATE.look(given(older, day).handed()[0])
    assert facts.newest is not None
    assert facts.newest.fresh == {"user_id": 2_000, "item_id": 0}
    assert facts.newest.profile.columns["user_id"].distinct == 2_500  # type: ignore[union-attr]
