"""The table of personal data: it says what was found and what was not looked at, and nobody's data is in it."""

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from security.gates.personal import Facts, PersonalLimits
from security.gates.personal import Hit as Found
from security.gates.personal.facts import Column
from security.personal.shape import SHOWN as SHAPE
from security.personal.shape import masked
from tasks.hits import EXAMPLES, LINES, Hit, Unseen, found, table
from tests.tasks.test_page import EVIL, Parsed

EVERY = st.text(st.characters(), max_size=60)
"""All of Unicode, what no encoding has included."""
UNSEEN = [Unseen(entity, "", "needs a language model") for entity in ("LOCATION", "NRP", "ORGANIZATION", "PERSON")]


def hit(**changes: object) -> Hit:
    usual: dict[str, object] = {"column": "query", "entity": "EMAIL_ADDRESS", "count": 1234, "share": 0.0123}
    return Hit(**{**usual, "action": "mask", "examples": ("xxxx@xxxxxxx.xxx",), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("jane@example.org", "xxxx@xxxxxxx.xxx"),
        ("+1 (212) 555-0123", "+9··999··999-9999"),
        ("2001:db8::1/64", "9999:xx9::9/99"),
        ("J\N{LATIN SMALL LETTER O WITH DIAERESIS}_rg", "xx·xx"),
        ("\N{ARABIC-INDIC DIGIT ONE}\N{CIRCLED DIGIT TWO}\N{FULLWIDTH DIGIT THREE}", "999"),
        ("\N{ROMAN NUMERAL FOUR}\N{CJK UNIFIED IDEOGRAPH-4E00}\N{FEMININE ORDINAL INDICATOR}", "9xx"),
        ("e\N{COMBINING ACUTE ACCENT}\N{ZERO WIDTH JOINER}\N{REGIONAL INDICATOR SYMBOL LETTER A}\0\ud800", "x·····"),
        ("<b>", "·x·"),
        ("", ""),
    ],
)
def test_a_shape(text: str, shape: str) -> None:
    assert masked(text) == shape


@given(EVERY)
@example("".join(map(chr, range(0x2460, 0x2490))))
def test_nothing_of_a_finding_but_its_shape(inside: str) -> None:
    shown = masked(inside)
    assert set(shown) <= set("x9.@-+:/·…")
    assert len(shown) == min(len(inside), SHAPE)
    for sign, of in zip(shown, inside, strict=False):
        if unicodedata.category(of)[0] in "LN":
            assert sign in "x9…"


def test_no_letter_and_no_digit_of_any_script_survives() -> None:
    for code in range(sys.maxunicode + 1):
        sign = chr(code)
        shown = masked(sign)
        kind = unicodedata.category(sign)[0]
        assert shown == ("x" if kind == "L" else "9" if kind == "N" else sign if sign in ".@-+:/" else "·")


@given(EVERY)
def test_a_shape_is_its_own_shape(text: str) -> None:
    shown = masked(text)
    parts = Parsed(table([hit(examples=(shown,))], [])).texts
    assert shown in [*parts, ""]


def test_a_shape_has_an_end() -> None:
    assert masked("a" * SHAPE) == "x" * SHAPE
    assert masked("a" * (SHAPE + 1)) == "x" * (SHAPE - 1) + "…"


def test_what_was_found_is_a_line_each_the_most_frequent_first() -> None:
    page = Parsed(table([hit(count=2, share=1.0, column="b"), hit(), hit(count=2, column="a", examples=())], UNSEEN))
    cells = [text for text in page.texts if text]
    start = cells.index("query")
    assert cells[start : start + 6] == ["query", "EMAIL_ADDRESS", "1,234", "1.2 %", "mask", "xxxx@xxxxxxx.xxx"]
    assert cells.index("query") < cells.index("a") < cells.index("b")
    assert "100.0 %" in cells
    assert [tag for tag, _ in page.tags].count("tr") == 1 + 3 + 1 + len(UNSEEN)


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "0.0 %"), (1e-9, "< 0.1 %"), (0.0005, "0.1 %"), (0.9994, "99.9 %"), (0.99951, "> 99.9 %"), (1.0, "100.0 %")],
)
def test_a_share_is_not_told_as_nothing_or_as_all(share: float, said: str) -> None:
    assert said in Parsed(table([hit(share=share)], [])).texts


