"""What hides in JSON and behind escapes comes out, once, from the right cell; and what is plain stays as it is."""

import json
import random
import re
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.errors import CannotTell
from security.personal import unfold as module
from security.personal.cells import Cells
from security.personal.fold import folded
from security.personal.unfold import DEPTH, FOLDED, NESTED, WIDE, opened, unfold
from tests.security.personal.texts import made

MAIL, CARD = "alice@example.org", "4111111111111111"
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(LEAVES, lambda some: st.lists(some, max_size=4) | st.dictionaries(st.text(max_size=4), some))


@pytest.fixture(scope="module")
def cells() -> Cells:
    """The fast way."""
    return Cells()


def entities(cells: Cells, texts: list[str]) -> set[str]:
    """What is found in any of these texts."""
    return {entity for some in cells.column(pa.array(texts, pa.string()))[1].values() for entity, *_ in some}


def times(text: str, count: int) -> str:
    """JSON in a string of JSON, so many times."""
    for _ in range(count):
        text = json.dumps(text)
    return text


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        (r'{"a": "\u0061lice\u0040example.org"}', "EMAIL_ADDRESS"),
        (r'{"\u0061lice\u0040example.org": null}', "EMAIL_ADDRESS"),
        (r'"\u0061lice\u0040example.org"', "EMAIL_ADDRESS"),
        ("\ufeff \t\r\n" + r'["alice\u0040example.org"]', "EMAIL_ADDRESS"),
        (r'{"a": "alice\u0040example.org", "a": "x"}', "EMAIL_ADDRESS"),
        ('{"a": "one\nline", "b": "alice\\u0040example.org"}', "EMAIL_ADDRESS"),
        (json.dumps({"a": json.dumps({"b": r'["alice\u0040example.org"]'})}), "EMAIL_ADDRESS"),
        ('["4111","1111","1111","1111"]', "CREDIT_CARD"),
        ('{"x": [["4111", 1111], ["1111", "1111"]]}', "CREDIT_CARD"),
        ('["41111111", "11111111"]', "CREDIT_CARD"),
        ('["212", "555", "0198"]', "PHONE_NUMBER"),
        ('["alice", "@", "example", ".", "org"]', "EMAIL_ADDRESS"),
        (r'{"phone":"\u0032125550198"}', "PHONE_NUMBER"),
        ("see alice%40example.org", "EMAIL_ADDRESS"),
        ("alice%2540example.org", "EMAIL_ADDRESS"),
        ("tel=%2B44+20+7946+0958&x=1", "PHONE_NUMBER"),
        ("alice%u0040example.org", "EMAIL_ADDRESS"),
        ("alice&#64;example.org", "EMAIL_ADDRESS"),
        ("alice&#x40;example&period;org", "EMAIL_ADDRESS"),
        ("alice&#64example.org", "EMAIL_ADDRESS"),
        ("alice&commat;example.org", "EMAIL_ADDRESS"),
        ("%26%2364%3B alice%26%2364%3Bexample.org", "EMAIL_ADDRESS"),
        (r"x alice\u0040example.org", "EMAIL_ADDRESS"),
        (r"alice\x40example.org", "EMAIL_ADDRESS"),
        (r"alice\u{40}example.org", "EMAIL_ADDRESS"),
        (r"alice\U00000040example.org", "EMAIL_ADDRESS"),
        (r'{"a": "alice\u0040example.org", cut off', "EMAIL_ADDRESS"),
        ("41%31%31 1111 1111 1111", "CREDIT_CARD"),
        ("lisa\uff0540simpson.org", "EMAIL_ADDRESS"),
        ("lisa%\u200b40simpson.org", "EMAIL_ADDRESS"),
        ("lisa%EF%BC%8540simpson.org", "EMAIL_ADDRESS"),
        ("lisa\uff06#\uff16\uff14;simpson.org", "EMAIL_ADDRESS"),
        ("lisa\uff3cu0040simpson.org", "EMAIL_ADDRESS"),
        ("\u200b\uff5b\uff02a\uff02: \uff02lisa\\u0040simpson.org\uff02}", "EMAIL_ADDRESS"),
        ('{"ssn": ["536", "90", "4399"]}', "US_SSN"),
        ('{"phone": {"about who it is that one reaches there": [[9172345678]]}}', "PHONE_NUMBER"),
    ],
)
def test_what_hides_comes_out(cells: Cells, text: str, entity: str) -> None:
    assert entity not in entities(cells, [text]), "found as it is: nothing to unfold"
    origins, leaves = unfold(pa.array(["plain", text, None]))
    assert set(origins.tolist()) == {1}
    assert entity in entities(cells, leaves.to_pylist())


