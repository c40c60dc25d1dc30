"""Coordinated accounts, and what looks like them: launches, news, steady users whose first days are cut off, albums,
and small catalogues."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.gates.poisoning.sets import share
from security.verdict import Outcome
from tests.security.gates.test_poisoning import Pairs, _heard, attacked, judged, look


def launches(accounts: int, begins: dict[int, int], *, seed: int, cut: int = 0) -> Pairs:
    """Accounts that come on any of 120 days, and again on some later; on each of the four days from one of `begins` on
    a quarter of those who are there take a new item. Days before `cut` are left out."""
    draw = np.random.default_rng(seed)
    visits = draw.poisson(6, accounts) + 1
    user = np.repeat(np.arange(accounts), visits)
    day = draw.integers(0, 120, accounts)[user]
    day[np.r_[False, user[1:] == user[:-1]]] += draw.integers(1, 120, len(user) - accounts)
    user, day = user[(day < 120) & (day >= cut)], day[(day < 120) & (day >= cut)]
    weight = 1 / np.arange(1, 601) ** 0.7
    parts = [(np.repeat(user, 4), draw.choice(600, 4 * len(user), p=weight / weight.sum()), np.repeat(day, 4))]
    for place, start in begins.items():
        took = (day >= start) & (day < start + 4) & (draw.random(len(day)) < 0.25)
        parts.append((user[took], np.full(took.sum(), 600 + place), day[took]))
    user, item, day = (np.concatenate([part[place] for part in parts]) for place in range(3))
    order = np.lexsort((day, item, user))
    user, item, day = user[order], item[order], day[order]
    first = np.r_[True, (user[1:] != user[:-1]) | (item[1:] != item[:-1])]
    return np.unique(user[first], return_inverse=True)[1], item[first], day[first] - cut


@pytest.mark.parametrize("seed", range(3))
def test_items_that_are_launched_for_all_are_fashions(seed: int) -> None:
    begins = {place: 20 + 9 * place for place in range(10)}
    seen, found = judged(launches(3_000, begins, seed=seed), seed)
    assert (found.outcome, found.findings) == (Outcome.PASS, ()), found.reason
    assert seen.facts["fashions"] == 10


def test_a_burst_among_launches_is_found() -> None:
    pairs = launches(3_000, {place: 20 + 9 * place for place in range(10)}, seed=1)
    _, found = judged(attacked(pairs, 400, [60] * 60, stays=20))
    assert [each.place for each in found.findings if each.rule == "POI-BURST"] == ["item 400"]


@pytest.mark.parametrize("seed", range(3))
def test_who_is_first_seen_in_the_first_days_is_not_new(seed: int) -> None:
    seen, found = judged(launches(3_000, {0: 58}, seed=seed, cut=60), seed)
    assert (found.outcome, found.findings) == (Outcome.PASS, ()), found.reason
    assert seen.facts["early"] > 300


def test_news_that_lives_for_days_is_no_attack() -> None:
    draw = np.random.default_rng(1)
    visits = draw.poisson(8, 2_000) + 1
    user = np.repeat(np.arange(2_000), visits)
    day = draw.integers(0, 300, 2_000)[user]
    day[np.r_[False, user[1:] == user[:-1]]] += draw.integers(1, 300, len(user) - 2_000)
    user, day = np.repeat(user[day < 300], 5), np.repeat(day[day < 300], 5)
    weight = 1 / np.arange(1, 41)
    born = np.maximum(day - draw.integers(0, 4, len(day)), 0)
    pair = born * 40 + draw.choice(40, len(day), p=weight / weight.sum())
    _, first = np.unique(user * 12_000 + pair, return_index=True)
    facts = look((user[first], pair[first], day[first]))
    assert facts.fashions > 100
    assert not _heard(facts)


def test_albums_are_no_copies() -> None:
    draw, parts = np.random.default_rng(2), []
    weight = 1 / np.arange(1, 301) ** 0.8
    for user in range(2_000):
        count = 1 if draw.random() < 0.15 else min(1 + int(draw.geometric(0.3)), 12)
        albums = draw.choice(300, count, replace=False, p=weight / weight.sum())
        items = (albums[:, None] * 12 + np.arange(12)).ravel()
        days = draw.integers(0, 90) + np.repeat(np.r_[0, draw.integers(0, 30, count - 1)], 12)
        parts.append((np.full(len(items), user), items, np.minimum(days, 89)))
    user, item, day = (np.concatenate([part[place] for part in parts]) for place in range(3))
    facts = look((user, item, day))
    assert max(each.accounts for each in facts.copies) > 15
    assert not {each.rule for each in _heard(facts)} & {"POI-COPIES"}
    copied = attacked((user, item, day), 50, range(5, 65, 10), stays=15, same=True)
    assert "POI-COPIES" in {each.rule for each in _heard(look(copied))}


@pytest.mark.parametrize("seed", range(2))
def test_a_small_catalogue_that_many_have_whole_is_no_copy(seed: int) -> None:
    draw = np.random.default_rng(seed)
    user, item = np.nonzero(draw.random((1_000, 12)) < 0.9)
    come = draw.integers(0, 60, 1_000)
    facts = look((user, item, come[user] + draw.integers(0, 30, len(user))))
    assert not _heard(facts)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 9), min_size=6, max_size=8), st.integers(5, 6))
def test_the_share_of_a_set_is_what_adding_up_all_sets_gives(support: list[int], size: int) -> None:
    total = SimpleNamespace(support=np.array(support), accounts=10)
    odds_ = [(each + 0.5) / (10.5 - each) for each in support]
    every = sum(math.prod(odds_[at] for at in each) for each in itertools.combinations(range(len(support)), size))
    exact = math.log10(math.prod(odds_[:size]) / every)
    assert share(total, np.arange(size), 0) == pytest.approx(exact, abs=1e-9)  # type: ignore[arg-type]
