"""Our recognisers, in place of Presidio's own where those miss much or cry wolf. What each changes stands with it.

Presidio adds 0.35 to a score, and makes it 0.4 at least, where a word of `context` stands near: among the five words
before, or the three behind (`security.personal.analyzer.AFTER`).
"""

import re
from typing import Any

from presidio_analyzer import EntityRecognizer, Pattern, RecognizerResult
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    EmailRecognizer,
    IpRecognizer,
    UrlRecognizer,
)
from tldextract import TLDExtract

_HOST = UrlRecognizer.BASE_URL_REGEX.rpartition("(?:/")[0].removeprefix("(")
_DOTTED = r"[\w-]{0,63}[^\W_](?:[.]+[\w-]{0,63}[^\W_])+"
_IN = r"[^\s()<>\"']*"
_REST = rf"(?::\d{{1,5}})?(?:[/?#]{_IN}(?:\({_IN}\){_IN})*(?<![.,;:!?]))?"
"""The port, and the rest up to a sign that ends a sentence, or to a bracket that was not opened in it."""
_ALONE, _OVER = r"(?<![\w@./-])", r"(?![\w-]|[.]\w)"
_SPOKEN = (
    r"v|ver|version|release|build|firmware|section|chapter|versione|versi[oó]n|versie|vers[aã]o|wersja"
    r"|abschnitt|kapitel|chapitre|cap[ií]tulo|capitolo"
)
_PRODUCT = (
    r"(?:(?<![A-Za-z0-9_)]/)|(?=127\.|192\.168\.|[0-9.]{7,15}:[0-9]{1,5}(?![0-9])))"
    rf"(?<!\bv|\bver|\bversion|\brelease|\bbuild)(?<!§[ ]?)"
    rf"(?<!(?<![^\W_])(?:{_SPOKEN})[\"']?[ .:=]{{1,2}}[\"']?)"
)
"""Not after the name of a product and a slash (it may be that of a host where a port follows, or where no version is so
high), nor after a word or a sign that says that a version or a part of a book follows, in JSON too."""
FILES = ("am", "bz", "cc", "in", "la", "md", "mk", "ml", "mm", "mov", "pm", "ps", "py", "rs", "sh", "so", "st")
"""Ends of names that are of files as often as of domains."""
WORDS = ("as", "at", "be", "do", "how", "id", "is", "it", "me", "my", "new", "no", "now", "one", "to", "us", "you")
"""Ends of names that are words as well: what is left when the space after a full stop is missing."""

FIELDS = ("date", "name")
"""Ends of names that are those of fields in code as often as of domains."""
SELVES = ("args", "obj", "req", "self", "this")
"""Beginnings of names in code."""
PRIVATE = ("corp", "internal", "intranet", "lan", "local", "localdomain")
"""Ends of names within a company's own network."""
OFFICES = ("gov.uk", "nhs.uk", "police.uk")
"""Public suffixes under which people have addresses, too."""
_LOCAL = r"(?:[^\W_][!$%'*+\-^~.\w]*+|(?<!_)_[!$%'*+\-^~._]*+)(?<!\.)(?=@)"
_LAST = r"(?:xn--[a-z0-9\-]*[a-z0-9]|[^\W_]+)(?![^\W_])"
_CUT = re.compile(r"[._-]+[^._-]*\Z|\A[^._-]*\Z")
_LETTERS = re.compile(r"(?=.*[A-Za-z])[^0-9]*")
_USER = r"(?!(?<=[a-z]://[^\s/?#@:]{0,64}:[^\s/?#@]{0,64})@[^\s/?#@]*+(?!@))"
"""Not what stands between a link's scheme and its host, behind a colon."""

