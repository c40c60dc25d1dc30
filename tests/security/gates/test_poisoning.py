"""The gate over coordinated accounts: each rule, what it cannot tell, and attacks that it does not find."""

import csv
import itertools
import math
import random
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security import gate as gates
from security.errors import CannotTell
from security.gates.poisoning import (
    BUDGETS,
    COLUMNS,
    DAYS,
    PROBE,
    DataPoisoning,
    Facts,
    Limits,
    Tally,
    material,
    reached,
    rows,
    tally,
)
from security.gates.poisoning.chance import odds, rare
from security.gates.poisoning.facts import LISTED, Fashions
from security.gates.poisoning.tally import DAY, TIME
from security.gates.poisoning.trials import tried
from security.material import Material
from security.verdict import Observation, Outcome, Subject, Verdict

if TYPE_CHECKING:
    from tests.conformance.subjects import Case

GATE = DataPoisoning()
SUBJECT = Subject(kind="features", name="staging:features", sha256="0" * 64)
START, SPAN, ITEMS = 19_000, 90, 60
Pairs = tuple[Any, Any, Any]
"""User, item and day of each pair."""


def clean(accounts: int = 400, seed: int = 1, span: int = SPAN) -> Pairs:
    """Accounts that come on any day and take a dozen of some items, by popularity, half of them over the weeks that
    follow."""
    draw = np.random.default_rng(seed)
    weight = 1 / np.arange(1, ITEMS + 1) ** 0.7
    parts = []
    for user in range(accounts):
        items = draw.choice(ITEMS, 12, replace=False, p=weight / weight.sum())
        come = draw.integers(0, span)
        days = np.minimum(come + np.r_[[0] * 6, draw.integers(0, 30, 6)], span - 1)
        parts.append((np.full(12, user), items, days))
    user, item, day = (np.concatenate([part[place] for part in parts]) for place in range(3))
    return user, item, day


def attacked(pairs: Pairs, target: int, came: Any, *, stays: int, same: bool = False, seed: int = 7) -> Pairs:
    """The pairs, and those of accounts that come on these days and take the target at once, and others with it."""
    draw = np.random.default_rng(seed)
    others = np.delete(np.arange(int(pairs[1].max()) + 1), target)
    parts, fixed = [pairs], draw.permutation(others)[:11]
    for place, day in enumerate(came):
        items = np.r_[target, fixed if same else draw.permutation(others)[:11]]
        days = np.r_[[day] * 11, day + stays]
        parts.append((np.full(12, int(pairs[0].max()) + 1 + place), items, days))
    user, item, day = (np.concatenate([part[place] for part in parts]) for place in range(3))
    return user, item, day


def batches(pairs: Pairs, size: int = 2_000) -> list[Any]:
    """As a runner hands them out, at any time of their days."""
    time = (pairs[2] + START) * DAY + np.random.default_rng(3).integers(0, DAY, len(pairs[2]))
    arrays = [pa.array(pairs[0], pa.int32()), pa.array(pairs[1], pa.int32())]
    batch = pa.RecordBatch.from_arrays([*arrays, pa.array(time, pa.timestamp("us")).cast(TIME)], names=list(COLUMNS))
    return [batch.slice(at, size) for at in range(0, batch.num_rows, size)]


def opened(given: list[Any]) -> Material[Any]:
    count = sum(each.num_rows for each in given)
    return Material(SUBJECT, lambda: given, expected=count, unit="pairs", weigh=lambda each: int(each.num_rows))


def look(pairs: Pairs) -> Facts:
    return GATE.look(opened(batches(pairs)).handed()[0])


def judged(pairs: Pairs, seed: int = 1, **limits: Any) -> tuple[Observation, Verdict]:
    seen = gates.observe(GATE, opened(batches(pairs)), limits, random.Random(seed))
    return seen, gates.judge(GATE, seen, limits)


def case(_: Path) -> "Case":
    """Accounts of whom four have the same items; beside the bad ones forty come on one day for one item."""
    from tests.conformance.subjects import Case

    copied = attacked(clean(), 30, [10, 30, 50, 70], stays=15, same=True)
    return Case(
        {},
        {"copies": 4},
        good=lambda: opened(batches(copied)),
        bad=lambda: opened(batches(attacked(copied, 50, [40] * 40, stays=20))),
        rule="POI-BURST",
    )


@pytest.mark.parametrize("seed", range(5))
def test_accounts_that_act_alone_pass(seed: int) -> None:
    _, found = judged(clean(seed=seed), seed)
    assert (found.outcome, found.findings) == (Outcome.PASS, ()), found.reason
    assert "400 accounts, 60 items, of made-up bursts those of " in found.reason


