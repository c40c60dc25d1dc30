"""Marks, hashes and rows that go: nothing that was handled is there any more, and nothing else is touched."""

import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.errors import CannotTell, KeyBroken
from security.personal import handle
from security.personal.analyzer import analyzer
from security.personal.cells import LONGEST, Cells
from security.personal.found import UNSEEN, Found
from security.personal.handle import Action, Handled, Seen, handled, hashed, mark, masked
from tests.security.personal import labelled, texts

KEY = bytes(range(32))
ENTITIES = sorted({entity for each in analyzer().registry.recognizers for entity in each.supported_entities})
PLAIN = re.compile(r"[A-Za-z0-9_.:-]+")
MAIL, CARD, SSN = "alice@example.org", "4111111111111111", "536-90-4399"
ALL: dict[str, Action] = {"EMAIL_ADDRESS": "mask", "CREDIT_CARD": "hash", "US_SSN": "drop"}
DICTIONARY = pa.dictionary(pa.int16(), pa.large_string())
TYPES = [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), DICTIONARY]


@pytest.fixture(scope="module")
def cells() -> Cells:
    """The fast way."""
    return Cells()


def done(cells: Cells, column: pa.Array, actions: Mapping[str, Action], key: bytes = KEY) -> Handled:
    """A column as it comes out."""
    return handled(column, cells.column(column.cast(pa.string())), actions, key, cells.column)


def simple(words: Mapping[str, str]) -> Any:
    """A look that finds some words wherever they stand."""

    def look(column: pa.StringArray) -> Seen:
        coded = column.dictionary_encode()
        found = {}
        for code, text in enumerate(coded.dictionary.to_pylist()):
            some = [(e, m.start(), m.end(), 1.0) for word, e in words.items() for m in re.finditer(word, text)]
            if some:
                found[code] = tuple(sorted(some))
        return coded.indices, found

    return look


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_each_action_does_what_it_says_in_every_type(cells: Cells, kind: pa.DataType) -> None:
    told = ["clean", f"to {MAIL}.", None, f"{CARD}", f"ssn {SSN}", f"to {MAIL}.", "", f"{MAIL}, {CARD}"]
    column = pa.array(told, pa.string()).cast(kind)
    out = done(cells, column, ALL)
    assert out.column.type == kind
    assert out.column.to_pylist() == [
        *("clean", "to masked:EMAIL_ADDRESS.", None, hashed(CARD, KEY), None),
        *("to masked:EMAIL_ADDRESS.", "", hashed(f"{MAIL}, {CARD}", KEY)),
    ]
    assert out.keep.to_pylist() == [True, True, True, True, False, True, True, True]
    assert out.counts == {
        ("EMAIL_ADDRESS", "mask"): 2,
        ("EMAIL_ADDRESS", "hash"): 1,
        ("CREDIT_CARD", "hash"): 2,
        ("US_SSN", "drop"): 1,
    }
    out.column.validate(full=True)


def test_no_value_stays_in_a_dictionary_or_behind_a_row_that_goes(cells: Cells) -> None:
    column = pa.array([MAIL, "x", MAIL, SSN, "gone"]).dictionary_encode()[:4]
    out = done(cells, column, ALL)
    assert out.column.dictionary.to_pylist() == ["masked:EMAIL_ADDRESS", "x"]
    buffers = b"".join(each.to_pybytes() for each in out.column.dictionary.buffers() if each)
    assert not re.search(f"{MAIL}|{SSN}|gone".encode(), buffers)
    ordered = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array([MAIL, "b"]), ordered=True)
    assert done(cells, ordered, ALL).column.type == ordered.type
    inside = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array([MAIL, None]))
    assert done(cells, inside, ALL).column.to_pylist() == ["masked:EMAIL_ADDRESS", None, None]


