"""The fast way finds what the engine finds, cell by cell, and says so where it cannot tell."""

import copy
import logging
import random
import re
import string
from collections import Counter
from collections.abc import Iterator
from re import _constants as op  # type: ignore[attr-defined]
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import regex
from phonenumbers import Leniency, PhoneNumberMatcher
from presidio_analyzer import AnalyzerEngine, Pattern, PatternRecognizer, pattern_recognizer
from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider

from security.errors import CannotTell
from security.personal import phones, relax
from security.personal.analyzer import analyzer, plain
from security.personal.cells import LONGEST, Cells
from security.personal.iban import LENGTHS, SHORTEST, Iban, form
from security.personal.phones import REGIONS, Phone, verified
from security.personal.prefilter import Prefilter
from security.personal.recognisers import Card
from security.personal.relax import FLAGS, Relaxed, Unknown
from security.personal.search import context
from security.personal.words import cut
from tests.security.personal.texts import KNOWN, made, mutated

pytestmark = pytest.mark.usefixtures("offline")

STOCK = RecognizerRegistryProvider(registry_configuration={"supported_languages": ["en"]}).create_recognizer_registry()
ENTITIES = 17


@pytest.fixture(scope="module")
def cells() -> Cells:
    """The fast way."""
    return Cells()


def unlike(cells: Cells, texts: list[str]) -> tuple[list[str], Counter[str]]:
    """The texts in which the two ways find other things; and how often the plain one found each entity."""
    found, counts, bad = cells.find(pa.array(texts, pa.string())), Counter[str](), []
    for index, text in enumerate(texts):
        wanted = plain(text, cells.beside)
        counts.update(entity for entity, *_ in wanted)
        if found.get(index, ()) != wanted:
            bad.append(text)
    return bad, counts


def test_nothing_is_left_out_and_nothing_added(cells: Cells) -> None:
    bad, counts = unlike(cells, [*KNOWN, *made(1_500, 1)])
    assert bad == []
    assert len(counts) == ENTITIES


@pytest.mark.parametrize("beside", [["phone", "number"], ["US", "account", "id"], ["Email"]])
def test_words_beside_a_column_count_as_those_in_its_texts(beside: list[str]) -> None:
    numbers = [str(each) for each in random.Random(3).sample(range(10**6, 10**11), 400)]
    bad, counts = unlike(Cells(beside), [*KNOWN, *made(400, 2), *numbers])
    assert bad == []
    without = Counter(entity for text in numbers for entity, *_ in plain(text))
    assert counts["PHONE_NUMBER" if "phone" in beside else "US_BANK_NUMBER"] > without.total() or beside == ["Email"]


def spoken(count: int, seed: int) -> Iterator[str]:
    """Values behind, or in front of, context words of every recogniser, as logs and JSON write them."""
    draw, asked = random.Random(seed), sorted(analyzer().registry.recognizers, key=lambda each: each.name)
    groups = [sorted({*each.context}) for each in asked if each.context]
    forms = (
        str.lower,
        str.upper,
        str.title,
        "{}s".format,
        "{}es".format,
        "x_{}_y".format,
        "my{}".format,
        "{}No".format,
    )
    marks, ends = (
        ("=", ":", "#", ": ", '": "', "/", "_", " ", "", ' => {"', "\u200b"),
        ("", ",", "&x=1", '"}', " x y z w "),
    )
    numbers = ("9172345678", "536904399", "123456789", "A1234567", "12345678", "612345678", "22 12 34 56", "912701234")
    for _ in range(count):
        word = draw.choice(forms)(draw.choice(draw.choice(groups)))
        word = word.replace("o", "O\u0301").replace("k", "\u212a") if draw.random() < 0.05 else word
        value = mutated(draw.choice(numbers), draw) if draw.random() < 0.2 else draw.choice(numbers)
        yield f"{draw.choice(('', '/a?b=', '{', '12 '))}{word}{draw.choice(marks)}{value}{draw.choice(ends)}"
        yield f"{value}{draw.choice(ends)}{draw.choice(marks)}{word}"


