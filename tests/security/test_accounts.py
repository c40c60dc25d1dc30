"""How accounts behave: where each sign begins, and that what is measured does not depend on what is not measured."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import security.rows.accounts
from security.rows.accounts import EVEN, SCALES, Account, Bots, Measured, measure, signs

START = 1_690_000_000 // 86_400 * 86_400
"""Midnight of a day (UTC), in seconds since 1970."""
Done = list[tuple[float, int]]


def kind(done: Done, catalogue: int = 1_000) -> Account:
    """The kind of one account that did this: seconds since midnight, and which item."""
    done = sorted(done)
    time = np.array([int((START + when) * 1e6) for when, _ in done])
    item = np.array([item for _, item in done])
    seen = measure(np.full(len(done), 7), pa.array(item), time, catalogue)
    assert (seen.users.tolist(), seen.rows.tolist(), seen.which.tolist()) == ([7], [len(done)], [0])
    return seen.kinds[0]


def told(seen: Measured) -> dict[int, Account]:
    """The kind of each account."""
    kinds = [seen.kinds[which] for which in seen.which]
    return dict(zip(seen.users.tolist(), kinds, strict=True))


def shown(done: Done, **settings: Any) -> tuple[str, ...]:
    """Its signs."""
    return signs(kind(done), Bots.model_validate(settings))


def jittered(count: int, gap: float, *, first: float = 0.0, same: bool = False) -> Done:
    """So many events with gaps around a mean that are not even."""
    draw, when, done = random.Random(count), first, []
    for number in range(count):
        done.append((when, 0 if same else number))
        when += gap * draw.choice([0.02, 0.3, 0.9, 2.78])
    return done


BOUNDS: list[tuple[str, Done, Done]] = [
    ("hourly", [(n * 3, n % 190) for n in range(1_200)], [(n * 2.99, n % 190) for n in range(1_205)]),
    ("even", [(n * 50, n) for n in range(30)], [(n * 50, n) for n in range(31)]),
    (
        "awake",
        [(n * 1_700 + (n % 2) * 90, n) for n in range(17)],
        [(n * 1_700 + (n % 2) * 90, n) for n in range(19)],
    ),
    ("awake", [(n * 1_800, n) for n in range(25)], [(n * 1_799, n) for n in range(25)]),
    ("hours", [(n * 3_600, n) for n in range(16)], [(n * 3_600, n) for n in range(17)]),
    ("repeats", [(n * 4_000 + n * n, 0) for n in range(10)], [(n * 4_000 + n * n, 0) for n in range(11)]),
    ("breadth", jittered(300, 30), jittered(301, 30)),
]


@pytest.mark.parametrize(("name", "person", "bot"), BOUNDS)
def test_a_sign_begins_where_it_says(name: str, person: Done, bot: Done) -> None:
    assert name not in shown(person)
    assert name in shown(bot)


def test_a_day_that_ends_takes_its_hours_and_its_items_along() -> None:
    half = [(86_400 - 8 * 3_600 + n * 3_600, n) for n in range(16)]
    assert shown(half) == ()
    assert shown([(when % 86_400, item) for when, item in half]) == ()
    both = [(86_400 - 6 * 4_000 + n * 4_000, 0) for n in range(12)]
    assert shown(both) == ()


def test_a_small_catalogue_says_nothing_about_breadth() -> None:
    done = jittered(150, 30)
    assert signs(kind(done, 199), Bots()) == ()
    assert signs(kind(done, 200), Bots()) == ("breadth",)


def test_an_account_of_one_event_is_a_person() -> None:
    assert kind([(0, 0)]) == Account(0, len(EVEN), 0, 0, 0, 0)
    none = np.zeros(0, np.int64)
    assert measure(none, pa.array(none), none, 10).kinds == []


@given(st.tuples(*(st.integers(0, len(scale)) for scale in SCALES)), st.sampled_from(Account._fields))
def test_a_wider_setting_shows_no_more(steps: tuple[int, ...], name: str) -> None:
    scale = SCALES[Account._fields.index(name)]
    wider = list(reversed(scale)) if name == "even" else list(scale)
    found = [name in signs(Account(*steps), Bots.model_validate({name: step})) for step in wider]
    assert found == sorted(found, reverse=True)


EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 4 * 86_400_000_000)),
    min_size=1,
    max_size=60,
    unique=True,
)


@given(EVENTS)
def test_one_account_does_not_change_another(events: list[tuple[int, int, int]]) -> None:
    def measured(some: list[tuple[int, int, int]]) -> dict[int, Account]:
        some = sorted(some, key=lambda event: (event[0], event[2]))
        user, item, time = (np.array(column, np.int64) for column in zip(*some, strict=True))
        return told(measure(user, pa.array(item), time + START * 1_000_000, 300))

    alone: dict[int, Account] = {}
    for user in {event[0] for event in events}:
        alone |= measured([event for event in events if event[0] == user])
    assert measured(events) == alone


def plainly(done: Done, catalogue: int) -> Account:
    """The kind of an account by the words of its definition, one event at a time."""
    when = sorted(moment for moment, _ in done)
    day = lambda moment: int(moment // 86_400)  # noqa: E731
    hourly = max(sum(int(end) - 3_600 < int(each) <= int(end) for each in when) for end in when)
    hours = max(len({int(each // 3_600) for each in when if day(each) == today}) for today in map(day, when))
    taken = [(day(moment), item) for moment, item in done]
    repeats = max(map(taken.count, taken))
    broad = max(len({item for today, item in taken if today == one}) for one, _ in taken)
    sessions, gaps = [[when[0], when[0]]], []
    for before, after in zip(when, when[1:], strict=False):
        if after - before < 1_800:
            sessions[-1][1] = after
            gaps.append(float(np.log(max(after - before, 1))))
        else:
            sessions.append([after, after])
    awake = max(end - begin for begin, end in sessions) / 3_600
    step = lambda value, scale: sum(each < value for each in scale)  # noqa: E731
    even = sum(each / 100 <= float(np.std(gaps)) for each in EVEN) if len(gaps) >= 30 else len(EVEN)
    share = broad * 100 / catalogue if catalogue >= 200 else 0
    values = (hourly, None, awake, hours, repeats, share)
    return Account(*(even if v is None else step(v, scale) for v, scale in zip(values, SCALES, strict=True)))


@given(st.integers(0, 10**9), st.integers(1, 150), st.sampled_from([1, 40, 900, 2_000]))
def test_what_is_measured_is_what_the_words_say(seed: int, count: int, gap: int) -> None:
    draw = random.Random(seed)
    when, done = draw.uniform(0, 86_400), []
    for _ in range(count):
        done.append((round(when, 3), draw.randrange(30)))
        when += gap * draw.choice([1.0, 1.0, 1.001, draw.uniform(0.1, 3)])
    assert kind(done, 250) == plainly(done, 250)


GAPS = [
    *(301 * [9], 30 * [50], 9 * [1_799], 13 * [3_600], 6 * [4_000], 21 * [1_900], 10 * [60, 60, 60, 86_220]),
    *(300 * [12], 29 * [50], 9 * [1_600], 12 * [3_600], 5 * [4_000], 20 * [1_900], 9 * [60, 60, 60, 86_220]),
]
"""Of accounts that only just reach the first step of a scale, and of such as only just do not."""


@given(
    st.lists(
        st.tuples(st.sampled_from(GAPS), st.integers(0, 86_400) | st.just(0), st.booleans()), min_size=1, max_size=9
    )
)
def test_who_is_passed_over_is_of_the_kind_of_those_who_did_little(made: list[tuple[list[int], int, bool]]) -> None:
    rows = []
    for user, (gaps, first, same) in enumerate(made):
        # Half of it before midnight is what leaves the fewest to any one day.
        when = START + (first or 86_400 - sum(gaps) // 2) + np.cumsum([0, *gaps])
        rows += [(user, 0 if same else n, int(each) * 1_000_000) for n, each in enumerate(when)]
    user, item, time = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    seen = measure(user, pa.array(item), time, 200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(security.rows.accounts, "_busy", lambda *given: np.ones(len(given[2]), bool))
        whole = measure(user, pa.array(item), time, 200)
    assert told(seen) == told(whole)
    assert seen.rows.tolist() == whole.rows.tolist()
    assert all(seen.broad[n] in (0, most) and (seen.broad[n] or most < 5) for n, most in enumerate(whole.broad))