def test_what_has_no_action_is_left_alone(cells: Cells) -> None:
    column = pa.array([f"{MAIL} and {CARD}", CARD, "x", None])
    out = done(cells, column, {"EMAIL_ADDRESS": "mask"})
    assert out.column.to_pylist() == [f"masked:EMAIL_ADDRESS and {CARD}", CARD, "x", None]
    assert out.counts == {("EMAIL_ADDRESS", "mask"): 1}
    for actions in ({}, {"IBAN_CODE": "drop"}):
        same = done(cells, column, actions)  # type: ignore[arg-type]
        assert same.column.equals(column)
        assert same.keep.to_pylist() == [True] * 4
        assert same.counts == {}
    nothing = done(cells, pa.array([], pa.string()), ALL)
    assert (len(nothing.column), len(nothing.keep)) == (0, 0)
    assert done(cells, pa.array([None, None], pa.string()), ALL).column.to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("text", "found", "wanted"),
    [
        ("abcdefghij", [("A", 2, 5, 1.0)], "abmasked:Afghij"),
        ("abcdefghij", [("B", 6, 10, 0.4), ("A", 0, 2, 0.4)], "masked:Acdefmasked:B"),
        ("abcdefghij", [("PHONE_NUMBER", 0, 5, 0.4), ("A", 3, 8, 1.0)], "masked:Aij"),
        ("abcdefghij", [("A", 3, 8, 1.0), ("PHONE_NUMBER", 5, 10, 0.9)], "abcmasked:A"),
        ("abcdefghij", [("A", 0, 10, 0.6), ("B", 2, 3, 0.5), ("C", 5, 6, 0.5)], "masked:A"),
        ("abcdefghij", [("A", 0, 3, 0.6), ("B", 3, 5, 0.5)], "masked:Amasked:Bfghij"),
        ("abc", [("B", 0, 3, 0.5), ("A", 0, 3, 1.0)], "masked:A"),
    ],
)
def test_places_that_overlap_are_one(text: str, found: list[Found], wanted: str) -> None:
    assert masked(text, found) == wanted


def test_a_value_in_disguise_takes_all_of_its_cell(cells: Cells) -> None:
    column = pa.array(["né, write to john＠example.com please"])
    assert done(cells, column, ALL).column.to_pylist() == ["masked:EMAIL_ADDRESS"]


def test_the_same_value_has_the_same_hash_everywhere(cells: Cells) -> None:
    """Those of a key's column in two files still belong together: the join is by what was hashed."""
    left = done(cells, pa.array([CARD, "4242424242424242", None, CARD]), {"CREDIT_CARD": "hash"}).column.to_pylist()
    other = pa.array(["x", "4242424242424242", CARD]).dictionary_encode()
    right = done(Cells(["card", "number"]), other, {"CREDIT_CARD": "hash"}).column.to_pylist()
    assert (left[0], left[1], left[2]) == (right[2], right[1], None)
    assert left[0] == left[3] != left[1]
    assert hashed(CARD, KEY) == "hashed:lbkkocblojolhhfdmpbppklhffjlphna"
    assert re.fullmatch("hashed:[a-p]{32}", hashed("é", KEY))


@given(st.text(), st.text(), st.binary(min_size=32), st.binary(min_size=32))
def test_hashes_differ_where_texts_or_keys_do(text: str, other: str, key: bytes, another: bytes) -> None:
    assert hashed(text, key) == hashed(text, key)
    assert (hashed(text, key) == hashed(other, key)) == (text == other)
    same = key.ljust(64, b"\0") == another.ljust(64, b"\0")  # HMAC fills up a short key with zeros
    assert same or max(len(key), len(another)) > 64 or hashed(text, key) != hashed(text, another)


POOL = st.sampled_from(
    [None, "", "clean", "né", "secret", "a secret here", "token", "secret token", "row", "row token"]
)


@given(st.lists(POOL), st.sampled_from(TYPES), st.permutations(["mask", "hash", "drop"]), st.integers(0, 3))
def test_of_any_column(told: list[str | None], kind: pa.DataType, order: list[Action], start: int) -> None:
    look = simple({"secret": "S", "token": "T", "row": "R"})
    actions = dict(zip("STR", order, strict=True))
    column = pa.array(told, pa.string()).cast(kind)[start:]
    out = handled(column, look(column.cast(pa.string())), actions, KEY, look)
    assert out.column.type == kind
    rows = zip(column.to_pylist(), out.column.to_pylist(), out.keep.to_pylist(), strict=True)
    for before, after, stays in rows:
        asked = {actions[e] for word, e in (("secret", "S"), ("token", "T"), ("row", "R")) if word in (before or "")}
        assert stays == ("drop" not in asked)
        if not asked:
            assert after == before
        elif not stays:
            assert after is None
        elif "hash" in asked:
            assert after == hashed(before, KEY)
        else:
            assert after == re.sub("secret|token|row", lambda m: f"masked:{m.group()[0].upper()}", before)
    assert sum(out.counts.values()) == sum(
        (t or "").count(w) for t in column.to_pylist() for w in ["secret", "token", "row"]
    )


