"""Who may ask the recommendation service for what: asked of the running service, with good tokens and bad ones.

A refusal proves something only where the right call works, so that one is asked first and must be served. Every other
question is one thing wrong with an otherwise right request; what must come back is a refusal of the kind that the
question allows, without items, without internals, under strict headers. A redirect is not a refusal. An answer that a
proxy or a busy service gives (429, 502, 503, 504) shows nothing: inconclusive.

Controls are ids of the OWASP API Security Top 10 (2023).
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, StrictBool, StrictInt, ValidationError

from security.errors import CannotTell
from security.gate import Violation
from security.material import Handed
from security.posture import Answer, Posture
from security.verdict import Breach, Frozen, Rule

TOKEN = frozenset({401, 403})
USER = frozenset({401, 403, 404})
METHOD = frozenset({401, 403, 404, 405, 501})
ROUTE = frozenset({400, 401, 403, 404})
QUERY = frozenset({400, 422})
BUSY = frozenset({429, 502, 503, 504})
SERVED = ("right", "right-other", "right-version")
"""What must work, with the right token: without it no refusal proves anything."""
REFUSED: Mapping[str, tuple[frozenset[int], tuple[str, ...]]] = {
    "API-01": (TOKEN, ("none",)),
    "API-02": (TOKEN, ("garbage", "basic")),
    "API-03": (TOKEN, ("expired",)),
    "API-04": (TOKEN, ("early",)),
    "API-05": (TOKEN, ("audience",)),
    "API-06": (TOKEN, ("issuer",)),
    "API-07": (TOKEN, ("altered", "stranger", "embedded")),
    "API-08": (TOKEN, ("unsigned", "unsigned-mixed")),
    "API-09": (TOKEN, ("confused-pem", "confused-der")),
    "API-10": (TOKEN, ("no-exp", "no-aud", "no-iss", "no-sub")),
    "API-11": (USER, ("other",)),
    "API-12": (TOKEN, ("scope", "no-scope")),
    "API-13": (TOKEN, ("identity", "identity-other")),
    "API-14": (METHOD, ("override", "override-open")),
    "API-15": (METHOD, ("post", "put", "patch", "delete")),
    "API-16": (ROUTE, ("slashes", "trailing", "dot", "letter", "rewritten")),
    "API-17": (TOKEN, ("version",)),
    "API-18": (frozenset({401, 403, 404}), ("docs", "redoc", "openapi", "metrics")),
    "API-20": (QUERY | USER, ("twice", "twice-turned")),
    "API-21": (QUERY, ("huge",)),
}
"""Rule -> what a refusal may be, and the questions that must get one."""
Header = Literal["nosniff", "no-store", "default-src 'none'"]
HEADERS: tuple[Header, ...] = ("nosniff", "no-store", "default-src 'none'")


Severity = Literal["low", "medium", "high", "critical"]


class Limits(Frozen):
    """What a policy may set: how many of the ten items asked for the right call must bring."""

    items: int = Field(default=10, ge=1, le=10)


class Reply(Frozen):
    """What is known of one answer: never its text.

    `items` counts those in it; `same`: the expected release; `mine`: about the user asked for; `exact`: the declared
    properties and no other; `spills`: text of the inside; `bare`: missing headers; `challenge`: `Bearer` is asked for.
    """

    status: StrictInt = Field(ge=100, le=599)
    items: StrictInt = Field(ge=0)
    same: StrictBool
    mine: StrictBool
    exact: StrictBool
    spills: StrictBool
    bare: tuple[Header, ...]
    challenge: StrictBool


class Facts(Frozen):
    """The reply to each question."""

    replies: dict[str, Reply]


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
    _rule("15", "Serves methods that it should not", "medium", "serve GET alone", 5, 9),
    _rule("16", "Another spelling of the path is let through", "critical", "match the one spelling of a path", 5, 8),
    _rule("17", "Tells its version without a token", "medium", "require a token at /version", 9),
    _rule("18", "Shows documentation or metrics", "medium", "serve no documentation, and metrics elsewhere", 9, 8),
    _rule("19", "Answers from another release", "critical", "deploy the release that was verified", 9),
    _rule("20", "Takes a query parameter twice", "high", "refuse a parameter that is there twice", 1, 8),
    _rule("21", "Takes any number of items", "medium", "refuse more items than the stated most", 4),
    _rule("22", "Headers are missing", "low", "set the three headers; challenge with Bearer on 401", 8),
    _rule("23", "Properties that are not declared", "medium", "answer with the declared properties alone", 3),
    _rule("24", "An answer shows internals", "medium", "answer errors with one sentence", 8),
)


def _positive(question: str, reply: Reply, least: int) -> Iterable[Breach]:
    if reply.status != 200 or reply.items < least or not reply.mine:
        words = f"answered {reply.status} with {reply.items} items" + ("" if reply.mine else " for somebody else")
        yield Breach(rule="API-POS", place=question, message=f"{words}; allowed: 200 with at least {least}")
        return
    if not reply.same:
        yield Breach(rule="API-19", place=question, message="another release answers; allowed: the one expected")
    if not reply.exact:
        yield Breach(rule="API-23", place=question, message="other properties; allowed: the declared ones")


def _with(rule: str, sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    """The sample with one answer to one question of `rule` as it must not be."""
    change: dict[str, Any]
    if rule in REFUSED:
        question = draw.choice(REFUSED[rule][1])
        # Any status that is no refusal; with items it must count even where the status alone would do.
        status, items = draw.choice([(200, 0), (200, 10), (204, 0), (206, 3), (302, 0), (307, 0), (401, 5), (500, 0)])
        change = {"status": status, "items": items, "challenge": True}
    elif rule == "API-POS":
        question = draw.choice(SERVED)
        bad: list[dict[str, Any]] = [{"status": status, "challenge": True} for status in (401, 404, 500)]
        bad.append({"mine": False})
        if question != "right-version":
            bad.append({"items": 0})
        change = draw.choice(bad)
    elif rule in ("API-19", "API-23"):
        question = draw.choice(SERVED)
        change = {"same" if rule == "API-19" else "exact": False}
    else:
        question = draw.choice([question for question, _ in sample])
        change = {"spills": True} if rule == "API-24" else {"bare": [draw.choice(HEADERS)]}
    return [(each, {**answer, **change} if each == question else answer) for each, answer in sample]


def _maker(rule: str) -> Violation[Answer]:
    return lambda sample, draw: _with(rule, sample, draw)


class AccessControlApi(Posture):
    """Asks the running service what it serves to whom."""

    name = "access_control_api"
    kind = "endpoint"
    limits = Limits
    facts = Facts
    rules: ClassVar[Mapping[str, Rule]] = {rule.id: rule for rule in RULES}
    violations: ClassVar[Mapping[str, Violation[Answer]]] = {rule.id: _maker(rule.id) for rule in RULES}
    questions: ClassVar[tuple[str, ...]] = (*SERVED, *(each for _, asked in REFUSED.values() for each in asked))

    def look(self, material: Handed[Answer]) -> Facts:
        """The replies, once every question has one."""
        replies: dict[str, Reply] = {}
        for question, answer in material:
            if question not in self.questions:
                raise CannotTell("an answer to a question that was not asked")
            if "error" in answer:
                raise CannotTell(f"{question} had no answer ({answer['error']})")
            try:
                replies[question] = Reply.model_validate(answer)
            except ValidationError as why:
                raise CannotTell(f"{question} had an answer of another form ({why.errors()[0]['type']})") from None
            if replies[question].status in BUSY:
                raise CannotTell(f"{question} was answered {replies[question].status}: neither served nor refused")
        missing = [question for question in self.questions if question not in replies]
        if missing:
            raise CannotTell(f"{missing[0]} was not asked, nor {len(missing) - 1} more", "coverage")
        return Facts(replies=replies)

    def judge(self, facts: Facts, limits: Limits) -> Iterable[Breach]:
        """One breach for each question that was answered otherwise than it must be."""
        for question in SERVED:
            yield from _positive(question, facts.replies[question], 0 if question == "right-version" else limits.items)
        for rule, (allowed, questions) in REFUSED.items():
            for question in questions:
                reply = facts.replies[question]
                if reply.status not in allowed or reply.items:
                    words = f"answered {reply.status} with {reply.items} items"
                    wanted = " or ".join(map(str, sorted(allowed)))
                    yield Breach(rule=rule, place=question, message=f"{words}; allowed: {wanted}, without items")
        for question in self.questions:
            reply = facts.replies[question]
            if reply.bare:
                yield Breach(rule="API-22", place=question, message=f"no {', '.join(reply.bare)}; allowed: all of them")
            if reply.status == 401 and not reply.challenge:
                yield Breach(rule="API-22", place=question, message="401 that asks for nothing; allowed: with Bearer")
            if reply.spills:
                yield Breach(rule="API-24", place=question, message="text of the inside; allowed: one sentence")

    def brief(self, facts: Facts) -> str:
        """How many questions were served and how many refused."""
        return f"{len(SERVED)} right calls served, {len(facts.replies) - len(SERVED)} wrong ones refused"