ATTACKS: dict[str, tuple[str, str, Callable[[Pairs], Pairs]]] = {
    "burst": (
        "POI-BURST",
        r"item 50: 2\d of \d\d accounts that were new from 2022-0\d-\d\d on took it at once \(\d+ pairs in all\), \d+ "
        r"of 3\d\d others when they were new \([\d,]+\); by chance once in 10\^\d+, odds of \d+; allowed: not beyond "
        r"once in 10\^5, or odds of 4",
        lambda pairs: attacked(pairs, 50, [40] * 15 + [41] * 10, stays=20),
    ),
    "brief": (
        "POI-BRIEF",
        r"item 50: 25 of \d+ accounts that took it are brief ones, \d+ of all \d+; by chance once in 10\^\d+, odds of",
        lambda pairs: attacked(pairs, 50, range(5, 80, 3), stays=0),
    ),
    "copies": (
        "POI-COPIES",
        "set 1: 6 accounts have the very same 12 items; allowed: fewer than 5, of 10 items or more",
        lambda pairs: attacked(pairs, 50, range(5, 65, 10), stays=15, same=True),
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_each_rule_fails_what_it_is_for(name: str) -> None:
    rule, says, attack = ATTACKS[name]
    _, found = judged(attack(clean()))
    assert found.outcome is Outcome.FAIL
    assert {each.rule for each in found.findings} == {rule}
    (first,) = [each for each in found.findings if rule != "POI-BURST" or each.place == "item 50"]
    assert re.match(says, f"{first.place}: {first.message}"), first.message


def test_accounts_that_come_slowly_and_stay_are_not_found_and_the_facts_say_so() -> None:
    seen, found = judged(attacked(clean(), 50, range(5, 65, 2), stays=20))
    assert found.outcome is Outcome.PASS
    told = rows(Facts.model_validate(seen.facts), Limits())
    slow = [each for each in told if each.attack == "spread that stays, rare item"]
    assert [each.percent for each in slow] == [None, *BUDGETS]
    assert {(each.found, each.tried) for each in slow} == {(0, 1)}
    assert {each["basis"] for each in seen.facts["trials"]} == {"simulated"}
    assert seen.basis == "observed"


def test_where_busy_accounts_came_first_and_idle_ones_later_nothing_is_found() -> None:
    busy, draw = clean(200, span=2), np.random.default_rng(2)
    idle = np.arange(200, 500), draw.choice(busy[1], 300), draw.integers(10, 90, 300)
    facts = look(tuple(np.concatenate(each) for each in zip(busy, idle, strict=True)))  # type: ignore[arg-type]
    assert (facts.accounts, facts.bursts) == (500, ())


def test_what_accounts_from_before_take_too_is_a_fashion() -> None:
    pairs = attacked(clean(), 50, [40] * 25, stays=20)
    fans = [user for user in range(400) if pairs[2][pairs[0] == user].min() < 30]
    fans = [user for user in fans if 50 not in pairs[1][pairs[0] == user]]
    joined = tuple(
        np.concatenate([each, more])
        for each, more in zip(pairs, (fans, [50] * len(fans), [41] * len(fans)), strict=True)
    )
    facts = look(joined)  # type: ignore[arg-type]
    assert facts.fashions == 1
    assert 50 not in {each.item for each in facts.bursts}
    assert judged(joined)[1].outcome is Outcome.PASS  # type: ignore[arg-type]


def test_too_few_accounts_or_days_to_tell_is_no_pass() -> None:
    for pairs, tries in ((clean(20), "1 accounts would be found in 0 of 4 tries"), (clean(span=2), "0 of 1 tries")):
        _, found = judged(pairs)
        assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "few"), found.reason
        assert tries in found.reason
        assert "a burst of 5 % of " in found.reason


def test_one_pair_of_long_ago_does_not_make_few_days_many() -> None:
    user, item, day = clean(span=2)
    _, found = judged((np.r_[user, 400], np.r_[item, 3], np.r_[day + 120, 0]))
    assert (found.outcome, found.cause) == (Outcome.INCONCLUSIVE, "few"), found.reason


FORGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "windows": lambda told: told | {"windows": 10**15},
    "more": lambda told: told | {"bursts": [], "more": {}},
    "accounts": lambda told: told | {"accounts": 0, "items": 1, "pairs": 3},
    "standing": lambda told: told | {"standing": 0},
    "a burst's rest": lambda told: told | {"bursts": [told["bursts"][0] | {"rest": 9}]},
    "a burst's item": lambda told: told | {"bursts": [told["bursts"][0] | {"item": 10**6}]},
    "no tries": lambda told: told | {"trials": []},
    "a try of one": lambda told: told | {"trials": [told["trials"][9] | {"accounts": 1}, *told["trials"]]},
    "too many tries": lambda told: told | {"trials": [*told["trials"], *[told["trials"][0]] * 4]},
    "a try's windows": lambda told: told | {"trials": [told["trials"][0] | {"windows": 999}, *told["trials"][1:]]},
}