def test_context_however_it_is_written_is_what_it_is_for_the_engine(cells: Cells) -> None:
    bad, counts = unlike(cells, list(spoken(1_500, 21)))
    assert bad == []
    assert {each for each, count in counts.items() if count > 20} >= {
        *("PHONE_NUMBER", "US_SSN", "US_PASSPORT", "US_BANK_NUMBER", "US_DRIVER_LICENSE"),
    }


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        ("ssn:536904399", "US_SSN"),
        ("ssn#536904399", "US_SSN"),
        ("ssn 1 of 2 / 3 (4) 5 6: 536904399", "US_SSN"),
        ("my_social_security_no 536904399", "US_SSN"),
        ("phone=9172345678", "PHONE_NUMBER"),
        ("tel:9172345678", "PHONE_NUMBER"),
        ("/users/phone/9172345678", "PHONE_NUMBER"),
        ("TEL/917-234-5678", "PHONE_NUMBER"),
        ("mobile:9172345678,", "PHONE_NUMBER"),
        ("/signup?phone=9172345678&x=1", "PHONE_NUMBER"),
        ("phone_number 9172345678", "PHONE_NUMBER"),
        ("phoneNumber>9172345678", "PHONE_NUMBER"),
        ("USPhone 9172345678", "PHONE_NUMBER"),
        ("WhatsApp 9172345678", "PHONE_NUMBER"),
        ("phones: 9172345678", "PHONE_NUMBER"),
        ("phonenumber 9172345678", "PHONE_NUMBER"),
        ("call 9172345678", "PHONE_NUMBER"),
        ("mi teléfono es 612345678", "PHONE_NUMBER"),
        ("MÓVIL 612345678", "PHONE_NUMBER"),
        ("il mio cellulare è 3471234567", "PHONE_NUMBER"),
        ("Telefon 601234567", "PHONE_NUMBER"),
        ("Handynummer: 612345678", "PHONE_NUMBER"),
        ("téléphone 612345678", "PHONE_NUMBER"),
        ("tlf. 22 12 34 56", "PHONE_NUMBER"),
        ("msisdn=447911123456", "PHONE_NUMBER"),
        ("passport#123456789", "US_PASSPORT"),
        ("driverLicense=A1234567", "US_DRIVER_LICENSE"),
    ],
)
def test_context_counts_where_logs_and_people_write_it(cells: Cells, text: str, entity: str) -> None:
    assert entity in {each for each, *_ in cells.find(pa.array([text])).get(0, ())}


@pytest.mark.parametrize(
    "text",
    [
        *("iPhone 9172345678", "microphone 9172345678", "automobile 9172345678", "order_number: 4839201746"),
        *("orderNumber=4839201746", "a string of 4839201746", "context 4839201746", "for us 123456789"),
    ],
)
def test_a_word_that_only_holds_one_is_no_context(cells: Cells, text: str) -> None:
    assert cells.find(pa.array([text])) == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *(
            (each, {"phone"})
            for each in ("phonenumber", "phones", "PHONENUMBER", "customerphone", "Phone2", "homePhones")
        ),
        *(("mobileno", {"mobile"}), ("MobileNumber", {"mobile", "number"}), ("msisdn", {"msisdn"}), ("telNr", {"tel"})),
        *(
            ("telefon", {"telefon"}),
            ("kundentelefon", {"telefon"}),
            ("handynummer", {"handynummer"}),
            ("handynr", {"handy"}),
        ),
        *(("socialsecuritynumber", {"social"}), ("customerSSN", {"ssn"}), ("passportno", {"passport"})),
        *(
            ("bankaccount", {"account"}),
            ("accountnumber", {"account"}),
            ("ip_address", {"ip"}),
            ("teléfono", {"teléfono"}),
        ),
        *(
            (each, set())
            for each in ("microphone", "iphone", "string", "context", "description", "automobile", "phonology")
        ),
        *(
            (each, set())
            for each in ("ordernumber", "discard", "recall", "hotel", "celluloid", "accountant", "handyman")
        ),
        *(("order_number", {"number"}), ("US_id", {"us"})),
    ],
)
def test_words_of_a_name_are_context_and_parts_of_them_that_can_be_nothing_else(name: str, words: set[str]) -> None:
    """Stated: a name that ends in `_number` may be of any, and is taken for one to call."""
    assert set(context(name)) == words