_LIKE = (
    r"(?!(?<=(?<!\w)\+)[0-9]{12,14}(?![0-9]))"
    r"(?!(?<=(?<![^\W_])(?:ean|gtin|upc|barcode|siret)(?:-?1[34]|[ -]n[°ºor])?[\W_]{0,4})[0-9]{13,14}(?![0-9]))"
)
"""Not a number to call with the plus that it is dialled with, nor that of an article or of a company in France where a
word says so: every tenth of the former, and each of the latter, passes Luhn's check."""
_NONE = (
    rf"{_LIKE}(?<![0-9][ -])(?!35[0-9]{{13}}(?![0-9])|[0-9]{{7}}[ -][0-9]{{7}}(?![0-9]))"
    r"(?!1(?!(?:[ -]?[0-9]){14}(?![0-9])))"
)
"""Not amid groups of digits, nor the number of a telephone itself (IMEI), nor two groups of seven; with a 1 in front
only 15 digits (UATP): more are a time in microseconds."""
_TWO = r"2(?:20[0-4]|22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)"
_FIRST = r"(?<![0-9])(?<!(?<!\w)(?:(?!19|20)[0-9]{4}|[A-Za-z]{2}[0-9]{2})[ ._-])"
"""Not behind another group of four, nor what an account begins with; but behind a year, and any other number."""
_LATER = r"(?![0-9])(?!(?:[ ._\t+-]|  | - )(?!(?:0[1-9]|1[0-2])[0-9]{2}(?![0-9]))[0-9]{4})"
"""No further group of four but the month and year of an expiry."""


class Email(EmailRecognizer):
    """Without what a path, a query or a list has before it and behind it; of `jane@example.com.csv` what is a domain.

    Domains end in a public suffix by the list that comes with `tldextract` (the stock recogniser asks the network
    first), or in one of `PRIVATE`.
    """

    suffixes = TLDExtract(suffix_list_urls=(), cache_dir=None)
    PATTERNS = [
        Pattern(
            "Local part and domain",
            rf"(?<![^\W_]){_LOCAL}{_USER}@(?:(?:[^\W_]+(?:-+[^\W_]+)*\.)+{_LAST}"
            rf"|(?:[^\W_]+(?:[_-]+[^\W_]+)*\.)+{_LAST})",
            0.5,
        )
    ]

    def __init__(self) -> None:
        super().__init__(name=EmailRecognizer.__name__)

    def analyze(self, text: str, *told: Any, **more: Any) -> list[RecognizerResult]:
        """The addresses of a text, each as far as its domain goes."""
        found = super().analyze(text, *told, **more)
        for each in found:
            each.end = each.start + len(self.whole(text[each.start : each.end]))
        return found

    def validate_result(self, pattern_text: str) -> bool:
        """Whether some of the domain, from its start, is one."""
        return bool(self.whole(pattern_text))

    def whole(self, text: str) -> str:
        """As much of an address, from its start, as has a domain; or nothing."""
        local, _, domain = text.rpartition("@")
        while domain and not self.known(domain):
            domain = _CUT.sub("", domain)
        return f"{local}@{domain}" if domain else ""

    def known(self, domain: str) -> bool:
        """Whether a domain ends as one may."""
        before, _, last = domain.rpartition(".")
        told = self.suffixes(domain)
        return bool(before and (last.lower() in PRIVATE or told.fqdn or domain.lower() in OFFICES))


