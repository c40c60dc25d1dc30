"""Our recognisers, in place of Presidio's own where those miss much or cry wolf. What each changes stands with it.

Presidio adds 0.35 to a score, and makes it 0.4 at least, where a word of `context` stands near: among the five words
before, or the three behind (`security.personal.analyzer.AFTER`).
"""

from presidio_analyzer import EntityRecognizer, Pattern
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    EmailRecognizer,
    IpRecognizer,
    UrlRecognizer,
)
from tldextract import TLDExtract

_HOST = UrlRecognizer.BASE_URL_REGEX.rpartition("(?:/")[0].removeprefix("(")
_REST = r"(?::\d{1,5})?(?:/(?:[^\s()<>\"']*[^\s()<>\"'.,;:!?])?)?"
_ALONE, _OVER = r"(?<![\w@./-])", r"(?![\w-]|[.]\w)"
_PRODUCT = r"(?<![A-Za-z0-9_)]/)(?<!\bv|\bver|\bversion|\brelease|\bbuild)(?<!\b(?:v|ver|version|release|build)[ .:=])"
"""Not after the name of a product and a slash, nor after a word that says that a version follows."""
FILES = ("am", "bz", "cc", "in", "la", "md", "mk", "ml", "mm", "mov", "pl", "pm", "ps", "py", "rs", "sh", "so", "st")
"""Ends of names that are of files as often as of domains."""
WORDS = ("as", "at", "be", "do", "how", "id", "is", "it", "me", "my", "new", "no", "now", "one", "to", "us", "you")
"""Ends of names that are words as well: what is left when the space after a full stop is missing."""


class Email(EmailRecognizer):
    """Held against the list of public suffixes that comes with `tldextract`: the stock one asks the network first."""

    suffixes = TLDExtract(suffix_list_urls=(), cache_dir=None)

    def __init__(self) -> None:
        super().__init__(name=EmailRecognizer.__name__)

    def validate_result(self, pattern_text: str) -> bool:
        """Whether the domain ends in a public suffix."""
        return bool(self.suffixes(pattern_text).fqdn)


class Card(CreditCardRecognizer):
    """Also ranges of Mastercard that begin with 2, 12 to 19 digits, dots and underscores between, letters before.

    Numbers by ISO/IEC 7812; Luhn's digit must be right.
    """

    NEEDED = r"[0-9](?:[ ._-]?[0-9]){11}"
    """What each of the expressions has a match of, and RE2 understands."""
    PATTERNS = [
        *CreditCardRecognizer.PATTERNS,
        Pattern(
            "One piece",
            r"(?<![0-9])(?<![0-9][.,])(?:4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|"
            r"[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[689][0-9])[0-9]{11,16}|"
            r"(?:6(?:011|4[4-9][0-9]|5[0-9]{2})|62[0-9]{2}|35[2-8][0-9])[0-9]{12,15}|(?:50|5[6-9]|6[0-9])[0-9]{10,17})"
            r"(?![0-9])",
            0.3,
        ),
        Pattern(
            "Groups of four",
            r"(?<![0-9])(?<![0-9][ ._-])[2-6][0-9]{3}([ ._-])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,3})?"
            r"(?![0-9])(?![ ._-][0-9]{4})",
            0.3,
        ),
        Pattern("Four, six and the rest", r"(?<![0-9])3[0-9]{3}([ ._-])[0-9]{6}\1[0-9]{4,5}(?![0-9])", 0.3),
    ]

    def __init__(self) -> None:
        pairs = [(mark, "") for mark in " -._"]
        super().__init__(replacement_pairs=pairs, name=CreditCardRecognizer.__name__)

    def validate_result(self, pattern_text: str) -> bool:
        """Luhn's digit, and digits of ASCII only: others are nobody's card."""
        digits = EntityRecognizer.sanitize_value(pattern_text, self.replacement_pairs)
        return digits.isascii() and digits.isdigit() and bool(super().validate_result(pattern_text))


class Address(IpRecognizer):
    """Not the numbers of versions: `Chrome/120.0.0.0`, `v1.2.3.4`, `1.2.3.4.5`."""

    PATTERNS = [
        Pattern(each.name, f"{_PRODUCT}(?<![0-9]\\.){each.regex}(?!\\.[0-9])", each.score)
        if each.name == "IPv4"
        else each
        for each in IpRecognizer.PATTERNS
    ]

    def __init__(self) -> None:
        super().__init__(name=IpRecognizer.__name__)


class Link(UrlRecognizer):
    """Whole names only (the stock one finds `os.sy` in `os.system`), no part of an e-mail address, no full stop at the
    end; without a scheme, `www` or a path none that is as likely a file's (`main.py`) or two sentences (`saw.it`)."""

    PATTERNS = [
        Pattern("With a scheme", rf"https?://{_HOST}(?![\w-]){_REST}", 0.6),
        Pattern(
            "With www or a path", rf"{_ALONE}(?=www\d{{0,3}}[.]|[a-z0-9.\-]{{1,253}}/){_HOST}(?![\w-]){_REST}", 0.5
        ),
        Pattern(
            "Name alone",
            rf"{_ALONE}(?![a-z0-9.\-]{{1,253}}[.](?:{'|'.join(FILES)}){_OVER})"
            rf"(?![a-z]{{1,7}}[.](?:{'|'.join(WORDS)}){_OVER}){_HOST}(?![\w@-])(?![.]\w)",
            0.5,
        ),
    ]

    def __init__(self) -> None:
        super().__init__(name=UrlRecognizer.__name__)
