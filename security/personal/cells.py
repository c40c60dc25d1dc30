"""What Presidio finds in the cells of a column, exactly, without asking it about most of them.

Texts in which a recogniser may find something are told by a prefilter that never leaves out too many
(`security.personal.prefilter`). Only these recognisers are asked, unaltered, and their results go the engine's way:
context words, lowest score, duplicates.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from threading import get_ident
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerResult

from security.errors import CannotTell
from security.personal.analyzer import analyzer, told
from security.personal.fold import FOLDED, folded
from security.personal.found import Found
from security.personal.prefilter import Prefilter

LONGEST = 4_096
"""Characters of a cell, at most: some expressions take time that grows with the square of a text's length."""


class Cells:
    """A judge of the columns that have some words as context, those of their names. Not for two threads at once."""

    def __init__(self, beside: Sequence[str] = (), engine: AnalyzerEngine | None = None) -> None:
        self.engine, self.beside = engine or analyzer(), list(beside)
        self.recognisers: list[Any] = list(self.engine.registry.recognizers)

    @cached_property
    def prefilter(self) -> Prefilter:
        """Which recognisers to ask; of the engine that is everybody's made once for the same words."""
        if self.engine is analyzer():
            return _prefilter(tuple(sorted(self.beside)))
        return Prefilter(self.recognisers, self.engine.default_score_threshold, self.beside)

    def column(self, texts: pa.StringArray) -> tuple[pa.Int32Array, dict[int, tuple[Found, ...]]]:
        """For each of these texts a code, null for a null; and for each code of a text in which there is something,
        what, in disguise too. Each different text is looked at once."""
        coded = texts.dictionary_encode()
        found = self.find(coded.dictionary)
        for code, more in self.disguised(coded.dictionary, found).items():
            found[code] = (*found.get(code, ()), *more)
        return coded.indices, found

    def disguised(self, texts: pa.StringArray, found: Mapping[int, tuple[Found, ...]]) -> dict[int, tuple[Found, ...]]:
        """What would be found in these texts if they were written plainly (`security.personal.fold`), beyond the
        entities that were found as they are. Where in the text it stands cannot be said: all of it is named."""
        beyond = np.flatnonzero(pc.match_substring_regex(texts, FOLDED).to_numpy(zero_copy_only=False))
        held = zip(beyond.tolist(), texts.take(pa.array(beyond)).to_pylist(), strict=True)
        plain = [(index, text, form) for index, text in held if (form := folded(text)) != text]
        hidden = {}
        for place, some in self.find(pa.array([form for *_, form in plain], pa.string())).items():
            index, text, _ = plain[place]
            known = {entity for entity, *_ in found.get(index, ())}
            best = {entity: score for entity, _, _, score in sorted(some, key=lambda each: each[3])}
            more = sorted((entity, 0, len(text), score) for entity, score in best.items() if entity not in known)
            if more:
                hidden[index] = tuple(more)
        return hidden

    def find(self, texts: pa.StringArray) -> dict[int, tuple[Found, ...]]:
        """For each of these texts, none of them null, in which there is something: its index, and what.

        `CannotTell` where one is too long, or takes too long.
        """
        if not len(texts):
            return {}
        if (most := pc.max(pc.utf8_length(texts)).as_py() or 0) > LONGEST:
            raise CannotTell(f"a cell of {most:,} characters; at most {LONGEST:,} are looked at", "long")
        masks = self.prefilter.masks(texts)
        hits = np.flatnonzero(masks)
        found, held = {}, texts.take(pa.array(hits)).to_pylist()
        for index, text, mask in zip(hits.tolist(), held, masks[hits].tolist(), strict=True):
            if some := self.one(text, mask):
                found[index] = some
        return found

    def one(self, text: str, mask: int) -> tuple[Found, ...]:
        """What the recognisers of a mask find in one text. `CannotTell` for one that takes too long."""
        results: list[RecognizerResult] = []
        words = self.engine.nlp_engine
        # Only a recogniser with a way of its own looks at words, and cutting a text into them costs more than the rest.
        artifacts = words.process_text(text, "en") if mask & int(self.prefilter.always) else None
        with _timely():
            while mask:
                index = (mask & -mask).bit_length() - 1
                mask &= mask - 1
                each = self.recognisers[index]
                results += each.analyze(text, each.supported_entities, artifacts) or ()
        if not results:
            return ()
        artifacts = artifacts or words.process_text(text, "en")
        enhancer: Any = self.engine.context_aware_enhancer
        results = enhancer.enhance_using_context(text, results, artifacts, self.recognisers, self.beside)
        results = [each for each in results if each.score >= self.engine.default_score_threshold]
        return told(EntityRecognizer.remove_duplicates(results))


@lru_cache(128)
def _prefilter(beside: tuple[str, ...]) -> Prefilter:
    return Prefilter(list(analyzer().registry.recognizers), analyzer().default_score_threshold, beside)


class _Late(logging.Handler):
    """Notes in which threads an expression took too long: Presidio only writes a warning, and goes on without it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.threads = set[int]()

    def emit(self, record: logging.LogRecord) -> None:
        if "timed out" in str(record.msg):
            self.threads.add(get_ident())


_LATE, _LOGGER = _Late(), logging.getLogger("presidio-analyzer")
_LOGGER.addHandler(_LATE)


@contextmanager
def _timely() -> Iterator[None]:
    """Work in which an expression that takes too long is an error, and so is what would keep that from being heard."""
    if _LATE not in _LOGGER.handlers or not _LOGGER.isEnabledFor(logging.WARNING):
        raise CannotTell(
            "Presidio's warnings are switched off, and with them whether an expression took too long", "facts"
        )
    _LATE.threads.discard(get_ident())
    yield
    if get_ident() in _LATE.threads:
        _LATE.threads.discard(get_ident())
        raise CannotTell("an expression took too long", "timeout")
