"""The gate: every question has an answer, and each answer is what its question allows."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import ValidationError

from security.errors import CannotTell
from security.gate import Violation
from security.gates.api.decoys import maker
from security.gates.api.facts import (
    BUSY,
    DOCUMENT,
    FLOOD,
    FLOODED,
    OPEN,
    REFUSED,
    SERVED,
    TOKEN,
    Document,
    Facts,
    Limits,
    Reply,
)
from security.gates.api.rules import RULES
from security.material import Handed
from security.posture import Answer, Posture
from security.verdict import Breach, Rule

ABSENT = frozenset({404, 405, 501})
"""What is answered where nothing is."""


def _positive(question: str, reply: Reply, least: int, rule: str = "API-POS") -> Iterable[Breach]:
    if reply.status != 200 or reply.items < least or not reply.mine:
        words = f"answered {reply.status} with {reply.items} items" + ("" if reply.mine else " for somebody else")
        yield Breach(rule=rule, place=question, message=f"{words}; allowed: 200 with at least {least}")
        return
    if not reply.same:
        yield Breach(rule="API-19", place=question, message="another release answers; allowed: the one expected")
    if not reply.exact:
        yield Breach(rule="API-23", place=question, message="other properties; allowed: the declared ones")


def _document(answer: dict[str, Any]) -> Document:
    document = Document.model_validate(answer)
    for each in document.operations:
        if each.status in BUSY:
            raise CannotTell(f"{each.method} {each.path} was answered {each.status}: neither served nor refused")
    return document


def _declared(document: Document) -> Iterable[Breach]:
    wanted = " or ".join(map(str, sorted(TOKEN)))
    for each in document.operations:
        place = f"{each.method} {each.path}"
        if each.status in ABSENT:
            yield Breach(rule="API-29", place=place, message=f"declared and answered {each.status}; allowed: served")
        elif (each.method, each.path) in OPEN:
            if each.status != 200:
                yield Breach(rule="API-29", place=place, message=f"answered {each.status}; allowed: 200, as declared")
        elif not each.secured:
            yield Breach(rule="API-28", place=place, message="declares no token; allowed: one of a declared scheme")
        elif each.status not in TOKEN:
            yield Breach(rule="API-28", place=place, message=f"without a token {each.status}; allowed: {wanted}")
    for place in document.undeclared:
        yield Breach(rule="API-29", place=place, message="served and not declared; allowed: what is declared")


def _flooded(reply: Reply, burst: int) -> Iterable[Breach]:
    if reply.status != 429 or reply.items or not reply.later:
        words = f"answered {reply.status}" + ("" if reply.later else " without Retry-After")
        allowed = f"429 with Retry-After within {burst + 1} requests"
        yield Breach(rule="API-25", place=FLOOD, message=f"{words}; allowed: {allowed}")


class AccessControlApi(Posture):
    """Asks the running service what it serves to whom."""

    name = "access_control_api"
    kind = "endpoint"
    limits = Limits
    facts = Facts
    rules: ClassVar[Mapping[str, Rule]] = {rule.id: rule for rule in RULES}
    violations: ClassVar[Mapping[str, Violation[Answer]]] = {rule.id: maker(rule.id) for rule in RULES}
    questions: ClassVar[tuple[str, ...]] = (
        *SERVED,
        *(each for _, asked in REFUSED.values() for each in asked),
        DOCUMENT,
        FLOOD,
        FLOODED,
    )

    def look(self, material: Handed[Answer]) -> Facts:
        """The replies, once every question has one."""
        replies: dict[str, Reply] = {}
        document: Document | None = None
        for question, answer in material:
            if question not in self.questions:
                raise CannotTell("an answer to a question that was not asked")
            if "error" in answer:
                raise CannotTell(f"{question} had no answer ({answer['error']})")
            try:
                if question == DOCUMENT:
                    document = _document(answer)
                    continue
                replies[question] = Reply.model_validate(answer)
            except ValidationError as why:
                raise CannotTell(f"{question} had an answer of another form ({why.errors()[0]['type']})") from None
            if replies[question].status in (BUSY - {429} if question in (FLOOD, FLOODED) else BUSY):
                raise CannotTell(f"{question} was answered {replies[question].status}: neither served nor refused")
        missing = [question for question in self.questions if question not in {*replies, DOCUMENT}]
        if missing or document is None:
            first = (*missing, DOCUMENT)[0]
            raise CannotTell(f"{first} was not asked, nor {max(len(missing) - 1, 0)} more", "coverage")
        return Facts(replies=replies, document=document)

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
        yield from _declared(facts.document)
        yield from _flooded(facts.replies[FLOOD], limits.burst)
        yield from _positive(FLOODED, facts.replies[FLOODED], limits.items, "API-25")
        for question, reply in facts.replies.items():
            if reply.bare:
                yield Breach(rule="API-22", place=question, message=f"no {', '.join(reply.bare)}; allowed: all of them")
            if reply.status == 401 and not reply.challenge:
                yield Breach(rule="API-22", place=question, message="401 that asks for nothing; allowed: with Bearer")
            if reply.spills:
                yield Breach(rule="API-24", place=question, message="text of the inside; allowed: one sentence")

    def brief(self, facts: Facts) -> str:
        """How many questions were served and how many refused."""
        right = len(SERVED) + 1
        refused = f"{len(facts.replies) - right} wrong ones refused"
        return f"{right} right calls served, {refused}, {len(facts.document.operations)} operations declared"