@pytest.mark.parametrize("action", ["mask", "hash"])
@pytest.mark.parametrize("beside", [(), ("phone", "us", "account", "license", "ssn", "url")], ids=["alone", "beside"])
def test_what_comes_out_has_nothing_in_it(action: Action, beside: tuple[str, ...]) -> None:
    cells, actions = Cells(beside), dict.fromkeys(ENTITIES, action)
    told = [*texts.KNOWN, *texts.made(1_500, 21), *(each.text for each in labelled.made(700, 21))]
    column = pa.array(told)
    out = done(cells, column, actions)
    assert sum(out.counts.values()) > 1_000
    assert cells.column(out.column)[1] == {}
    changed = [after for before, after in zip(told, out.column.to_pylist(), strict=True) if before != after]
    assert all(("masked:" if action == "mask" else "hashed:") in each for each in changed)


def test_labelled_values_are_gone_to_the_last_character(cells: Cells) -> None:
    made = [each for each in labelled.made(400, 22) if each.values]
    out = done(cells, pa.array([each.text for each in made]), dict.fromkeys(ENTITIES, "mask")).column.to_pylist()
    values = [(text[s:e], after) for (text, some), after in zip(made, out, strict=True) for _, s, e in some]
    left = [value for value, after in values if value in after]
    assert len(left) < len(values) / 50, "those that are not found at all"


def test_marks_and_hashes_are_nothing_to_anybody() -> None:
    marks = [mark(entity) for entity in [*ENTITIES, *UNSEEN]]
    assert all(PLAIN.fullmatch(each) for each in marks)
    words = sorted({word for each in analyzer().registry.recognizers for word in each.context or ()})
    both = [*marks, *(" ".join([each, *marks]) for each in marks), *(hashed(str(n), KEY) for n in range(3_000))]
    for cells in (Cells(), Cells(words)):
        assert cells.column(pa.array(both))[1] == {}


def test_what_joins_up_behind_a_mark_is_marked_too() -> None:
    look = simple({"secret": "S", "masked:S token": "T"})
    column = pa.array(["secret token", "a secret token", "secret"])
    out = handled(column, look(column), {"S": "mask", "T": "drop"}, KEY, look)
    assert out.column.to_pylist() == ["masked:T", "a masked:T", "masked:S"]
    assert out.keep.to_pylist() == [True] * 3


def test_what_never_ends_is_one_mark() -> None:
    look = simple({"secret": "S", "x": "S"})
    column = pa.array(["secret x"])
    assert handled(column, look(column), {"S": "mask"}, KEY, look).column.to_pylist() == ["masked:S masked:S"]
    growing = simple({"secret": "S", "(?<=masked:S )m(?=[a-z:S]+.)|(?<= )y": "S"})
    column = pa.array(["secret y!"])
    assert handled(column, growing(column), {"S": "mask"}, KEY, growing).column.to_pylist() == ["masked:S"]


@pytest.mark.parametrize(("action", "word"), [("mask", "masked:S"), ("hash", "hashed:")])
def test_what_is_found_again_is_not_handed_out(action: Action, word: str) -> None:
    look = simple({"secret": "S", word: "S"})
    column = pa.array(["a secret"])
    with pytest.raises(CannotTell, match="is itself found as what it stands for") as why:
        handled(column, look(column), {"S": action}, KEY, look)
    assert why.value.cause == "again"
    assert "secret" not in str(why.value)


def test_marks_that_make_a_cell_too_long_are_one(cells: Cells) -> None:
    long = " ".join(["a@example.org"] * (LONGEST // 14))
    assert done(cells, pa.array([long]), ALL).column.to_pylist() == ["masked:EMAIL_ADDRESS"]


def test_what_is_asked_wrongly_is_an_error(cells: Cells) -> None:
    column = pa.array([CARD])
    with pytest.raises(KeyBroken, match="a key of 31 bytes for hashes; at least 32 are needed"):
        done(cells, column, ALL, KEY[:31])
    assert done(cells, column, {"CREDIT_CARD": "mask"}, b"").column.to_pylist() == ["masked:CREDIT_CARD"]
    with pytest.raises(ValueError, match="no action forget; there are mask, hash, drop"):
        done(cells, column, {"CREDIT_CARD": "forget"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="1 codes for 2 rows"):
        handled(pa.array([CARD, CARD]), cells.column(column), ALL, KEY, cells.column)


def test_a_text_is_looked_at_again_once_however_many_rows_have_it() -> None:
    look, asked = simple({"secret": "S"}), []

    def counted(column: pa.StringArray) -> Seen:
        asked.append(len(column))
        return look(column)  # type: ignore[no-any-return]

    column = pa.array(["secret", "b", "my secret"] * 5_000)
    out = handled(column, look(column), {"S": "mask"}, KEY, counted)
    assert asked == [2]
    assert out.counts == {("S", "mask"): 10_000}
    assert handle.ROUNDS > 1
