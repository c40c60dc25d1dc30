"""Work ahead: the same items in the same order, errors in their place, and no thread left behind."""

import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.rows.ahead import ahead

WHERE: ContextVar[str] = ContextVar("WHERE")


def threads() -> list[str]:
    """Threads that work ahead."""
    return [thread.name for thread in threading.enumerate() if thread.name == "ahead"]


@given(st.lists(st.none() | st.integers()), st.integers(1, 4))
def test_items_come_in_order(items: list[int | None], most: int) -> None:
    assert list(ahead(items, most)) == items
    assert not threads()


def test_an_error_is_raised_after_what_came_before_it() -> None:
    def source() -> Iterator[int]:
        yield from (1, 2, 3)
        raise KeyError("here")

    found = ahead(source())
    assert [next(found) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(KeyError, match="here"):
        next(found)
    assert not threads()


def test_who_stops_early_stops_the_source() -> None:
    made, closed = [], threading.Event()

    def source() -> Iterator[int]:
        try:
            for number in range(1_000):
                made.append(number)
                yield number
        finally:
            closed.set()

    found = ahead(source(), 2)
    assert next(found) == 0
    found.close()
    assert closed.is_set()
    assert not threads()
    assert len(made) <= 1 + 2 + 1


def test_one_within_another_stops_with_it() -> None:
    outer = ahead(each + 1 for each in ahead(range(1_000)))
    assert next(outer) == 1
    outer.close()
    assert not threads()


def test_it_works_in_the_context_of_who_asks() -> None:
    WHERE.set("here")
    assert list(ahead(WHERE.get() for _ in range(2))) == ["here", "here"]
