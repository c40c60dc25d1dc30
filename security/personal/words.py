"""A text in the words that may be context of a value: as logs, addresses of pages and JSON write them too.

Letters apart from digits and signs, `phone_number` and `phoneNumber` in their parts; digits with what separates them
are one word, whatever number it is; signs are none, nor are the words that every sentence has. A word that begins or
ends with one that is hardly ever part of another by chance (`phonenumber`, `customerphone`) is taken for that, and a
plural for its singular. What a word is taken for always stands in the text, which the prefilter relies on.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import regex
from presidio_analyzer.nlp_engine import NlpArtifacts
from spacy.lang.en.stop_words import STOP_WORDS

_PIECE = regex.compile(r"([\p{L}\p{M}]+)|(\p{N}+(?:[ .:/()_+-]{0,3}\p{N}+)*)|[^\s\p{L}\p{M}\p{N}]+")
_HUMP = regex.compile(r"(?<=\p{Ll}{2})(?=\p{Lu})|(?<=\p{Lu}{2})(?=\p{Lu}\p{Ll}{2})")
_COUNT = r"(?=n[or]\Z|num)"
_PHONE = "t[eé]l[eé]phone|t[eé]l[eé]fono?|telefone|telefoon|msisdn"
_PART = regex.compile(
    rf"\A(?:{_PHONE}|phone|mobile|passport|ssn|social(?=security)|(?:handy|mobil|cell|tel|fax|account)(?:{_COUNT}|(?=nu)))"
    rf"|(?:{_PHONE}|(?<!\A(?:i|micro|head|ear|mega|saxo|xylo|gramo|homo|franco|anglo))phone"
    r"|(?<!\A(?:auto|im))mobile|passport|ssn|(?<=bank)account)\Z"
)
COUNT = "number"
"""Context of a number to call, but not as the last part of a name: that of an order has it too."""
_IDLE = STOP_WORDS - {"call"}
"""What spaCy leaves out of every text, though a number to call is one; `us` stays, which stands in every browser's."""


class Word(NamedTuple):
    """A piece of a text, where it begins, and what it is taken for: nothing where it is no word."""

    text: str
    start: int
    plain: str


def cut(text: str, known: frozenset[str]) -> list[Word]:
    """All of a text but its blanks; `known` are the context words that there are, in lower case."""
    found = []
    for piece in _PIECE.finditer(text):
        whole, start = piece.group(), piece.start()
        if not piece[1]:
            found.append(Word(whole, start, whole if piece[2] else ""))
            continue
        humps = [] if whole.lower() in known else [each.start() for each in _HUMP.finditer(whole)]
        for begin, end in zip([0, *humps], [*humps, len(whole)], strict=True):
            part = plain(whole[begin:end], known)
            joined = begin or text[start - 1 : start] == "_"
            found.append(Word(whole[begin:end], start + begin, "" if joined and part == COUNT else part))
    return found


def plain(word: str, known: frozenset[str]) -> str:
    """What a word is taken for, in lower case."""
    lower = word.lower()
    singular = next((one for end in ("s", "es") if (one := lower.removesuffix(end)) in known), lower)
    if singular in known:
        return "" if lower in _IDLE else singular
    part = _PART.search(lower.removesuffix("s"))
    return part.group() if part else "" if lower in _IDLE else lower


def artifacts(
    text: str, known: frozenset[str], engine: Any, found: Sequence[Any] = (), scores: Sequence[float] = ()
) -> NlpArtifacts:
    """The words of a text as Presidio's engine takes them, and with them what a model found."""
    words = cut(text, known)
    plainly = [each.plain for each in words]
    pieces: Any = [each.text for each in words]
    told: Any = NlpArtifacts(list(found), pieces, [each.start for each in words], plainly, engine, "en", list(scores))
    # It would leave out stop words that are context, and ask a vocabulary about each.
    told.keywords = set(filter(None, plainly))
    return told  # type: ignore[no-any-return]
