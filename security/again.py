"""A verdict made again, from the observation that a log has: once in a process for the same observation.

Judging is pure, and a log is walked again for each stage of its run and by every run that goes on from it. What was
judged is known by the SHA-256 of all that went into it, the observation as it stands and the terms; and by the gate,
with the methods and rules that it judges by (not what else its module has: who puts another in its place empties
`_JUDGED`). Only what was judged here is known here: the verdict that a run came to when its gate looked is what is to
be tried, and never the answer.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from security.gate import Gate, judge
from security.policy import Terms
from security.verdict import Observation, Verdict, canonical

MOST = 1 << 13
"""How many verdicts are kept."""
_JUDGED: dict[tuple[Any, ...], Verdict] = {}


def again(gate: Gate[Any], observation: Mapping[str, Any], terms: Terms) -> tuple[Observation, Verdict]:
    """The observation in the JSON of a log, and the verdict that it gets under these terms. Raises `ValueError` for
    what is no observation."""
    seen, known = Observation.model_validate(observation), _known(gate, observation, terms)
    if (before := _JUDGED.get(known)) is not None:
        return seen, before
    verdict = judge(gate, seen, terms.limits, terms.accepts, terms.enforce)
    if known and verdict.cause != "crash":  # of an accident, as too little memory is
        if len(_JUDGED) >= MOST:
            _JUDGED.clear()
        _JUDGED[known] = verdict
    return seen, verdict


def _known(gate: Gate[Any], observation: Mapping[str, Any], terms: Terms) -> tuple[Any, ...]:
    """What the verdict is known by; nothing where it is judged each time: what has no spelling, and a gate that
    remembers anything. One whose judge was put in another's place is another gate."""
    kind = type(gate)
    try:
        judged = canonical([terms.limits, dict(terms.accepts), sorted(terms.enforce)])
        sha = hashlib.sha256(msgspec.json.encode(observation)).digest()
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return ()
    parts = (kind.judge, kind.active, kind.floor, kind.brief, kind.facts, kind.limits, kind.causes)
    return () if vars(gate) else (kind, *parts, tuple(kind.rules.items()), sha, judged)
