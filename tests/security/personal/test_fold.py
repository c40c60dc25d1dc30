"""Values that are written so that a pattern does not see them, and what is said of each way."""

import string

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.personal.cells import Cells
from security.personal.fold import folded

CARD = "4111111111111111"


@pytest.fixture(scope="module")
def cells() -> Cells:
    """The fast way."""
    return Cells()


def told(cells: Cells, text: str | None) -> list[tuple[str, int, int]]:
    """Entities and places of one cell."""
    codes, found = cells.column(pa.array([text], pa.string()))
    code = codes[0].as_py()
    return [] if code is None else [each[:3] for each in found.get(code, ())]


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        (CARD.translate({ord("0") + n: 0xFF10 + n for n in range(10)}), "CREDIT_CARD"),
        (CARD.translate({ord("0") + n: 0x0660 + n for n in range(10)}), "CREDIT_CARD"),
        (CARD.translate({ord("0") + n: 0x1D7CE + n for n in range(10)}), "CREDIT_CARD"),
        ("4111\u200b1111\u200b1111\u200b1111", "CREDIT_CARD"),
        ("4111\u00ad1111 1111\u2060 1111", "CREDIT_CARD"),
        ("john@exam\u200bple.com", "EMAIL_ADDRESS"),
        ("john\uff20example.com", "EMAIL_ADDRESS"),
        ("john@example.\u0441\u043em", "EMAIL_ADDRESS"),
        ("\u0391\u03a4611904300234573201", "IBAN_CODE"),
        ("ssn 536\u221290\u22124399", "US_SSN"),
        ("card 4111\u22121111\u22121111\u22121111", "CREDIT_CARD"),
        ("\u0336".join("ssn 536-90-4399"), "US_SSN"),
        (CARD.translate({ord("0") + n: 0x277F + n for n in range(1, 10)}), "CREDIT_CARD"),
        (CARD.translate({ord("0") + n: 0x24F4 + n for n in range(1, 10)}), "CREDIT_CARD"),
    ],
)
def test_a_value_in_disguise_is_found_and_all_of_its_cell_is_named(cells: Cells, text: str, entity: str) -> None:
    assert (entity, 0, len(text)) in told(cells, text)
    assert entity not in {each for each, *_ in cells.find(pa.array([text])).get(0, ())}


def test_what_is_found_as_it_is_keeps_its_place(cells: Cells) -> None:
    assert told(cells, "né: john@example.com") == [("EMAIL_ADDRESS", 4, 20)]
    assert told(cells, f"中文 {CARD}") == [("CREDIT_CARD", 3, 19)]
    assert told(cells, "tel: \uff0b\uff14\uff14 20 7946 0958") == [("PHONE_NUMBER", 5, 21)]
    assert told(cells, None) == []
    assert told(cells, "") == []


@pytest.mark.parametrize(
    "text",
    [
        "john (at) example (dot) com",
        "four one one one, and so on",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "j0hn_doe at gmail",
    ],
)
def test_what_is_spelled_out_is_not_found(cells: Cells, text: str) -> None:
    """Stated, so that nobody takes silence for a look."""
    assert told(cells, text) == []


@given(st.text(max_size=40))
def test_folding_twice_is_folding_once_and_ascii_is_its_own(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    plain = "".join(sign for sign in text if sign in string.printable and sign not in "\x0b\x0c")
    assert folded(plain) == plain


@pytest.mark.parametrize(
    "text",
    [
        "4111\ufe0f1111\ufe0f11111111",
        "j\0a\0n\0e",
        "IL\u034f62",
        "536\u201390\u20134399",
        "a\u3002b",
        "1\ufe0f\u20e32",
        "1\u03362\u20dd",
        "\u2780\u2781",
    ],
)
def test_what_is_not_seen_and_what_is_drawn_alike_is_folded(text: str) -> None:
    assert folded(text) in {"4111111111111111", "jane", "IL62", "536-90-4399", "a.b", "12"}


def test_letters_keep_their_marks_and_what_is_apart_comes_together() -> None:
    assert folded("t\u0065\u0301l\u0336 \u00e9\u0142\u00f1") == "t\u00e9l \u00e9\u0142\u00f1"
    assert folded(folded("\u1100\u0336\u1161")) == folded("\u1100\u0336\u1161") == "\uac00"
