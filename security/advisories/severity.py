"""How bad an advisory is: the worst of its CVSS scores, as a level.

Levels are CVSS's own (v3.1, section 5; v4.0, section 6): 0.1 low, 4.0 medium, 7.0 high, 9.0 critical. An advisory
without a score that can be read counts as high, for nobody has said that it is less: most of PyPI's own have none, and
then another database's counts that speaks of the same vulnerability. A
malicious package (`MAL-`) is critical, whatever it scores; so is what its database calls critical.
"""

from collections.abc import Iterable
from typing import Literal

from cvss import CVSS2, CVSS3, CVSS4
from cvss.exceptions import CVSSError

from security.advisories.record import Advisory, Score

Level = Literal["none", "low", "medium", "high", "critical"]
LEVELS: tuple[Level, ...] = ("none", "low", "medium", "high", "critical")
_FROM = (0.1, 4.0, 7.0, 9.0)
_BASE = frozenset({"AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA"})
_KINDS = {"CVSS_V2": CVSS2, "CVSS_V3": CVSS3, "CVSS_V4": CVSS4}


def score(told: Score) -> float | None:
    """The base score of a vector, 0 to 10; none where the scheme is not known or the vector cannot be read."""
    kind, vector = _KINDS.get(told.type), told.score
    if kind is CVSS4:  # whose one score would count what was added to the base
        first, *metrics = vector.split("/")
        vector = "/".join([first, *(each for each in metrics if each.partition(":")[0] in _BASE)])
    try:
        return None if kind is None else float(kind(vector).scores()[0])
    except (CVSSError, ValueError, KeyError, ArithmeticError):
        return None


def _scores(advisory: Advisory) -> list[Score]:
    return [*advisory.severity, *(each for affected in advisory.affected for each in affected.severity)]


def level(advisory: Advisory, others: Iterable[Advisory] = ()) -> Level:
    """The level of an advisory; of one without a score the worst of the `others` that have one and share an id."""
    ids = {advisory.id, *advisory.aliases}
    same = [each for each in others if _scores(each) and ids & {each.id, *each.aliases}]
    if _scores(advisory) or not same:
        return _level(advisory)
    return max((*map(_level, same), *(("critical",) if _critical(advisory) else ())), key=LEVELS.index)


def _level(advisory: Advisory) -> Level:
    scores = [score(each) for each in _scores(advisory)]
    known = [each for each in scores if each is not None]
    worst = LEVELS[sum(max(known) >= least for least in _FROM)] if known else "high"
    if None in scores:
        worst = max(worst, "high", key=LEVELS.index)
    return "critical" if _critical(advisory) else worst


def _critical(advisory: Advisory) -> bool:
    word = advisory.database_specific.severity if advisory.database_specific else None
    return advisory.id.startswith("MAL-") or (isinstance(word, str) and word.upper() == "CRITICAL")
