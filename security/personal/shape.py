"""The outer form of a finding: enough for a rule, and for people to know what it is about; nothing of its content."""

import unicodedata
from typing import Literal

Shape = Literal["digits", "dotted", "word", "other"]
"""Decimal digits alone; and full stops between them; letters, digits and `_` of ASCII; anything else."""
SHOWN = 24
"""Signs of a shape, at most."""
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
