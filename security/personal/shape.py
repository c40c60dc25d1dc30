"""The outer form of a finding: enough for a rule, and for people to know what it is about; nothing of its content."""

import re
import unicodedata
from typing import Literal

Shape = Literal["digits", "dotted", "word", "part", "amid", "uuid", "other"]
"""Decimal digits alone; and full stops between them; letters, digits and `_` of ASCII; either of these as the start of
a longer word, or in a text of several; all or a part of what is written as a UUID is; anything else."""
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
    found = shape(text[start:end])
    if found not in ("digits", "word"):
        return found
    if end < len(text) and text[end].isalnum():
        return "part"
    return "amid" if _BLANK.search(text) else found


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
