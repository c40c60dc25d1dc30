"""The newest partition alone: of many days one may be another, and move nothing of all of them."""

import gzip
import json
import re
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from configs import load
from deployments.lake import sample
from security.gates.drift import DriftLimits, Facts, Given, material, newest, shown
from security.material import Material
from security.rows.beside import BESIDE
from security.rows.columns import SCHEMA
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


def days(count: int) -> list[pa.RecordBatch]:
    """The sample's last days, the oldest first: simulated people and a few bots."""
    found = []
    for key, body in sample.partitions(count):
        if not key.endswith(".jsonl.gz"):
            continue
        rows = [json.loads(line) for line in gzip.decompress(body).splitlines()]
        if "timestamp" not in rows[0]:
            continue
        times = [int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1_000_000) for row in rows]
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in list(SCHEMA.names)[:3]}
        columns |= {"timestamp": times, "row": range(len(rows)), "file": [key] * len(rows), "faults": [0] * len(rows)}
        arrays = [pa.array(columns.get(name, [None] * len(rows)), SCHEMA.field(name).type) for name in SCHEMA.names]
        found.append(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
    return found


def test_no_day_of_the_sample_is_another_under_the_shipped_policy() -> None:
    told_, every = dict(load.text(load.find("local", "policies"))["gates"]["data_drift_monitoring"]["limits"]), days(58)
    span = told_["partitions"]
    base = GATE.look(material(rows_of(*every[:span]), None, SECRET).handed()[0]).profile
    limits = DriftLimits.model_validate(told_ | {"baseline": base.digest})
    rows_told = 0
    assert len(every) == 58
    for at in range(span, len(every)):
        rows, last = every[at - span + 1 : at], every[at]
        look = material(
            rows_of(*rows, last), base.bytes, SECRET, newest=lambda each, last=last: each is last, partitions=span
        )
        alone = newest(GATE.look(look.handed()[0]), limits)
        assert alone is not None
        assert alone.drifted == (), at
        # Forty people a day are too few to tell more of; items and rows they are enough for, but for days of a bot.
        steady = {each.column for each in alone.columns if each.outcome == "steady"}
        assert "item_id" in steady, at
        rows_told += "" in steady
    assert rows_told > 25


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


WEEK = {"weekday": ([0.62, 0.30, 0.08], 13.0, 20_000), "weekend": ([0.65, 0.28, 0.07], 17.0, 3_000)}
"""An office's week: shares of kinds, the middle of the day, rows."""
MONDAY = 19_660


def office(number: int, draw: np.random.Generator, rows: int = 0) -> pa.RecordBatch:
    """A day since 1970 of 8,000 people, who come when they like."""
    mix, noon, usual = WEEK["weekend" if (number - MONDAY) % 7 > 4 else "weekday"]
    size = rows or int(usual * draw.uniform(0.95, 1.05))
    hours = np.clip(draw.normal(noon, 4.0, size), 0, 23.99)
    batch = put(log(1, size), "user_id", np.char.add("u", draw.integers(0, 8_000, size).astype(str)))
    batch = put(batch, "item_id", np.char.add("i", draw.integers(0, 800, size).astype(str)))
    batch = put(batch, "interaction_type", draw.choice(["view", "click", "purchase"], size, p=mix))
    return put(batch, "timestamp", (number * 86_400 + hours * 3_600).astype(np.int64) * 1_000_000)


def test_a_weekly_rhythm_is_no_drift_and_a_saturday_as_large_as_a_monday_is() -> None:
    draw, span = np.random.default_rng(4), 28
    told_ = load.text(load.find("kubernetes_prod", "policies"))["gates"]["data_drift_monitoring"]["limits"]
    every = [office(MONDAY + at, draw) for at in range(span + 7)]
    base = GATE.look(material(rows_of(*every[:span]), None, SECRET).handed()[0]).profile

    def verdict(at: int, last: pa.RecordBatch) -> Verdict:
        until = date(1970, 1, 1) + timedelta(days=MONDAY + at)
        dates = {"since": str(until - timedelta(days=span - 1)), "until": str(until)}
        rows = rows_of(*every[at - span + 1 : at], last)
        look = material(rows, base.bytes, SECRET, newest=lambda each: each is last, partitions=span)
        return told(look, told_ | dates | {"baseline": base.digest})

    assert date(1970, 1, 1) + timedelta(days=MONDAY) == date(2023, 10, 30)
    for at in range(span, span + 7):
        found = verdict(at, every[at])
        assert (found.outcome, found.findings) == (Outcome.PASS, ()), (at, found.reason)
    found = verdict(span + 5, office(MONDAY + span + 5, draw, 20_000))
    assert broken(found) == {("DRIFT-NEWEST-ROWS", "newest rows")}, found.reason


def test_a_shop_that_is_open_by_day_and_a_day_whose_rows_are_all_of_one_hour_of_the_night() -> None:
    """Of the hours of one day it is known what they are against those of many, however few hours those have."""
    draw, span = np.random.default_rng(9), 28
    told_ = load.text(load.find("kubernetes_prod", "policies"))["gates"]["data_drift_monitoring"]["limits"]

    def shop(number: int, first: float, last: float) -> pa.RecordBatch:
        since = (number * 86_400 + draw.uniform(first, last, 20_000) * 3_600).astype(np.int64) * 1_000_000
        return put(office(number, draw, 20_000), "timestamp", since)

    every = [shop(MONDAY + at, 8, 20) for at in range(span)]
    base = GATE.look(material(rows_of(*every), None, SECRET).handed()[0]).profile
    for hours, outcome in (((8, 20), Outcome.PASS), ((3, 4), Outcome.FAIL)):
        last = shop(MONDAY + span, *hours)
        rows = rows_of(*every[1:], last)
        look = material(rows, base.bytes, SECRET, newest=lambda each, last=last: each is last, partitions=span)
        found = told(look, told_ | {"baseline": base.digest})
        assert found.outcome is outcome, found.reason
    assert broken(found) == {("DRIFT-NEWEST", "newest timestamp")}


@pytest.mark.parametrize("policy", ["local", "kubernetes_test", "kubernetes_prod"])
def test_a_category_that_went_from_two_to_four_percent_is_found_under_every_shipped_policy(policy: str) -> None:
    told_ = load.text(load.find(policy, "policies"))["gates"]["data_drift_monitoring"]["limits"]
    for seed in range(3):
        draw = np.random.default_rng(seed)

        def rows(share: float, draw: np.random.Generator = draw) -> pa.RecordBatch:
            mixed = draw.choice(["view", "click", "purchase"], 168_000, p=[0.6 - share / 2, 0.4 - share / 2, share])
            batch = put(log(1, 168_000), "user_id", np.char.add("u", draw.integers(0, 8_000, 168_000).astype(str)))
            return put(batch, "interaction_type", mixed)

        base = GATE.look(material(rows_of(rows(0.02)), None, SECRET).handed()[0]).profile
        look = material(rows_of(rows(0.04)), base.bytes, SECRET).handed()[0]
        limits = DriftLimits.model_validate(told_ | {"baseline": base.digest, "newest": None})
        found = [each for each in GATE.judge(GATE.look(look), limits) if each.place == "interaction_type"]
        assert [each.rule for each in found] == ["DRIFT-COLUMN"]
        assert re.match(r"category \S+: [12][.0-9]* % of rows, now [34][.0-9]* % ", found[0].message), found