class Card(CreditCardRecognizer):
    """Also Mir, ranges of Mastercard that begin with 2, 12 to 19 digits, letters before; between groups dots and
    underscores, and of four also pluses, tabs, two blanks and a hyphen among blanks.

    Numbers by ISO/IEC 7812; Luhn's digit must be right.
    """

    NEEDED = r"[0-9](?:[ ._-]?[0-9]|[ \t+-]{1,3}[0-9]){11}"
    """What each of the expressions has a match of, and RE2 understands."""
    PATTERNS = [
        *(Pattern(each.name, _NONE + each.regex, each.score) for each in CreditCardRecognizer.PATTERNS),
        Pattern(
            "One piece",
            rf"{_LIKE}(?<![0-9])(?<![0-9]\.)(?<!(?<![0-9])[0-9]{{1,3}},)"
            r"(?:4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|5[1-5][0-9]{14}|"
            rf"{_TWO}"
            r"[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[689][0-9])[0-9]{11,16}|"
            r"(?:6(?:011|4[4-9][0-9]|5[0-9]{2})|62[0-9]{2}|35[2-8][0-9])[0-9]{12,15}|(?:50|5[6-9]|6[0-9])[0-9]{10,17})"
            r"(?![0-9])",
            0.3,
        ),
        Pattern("Groups of four", rf"{_FIRST}[2-6][0-9]{{3}}([ ._-])[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}{_LATER}", 0.3),
        Pattern(
            "Groups of four and the rest",
            rf"{_FIRST}[2-6][0-9]{{3}}([ ._-])[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{1,3}}(?![0-9])",
            0.3,
        ),
        Pattern(
            "Groups of four, wide",
            rf"(?<![0-9])(?<![0-9][\t+])(?:[4-6][0-9]{{3}}|{_TWO}|35[2-8][0-9])"
            rf"(\t|\+|  | - )[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}{_LATER}",
            0.3,
        ),
        Pattern("Four, six and the rest", r"(?<![0-9])3[0-9]{3}([ ._-])[0-9]{6}\1[0-9]{4,5}(?![0-9])", 0.3),
    ]

    def __init__(self) -> None:
        pairs = [(mark, "") for mark in " -._\t+"]
        super().__init__(replacement_pairs=pairs, name=CreditCardRecognizer.__name__)

    def validate_result(self, pattern_text: str) -> bool:
        """Luhn's digit, and digits of ASCII only: others are nobody's card."""
        digits = EntityRecognizer.sanitize_value(pattern_text, self.replacement_pairs)
        return digits.isascii() and digits.isdigit() and bool(super().validate_result(pattern_text))


class Address(IpRecognizer):
    """Not the numbers of versions (`Chrome/120.0.0.0`, `v1.2.3.4`, `1.2.3.4.5`), nor of code (`std::cafe`); of
    version 6 also before a colon that belongs to the sentence."""

    PATTERNS = [
        Pattern(each.name, f"{_PRODUCT}(?<![0-9]\\.){each.regex}(?!\\.[0-9])", each.score)
        if each.name == "IPv4"
        else Pattern(each.name, each.regex.replace(r"(?![\w:]|\.\d)", r"(?!\w|:[\w:]|\.\d)"), each.score)
        for each in IpRecognizer.PATTERNS
    ]

    def __init__(self) -> None:
        super().__init__(name=IpRecognizer.__name__)

    def invalidate_result(self, pattern_text: str) -> bool:
        """Whether it is no address, or has letters and no digit."""
        return bool(super().invalidate_result(pattern_text)) or bool(_LETTERS.fullmatch(pattern_text))


class Link(UrlRecognizer):
    """Whole names only (the stock one finds `os.sy` in `os.system`), no part of an e-mail address, no full stop at the
    end, a bracket there only with the one that opens it. With any scheme every host that has a dot; without one, `www`
    or a path none that is as likely a file's (`main.py`), a field's (`user.name`) or two sentences (`saw.it`)."""

    PATTERNS = [
        Pattern("With a scheme", rf"(?<![a-z])[a-z][a-z0-9+.\-]{{1,31}}://(?:[^\s/?#<>\"']*@)?{_DOTTED}{_REST}", 0.6),
        Pattern("Of the same scheme", rf"(?<![\w:/])//{_HOST}(?![\w-]){_REST}", 0.5),
        Pattern(
            "With www or a path", rf"{_ALONE}(?=www\d{{0,3}}[.]|[a-z0-9.\-]{{1,253}}/){_HOST}(?![\w-]){_REST}", 0.5
        ),
        Pattern(
            "Name alone",
            rf"{_ALONE}(?![a-z0-9.\-]{{1,253}}[.](?:{'|'.join((*FILES, *FIELDS))}){_OVER})(?!(?:{'|'.join(SELVES)})[.])"
            rf"(?![a-z]{{1,7}}[.](?:{'|'.join(WORDS)}){_OVER}){_HOST}(?![\w@-])(?![.]\w)",
            0.5,
        ),
    ]

    def __init__(self) -> None:
        super().__init__(name=UrlRecognizer.__name__)
