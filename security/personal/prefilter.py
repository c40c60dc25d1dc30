"""Which recognisers may find something in which texts: a column at a time, in RE2, and never too few.

Of a recogniser with expressions, `security.personal.relax` makes one that matches wherever those do. A telephone number
has some digits close together, by the rule of our own recogniser. Any other recogniser may find something anywhere.
"""

import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from presidio_analyzer import EntityRecognizer, PatternRecognizer
from presidio_analyzer.predefined_recognizers import IbanRecognizer

from security.personal.phones import GAP, SHORTEST, Phone
from security.personal.relax import FLAGS, Relaxed, Unknown

PLAIN = (PatternRecognizer.analyze, IbanRecognizer.analyze)
"""Ways to analyse that find nothing where none of the expressions matches."""
Masks = NDArray[np.uint64]


class Prefilter:
    """For some recognisers, in their order: bit `n` of a mask is of the one with index `n`."""

    def __init__(self, recognisers: Sequence[EntityRecognizer]) -> None:
        if len(recognisers) > 64:
            raise ValueError(f"{len(recognisers)} recognisers are more than a mask has bits")
        self.all = np.uint64((1 << len(recognisers)) - 1)
        special, self.always, self.some = set[int](), np.uint64(0), list[tuple[np.uint64, str]]()
        for index, each in enumerate(recognisers):
            bit = np.uint64(1 << index)
            try:
                text, beyond = _necessary(each)
            except Unknown:
                self.always |= bit
            else:
                special |= beyond
                self.some.append((bit, text))
        self.any = "|".join(text for _, text in self.some)
        points = "".join(rf"\x{{{point:x}}}" for point in sorted(special))
        self.special = f"[{points}]" if special else ""

    def masks(self, texts: pa.StringArray) -> Masks:
        """For each of these texts, without nulls, the recognisers that may find something in it."""
        found = np.full(len(texts), self.always, np.uint64)
        hits = _where(texts, self.any)
        held = texts.take(pa.array(hits))
        for bit, text in self.some:
            found[hits[_where(held, text)]] |= bit
        beyond = np.flatnonzero(pc.invert(pc.string_is_ascii(texts)).to_numpy(zero_copy_only=False))
        if len(beyond) and self.special:
            found[beyond[_where(texts.take(pa.array(beyond)), self.special)]] = self.all
        return found


def _where(texts: pa.StringArray, expression: str) -> NDArray[np.int64]:
    return np.flatnonzero(pc.match_substring_regex(texts, expression).to_numpy(zero_copy_only=False))


def _necessary(recogniser: Any) -> tuple[str, set[int]]:
    """An expression that matches in each text where it finds something, but for texts with one of these characters."""
    if isinstance(recogniser, Phone):
        beyond = {point for point in range(0x80, sys.maxunicode + 1) if re.match(r"\d", chr(point))}
        return rf"[0-9](?:[^0-9]{{0,{GAP}}}[0-9]){{{SHORTEST - 1}}}", beyond
    if type(recogniser).analyze not in PLAIN or recogniser.global_regex_flags & ~FLAGS:
        raise Unknown("a recogniser with a way of its own")
    made = [Relaxed(each.regex) for each in recogniser.patterns]
    return "|".join(dict.fromkeys(each.text for each in made)), set().union(*(each.special for each in made))
