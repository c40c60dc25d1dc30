"""The sample lake: its shape, its freeze, what was planted in it, and the ceiling it claims."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from deployments.lake import sample
from deployments.lake import users as people

FROZEN = "13c53b0e46fb6c7f16dafb2fd6fd8c2f1472a7f7bbbb3cd613a102556265fa11"
"""sha256 over keys and rows of the default data set; figures are reported on it, so another digest is a new one."""

Row = dict[str, Any]


@pytest.fixture(scope="module")
def lake() -> list[tuple[str, bytes]]:
    """The default data set as it is uploaded."""
    return list(sample.partitions())


@pytest.fixture(scope="module")
def days(lake: list[tuple[str, bytes]]) -> dict[str, list[bytes]]:
    """Raw rows by day."""
    return {key.split("/")[1]: gzip.decompress(body).splitlines() for key, body in lake[1:]}


@pytest.fixture(scope="module")
def rows(days: dict[str, list[bytes]]) -> list[Row]:
    """All parsed rows in order."""
    return [json.loads(line) for lines in days.values() for line in lines]


def test_the_data_set_is_the_frozen_one(lake: list[tuple[str, bytes]]) -> None:
    digest = hashlib.sha256()
    for key, body in lake:
        digest.update(key.encode() + b"\0" + gzip.decompress(body))
    assert digest.hexdigest() == FROZEN


def test_keys_are_the_users_then_120_days_to_the_last(lake: list[tuple[str, bytes]]) -> None:
    expected = [
        f"user_interactions/{date(2023, 10, 27) - timedelta(days=119 - n)}/part-000.jsonl.gz" for n in range(120)
    ]
    assert [key for key, _ in lake] == ["users/users.jsonl.gz", *expected]


@pytest.mark.parametrize("count", [1, 3, 119])
def test_fewer_days_are_the_last_ones_of_the_same(lake: list[tuple[str, bytes]], count: int) -> None:
    assert list(sample.partitions(days=count)) == [lake[0], *lake[-count:]]


def test_bytes_depend_on_the_seed_only(lake: list[tuple[str, bytes]]) -> None:
    other = list(sample.partitions(days=2, seed=8))
    sample._draw.cache_clear()
    assert list(sample.partitions(days=2)) == [lake[0], *lake[-2:]]
    assert [body for _, body in other] != [lake[0][1], *(body for _, body in lake[-2:])]
    assert {body[4:8] for _, body in lake} == {b"\0\0\0\0"}, "a time of compression would differ from run to run"


@pytest.mark.parametrize("count", [0, -1, 121])
def test_a_number_of_days_outside_the_sample_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 120 days"):
        next(sample.partitions(days=count))


def test_rows_have_five_columns_inside_their_day_in_time_order(days: dict[str, list[bytes]]) -> None:
    shape = re.compile(
        rb'\{"user_id":"u\d{5}","item_id":"i\d{4}","interaction_type":"(view|click|purchase)",'
        rb'"timestamp":"(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\dZ","comment":(null|"[ -~]+")\}'
    )
    assert min(len(lines) for lines in days.values()) > 1000
    for day, lines in days.items():
        stamps = []
        for line in lines:
            match = shape.fullmatch(line)
            assert match is not None, line
            assert match[2].decode() == day
            stamps.append(line.split(b'"timestamp":"')[1][:20])
        assert stamps == sorted(stamps)


def test_exact_repetitions_are_the_planted_ones(days: dict[str, list[bytes]]) -> None:
    counts = Counter(line for lines in days.values() for line in lines)
    truth = sample.truth()
    assert sum(counts.values()) == truth.rows
    assert sum(counts.values()) - len(counts) == truth.duplicates
    assert 0.015 < truth.duplicates / truth.rows < 0.025


def test_events_differ_in_more_than_their_comment(days: dict[str, list[bytes]]) -> None:
    distinct = {line for lines in days.values() for line in lines}
    assert len({line.split(b',"comment"')[0] for line in distinct}) == len(distinct)


def test_bots_of_three_habits_make_about_three_percent(rows: list[Row]) -> None:
    bots = sample.truth().bots
    share = sum(row["user_id"] in bots for row in rows) / len(rows)
    assert 0.025 < share < 0.04
    assert set(bots.values()) == set(sample.HABITS)


def test_each_habit_shows_and_no_human_has_one(rows: list[Row]) -> None:
    bots = sample.truth().bots
    by_user: dict[str, list[tuple[int, str]]] = {}
    for line in {json.dumps(row) for row in rows}:
        row = json.loads(line)
        second = int(np.datetime64(row["timestamp"][:-1], "s").astype(np.int64))
        by_user.setdefault(row["user_id"], []).append((second, row["item_id"]))
    found: dict[str, set[str]] = {}
    for user, events in by_user.items():
        seconds = np.sort(np.array([second for second, _ in events]))
        gaps = np.diff(seconds)
        near = np.log(np.maximum(gaps[gaps <= 1800], 1))
        runs = np.split(seconds, np.flatnonzero(gaps > 1800) + 1)
        signs = {
            "scraper": len(near) >= 30 and float(near.std()) < 0.45,
            "clickfarm": max(Counter(item for _, item in events).values()) > 20,
            "stealth": max(int(run[-1] - run[0]) for run in runs) > 8 * 3600,
        }
        found[user] = {habit for habit, shown in signs.items() if shown}
    assert {user for user, signs in found.items() if signs} == set(bots)
    assert all(habit in found[user] for user, habit in bots.items())


def test_comments_are_rare_and_some_are_personal_in_every_part(rows: list[Row], days: dict[str, list[bytes]]) -> None:
    written = [row["comment"] for row in rows if row["comment"] is not None]
    private = [text for text in written if text not in people.HARMLESS]
    assert 0.05 < len(written) / len(rows) < 0.07
    assert len(private) == sample.truth().personal
    assert sum("@" in text for text in private) > 300
    assert sum("555-01" in text or "7946 0" in text for text in private) > 300
    for mail in (word for text in private for word in text.split() if "@" in word):
        assert re.fullmatch(r"[a-z]+\.[a-z]+\d+@example\.(com|org|net)", mail), mail
    for day, lines in days.items():
        assert any(b"@example." in line for line in lines), day
    assert not any(re.search(r"[\d.@]", text) for text in people.HARMLESS)


def test_the_table_names_every_user_once_with_group_and_country(lake: list[tuple[str, bytes]], rows: list[Row]) -> None:
    table = [json.loads(line) for line in gzip.decompress(lake[0][1]).splitlines()]
    names = [row["user_id"] for row in table]
    assert all(set(row) == {"user_id", "group", "country"} for row in table)
    assert names == sorted(set(names))
    assert set(names) == {row["user_id"] for row in rows}
    assert {row["group"] for row in table} == set(people.GROUPS)
    assert {row["country"] for row in table} == set(people.COUNTRIES)
    assert min(Counter(row["group"] for row in table).values()) > 150


def test_the_oracle_covers_the_humans_and_is_calibrated(rows: list[Row]) -> None:
    users, items, scores = sample.oracle_scores()
    bots = sample.truth().bots
    assert scores.shape == (len(users), len(items)) == (1000, 800)
    assert scores.dtype == np.float32
    assert not set(users.tolist()) & set(bots)
    taken = np.zeros(scores.shape, dtype=bool)
    place = {name: index for index, name in enumerate(users.tolist())}
    for row in rows:
        if row["user_id"] not in bots:
            taken[place[row["user_id"]], int(row["item_id"][1:])] = True
    for low, high in ((0.0, 0.1), (0.5, 0.9), (0.9, 0.97), (0.97, 1.0)):
        inside = (scores >= low) & (scores <= high)
        spread = 5 * float(np.sqrt((scores[inside] * (1 - scores[inside])).sum())) / int(inside.sum())
        assert abs(float(taken[inside].mean()) - float(scores[inside].mean())) < spread


def test_popularity_is_skewed(rows: list[Row]) -> None:
    pairs = {(row["user_id"], row["item_id"]) for row in rows if row["user_id"] not in sample.truth().bots}
    counts = sorted(Counter(item for _, item in pairs).values())
    tenth = counts[-len(counts) // 10 :]
    assert sum(tenth) > 1.4 * sum(counts) / 10  # with no skew the first tenth of the items would have a tenth
    assert counts[-1] > 2 * counts[0]