def test_words_are_all_of_a_text_in_their_places() -> None:
    for text in made(2_000, 14):
        words, at = cut(text, frozenset({"phone"})), 0
        for each in words:
            assert text[each.start : each.start + len(each.text)] == each.text
            assert not text[at : each.start].strip()
            at = each.start + len(each.text)
            assert each.plain in each.text.lower()
        assert not text[at:].strip()


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_nothing_is_left_out_of_fifty_thousand_texts(cells: Cells, seed: int) -> None:
    bad, counts = unlike(cells, list(made(17_000, seed)))
    assert bad == []
    assert len(counts) == ENTITIES
    assert counts.total() > 3_000


@pytest.mark.parametrize("index", range(ENTITIES))
def test_a_prefilter_that_forgets_a_recogniser_is_noticed(cells: Cells, index: int) -> None:
    """The negative control: the comparison above can fail, whichever filter is too narrow."""
    blind = Cells()
    blind.prefilter = copy.copy(cells.prefilter)  # everybody's own is not to be touched
    blind.prefilter.some = [each for each in cells.prefilter.some if each[0] != 1 << index]
    blind.prefilter.special = ""
    more = ("my account 12345678", "passport 123456789", "itin 912701234", "call 07946 0958", "my license is A1234567")
    bad, _ = unlike(blind, [*KNOWN, *more])
    assert bad


def test_recognisers_are_presidios_with_ours_in_their_place() -> None:
    """One that a new version brings along is noticed here."""
    own = {type(each).__name__: each.name for each in analyzer().registry.recognizers}
    assert sorted(own.values()) == sorted(each.name for each in STOCK.recognizers)
    assert sorted(own.keys() - {type(each).__name__ for each in STOCK.recognizers}) == [
        "Address",
        "Card",
        "Email",
        "Iban",
        "Link",
        "Phone",
    ]
    assert len(own) == ENTITIES
    assert isinstance(analyzer(), AnalyzerEngine)


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of every recogniser, Presidio's own too."""
    for each in (*analyzer().registry.recognizers, *STOCK.recognizers):
        for pattern in getattr(each, "patterns", []):
            yield f"{type(each).__name__}: {pattern.name}", pattern.regex


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_a_relaxed_expression_matches_wherever_the_first_does(name: str, expression: str) -> None:
    relaxed = Relaxed(expression)
    texts = [*KNOWN, *made(4_000, 5), *(f"{a} {b}" for a in KNOWN[::3] for b in KNOWN[::5])]
    loose = pc.match_substring_regex(pa.array(texts, pa.string()), relaxed.text).to_pylist()
    strict, special = regex.compile(expression, FLAGS), {chr(point) for point in relaxed.special}
    hits = [bool(strict.search(text)) for text in texts]
    missed = [t for t, hit, may in zip(texts, hits, loose, strict=True) if hit and not may and not special & set(t)]
    assert missed == []
    assert sum(loose) < len(texts) / 2, "so loose that nothing is left out"


def test_a_card_has_what_all_of_its_expressions_need() -> None:
    draw, numbers = random.Random(8), ["".join(random.Random(n).choices("0123456789", k=n)) for n in range(10, 22)]
    texts = [*KNOWN, *made(4_000, 6), *(mutated(draw.choice([*KNOWN, *numbers]), draw) for _ in range(4_000))]
    needed = pc.match_substring_regex(pa.array(texts, pa.string()), Card.NEEDED).to_pylist()
    hits = [any(regex.search(each.regex, text, FLAGS) for each in Card.PATTERNS) for text in texts]
    ascii_ = [text for text, hit, may in zip(texts, hits, needed, strict=True) if hit and not may and text.isascii()]
    assert ascii_ == []
    assert sum(hits) > 200


@pytest.mark.parametrize("expression", [r"(a)?(?(1)b|c)", "(?i:", "", "a(?=b)?|", "(?x: a )b", "(?:)"])
def test_an_expression_that_cannot_be_relaxed_says_so(expression: str) -> None:
    with pytest.raises(Unknown):
        Relaxed(expression)


