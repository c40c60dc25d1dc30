"""Which recognisers may find something in which texts: a column at a time, in RE2, and never too few.

Of a recogniser with expressions, `security.personal.relax` makes one that matches wherever those do. Where a score
alone does not count, and no check digit can raise it, one of the recogniser's context words must be there as well, in
the text or beside it. A telephone number has some digits close together, and so has a card's, by the rules of our own
recognisers: simple expressions, since RE2 is slow where many that count digits are tried at once. Where all digits of a
text are one run, its check digit must be right as well (`security.personal.checks`). Any other recogniser may find
something anywhere.
"""

import re
import sys
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from presidio_analyzer import EntityRecognizer, PatternRecognizer
from presidio_analyzer.predefined_recognizers import NhsRecognizer

from security.personal.checks import Check, eleven, failed, luhn
from security.personal.iban import Iban
from security.personal.phones import GAP, SHORTEST, SURE, Phone
from security.personal.recognisers import Card, Email
from security.personal.relax import FLAGS, NEVER, Unknown, relaxed

PLAIN = (PatternRecognizer.analyze, Email.analyze, Iban.analyze)
"""Ways to analyse that find nothing where none of the expressions matches."""
Masks = NDArray[np.uint64]
All = tuple[str, ...]
"""Expressions that must all match; the first is a simple one, to be tried together with those of all others."""


CHECKS: dict[type, Check] = {Card: luhn, NhsRecognizer: eleven}
"""Recognisers that find nothing in a run of digits with a wrong check digit."""
OPEN = r"[0-9][^0-9]+[0-9]|(?:\A|[^0-9])0|[(\[+\x{ff08}\x{ff3b}]|[0-9]{18}"
"""What has to be in a text for a number to call to be more than digits alone: a second run of them, a zero in front, a
sign that one begins with, or more digits than one has."""


class Prefilter:
    """For some recognisers, in their order: bit `n` of a mask is of the one with index `n`.

    `threshold` is the lowest score that counts, `beside` the words that are context of every text.
    """

    def __init__(self, recognisers: Sequence[EntityRecognizer], threshold: float, beside: Collection[str] = ()) -> None:
        if len(recognisers) > 64:
            raise ValueError(f"{len(recognisers)} recognisers are more than a mask has bits")
        self.all = np.uint64((1 << len(recognisers)) - 1)
        special, self.always, self.some = set[int](), np.uint64(0), list[tuple[np.uint64, All]]()
        for index, each in enumerate(recognisers):
            bit = np.uint64(1 << index)
            try:
                self.some += [(bit, needed) for needed in _needed(each, threshold, beside, special)]
            except Unknown:
                self.always |= bit
        self.checks = [
            (np.uint64(1 << index), CHECKS[type(each)])
            for index, each in enumerate(recognisers)
            if type(each) in CHECKS and not int(self.always) >> index & 1
        ]
        self.any = "|".join(dict.fromkeys(needed[0] for _, needed in self.some))
        points = "".join(rf"\x{{{point:x}}}" for point in sorted(special))
        self.special = f"[{points}]" if special else ""

    def masks(self, texts: pa.StringArray) -> Masks:
        """For each of these texts, without nulls, the recognisers that may find something in it."""
        found = np.full(len(texts), self.always, np.uint64)
        hits = _where(texts, self.any) if self.any else np.zeros(0, np.int64)
        held = texts.take(pa.array(hits))
        for bit, needed in self.some if len(hits) else ():
            at = np.arange(len(hits))
            for expression in needed:
                # An expression is made anew for each call, in some milliseconds.
                at = at[_where(held.take(pa.array(at)), expression)] if len(at) else at
            found[hits[at]] |= bit
        for bit, check in self.checks if len(hits) else ():
            at = hits[(found[hits] & bit) != 0]
            found[at[failed(texts.take(pa.array(at)), check)]] &= ~bit
        beyond = foreign(texts)
        if len(beyond) and self.special:
            found[beyond[_where(texts.take(pa.array(beyond)), self.special)]] = self.all
        return found


def foreign(texts: pa.StringArray) -> NDArray[np.int64]:
    """Where there are texts with characters beyond ASCII."""
    return np.flatnonzero(pc.invert(pc.string_is_ascii(texts)).to_numpy(zero_copy_only=False))


def _where(texts: pa.StringArray, expression: str) -> NDArray[np.int64]:
    return np.flatnonzero(pc.match_substring_regex(texts, expression).to_numpy(zero_copy_only=False))


def _needed(recogniser: Any, threshold: float, beside: Collection[str], special: set[int]) -> Iterator[All]:
    """What matches, one of these or more, in each text where it finds something, but for texts with a `special` one."""
    known = {each.lower() for each in recogniser.context or ()}
    spoken = () if known & {each.lower() for each in beside} else (_any(map(_spoken, known), special) or NEVER,)
    if isinstance(recogniser, Phone):
        special.update(_numerals())
        special.update(map(ord, "\uff0b"))
        yield _digits(SHORTEST), _digits(SURE), OPEN
        yield _digits(SHORTEST), r"\+"
        yield _digits(SHORTEST), *spoken
        return
    if type(recogniser).analyze not in PLAIN or recogniser.global_regex_flags & ~FLAGS:
        raise Unknown("a recogniser with a way of its own")
    checked = type(recogniser).validate_result is not PatternRecognizer.validate_result
    strong = [each.regex for each in recogniser.patterns if checked or each.score >= threshold]
    weak = [each.regex for each in recogniser.patterns if each.regex not in strong]
    if isinstance(recogniser, Card):
        yield Card.NEEDED, _any(strong, special)
    elif strong:
        yield (_any(strong, special),)
    if weak:
        yield _any(weak, special), *spoken


def _spoken(word: str) -> str:
    """A context word; a letter beyond ASCII as any, so that no text is looked at in full because it has one."""
    return "".join(re.escape(sign) if sign.isascii() else r"[^\x00-\x7f]" for sign in word)


@cache
def _numerals() -> frozenset[int]:
    """The digits beyond ASCII."""
    return frozenset(point for point in range(0x80, sys.maxunicode + 1) if chr(point).isdecimal())


def _digits(count: int) -> str:
    return rf"[0-9](?:[^0-9]{{0,{GAP}}}[0-9]){{{count - 1}}}"


def _any(expressions: Any, special: set[int]) -> str:
    """One that matches where any of these does."""
    made = [relaxed(each) for each in expressions]
    special.update(*(each.special for each in made))
    return "|".join(dict.fromkeys(each.text for each in made))
