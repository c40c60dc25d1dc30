"""Two looks at the same source differ by chance, and no score says more."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from security.drift.compare import compare
from security.drift.levels import Drift, Levels
from tests.security.drift.data import facts, log

BARE = Levels(**dict.fromkeys(("gone", "new", "jaccard"))).model_copy(
    update={
        name: 1.0 if name in ("distinct", "weight", "volume") else 0.0
        for name, limit in Levels()
        if limit is not None and name not in ("rows", "blind")
    }
)
"""Limits of nothing: the floors alone keep chance out. Ids of others are no chance, and have no limit."""
TESTED = {"", "user", "item", "kind", "stars", "height", "price", "wait", "clicks", "at", "kind × stars"}
SIZES = {2_000: 400, 8_000: 360, 25_000: 200, 60_000: 28, 100_000: 12}


def alarms(then: pa.Table, now: pa.Table) -> tuple[list[tuple[str, str]], Drift]:
    """Columns and scores above chance, whatever their limits; and what is said under the limits as they are."""
    reference = facts(then).profile
    found = facts(now, reference)
    bare = compare(reference, found, BARE)
    return [(each.column, score.name) for each in bare.columns for score in each.scores if score.drifted], compare(
        reference, found
    )


def run(sizes: dict[int, int], first: int) -> Counter[str]:
    """So many pairs of each size, every other one clustered; the outcomes of all columns of rows drawn one by one."""
    outcomes, seed, pairs = Counter[str](), first, 0
    for rows, count in sizes.items():
        for turn in range(count):
            clustered = bool(turn % 2)
            above, drift = alarms(log(rows, seed, clustered), log(rows, seed + 1, clustered))
            assert above == [], (rows, seed)
            assert drift.drifted == (), (rows, seed)
            assert {each.column for each in drift.columns} == TESTED
            assert drift.untested == ()
            if not clustered:
                outcomes.update(each.outcome for each in drift.columns)
            seed, pairs = seed + 2, pairs + 1
    assert pairs == sum(sizes.values())
    return outcomes


def test_no_alarm_between_looks_at_one_source() -> None:
    assert run({2_000: 12, 10_000: 6, 30_000: 2}, 10**6)["steady"] > 60


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_no_alarm_in_a_thousand_pairs() -> None:
    assert sum(SIZES.values()) == 1_000
    run(SIZES, 0)


@pytest.mark.parametrize("sizes", [(60_000, 3_000), (3_000, 60_000), (20_000, 10_000)])
@pytest.mark.parametrize("clustered", [False, True])
def test_no_alarm_between_looks_of_other_sizes(sizes: tuple[int, int], clustered: bool) -> None:
    then, now = (log(rows, rows + 10**5, clustered) for rows in sizes)
    above, drift = alarms(then, now)
    assert [each for each in above if each != ("", "volume")] == []
    assert [each for each in drift.drifted if each] == []


@pytest.mark.parametrize("different", [300, 1_000, 3_000])
def test_no_alarm_where_chance_chose_what_is_listed(different: int) -> None:
    """Of categories that are all alike those are listed that chance made frequent; the next time they are not."""
    draw = np.random.default_rng(different)
    then, now = (pa.table({"item": draw.integers(0, different, 40_000).astype(str)}) for _ in range(2))
    above, drift = alarms(then, now)
    assert above == []
    assert drift.drifted == ()


@pytest.mark.parametrize("seed", range(4))
def test_no_alarm_where_a_few_users_have_most_of_the_rows(seed: int) -> None:
    def heavy(more: int) -> pa.Table:
        """Users with as many rows as a Pareto variable says, each row of a user the same."""
        draw = np.random.default_rng(seed * 2 + more + 10**7)
        rows = np.minimum((draw.pareto(1.3, 1_500) * 8 + 1).astype(np.int64), 3_000)
        user = np.repeat(np.arange(len(rows)), rows)
        return pa.table(
            {
                "user": np.char.add(f"{seed}{more}-", user.astype(str)),
                "height": draw.standard_normal(len(rows))[user],
                "kind": np.array(["a", "b", "c", "d"])[draw.choice(4, len(rows), p=[0.5, 0.3, 0.15, 0.05])][user],
                "price": pa.array(draw.lognormal(3, 1, len(rows))[user], mask=(draw.random(len(rows)) < 0.1)[user]),
            }
        )

    above, drift = alarms(heavy(0), heavy(1))
    assert above == []
    assert drift.drifted == ()


def test_without_its_clusters_the_same_data_would_alarm() -> None:
    """The negative control: users that are not named make rows look like many more than they say."""
    found = []
    for seed in range(3):
        then, now = (log(20_000, seed * 2 + more, True).drop_columns(["user"]) for more in (0, 1))
        found += alarms(then, now)[0]
    assert found
