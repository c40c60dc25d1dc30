"""How surprising it is that so many of a few accounts took an item: exactly, by the others.

Of `whole` accounts `marked` took it; `drawn` of them are looked at, and `found` of these took it. Were they any
accounts, `found` would be hypergeometric (Fisher's exact test, one-sided). Nothing is estimated, so that it also holds
of an item that hardly anybody took.
"""

import math
from typing import Any

import numpy as np
from scipy.special import gammaln

TERMS = 100_000
"""Terms of a tail that are added up: beyond its first ones they vanish."""


def rare(whole: int, marked: int, drawn: int, found: int) -> float:
    """log10 of the probability of `found` or more; 0 where that is no more than is expected. ValueError where the
    numbers contradict each other."""
    if not max(0, drawn + marked - whole) <= found <= min(marked, drawn):
        raise ValueError(f"{found} of {drawn} drawn and of {marked} marked, of {whole}")
    if found * whole <= marked * drawn:
        return 0.0
    at = np.arange(found, min(marked, drawn, found + TERMS) + 1)
    logs = _choose(marked, at) + _choose(whole - marked, drawn - at) - _choose(whole, np.array([drawn]))
    top = float(logs.max())
    return min(0.0, (top + math.log(float(np.exp(logs - top).sum()))) / math.log(10))


def _choose(of: int, some: Any) -> Any:
    return gammaln(of + 1) - gammaln(some + 1) - gammaln(of - some + 1)


def likely(whole: Any, marked: Any, drawn: Any, found: Any) -> Any:
    """Where `rare` may say something at all: a rough measure for many at once, by mean and deviation."""
    share = marked / whole
    mean = drawn * share
    spread = np.sqrt(np.maximum(mean * (1 - share) * (whole - drawn) / np.maximum(whole - 1, 1), 1e-12))
    return found - mean >= 2 * spread


def odds(drawn: Any, found: Any, others: Any, took: Any) -> Any:
    """The odds that one of `drawn` took it, of whom `found` did, over those of the others; with a half everywhere, that
    none is without end (Haldane and Anscombe 1956)."""
    return (found + 0.5) * (others - took + 0.5) / ((drawn - found + 0.5) * (took + 0.5))
