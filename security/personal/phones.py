"""The recogniser of telephone numbers: candidates as `phonenumbers` finds them, each verified once for each country.

Its own matcher goes through a text once for each country. Here a text is gone through once: candidates are found by the
same expression, which knows no country, cut where a sentence ends, and verified by the same code. After a number it
goes on behind the longest that was found, after none behind the candidate. What a verification sees is the candidate,
the character before it and the few that follow, so its answer is remembered under these and the country.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, Leniency, PhoneMetadata, PhoneNumberMatcher
from phonenumbers.phonenumbermatcher import (
    _INNER_MATCHES,
    _PATTERN,
    _SLASH_SEPARATED_DATES,
    _TIME_STAMPS,
    _TIME_STAMPS_SUFFIX,
)
from phonenumbers.phonenumberutil import _PLUS_CHARS, _SECOND_NUMBER_START_PATTERN, _UNWANTED_END_CHAR_PATTERN
from presidio_analyzer import AnalysisExplanation, EntityRecognizer, RecognizerResult
from presidio_analyzer.predefined_recognizers import PhoneRecognizer

REGIONS = (
    *PhoneRecognizer.DEFAULT_SUPPORTED_REGIONS,
    *("AR", "AT", "AU", "BE", "CH", "CL", "CN", "CO", "CZ", "DK", "ES", "FI", "GR", "HU", "IE", "IT", "JP", "KR", "MX"),
    *("NL", "NO", "NZ", "PL", "PT", "RU", "SE", "SG", "TR", "ZA"),
)
"""Where numbers that are written without a country may be at home; with one, every country is known."""
ANYWHERE = "ZZ"
"""Only numbers that say their country."""
SHORTEST, SURE, GAP = 7, 10, 4
"""Digits that a number has at least, with so many other characters between two of them at most; and digits from which
on it needs no word beside it, unless it is `BARE`."""
CLOSE, LONG = (re.compile(rf"\d(?:\D{{0,{GAP}}}\d){{{count - 1}}}") for count in (SHORTEST, SURE))
BARE = re.compile(r"[1-9]\d*|(?=(?:\d+ )*\d\d\b)(?=(?:\d+ )*?\d (?:\d+ )*\d\b)[1-9]\d?(?: \d\d?)+")
"""What may as well be any other number: digits alone, and none of the zeros that a number is dialled with; or a row of
numbers below a hundred, two of them below ten, but not all."""
PART = r"(?:0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])"
"""A number of an address."""
OTHER = re.compile(
    r"(?:0|[1-9]\d*)\.\d+|(?:19|20)\d\d([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])"
    rf"|(?:{PART}\.){{3}}{PART}"
)
"""What is no number to call: a decimal, a date, an address or a version that is written like one."""
BEFORE = re.compile(r"[^\W_]/|\d\.")
"""What stands before a version, or before the end of a decimal."""
SAID = re.compile(r"(?:\A|[\W_])(?:call|fax|msisdn|phone|sms|tel|telephone|whatsapp)/\Z", re.IGNORECASE)
"""What is before a slash that a number to call follows, and no version."""
DIALLED = re.compile(rf"[{_PLUS_CHARS}(\[\uff08\uff3b]|0(?!\.)")
"""How a number begins that may stand there too."""
COUNTED = re.compile(
    r"(?<![^\W_])(?:(?<!to )order|invoice|tracking|ticket|policy|sku|ref|isbn|ean|gtin|p/n|s/n|serial|rechnung"
    r"|bestellung|facture|commande|factura|pedido|fattura|ordine|factuur|bestelling|encomenda|fatura|faktura|zamówienie"
    r"|sipariş|(?:account|reference|item|product|model|case|part)(?=[ _-]?(?:n|#))"
    r"|(?:rechnungs|bestell|kunden|konto|artikel)nummer)(?:[ _-]?(?:number|numer|num|nummer|nr|no|n[°º]|id))?"
    r"[ :=#./\"'_-]{1,4}\Z",
    re.IGNORECASE,
)
"""What stands right before the number of an order, an article and the like, in some of the languages of `REGIONS`."""
NEAR = 32
"""Characters before a number that are looked at for it."""
AGAIN = re.compile(r"\.\d")
"""What stands behind a number that goes from one decimal into the next."""
DAY, MONTH, YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
DATE = re.compile(
    rf"(?<!\d)(?<!\d[-/.])(?:{DAY}([-/.]){MONTH}\1{YEAR}|{MONTH}([-/.]){DAY}\2{YEAR}|{YEAR}([-/.]){MONTH}\3{DAY})"
    r"(?![-/.]?\d)(?:[ T]{1,2}(?:[01]?\d|2[0-3])[:.h][0-5]\d(?!\d))?"
)
"""A date, and the time behind it: no part of it is a number to call."""
BEHIND = 16
"""Characters before a number that are looked at for such a word."""
SENTENCE = re.compile(r"(?<![^\W\d_])[.\s]\s|\n")
"""Where a candidate ends though there may be digits behind it; not behind the letters of an extension (`ext. 12`)."""
WEAK = 0.2
"""The score of a short number: below what counts, unless a word stands beside it."""
SPOKEN = (
    *("tel", "fax", "dial", "ring", "sms", "text", "whatsapp", "contact", "reach", "landline", "hotline", "ext"),
    *("telefon", "telefonnummer", "handy", "handynummer", "mobil", "mobilnummer", "festnetz", "rufnummer"),
    *("durchwahl", "telefono", "teléfono", "telefone", "téléphone", "telefoon", "movil", "móvil", "celular"),
    *("cellulare", "mobiel", "telemovel", "telemóvel", "portable", "msisdn", "gsm", "tlf", "puh", "puhelin"),
    *("matkapuhelin", "telefonu", "kom", "komorka", "komórka", "komórkowy", "appeler", "appelez", "llamar", "llame"),
    *("chiamare", "anrufen", "bellen", "zadzwoń", "llama", "llámame", "llamame", "chiamami"),
)
"""Words that stand beside a number to call, in some of the languages of `REGIONS`, with their accents and without."""
MOST = 200_000
"""Candidates that are remembered; then all are forgotten."""
PLAIN = "0123456789 -./()"
"""Characters of a candidate that has no sign of another country, and no extension."""
_DIGITS = str.maketrans("", "", " -./()")
AFTER = 3
"""Characters after a candidate that are looked at: those of `phonenumbermatcher._TIME_STAMPS_SUFFIX`."""
Span = tuple[int, int]


class Phone(PhoneRecognizer):
    """Of more countries than Presidio's; none of fewer than seven digits, and of fewer than ten, or of digits alone,
    only where a word says so. No decimal, no date, and none after a name and a slash, which is a version's,
    but after a word for a telephone.
    """

    def __init__(self) -> None:
        words = [*PhoneRecognizer.CONTEXT, *SPOKEN]
        super().__init__(supported_regions=REGIONS, context=words, name=PhoneRecognizer.__name__)
        self.known: dict[tuple[str, str, str], frozenset[Span]] = {}

    def analyze(self, text: str, entities: Any = None, nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """The numbers of a text."""
        found = []
        for start, end in sorted(self.spans(text)):
            # A bracket that is closed behind the number is around more than it.
            start += text[start] in "([" and not any(mark in text[start:end] for mark in ")]")
            if other(text, start, end) or not CLOSE.search(text, start, end):
                continue
            long = LONG.search(text, start, end) and not BARE.fullmatch(text, start, end)
            metadata = {
                RecognizerResult.RECOGNIZER_NAME_KEY: PhoneRecognizer.__name__,
                RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
            }
            score = self.SCORE if long or text[start] in _PLUS_CHARS else WEAK
            why = AnalysisExplanation(type(self).__name__, score)
            found.append(RecognizerResult("PHONE_NUMBER", start, end, score, why, metadata))
        return EntityRecognizer.remove_duplicates(found) if found else found

    def spans(self, text: str) -> set[Span]:
        """Where there are numbers that are valid in some country: start and end."""
        found, at = set[Span](), 0
        while match := _PATTERN.search(text, at):
            start, candidate = match.start(), match.group()
            for pattern in (_SECOND_NUMBER_START_PATTERN, SENTENCE):
                if cut := pattern.search(candidate):
                    candidate = candidate[: cut.start()]
            at = start + len(candidate)
            if not CLOSE.search(candidate):
                continue
            key = (text[start - 1 : start] if start else "", candidate, text[at : at + AFTER])
            if key not in self.known:
                if len(self.known) >= MOST:
                    self.known.clear()
                self.known[key] = verified(text, candidate, start, self.supported_regions)
            inside = self.known[key]
            found |= {(start + first, start + last) for first, last in inside}
            if inside:
                at = start + max(last for _, last in inside)
        return found


def other(text: str, start: int, end: int) -> bool:
    """Whether what may be a number is a version, a decimal or a date, or a part of one, or counts something else."""
    if OTHER.fullmatch(text, start, end):
        return True
    if BEFORE.fullmatch(text, max(0, start - 2), start):
        fraction = text[start - 1] == "." and (text[start:end].isdigit() or AGAIN.match(text, end))
        said = SAID.search(text, max(0, start - BEHIND), start)
        if fraction or not (said or DIALLED.match(text, start)):
            return True
    if not DIALLED.match(text, start) and COUNTED.search(text[max(0, start - NEAR) : start]):
        return True
    return any(each.start() <= start and end <= each.end() for each in DATE.finditer(text))


def verified(text: str, candidate: str, start: int, regions: tuple[str, ...]) -> frozenset[Span]:
    """The first number in a candidate for each of these countries, as places in it; the first that is all of it ends
    the asking."""
    found = set[Span]()
    tries = list(dict.fromkeys(each for each in _tries(text, candidate, start) if CLOSE.search(each[0])))
    plain = ["" if part.strip(PLAIN) else part.translate(_DIGITS) for part, _ in tries]
    abroad = (ANYWHERE,) if any(mark in candidate for mark in _PLUS_CHARS) else ()
    for region in (*abroad, *regions):
        for (part, at), number in zip(tries, plain, strict=True):
            if number and (region == ANYWHERE or not form(region).match(number)):
                continue
            matcher = PhoneNumberMatcher(text, region, leniency=Leniency.VALID)
            if matcher._parse_and_verify(part, start + at) is not None:
                found.add((at, at + len(part)))
                break
        if (0, len(candidate)) in found:
            break
    return frozenset(found)


def _tries(text: str, candidate: str, start: int) -> Iterator[tuple[str, int]]:
    """What may be a number, a candidate or part of it, and where it begins, in the order of the library's matcher."""
    dated = _SLASH_SEPARATED_DATES.search(candidate)
    stamped = _TIME_STAMPS.search(candidate) and _TIME_STAMPS_SUFFIX.match(text, start + len(candidate))
    if dated or stamped:
        return
    yield candidate, 0
    for pattern in _INNER_MATCHES:
        group = pattern.search(candidate)
        if group:
            yield _UNWANTED_END_CHAR_PATTERN.split(candidate[: group.start()], maxsplit=1)[0], 0
        while group:
            yield _UNWANTED_END_CHAR_PATTERN.split(group.group(1), maxsplit=1)[0], group.start(1)
            group = pattern.search(candidate, group.start() + 1)


@cache
def form(region: str) -> re.Pattern[str]:
    """What digits alone must be, or begin with, to be a number of a country: a number of some country that shares its
    calling code, this code, what is dialled to go abroad, or a national prefix."""
    about: Any = PhoneMetadata.metadata_for_region(region)
    shared = COUNTRY_CODE_TO_REGION_CODE[about.country_code]
    known: list[Any] = [PhoneMetadata.metadata_for_region(each) for each in shared]
    whole = "|".join(each.general_desc.national_number_pattern for each in known)
    begun = [str(about.country_code), about.international_prefix, about.national_prefix_for_parsing]
    return re.compile("|".join([rf"(?:{whole})\Z", *(f"(?:{each})" for each in begun if each)]))
