"""The outer form of a finding: enough for a rule, and for people to know what it is about; nothing of its content."""

import re
import unicodedata
from typing import Literal

Shape = Literal["digits", "dotted", "word", "part", "amid", "release", "version", "uuid", "other"]
"""Decimal digits alone; and full stops between them; letters, digits and `_` of ASCII; digits or these as the start of
a longer word, or in a text of several; digits or these behind a product's name and a slash, or a word of version, where
all is one word; the same in a text of several, or with full stops; a UUID or a part of one; anything else."""
_BEHIND = re.compile(
    r"(?:(?:\A|[\s(\[;,])[A-Za-z][\w.+-]*(?:/[\w.+-]+)*(?<!ssn)(?<!nhs)(?<!passport)(?<!license)(?<!licence)"
    r"(?<!\btel)(?<!\bphone)(?<!\btelephone)(?<!\bfax)(?<!\bsms)(?<!\bmsisdn)/"
    r"|\b(?:v|ver|version|rv|release|build)[ .:=/]?)\Z",
    re.ASCII | re.IGNORECASE,
)
"""What stands before a version. A path of a link is none, nor what says that something else follows."""
_NAMED = re.compile(
    r"(?<![\w.])(?!(?:[\w.+-]*[_.+-])?(?:from|ip|ipv4|addr|address|host|client|by|at|for|of|via|to|is|user|forwarded"
    r"|remote|peer|proxy|source|src|origin|dst|server|gateway) )[A-Za-z][\w.+-]* \Z|//\Z",
    re.ASCII | re.IGNORECASE,
)
"""What may stand before the numbers of a version between full stops too: a product's name; and before a site's."""
_NUMBERS = re.compile(r"(?:(?:[1-9]\d?|1\d\d|2[0-4]\d|25[0-5]|0)(?:\.|\Z)){4}|\d+(?:\.\d+)*\.\d\.\d+(?:\.\d+)*")
"""Numbers of a version: like an address, or with one of a single digit between others, as no number to call has."""
BEFORE = 80
"""Characters before a finding that are looked at."""
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
_BLANK = re.compile(r"\s")
SHOWN = 24
"""Signs of a shape, at most."""
_KEPT = frozenset(".@-+:/")


def within(text: str, start: int, end: int) -> Shape:
    """What is made of a text's characters from `start` to `end`, by what stands around it too."""
    for each in _UUID.finditer(text) if end - start <= 36 and "-" in text else ():
        if each.start() <= start and end <= each.end():
            return "uuid"
    found, begin = shape(text[start:end]), max(0, start - BEFORE)
    behind = bool(_BEHIND.search(text, begin, start))
    if found == "dotted" and (behind or _NAMED.search(text, begin, start)) and _NUMBERS.fullmatch(text, start, end):
        return "version"
    if found not in ("digits", "word"):
        return found
    if end < len(text) and text[end].isalnum():
        return "part"
    if _BLANK.search(text):
        return "version" if behind else "amid"
    return "release" if behind else found


def shape(text: str) -> Shape:
    """What a found text is made of."""
    if not text.isascii():
        return "other"
    if text.isdigit():
        return "digits"
    if text.replace(".", "0").isdigit():
        return "dotted"
    return "word" if text.replace("_", "a").isalnum() else "other"


def masked(text: str) -> str:
    """The shape of a found text: `x` for a letter, `9` for a digit, `.@-+:/` as they are, else `·`.

    At most `SHOWN` signs, the last of which is `…` where there are more. What belongs to letters (marks, the joiners
    between them) is `·` too.
    """
    shown = "".join(map(_sign, text[:SHOWN]))
    return shown if len(text) <= SHOWN else shown[:-1] + "…"


def _sign(sign: str) -> str:
    if sign in _KEPT:
        return sign
    return {"L": "x", "N": "9"}.get(unicodedata.category(sign)[0], "·")
