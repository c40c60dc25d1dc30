"""The judge of a cell: Presidio's own engine, with our recognisers in it, without a model and without a network.

Names, places and the like need a model of a language: `UNSEEN` says which are never found without one
(`security.personal.names`). What Presidio logs goes no further: it quotes texts that it cannot validate.
"""

import logging
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import spacy
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
from presidio_analyzer.nlp_engine import NlpArtifacts, SlimSpacyNlpEngine
from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider

from security.errors import CannotTell
from security.personal.found import Found
from security.personal.iban import Iban
from security.personal.phones import Phone
from security.personal.recognisers import Address, Card, Email, Link
from security.personal.words import artifacts

if TYPE_CHECKING:
    from presidio_analyzer import RecognizerResult

AFTER = 3
"""Words behind a value among which one of its context counts; before it, five are looked at."""
THRESHOLD = 0.4
"""The lowest score that is a finding."""
logging.getLogger("presidio-analyzer").propagate = False
OURS = (Email, Card, Iban, Address, Link, Phone)


class Words(SlimSpacyNlpEngine):
    """Words as `security.personal.words` cuts them; `known` are the context words that there are.

    Neither of Presidio's engines without a model makes context words work: one has no words, the other no lemmas; and
    spaCy's rules leave `phone=212` and `phone_number` in one piece.
    """

    known = frozenset[str]()

    def load(self) -> None:
        """Nothing but the name of a language: no model is loaded, none is fetched."""
        self.nlp: Any = {"en": spacy.blank("en")}

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        """The words of a text."""
        return artifacts(text, self.known, self)


@cache
def analyzer() -> AnalyzerEngine:
    """The engine; made once, in seconds."""
    return engine(Words(models=[{"lang_code": "en", "model_name": "blank"}], auto_download=False))


def engine(words: Any, *more: Any) -> AnalyzerEngine:
    """An engine with Presidio's recognisers, ours in their place, and these; `words` cuts texts into words, and is told
    which of them are context."""
    told = {"supported_languages": ["en"]}
    registry: Any = RecognizerRegistryProvider(registry_configuration=told).create_recognizer_registry()
    ours: list[Any] = [made() for made in OURS]
    for each in ours:
        before = len(registry.recognizers)
        registry.remove_recognizer(each.name, language="en")
        if len(registry.recognizers) != before - 1:
            raise CannotTell(f"Presidio has no recogniser {each.name} that ours could stand in for", "crash")
        registry.add_recognizer(each)
    for each in more:
        registry.add_recognizer(each)
    words.known = frozenset(word.lower() for each in registry.recognizers for word in each.context or ())
    context = LemmaContextAwareEnhancer(context_matching_mode="whole_word", context_suffix_count=AFTER)
    return AnalyzerEngine(
        registry=registry,
        nlp_engine=words,
        default_score_threshold=THRESHOLD,
        context_aware_enhancer=context,
    )


def told(results: "Iterable[RecognizerResult]") -> tuple[Found, ...]:
    """What was found, in order."""
    return tuple(sorted((each.entity_type, each.start, each.end, round(each.score, 4)) for each in results))


def plain(text: str, beside: Sequence[str] = ()) -> tuple[Found, ...]:
    """What the engine finds in one text, asked the plain way; `beside` are words that are context of it."""
    return told(analyzer().analyze(text, language="en", context=list(beside)))
