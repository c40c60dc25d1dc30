"""Everything that can be wrong with who is served what."""

from typing import Literal

from security.verdict import Rule

Severity = Literal["low", "medium", "high", "critical"]


def _rule(number: str, title: str, severity: Severity, remedy: str, *at: int) -> Rule:
    controls = tuple(f"API{each}:2023" for each in at)
    return Rule(id=f"API-{number}", title=title, severity=severity, remedy=remedy, controls=controls)


CLAIM = "state every claim as essential in the verifier, and validate it"
KEY = "verify with the issuer's keys alone, and allow ES256 alone"
RULES = (
    _rule("POS", "The right call does not work", "high", "make the service answer before asking what it refuses", 9),
    _rule("01", "Served without a token", "critical", "require a token before anything else", 2),
    _rule("02", "Served with a garbage credential", "critical", "refuse what is not a signed token", 2),
    _rule("03", "Served with an expired token", "critical", CLAIM, 2),
    _rule("04", "Served with a token that is not valid yet", "high", CLAIM, 2),
    _rule("05", "Served with a token for another audience", "critical", CLAIM, 2),
    _rule("06", "Served with a token of another issuer", "critical", CLAIM, 2),
    _rule("07", "Served with a token that the issuer did not sign", "critical", KEY, 2),
    _rule("08", "Served with an unsigned token", "critical", KEY, 2),
    _rule("09", "Served with a token signed by the public key as a secret", "critical", KEY, 2),
    _rule("10", "Served with a token that lacks a claim", "critical", CLAIM, 2),
    _rule("11", "Served what is another user's", "critical", "compare the token's user with the user asked for", 1),
    _rule("12", "Served without the scope", "high", "compare the token's scope with what is asked for", 5),
    _rule("13", "Believes identity headers", "critical", "read no identity from a header that anyone can set", 2, 8),
    _rule("14", "Believes method override headers", "high", "take the method of the request line alone", 5, 8),
    _rule("15", "Serves methods that it should not", "medium", "serve the declared methods alone", 5, 9),
    _rule("16", "Another spelling of the path is let through", "critical", "match the one spelling of a path", 5, 8),
    _rule("17", "Tells its version without a token", "medium", "require a token at /version", 9),
    _rule(
        "18",
        "Shows documentation or metrics",
        "medium",
        "serve no documentation, and metrics to a scope of their own",
        9,
        8,
    ),
    _rule("19", "Answers from another release", "critical", "deploy the release that was verified", 9),
    _rule("20", "Takes a query parameter twice", "high", "refuse a parameter that is there twice", 1, 8),
    _rule("21", "Takes any number of items", "medium", "refuse more items than the stated most", 4),
    _rule("22", "Headers are missing", "low", "set the three headers; challenge with Bearer on 401", 8),
    _rule("23", "Properties that are not declared", "medium", "answer with the declared properties alone", 3),
    _rule("24", "An answer shows internals", "medium", "answer errors with one sentence", 8),
    _rule(
        "25",
        "A flood is served, or keeps others from it",
        "high",
        "limit requests by the token's identity: 429 with Retry-After",
        4,
    ),
    _rule("26", "Served with another tenant's token", "critical", "compare the token's tenant with the service's", 1),
    _rule("27", "Takes a body beyond any limit", "medium", "limit bytes, items and letters of an id", 4),
    _rule("28", "An operation needs no token", "critical", "declare and demand a token at each operation", 2, 9),
    _rule("29", "What is declared is not what is served", "medium", "make the document from the routes", 9),
    _rule("30", "Takes a body of another form", "medium", "refuse other types, other and repeated properties", 3, 8),
)