def test_all_of_a_value_is_handed_out() -> None:
    told = r'{"k": [1.50, "b\"c", ["d", {"e": -1e400}], true, null, ""], "k": {"f": "g"}, "\u0068": NaN}'
    assert opened(told) == [
        *("k", "1.50", "k: 1.50", 'b"c', 'k: b"c', "d", "k: d", "e", "-1e400", "k: e: -1e400"),
        *('1.50b"cd', 'k: 1.50b"cd', '1.50 b"c d ', 'k: 1.50 b"c d ', "f", "g", "k: f: g", "h", "NaN", "h: NaN"),
    ]
    assert opened('{"a": 123456789012345678901234567890.00, "b": "x"}')[1] == "123456789012345678901234567890.00"
    assert opened('["one\nline"]') == ["one\nline"]
    assert unfold(pa.array(["\ufeff \t\r\n[1]"]))[1].to_pylist() == ["1"]
    assert opened('["a", "a", "a"]') == ["a", "aaa", "a a a"]


@pytest.mark.parametrize(
    ("value", "entity"),
    [
        ({"phoneNumber": 9172345678}, "PHONE_NUMBER"),
        ({"phone_number": "9172345678"}, "PHONE_NUMBER"),
        ({"customer_phone": 9172345678}, "PHONE_NUMBER"),
        ({"user": {"social_security_number": 536904399}}, "US_SSN"),
        ({"phones": ["9172345678"]}, "PHONE_NUMBER"),
        ({"phone": {"value": 9172345678}}, "PHONE_NUMBER"),
        ({"phone": ["9172345678"]}, "PHONE_NUMBER"),
        ({"phone": [[{"value": 9172345678}]]}, "PHONE_NUMBER"),
    ],
)
def test_keys_on_the_way_to_a_value_are_context_of_it(cells: Cells, value: Any, entity: str) -> None:
    """Of the leaves alone: in the text of all of them another value may stand between."""
    assert entity in entities(cells, opened(json.dumps(value)))
    assert entity not in entities(cells, re.findall("[0-9]+", json.dumps(value)))


def test_keys_that_are_numbers_are_no_part_of_one_and_long_ones_are_cut(cells: Cells) -> None:
    assert entities(cells, opened('{"212555": {"0198000": 1, "4111": {"11111111": "1111"}}}')) == set()
    assert opened(json.dumps({"k" * 99: {"m" * 99: 1}}))[-1] == f"{'k' * 64}: {'m' * 64}: 1"
    assert opened('{"a": {"b": {"c": 1}}}')[-1] == "b: c: 1"


def test_every_sign_that_is_read_as_one_that_begins_something_is_known() -> None:
    signs = [chr(point) for point in range(0x80, 0x110000) if not 0xD800 <= point < 0xE000]
    assert {each for each in signs if set(folded(each)) & set('%&\\[{"')} == set(WIDE)


@pytest.mark.parametrize(
    "text",
    ["[1,2,3]x", "{a: b}", "[section]", '"unfinished', "{", "50% off & more", "C:\\users\\x", "a&b;c=%zz", "AT&T;", ""],
)
def test_what_only_looks_like_it_stays_what_it_is(text: str) -> None:
    assert opened(text) == []


def test_numbers_alone_are_not_joined_and_long_ones_not_with_spaces() -> None:
    """Stated: a list of ids is none of telephone numbers."""
    assert opened("[4111, 1111, 1111, 1111]") == ["4111", "1111"]
    assert opened("[[212, 555], [198]]") == ["212", "555", "198"]
    assert opened('["12345", "678"]') == ["12345", "678", "12345678"]
    assert opened('["1234", "678"]') == ["1234", "678", "1234678", "1234 678"]
    assert opened('["12345a", "678"]')[-1] == "12345a 678"


@pytest.mark.parametrize("text", ["YWxpY2VAZXhhbXBsZS5vcmc=", "<mail>alice</mail>", "q=4111+1111+1111+1111"])
def test_other_codes_are_not_unfolded(text: str) -> None:
    """Stated, so that nobody takes silence for a look."""
    assert opened(text) == []


def test_wrappings_are_taken_away_to_a_bound_and_beyond_it_nothing_is_said() -> None:
    inner = json.dumps({"a": MAIL})
    assert MAIL in opened(times(inner, DEPTH - 1))
    percent = MAIL.replace("@", "%" + "25" * (DEPTH - 1) + "40")
    assert MAIL in opened(percent)
    deep = "[" * NESTED + f'"{MAIL}"' + "]" * NESTED
    assert MAIL in opened(deep)
    for text in (times(inner, DEPTH), percent.replace("%", "%25"), f"[{deep}]", "[" * 2_000, "[" * 2_000 + "]" * 2_000):
        with pytest.raises(CannotTell) as why:
            unfold(pa.array(["fine", text]))
        assert why.value.cause == "nested"
        assert "alice" not in str(why.value)