@pytest.mark.parametrize(
    ("expression", "texts"),
    [
        (r"(\d)-\1x{2,}y?", ["1-1xx", "7-7xxxy"]),
        (r"(?:abc|de|f)g", ["abcg", "deg", "fg"]),
        (r"x(?:abc|de|)$", ["x", "xabc", "xde"]),
        (r"(?<!q)k(?!z)", ["k", "K", "a k b"]),
        (r"[^a]\W\S\D", ["b -x", "b é中"]),
        (r"(?>ab)+c", ["ababc"]),
        (r"(?:a{0,3}b*|cd)e", ["e", "cde", "aabe"]),
    ],
)
def test_parts_of_all_kinds_are_relaxed(expression: str, texts: list[str]) -> None:
    assert all(regex.search(expression, text, FLAGS) for text in texts)
    assert all(pc.match_substring_regex(pa.array(texts), Relaxed(expression).text).to_pylist())


@pytest.mark.parametrize("country", sorted(LENGTHS))
def test_no_account_is_shorter_than_what_all_of_them_have(country: str) -> None:
    """What the prefilter looks for is in every account, wherever a blank or a hyphen stands."""
    needed, draw = Relaxed(Iban.PATTERNS[0].regex).text, random.Random(country)
    assert LENGTHS[country] >= SHORTEST
    for _ in range(20):
        signs = draw.choices(string.digits, k=LENGTHS[country] - 2)
        text = country + "".join(draw.choice(["", "", " ", "-"]) + sign for sign in signs)
        text = draw.choice(["", "x ", "_"]) + draw.choice([text, text.lower()]) + draw.choice(["", " y", "."])
        assert form(country).search(text)
        assert pc.match_substring_regex(pa.array([text]), needed).to_pylist() == [True]


def test_a_recogniser_with_a_way_of_its_own_is_asked_about_every_text() -> None:
    class Own(PatternRecognizer):  # type: ignore[misc]
        def analyze(self, *_: Any, **__: Any) -> list[Any]:
            return []

    told = [Pattern("x", "x", 0.5)]
    both = [Own("A", patterns=told), PatternRecognizer("B", patterns=told)]
    verbose = PatternRecognizer("C", patterns=told, global_regex_flags=regex.VERBOSE)
    assert Prefilter([*both, verbose], 0.4).masks(pa.array(["y", "x", ""])).tolist() == [5, 7, 5]


def test_a_letter_of_another_script_that_folds_to_ascii_hides_nothing(cells: Cells) -> None:
    for text in ("mail \u212aarl@example.com", "DE8937040044053201300\uff10", "\u0661\u0662\u0663-45-6789 ssn"):
        assert cells.find(pa.array([text])).get(0, ()) == plain(text)
        assert cells.prefilter.masks(pa.array([text])).tolist() == [int(cells.prefilter.all)]
    assert np.count_nonzero(cells.prefilter.masks(pa.array(["中文字符很多很多的一句话", "ça été"]))) == 0


@pytest.mark.parametrize("seed", range(3))
def test_numbers_are_verified_as_the_library_verifies_them(seed: int) -> None:
    draw = random.Random(seed)
    signs = ["", "", "", " ", "-", ".", "/", "(", ") ", " x", "+", "  ", " ext ", " - "]
    texts = [text for text in KNOWN if any(map(str.isdigit, text))]
    texts += [
        "".join(draw.choice(signs) + draw.choice("0123456789") for _ in range(draw.randrange(7, 18)))
        for _ in range(400)
    ]
    texts += [f"0{draw.randrange(10**9)}" for _ in range(200)] + [f"{draw.randrange(10**10)}" for _ in range(200)]
    texts += [f"2023-10-27 {draw.randrange(10, 24)}{end}" for end in (":30", " 30", "")]
    compared = Counter[bool]()
    for text in texts:
        for region in draw.sample(REGIONS, 8):
            theirs = PhoneNumberMatcher(text, region, leniency=Leniency.VALID)
            for match in phones._PATTERN.finditer(text):
                wanted = theirs._extract_match(match.group(), match.start())
                if wanted is None or phones.CLOSE.search(wanted.raw_string):
                    span = wanted and (wanted.start - match.start(), wanted.end - match.start())
                    assert verified(text, match.group(), match.start(), (region,)) == ({span} if span else set())
                    compared[wanted is not None] += 1
    assert min(compared.values()) > 500


