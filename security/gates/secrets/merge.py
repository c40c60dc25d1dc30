"""What two engines say of one line, as one: a secret that either finds is found, once, by its narrowest rule.

Where our engine knows that a text is none (a placeholder, a token with a wrong sum, what its maker documents), the
other finding the same text finds nothing. Where ours merely thinks little of it, the other decides.
"""

from collections.abc import Iterator, Sequence

from security.engines import detect, tokens
from security.engines.tokens import Hit

_WEAK = frozenset({"too plain", "expression", tokens.ABOUT})
"""Our reasons that do not outweigh the other engine."""
_LOOSE = ("assigned-secret", "secret-keyword")
"""Rules that go by the name of a thing."""


def merged(ours: Sequence[Hit], theirs: Sequence[Hit]) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Rule, value, reason why it is none (or empty), and who found it."""
    known = tokens.rules().documented
    left = [hit for hit in theirs if hit.rule != "private-key"]
    left = [hit._replace(excuse="documented") if hit.value in known else hit for hit in left]
    for hit in _narrowest(ours):
        same = [other for other in left if _same(hit, other)]
        left = [other for other in left if other not in same]
        second = [other for other in same if not other.excuse]
        if hit.excuse in _WEAK and second:
            yield second[0].rule, second[0].value, "", (detect.NAME,)
        else:
            yield hit.rule, hit.value, hit.excuse, (tokens.NAME, detect.NAME) if second else (tokens.NAME,)
    for hit in _narrowest(left):
        yield hit.rule, hit.value, hit.excuse, (detect.NAME,)


def _narrowest(hits: Sequence[Hit]) -> list[Hit]:
    """One hit for each text: by a form rather than by a name, whatever that says of it."""
    kept = list[Hit]()
    for hit in sorted(hits, key=lambda hit: (hit.rule in _LOOSE, bool(hit.excuse), -len(hit.value), hit.rule)):
        if not any(_same(other, hit) for other in kept):
            kept.append(hit)
    return kept


def _same(hit: Hit, other: Hit) -> bool:
    """Whether a hit speaks for another: where it is a secret, of what overlaps; where it is excused, of no more than
    itself, or a harmless text of three letters would excuse every secret that has them."""
    return other.value in hit.value or (not hit.excuse and hit.value in other.value)
