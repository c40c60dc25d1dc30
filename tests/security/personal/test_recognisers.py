"""What our recognisers find that Presidio's miss, and leave alone where those cry wolf."""

from collections import Counter
from functools import cache

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NoOpNlpEngine

from security.personal.analyzer import THRESHOLD, plain, told
from security.personal.cells import Cells
from security.personal.found import Found
from security.personal.resolve import LOOSE, resolved
from tests.security.personal.labelled import VALUES, made

SEVEN = frozenset(VALUES)


@cache
def stock() -> AnalyzerEngine:
    """Presidio as it comes, without a model. Its list of public suffixes is asked of nobody here."""
    none = NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "no_op"}])
    none.load()
    return AnalyzerEngine(nlp_engine=none, default_score_threshold=THRESHOLD)


def found(text: str) -> set[tuple[str, str]]:
    """Entity and value, of those that count."""
    return {(entity, text[start:end]) for entity, start, end, _ in resolved(plain(text))}


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("card 2221000000000009", "CREDIT_CARD", "2221000000000009"),
        ("4111_1111_1111_1111", "CREDIT_CARD", "4111_1111_1111_1111"),
        ("user4111111111111111", "CREDIT_CARD", "4111111111111111"),
        ("5018000000000009 was used", "CREDIT_CARD", "5018000000000009"),
        ("4111111111111111110", "CREDIT_CARD", "4111111111111111110"),
        ("Call my phone 212-555-5555", "PHONE_NUMBER", "212-555-5555"),
        ("tel: 07946 0958", "PHONE_NUMBER", "07946 0958"),
        ("2125555555 is my mobile", "PHONE_NUMBER", "2125555555"),
        ("ruf an: 0171 2345678", "PHONE_NUMBER", "0171 2345678"),
        ("+353 1 676 1234", "PHONE_NUMBER", "+353 1 676 1234"),
        ("my license is A1234567", "US_DRIVER_LICENSE", "A1234567"),
        ("see https://a.example.com:8080/x?y=z.", "URL", "https://a.example.com:8080/x?y=z"),
        ("bit.ly/abc", "URL", "bit.ly/abc"),
        ("from 10.1.2.3, again", "IP_ADDRESS", "10.1.2.3"),
        ("write to john@example.com.", "EMAIL_ADDRESS", "john@example.com"),
        ("536-90-4399", "US_SSN", "536-90-4399"),
    ],
)
def test_found(text: str, entity: str, value: str) -> None:
    assert found(text) == {(entity, value)}


@pytest.mark.parametrize(
    "text",
    [
        *("Chrome/120.0.0.0", "Chrome/119.0.6045.105", "v1.2.3.4", "version 10.0.0.1", "1.2.3.4.5"),
        *("os.system", "main.py", "it was late.so we left", "saw.it", "README.md", "utils.sh"),
        *("order 4839201746", "row 1698415391 of 1698415392", "0.3096563", "12.50", "between 10:30 and 11:00"),
        *("4111111111111112", "4111 1111 1111 1112", "41111111111111111111111", "1234-5678-9012-3456"),
        *("duplicate A1234567", "the public id A1234567", "john@localhost", "6.5 of 10"),
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.6045.105 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 Version/17.1 Mobile/15E148",
    ],
)
def test_left_alone(text: str) -> None:
    assert found(text) == set()


def scored(seed: int, count: int, ours: bool) -> tuple[float, Counter[str]]:
    """Micro-F1 over seven entities, exact places; and how many of each were missed."""
    texts = list(made(count, seed))
    seen = Cells().find(pa.array([each.text for each in texts])) if ours else {}
    right = wrong = 0
    missed = Counter[str]()
    for index, each in enumerate(texts):
        raw = seen.get(index, ()) if ours else told(stock().analyze(each.text, language="en"))
        got = {one[:3] for one in resolved(raw) if one[0] in SEVEN}
        right += len(got & each.values)
        wrong += len(got - each.values)
        missed.update(entity for entity, *_ in each.values - got)
    return 2 * right / (2 * right + wrong + missed.total()), missed


def test_labelled_texts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from presidio_analyzer.predefined_recognizers.generic import email_recognizer

    from security.personal.recognisers import Email

    monkeypatch.setattr(email_recognizer.tldextract, "extract", Email.suffixes)
    ours, missed = scored(1, 3_000, ours=True)
    theirs, _ = scored(1, 3_000, ours=False)
    with capsys.disabled():
        print(f"\n  micro-F1 over seven entities: {ours:.3f}; Presidio as it comes: {theirs:.3f}")
    assert ours >= 0.98
    assert ours > theirs + 0.03
    assert max(missed.values()) < 10


entities = st.sampled_from(["URL", "IBAN_CODE", *LOOSE])
places = st.tuples(entities, st.integers(0, 9), st.integers(1, 9), st.sampled_from([0.4, 0.75, 1.0]))


@given(st.lists(places.map(lambda each: (each[0], each[1], each[1] + each[2], each[3]))))
def test_what_is_resolved_overlaps_nowhere_and_loses_nothing_for_good(given_: list[Found]) -> None:
    kept = resolved(given_)
    assert set(kept) <= set(given_)
    for one, other in zip(kept, kept[1:], strict=False):
        assert one[2] <= other[1]
    for each in given_:
        assert any(each[1] < other[2] and other[1] < each[2] for other in kept)
    assert resolved(reversed(given_)) == kept


def test_what_has_a_check_digit_comes_first_and_a_length_last() -> None:
    iban = "GB82WEST12345698765432"
    assert found(f"pay {iban} now") == {("IBAN_CODE", iban)}
    assert resolved([("PHONE_NUMBER", 0, 12, 0.75), ("IP_ADDRESS", 0, 9, 0.6)]) == (("IP_ADDRESS", 0, 9, 0.6),)
    assert resolved([("URL", 3, 9, 0.5), ("EMAIL_ADDRESS", 0, 9, 1.0)]) == (("EMAIL_ADDRESS", 0, 9, 1.0),)
    assert resolved([]) == ()
