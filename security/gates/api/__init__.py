"""Who may ask the recommendation service for what: asked of the running service, with good tokens and bad ones.

A refusal proves something only where the right call works, so that one is asked first and must be served. Every other
question is one thing wrong with an otherwise right request; what must come back is a refusal of the kind that the
question allows, without items, without internals, under strict headers. A redirect is not a refusal. An answer that a
proxy or a busy service gives (429, 502, 503, 504) shows nothing: inconclusive. Only the flood, which comes last and by
an identity of its own, must be answered 429, and right after it somebody else must be served.

The service's document of itself is looked at beside that: each operation says that it needs a token, but for those that
are open by name, refuses whoever has none, and what is served stands in it.

Controls are ids of the OWASP API Security Top 10 (2023).
"""

from security.gates.api.facts import (
    BUSY,
    DOCUMENT,
    FLOOD,
    FLOODED,
    OPEN,
    REFUSED,
    SERVED,
    Callers,
    Document,
    Facts,
    Limits,
    Operation,
    Reply,
)
from security.gates.api.gate import AccessControlApi
from security.gates.api.rules import RULES

__all__ = [
    "BUSY",
    "DOCUMENT",
    "FLOOD",
    "FLOODED",
    "OPEN",
    "REFUSED",
    "RULES",
    "SERVED",
    "AccessControlApi",
    "Callers",
    "Document",
    "Facts",
    "Limits",
    "Operation",
    "Reply",
]