def test_what_was_not_looked_at_is_always_said() -> None:
    unseen = [*UNSEEN, Unseen("", "payload", "bytes that are not UTF-8")]
    for hits in ([], [hit()]):
        page = Parsed(table(hits, unseen)).texts
        start = page.index("Not looked at")
        for entity in ("LOCATION", "NRP", "ORGANIZATION", "PERSON"):
            assert page[page.index(entity) :][:3] == [entity, "all", "needs a language model"]
            assert page.index(entity) > start
        assert page[page.index("payload") - 1 :][:3] == ["all", "payload", "bytes that are not UTF-8"]
        assert "Every entity, in every column." not in page
    assert "Every entity, in every column." in Parsed(table([], [])).texts
    assert "Not looked at" not in Parsed(table([], [])).texts
    assert "Nothing was found in what was looked at." in Parsed(table([], [])).texts
    assert "Nothing was found in what was looked at." not in Parsed(table([hit()], [])).texts


def test_an_example_that_was_not_masked_is() -> None:
    found = table([hit(examples=("jane@example.org", "4111111111111111" * 3, "4111111111111111" * 3 + "…"))], [])
    assert "jane" not in found
    assert "4111" not in found
    shapes = [text for text in Parsed(found).texts if "@" in text]
    assert shapes == ["xxxx@xxxxxxx.xxx, " + "9" * (SHAPE - 1) + "…"]


def test_examples_and_lines_are_few() -> None:
    shapes = tuple("x" * n for n in range(1, 9))
    assert ", ".join(shapes[:EXAMPLES]) in Parsed(table([hit(examples=shapes)], [])).texts
    page = table([hit(column=f"c{n:04}", count=n) for n in range(LINES + 7)], [])
    assert page.count("EMAIL_ADDRESS") == LINES
    assert "and 7 more lines" in page
    assert "c0006" not in page
    assert "c0007" in page


def test_text_stays_text() -> None:
    page = table([hit(column=EVIL[:60], entity=EVIL, action=EVIL, examples=(EVIL,))], [Unseen(EVIL, EVIL, EVIL)])
    found = Parsed(page)
    assert {tag for tag, _ in found.tags} == {"h2", "p", "table", "tr", "th", "td"}
    assert not [attrs for tag, attrs in found.tags if attrs and tag != "p"]
    assert EVIL[:60] in found.texts
    turned = table([hit(column="a\N{RIGHT-TO-LEFT OVERRIDE}b\n")], [])
    assert "a·b·" in Parsed(turned).texts


def test_what_a_role_explains_is_said_in_its_own_words() -> None:
    roles = {"user_id": "id", "time": "time", "user_agent": "agent"}
    hits = [
        Found("user_id", "US_SSN", "plain", "digits", 1, 0.5, ((0, 1),), "999999999"),
        Found("time", "PHONE_NUMBER", "plain", "digits", 1, 0.5, ((0, 1),), "9999999999"),
        Found("user_agent", "UK_NHS", "plain", "version", 1, 1.0, ((0, 1),), "9999999999"),
        Found("user_id + time", "CREDIT_CARD", "split", "digits", 1, 1.0, ((0, 1),), "9999"),
        Found("user_agent", "US_SSN", "plain", "amid", 1, 0.5, ((0, 1),), "999999999"),
    ]
    columns = tuple(Column(name, True, 20, 0) for name in roles)
    facts = Facts(rows=20, files=("x",), columns=columns, hits=tuple(hits), unseen=(), model="")
    told, _ = found(facts, PersonalLimits.model_validate({"roles": roles}), "x")
    assert [each.action for each in told] == [
        "none, ids look like it",
        "none, times look like it",
        "none, a version, a link or a date",
        "none, two cells look like it by chance",
        "block",
    ]
