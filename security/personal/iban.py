"""The recogniser of accounts (IBAN, ISO 13616): exactly as many letters and digits as an account of its country has.

The stock one goes on to the end of a group, whatever the country, and so into the next word. Here each start is walked
to the length that Presidio's own form of the country has; its form and its check digits (modulo 97) must be right. One
blank or hyphen may stand between any two signs.
"""

import re
from functools import cache
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from presidio_analyzer import AnalysisExplanation, EntityRecognizer, Pattern, RecognizerResult
from presidio_analyzer.predefined_recognizers import IbanRecognizer
from presidio_analyzer.predefined_recognizers.generic.iban_patterns import regex_per_country

LONGER = {"MU": 30, "PS": 29, "PT": 25, "QA": 29}
"""Of the registry of ISO 13616: here Presidio's forms say how an account begins, but not all of it."""
LENGTHS: dict[str, int] = {
    country: parser.parse(form).getwidth()[0] for country, form in sorted(regex_per_country.items())
} | LONGER
"""How many letters and digits an account of a country has."""
SHORTEST = min(LENGTHS.values())
_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}(?=[ -]?[0-9])")


class Iban(IbanRecognizer):
    """Of the length of its country, in capitals or small letters, and no letter or digit right behind it."""

    PATTERNS = [
        Pattern(
            "Country, check digits and some more",
            rf"(?<![A-Z0-9])[A-Z]{{2}}(?:[ -]?[0-9]){{2}}(?:[ -]?[A-Z0-9]){{{SHORTEST - 4}}}",
            0.5,
        )
    ]
    """What each account has a match of; where none is, there is no account."""

    def __init__(self) -> None:
        super().__init__(name=IbanRecognizer.__name__)

    def analyze(self, text: str, *_: Any, **__: Any) -> list[RecognizerResult]:
        """The accounts of a text."""
        found, at = [], 0
        while start := _START.search(text, at):
            at = start.end()
            country = start[0].upper()
            whole = form(country).match(text, start.start()) if country in LENGTHS else None
            if whole and self.validate_result(whole[0].upper()):
                at = whole.end()
                metadata = {
                    RecognizerResult.RECOGNIZER_NAME_KEY: IbanRecognizer.__name__,
                    RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
                }
                score = EntityRecognizer.MAX_SCORE
                why = AnalysisExplanation(type(self).__name__, score)
                found.append(RecognizerResult("IBAN_CODE", whole.start(), at, score, why, metadata))
        return found


@cache
def form(country: str) -> re.Pattern[str]:
    """As many letters and digits as an account of this country has, and no more behind them."""
    rest = rf"(?:[ -]?[A-Za-z0-9]){{{LENGTHS[country] - 4}}}"
    return re.compile(rf"[A-Za-z]{{2}}(?:[ -]?[0-9]){{2}}{rest}(?![A-Za-z0-9])")
