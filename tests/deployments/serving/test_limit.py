"""Limits by identity: how much at once, how much in time, how many different things, and in how much memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.serving.limit import HOUR, SAMPLE, Allowance, Exceeded, Limiter


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def takes(limiter: Limiter, who: str, times: int) -> int:
    """How many of so many requests at once are let through."""
    done = 0
    for _ in range(times):
        try:
            limiter.take(who)
        except Exceeded:
            continue
        done += 1
    return done


def spends(limiter: Limiter, who: str, things: range) -> int:
    """How many of these things are let through."""
    done = 0
    for thing in things:
        try:
            limiter.spend(who, thing)
        except Exceeded:
            continue
        done += 1
    return done


def test_a_burst_is_as_long_as_stated_and_comes_back_at_the_rate() -> None:
    clock = Clock()
    limiter = Limiter(Allowance(rate=10, burst=5), clock)
    assert takes(limiter, "one", 50) == 5
    assert takes(limiter, "another", 50) == 5, "one's flood is not another's"
    clock.now += 0.2
    assert takes(limiter, "one", 50) == 2
    clock.now += 60
    assert takes(limiter, "one", 50) == 5


def test_a_refusal_says_when_to_come_back() -> None:
    clock = Clock()
    limiter = Limiter(Allowance(rate=0.1, burst=1), clock)
    limiter.take("one")
    with pytest.raises(Exceeded) as why:
        limiter.take("one")
    assert (why.value.status, why.value.headers) == (429, {"retry-after": "10"})
    clock.now += 10
    limiter.take("one")


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3)), max_size=120),
    st.floats(0.5, 20),
    st.integers(1, 12),
)
def test_no_span_holds_more_than_a_burst_and_what_has_come_back(
    asked: list[tuple[str, float]], rate: float, burst: int
) -> None:
    clock = Clock()
    limiter = Limiter(Allowance(rate, burst), clock)
    let: dict[str, list[float]] = {}
    for who, pause in asked:
        clock.now += pause
        try:
            limiter.take(who)
        except Exceeded:
            assert let.get(who), "refused before anything was let through"
            continue
        let.setdefault(who, []).append(clock.now)
    for times in let.values():
        for start in range(len(times)):
            for end in range(start, len(times)):
                assert end - start + 1 <= burst + (times[end] - times[start]) * rate + 1e-6


def test_memory_is_bounded_and_who_does_not_fit_is_refused() -> None:
    clock = Clock()
    limiter = Limiter(Allowance(rate=10, burst=5), clock, identities=3)
    assert [takes(limiter, who, 1) for who in "abcd"] == [1, 1, 1, 0]
    assert takes(limiter, "a", 9) == 4, "who is in it goes on"
    clock.now += 0.5
    assert takes(limiter, "d", 1) == 1
    clock.now += 0.5
    assert takes(limiter, "a", 9) == 5
    assert len(limiter._new) + len(limiter._old) <= 6


def test_different_things_have_a_budget_and_the_same_costs_nothing() -> None:
    clock = Clock()
    limiter = Limiter(Allowance(budget=10), clock)
    assert spends(limiter, "one", range(10_000)) == 10
    assert spends(limiter, "one", range(10)) == 10, "what was asked before may be asked again"
    assert spends(limiter, "another", range(3)) == 3
    with pytest.raises(Exceeded, match="different") as why:
        limiter.spend("one", "more")
    assert int(why.value.headers["retry-after"]) == HOUR
    clock.now += HOUR
    assert spends(limiter, "one", range(10_000)) == 10


def test_who_walks_the_catalogue_needs_hours() -> None:
    clock = Clock()
    limiter = Limiter(Allowance(budget=100), clock)
    walked, start = 0, clock.now
    for item in range(1000):
        try:
            limiter.spend("copier", item)
        except Exceeded as why:
            clock.now += int(why.headers["retry-after"])
            limiter.spend("copier", item)
        walked += 1
    assert (walked, clock.now - start) == (1000, 9 * HOUR)


def test_one_caller_uses_up_nothing_of_anothers() -> None:
    limiter = Limiter(Allowance(budget=1_000_000), Clock())
    assert spends(limiter, "backend", range(300_000)) == 300_000
    assert spends(limiter, "somebody", range(300_000, 300_500)) == 500
    limiter = Limiter(Allowance(budget=1000), Clock())
    assert [spends(limiter, f"user {n}", range(101)) for n in range(2100)] == [101] * 2100


@pytest.mark.parametrize("budget", [1024, 1025, 3000, 20_000])
def test_a_large_budget_is_counted_in_little_memory(budget: int) -> None:
    limiter = Limiter(Allowance(budget=budget), Clock())
    let = spends(limiter, "one", range(2 * budget))
    assert let == budget if budget <= SAMPLE else 0.75 * budget < let < 1.25 * budget
    assert spends(limiter, "one", range(2 * budget, 3 * budget)) == 0, "refused is refused"
    assert len(limiter._asked["one"]._kept) <= SAMPLE
    assert spends(limiter, "one", range(budget)) > 0, "what was asked before"


def test_callers_of_one_hour_are_bounded_and_who_does_not_fit_is_refused() -> None:
    clock = Clock()
    limiter = Limiter(Allowance(budget=10), clock, identities=2)
    assert [spends(limiter, who, range(9)) for who in "abca"] == [9, 9, 0, 9]
    assert len(limiter._asked) == 2
    clock.now += HOUR
    assert spends(limiter, "c", range(9)) == 9


@pytest.mark.parametrize(
    "more", [{"rate": 0}, {"rate": float("inf")}, {"rate": float("nan")}, {"burst": 0}, {"budget": -1}]
)
def test_a_limit_is_a_number(more: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allowed: more than 0"):
        Allowance(**more)  # type: ignore[arg-type]


def test_a_limiter_has_room() -> None:
    with pytest.raises(ValueError, match="identities: found 0"):
        Limiter(identities=0)