def test_what_is_remembered_is_what_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, remembers = list(made(600, 9)), Phone()
    for text in texts:
        remembers.spans(text)
    monkeypatch.setattr(phones, "MOST", 0)
    forgets = Phone()
    assert [remembers.spans(text) for text in texts] == [forgets.spans(text) for text in texts]
    assert len(forgets.known) <= 1 < len(remembers.known)


def test_a_cell_that_is_too_long_cannot_be_told(cells: Cells) -> None:
    assert cells.find(pa.array(["x" * (LONGEST - 20) + " a@example.com"])) != {}
    with pytest.raises(CannotTell, match=r"a cell of 4,097 characters; at most 4,096 are looked at") as why:
        cells.find(pa.array(["fine", "é" * (LONGEST + 1)]))
    assert why.value.cause == "long"


def test_an_expression_that_takes_too_long_is_not_skipped(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    """Presidio itself logs a warning and finds nothing."""
    text = "a." * 1_500 + " x john@example.com"
    monkeypatch.setattr(pattern_recognizer, "REGEX_TIMEOUT_SECONDS", 0.001)
    assert "EMAIL_ADDRESS" not in {entity for entity, *_ in plain(text)}
    with pytest.raises(CannotTell, match="an expression took too long") as why:
        cells.find(pa.array([text]))
    assert why.value.cause == "timeout"
    monkeypatch.setattr(pattern_recognizer, "REGEX_TIMEOUT_SECONDS", 60)
    assert "EMAIL_ADDRESS" in {entity for entity, *_ in cells.find(pa.array([text]))[0]}


def test_a_warning_that_nobody_could_hear_is_no_silence(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("presidio-analyzer")
    text = pa.array(["john@example.com"])
    for name, value in (("disabled", True), ("level", logging.ERROR), ("handlers", [])):
        with monkeypatch.context() as patch:
            patch.setattr(logger, name, value)
            logger.manager._clear_cache()
            with pytest.raises(CannotTell, match="Presidio's warnings are switched off"):
                cells.find(text)
        logger.manager._clear_cache()
    assert cells.find(text) != {}


def test_what_presidio_logs_stays_inside(cells: Cells, caplog: pytest.LogCaptureFixture) -> None:
    """It quotes what it cannot validate: here a digit of another script in the place of a check digit."""
    with caplog.at_level(logging.DEBUG):
        cells.find(pa.array(["DE\u0663\u06639370400440532013000", "GB82\u0130EST12345698765432 iban"]))
        plain("GB82\u0130EST12345698765432 iban")
    assert not re.search("9370400440532013000|12345698765432", caplog.text)


def source(kind: Any, items: Any) -> str:
    """A class in the words of `regex`."""
    if kind is op.NOT_LITERAL:
        return f"[^\\U{items:08x}]"
    told = ""
    for what, value in [(kind, items)] if kind is op.LITERAL else items:
        if what is op.RANGE:
            told += f"\\U{value[0]:08x}-\\U{value[1]:08x}"
        else:
            told += {op.NEGATE: "^", op.CATEGORY: relax._CATEGORIES.get(value, "")}.get(what, f"\\U{value or 0:08x}")
    return f"[{told}]"


def test_members_of_a_class_are_those_that_the_engine_takes() -> None:
    """One by one over all of Unicode, for every class of every expression."""
    classes: dict[str, Any] = {}
    for _, expression in expressions():
        for kind, value in relax._all(relax.parser.parse(expression, 0)):
            if kind in (op.LITERAL, op.IN):
                classes[source(kind, value)] = [(kind, value)] if kind is op.LITERAL else value
    assert len(classes) > 60
    everything = "".join(map(chr, sorted(relax._ALL)))
    for text, items in classes.items():
        assert relax._members(items) == {ord(each) for each in regex.findall(text, everything, FLAGS)}, text
