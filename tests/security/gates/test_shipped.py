"""The shipped policies: days that are like others pass, and what they are to find is found."""

import gzip
import json
import re
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from configs import load
from deployments.lake import sample
from security.gates.drift import DriftLimits, newest
from security.rows.columns import SCHEMA
from security.verdict import Outcome, Verdict
from tests.security.gates.test_drift import GATE, broken, given, log, made, put, told


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
    base = made(*every[:span])
    limits = DriftLimits.model_validate(told_ | {"baseline": base.digest})
    rows_told = 0
    assert len(every) == 58
    for at in range(span, len(every)):
        rows, last = every[at - span + 1 : at], every[at]
        look = given(*rows, against=base, newest=last, partitions=span)
        alone = newest(GATE.look(look.handed()[0]), limits)
        assert alone is not None
        assert alone.drifted == (), at
        # Forty people a day are too few to tell more of; items and rows they are enough for, but for days of a bot.
        steady = {each.column for each in alone.columns if each.outcome == "steady"}
        assert "item_id" in steady, at
        rows_told += "" in steady
    assert rows_told > 25


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
    base = made(*every[:span])

    def verdict(at: int, last: pa.RecordBatch) -> Verdict:
        until = date(1970, 1, 1) + timedelta(days=MONDAY + at)
        dates = {"since": str(until - timedelta(days=span - 1)), "until": str(until)}
        look = given(*every[at - span + 1 : at], against=base, newest=last, partitions=span)
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
    base = made(*every)
    for hours, outcome in (((8, 20), Outcome.PASS), ((3, 4), Outcome.FAIL)):
        last = shop(MONDAY + span, *hours)
        look = given(*every[1:], against=base, newest=last, partitions=span)
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

        base = made(rows(0.02))
        look = given(rows(0.04), against=base).handed()[0]
        limits = DriftLimits.model_validate(told_ | {"baseline": base.digest, "newest": None})
        found = [each for each in GATE.judge(GATE.look(look), limits) if each.place == "interaction_type"]
        assert [each.rule for each in found] == ["DRIFT-COLUMN"]
        assert re.match(r"category \S+: [12][.0-9]* % of rows, now [34][.0-9]* % ", found[0].message), found