@pytest.mark.parametrize("name", FORGED)
def test_facts_that_cannot_be_of_one_look_are_no_pass(name: str) -> None:
    seen, found = judged(attacked(clean(), 50, [40] * 25, stays=20))
    assert found.outcome is Outcome.FAIL
    forged = seen.model_copy(update={"facts": FORGED[name](dict(seen.facts))})
    assert gates.judge(GATE, forged, {}).outcome is Outcome.INCONCLUSIVE


def test_a_finding_outranks_that_there_is_too_little_to_tell() -> None:
    _, found = judged(attacked(clean(20), 50, range(5, 65, 10), stays=15, same=True))
    assert {each.rule for each in found.findings} == {"POI-COPIES"}


def test_more_than_can_be_listed_is_no_pass() -> None:
    facts = look(clean())
    (burst,) = [each.burst for each in facts.trials if each.burst][:1]
    many = facts.model_copy(update={"bursts": (burst,) * LISTED, "more": {**facts.more, "bursts": 7}})
    with pytest.raises(CannotTell, match="more bursts stand out than are listed") as why:
        list(GATE.judge(many, Limits(odds=20, chance=-12, least=20)))
    assert why.value.cause == "crowded"


def test_many_items_are_told_in_one_finding() -> None:
    pairs = clean()
    for item in range(50, 58):
        pairs = attacked(pairs, item, [9 * (item - 49)] * 24, stays=5, seed=item)
    told = [each for each in judged(pairs)[1].findings if each.rule == "POI-BURST"]
    assert len(told) == 6
    (last,) = [each for each in told if each.place == "items"]
    assert re.fullmatch(r"\d+ more like these; allowed: none", last.message)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda batch: batch.slice(0, 0), "there are no pairs"),
        (lambda batch: batch.select([0, 1]), "other columns"),
        (lambda batch: batch.set_column(0, "user", pa.nulls(batch.num_rows, pa.int32())), "empty cells"),
        (lambda batch: batch.set_column(0, "user", pa.array(["a"] * batch.num_rows)), "no places in a vocabulary"),
        (lambda batch: batch.set_column(0, "user", pa.array([-1] * batch.num_rows, pa.int32())), "are none"),
        (lambda batch: batch.set_column(2, "timestamp", pa.array([1] * batch.num_rows)), "no times"),
        (lambda batch: pa.concat_batches([batch, batch.slice(0, 1)]), "is there twice"),
    ],
)
def test_pairs_that_are_none_are_no_pass(spoil: Callable[[Any], Any], says: str) -> None:
    whole = pa.concat_batches(batches(clean(30)))
    with pytest.raises(CannotTell, match=says):
        Tally([spoil(whole)])
    seen = gates.observe(GATE, opened([spoil(whole)]), {}, random.Random(1))
    assert gates.judge(GATE, seen, {}).outcome is Outcome.INCONCLUSIVE


def test_a_file_is_read_in_columns_and_one_that_is_none_is_no_pass(tmp_path: Path) -> None:
    path, table = tmp_path / "rows.parquet", pa.Table.from_batches(batches(clean()))
    pq.write_table(table.append_column("beside", pa.nulls(table.num_rows, pa.string())), path)
    made = material(SUBJECT, path, table.num_rows)
    seen = gates.observe(GATE, made, {}, random.Random(1))
    assert seen.coverage.whole
    assert gates.judge(GATE, seen, {}).outcome is Outcome.PASS
    path.write_bytes(b"no file of Parquet")
    with pytest.raises(CannotTell, match="cannot be read as Parquet"):
        list(material(SUBJECT, path, 1))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.data())
def test_chance_is_what_counting_all_ways_gives(whole: int, data: st.DataObject) -> None:
    marked, drawn = data.draw(st.integers(0, whole)), data.draw(st.integers(0, whole))
    found = data.draw(st.integers(max(0, drawn + marked - whole), min(marked, drawn)))
    ways = sum(
        math.comb(marked, k) * math.comb(whole - marked, drawn - k) for k in range(found, min(marked, drawn) + 1)
    )
    exact = math.log10(Fraction(ways, math.comb(whole, drawn)))
    assert rare(whole, marked, drawn, found) == pytest.approx(exact if found * whole > marked * drawn else 0, abs=1e-9)