def test_what_comes_out_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = json.dumps([["x" * 20] * 20] * 4)
    assert len(opened(wide)) > 2
    with monkeypatch.context() as patch:
        patch.setattr(module, "SPREAD", 500)
        with pytest.raises(CannotTell, match="out of a nested cell") as why:
            opened(wide)
    assert why.value.cause == "nested"
    monkeypatch.setattr(module, "MOST", 100)
    assert len(unfold(pa.array(['["ab"]'] * 50))[1]) == 50
    with pytest.raises(CannotTell, match="out of nested values") as why:
        unfold(pa.array(['["ab"]'] * 51))
    assert why.value.cause == "nested"


def test_halves_of_characters_are_joined_or_replaced() -> None:
    told = r'["\ud83d\ude00", "\ud800"]'
    assert unfold(pa.array([told, r"x \ud83d\ude00 \ud800"]))[1].to_pylist() == [
        *("\U0001f600", "\ufffd", "\U0001f600\ufffd", "\U0001f600 \ufffd", "x \U0001f600 \ufffd"),
    ]


def hidden(text: str, draw: random.Random) -> str:
    """A text in one to three wrappings."""
    for _ in range(draw.randrange(1, 4)):
        way = draw.randrange(5)
        if way == 0:
            text = json.dumps({draw.choice("ab"): [1, text]})
        elif way == 1:
            text = json.dumps(text)
        elif way == 2:
            text = "".join(f"%{byte:02x}" for byte in text.encode())
        elif way == 3 and text.isprintable():
            text = "".join(f"&#{ord(sign)};" for sign in text)
        else:
            text = "".join(f"\\u{ord(sign):04x}" if ord(sign) < 1 << 16 else sign for sign in text)
    return text


def test_every_text_that_was_wrapped_comes_out() -> None:
    draw = random.Random(4)
    for text in made(600, 4):
        assert text in opened(hidden(text, draw))


def test_the_first_look_leaves_out_nothing() -> None:
    draw, signs = (
        random.Random(5),
        ["%", "&", "#", ";", "\\", "u", "x", "U", "{", "}", "4", "0", "a", '"', "[", "]", " ", "\u200b", *WIDE],
    )
    texts = [*made(2_000, 6), *("".join(draw.choices(signs, k=draw.randrange(2, 14))) for _ in range(30_000))]
    loose = pc.match_substring_regex(pa.array(texts), FOLDED).to_pylist()
    inside = [bool(opened(text)) for text in texts]
    assert [text for text, some, may in zip(texts, inside, loose, strict=True) if some and not may] == []
    assert sum(inside) > 300


@given(VALUES)
def test_every_leaf_and_key_of_any_value_comes_out(value: Any) -> None:
    def leaves(some: Any) -> list[str]:
        if isinstance(some, dict):
            return [each for pair in some.items() for part in pair for each in leaves(part)]
        if isinstance(some, list):
            return [each for part in some for each in leaves(part)]
        return [] if some is None or isinstance(some, bool) else [some if isinstance(some, str) else json.dumps(some)]

    try:
        inside = opened(told := json.dumps(value))
    except CannotTell:  # pragma: no cover - text that happens to be wrapped more often
        return
    whole = {each for each in leaves(value) if each}
    if told[0] in '"[{':
        assert whole <= {told, *inside}
    else:
        assert inside == []
    assert len(set(inside)) == len(inside)


def pages(count: int) -> list[str]:
    """Addresses of pages as logs have them, with escapes and without persons."""
    draw, found = random.Random(7), []
    words = [
        "red shoes",
        "größe 42",
        "50% off",
        "a&b",
        "x/y",
        "c++",
        "tea & milk",
        "q?",
        "naïve",
        "日本",
        "rock'n'roll",
    ]
    keys = ["q", "copy", "reg", "lt", "page", "not", "sort", "para", "ref", "utm_source", "sect"]
    for _ in range(count):
        query = "&".join(
            f"{draw.choice(keys)}={draw.choice([quote(draw.choice(words)), str(draw.randrange(900)), 'a%2Cb', '%20'])}"
            for _ in range(draw.randrange(1, 5))
        )
        back = "&next=" + quote(f"https://shop.example.com/{draw.choice('abc')}?p={draw.randrange(99)}", safe="")
        found.append(f"https://shop.example.com/{quote(draw.choice(words))}?{query}{draw.choice(['', back])}")
    return found


def test_clean_pages_give_no_finding_that_they_did_not_give_before(cells: Cells) -> None:
    texts = pages(1_500)
    origins, leaves = unfold(pa.array(texts))
    assert len(set(origins.tolist())) > 1_000
    assert entities(cells, texts) == {"URL"}
    assert entities(cells, leaves.to_pylist()) == {"URL"}


def test_clean_columns_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(_: str) -> list[str]:
        raise AssertionError("opened")

    monkeypatch.setattr(module, "opened", no)
    agents = [
        "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0.0.0",
        "a & b; 50% of them",
        None,
        "C:\\home",
        'x [1] {y} "z"',
    ]
    origins, leaves = unfold(pa.array(agents * 1_000))
    assert len(origins) == len(leaves) == 0
    assert leaves.type == pa.string()
