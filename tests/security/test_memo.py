"""What is made of bytes is made once for the same bytes, and for no others."""

import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.memo import Memo


@given(st.lists(st.binary(max_size=2)), st.integers(1, 5))
def test_the_answer_is_that_of_the_bytes(asked: list[bytes], most: int) -> None:
    made = Counter[bytes]()

    def work(data: bytes) -> tuple[bytes, int]:
        made[data] += 1
        return data[::-1], len(data)

    memo = Memo(work, most)
    for data in asked:
        assert memo(data) == (data[::-1], len(data))
    if len(set(asked)) <= most:
        assert made == Counter(set(asked))


def test_what_was_asked_for_last_is_kept() -> None:
    made = list[bytes]()
    memo = Memo(made.append, 2)
    for data in (b"a", b"b", b"a", b"c", b"a", b"b"):
        memo(data)
    assert made == [b"a", b"b", b"c", b"b"]


def test_an_error_is_no_answer() -> None:
    made = list[bytes]()

    def work(data: bytes) -> int:
        made.append(data)
        return int(data)

    memo = Memo(work, 2)
    for _ in range(3):
        with pytest.raises(ValueError, match="invalid literal"):
            memo(b"x")
    assert made == [b"x"] * 3


def test_threads_get_the_same() -> None:
    memo, found = Memo(lambda data: data * 2, 3), list[bool]()

    def ask() -> None:
        found.extend(memo(bytes((n % 7,))) == bytes((n % 7,)) * 2 for n in range(300))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [True] * 1200