def test_numbers_that_contradict_each_other_have_no_chance() -> None:
    for numbers in ((10, 3, 3, 4), (10, 9, 9, 7), (10, 3, 2, -1)):
        with pytest.raises(ValueError, match="drawn"):
            rare(*numbers)
    assert odds(10, 10, 10, 0) == pytest.approx(441)


@pytest.mark.parametrize(
    ("came", "stays"),
    [
        ([40] * 12 + [41] * 13, 0),
        ([40] * 25, 30),
        (list(range(5, 80, 3)), 0),
        (list(range(5, 55, 2)), 20),
        ([1] * 9, 0),
    ],
)
def test_what_is_made_up_is_what_counting_the_attack_would_give(
    came: list[int], stays: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = clean()
    total = Tally(batches(pairs))
    monkeypatch.setattr(tally, "warm", lambda _: total.warm)  # which an attack may move
    others = 11 if stays < DAYS else 10  # the last one comes later
    made = tried(total, Fashions(0, 0), PROBE, 50, np.array(came), None, brief=not stays, others=others)
    facts, whole = look(attacked(pairs, 50, came, stays=stays)), Tally(batches(attacked(pairs, 50, came, stays=stays)))
    assert made.windows == facts.windows
    assert made.brief is not None
    held = (made.brief.whole, made.brief.short, made.brief.accounts, made.brief.brief)
    assert held == (whole.whole, whole.short, whole.settled[50], whole.brief[50])
    listed = {each.item: each for each in reversed(facts.bursts)}
    if 50 in listed:
        assert made.burst == listed[50]
    else:
        assert made.burst is None or made.burst.chance(made.windows * facts.items) > -2


def test_a_policy_sets_nothing_so_high_that_nothing_would_be_found() -> None:
    pairs, loosest = clean(), {"chance": -12, "odds": 20, "least": 20, "copies": 20, "items": 12, "power": 0.5}
    terms, sample = Limits.model_validate(loosest), batches(pairs)
    for rule, seed in itertools.product(GATE.rules, range(10)):
        facts = GATE.look(opened(list(GATE.violations[rule](sample, random.Random(seed)))).handed()[0])
        found = set()
        try:
            for each in GATE.judge(facts, terms):
                found.add(each.rule)
        except CannotTell:
            pass
        assert found == {rule}


@pytest.mark.parametrize("seed", range(6))
def test_known_bad_pairs_of_few_accounts_and_days_are_bad_too(seed: int) -> None:
    sample = batches(clean(8, span=1))
    for rule in GATE.rules:
        facts = GATE.look(opened(list(GATE.violations[rule](sample, random.Random(seed)))).handed()[0])
        assert rule in {each.rule for each in _heard(facts)}


def _heard(facts: Facts) -> list[Any]:
    made = []
    try:
        for each in GATE.judge(facts, Limits()):
            made.append(each)  # noqa: PERF402 - kept on a raise
    except CannotTell:
        pass
    return made


def test_no_id_of_an_account_or_an_item_is_kept() -> None:
    seen, _ = judged(attacked(clean(), 50, [40] * 25, stays=20))
    assert set(seen.facts["bursts"][0]) == {
        "item", "since", "new", "took", "rest", "rest_took", "pairs", "rest_pairs", "seasoned", "seasoned_took",
        "seasoned_pairs",
    }  # fmt: skip


def test_real_ratings_have_no_finding_and_these_attacks_would_be_found(shared: Path) -> None:
    path = shared / "ml-latest-small" / "ratings.csv"
    with path.open(encoding="utf-8") as file:
        read = csv.DictReader(file)
        told = [(int(row["userId"]), int(row["movieId"]), int(row["timestamp"]) // 86_400) for row in read]
    user, item, day = np.array(told).T
    pairs = np.unique(user, return_inverse=True)[1], np.unique(item, return_inverse=True)[1], day - START
    facts = look(pairs)
    assert (facts.accounts, facts.bursts, facts.briefs, facts.copies, facts.fashions) == (671, (), (), (), 0)
    told_ = {(each.attack, each.percent): (each.found, each.tried) for each in rows(facts, Limits())}
    assert told_[PROBE, 1] == told_[PROBE, 5] == (4, 4)
    assert told_["burst, popular item", 1] == (0, 4)
    assert told_["spread, rare item", 5] == told_["spread that stays, rare item", 10] == (0, 1)
    assert reached(rows(facts, Limits())) == 7
    assert judged(pairs)[1].outcome is Outcome.PASS


def test_days_are_those_that_the_docstring_names() -> None:
    assert DAYS == 3
