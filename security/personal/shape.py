"""The outer form of a finding: enough for a rule, and for people to know what it is about; nothing of its content."""

import unicodedata
from typing import Literal

Shape = Literal["digits", "dotted", "word", "other"]
"""Decimal digits alone; and full stops between them; letters, digits and `_` of ASCII; anything else."""
SHOWN = 24
_KEPT = frozenset(".@-+:/")


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
    """A found text with each letter as x, each digit as 9, and every sign but a few as a dot; its first two dozen."""
    return "".join(map(_sign, text[:SHOWN])) + ("..." if len(text) > SHOWN else "")


def _sign(sign: str) -> str:
    if sign in _KEPT:
        return sign
    return {"L": "x", "N": "9"}.get(unicodedata.category(sign)[0], "\u00b7")
