"""Patterns against texts and against each other: by a slow and plain reading, and many at once as each alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.engines.patterns import Patterns, covers, meets

PATTERNS = st.text("ab*?", max_size=6)
TEXTS = st.text("ab", max_size=6)


def matched(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern.replace("*", ".*").replace("?", "."), text) is not None


@given(PATTERNS, PATTERNS, TEXTS)
def test_patterns_that_meet_and_cover(one: str, other: str, text: str) -> None:
    assert covers(one, text) == meets(one, text) == matched(one, text)
    if matched(one, text) and matched(other, text):
        assert meets(one, other)
    if covers(one, other) and matched(other, text):
        assert matched(one, text)
    assert meets(one, other) == meets(other, one)
    assert covers(one, one)
    assert covers("*", one)


@given(PATTERNS, PATTERNS)
def test_patterns_that_meet_share_a_text(one: str, other: str) -> None:
    short = ["".join(text) for size in range(7) for text in _words(size)]
    shared = any(matched(one, text) and matched(other, text) for text in short)
    assert shared <= meets(one, other)
    if meets(one, other) and len(one.replace("*", "")) + len(other.replace("*", "")) <= 6:
        assert shared


def _words(size: int) -> list[str]:
    return ["".join("ab"[number >> place & 1] for place in range(size)) for number in range(2**size)]


@given(st.lists(PATTERNS, max_size=6), PATTERNS)
def test_many_at_once_are_as_each_alone(some: list[str], other: str) -> None:
    known = Patterns(some)
    meeting, covering = known.meeting(other), known.covering(other)
    assert set(known.ends) == set(some)
    for each, end in known.ends.items():
        assert bool(meeting & end) == meets(each, other)
        assert bool(covering & end) == covers(each, other)


@pytest.mark.parametrize(
    ("one", "other", "meet", "cover"),
    [
        ("", "", True, True),
        ("", "*", True, False),
        ("*", "", True, True),
        ("?", "", False, False),
        ("?", "*", True, False),
        ("a?", "?b", True, False),
        ("a*", "**a", True, False),
        ("**", "*", True, True),
        ("a*b*c", "a?b?c", True, True),
        ("a*", "b*", False, False),
        ("\u017f*", "s*", False, False),
        ("*\n", "?\n", True, True),
    ],
)
def test_patterns_by_hand(one: str, other: str, meet: bool, cover: bool) -> None:
    assert (meets(one, other), covers(one, other)) == (meet, cover)
