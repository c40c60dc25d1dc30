"""Reads the answers of a visit for the gates that judge it: what was said, or `CannotTell` where nothing was.

Two kinds of question: what is declared, where a code of its own says that nothing is configured, and requests, which
are let through (2xx) or refused (401, 403). Whatever else is answered tells nothing.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from security.errors import CannotTell

NO = (401, 403)
T = TypeVar("T")
Answer = Mapping[str, Any]


Rows = dict[str, dict[str, str]]
"""Rule -> question -> the word that it was answered with."""


class Replies:
    """The answers to a gate's questions, all of them; `CannotTell` names every one that is missing or unknown."""

    def __init__(
        self, answers: Mapping[str, Answer], questions: Collection[str], absent: Mapping[str, frozenset[str]]
    ) -> None:
        self.answers, self.absent = answers, absent
        lost = [f"{name}: {answers[name]['error']}" for name in questions if "error" in answers.get(name, {})]
        lost += [f"{name}: not asked" for name in questions if name not in answers]
        lost += [f"{name}: not a known question" for name in answers if name not in questions]
        if lost:
            raise CannotTell("no answer to " + ", ".join(lost))

    def member(self, name: str, member: str, kind: type[T]) -> T:
        """A member of an answer, of the type that it must have."""
        value = self.answers[name].get(member)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise CannotTell(f"the answer to {name} has no {member}")
        return value

    def said(self, name: str) -> str:
        """How a question was answered, as a sentence."""
        answer = self.answers[name]
        return f"{name} was answered with {answer.get('status')} {answer.get('code', '')}".rstrip()

    def declared(self, name: str) -> bool:
        """Whether something is configured. Neither that nor the code for nothing was no look."""
        answer = self.answers[name]
        if answer.get("status") == 200:
            return True
        if answer.get("code") in self.absent.get(name, ()):
            return False
        raise CannotTell(self.said(name))

    def tried(self, name: str) -> bool:
        """Whether there was somebody to ask: False only where the answer says that there was nobody."""
        return self.answers[name].get("asked", True) is not False

    def let(self, name: str) -> bool:
        """Whether a request was let through."""
        status = self.member(name, "status", int)
        if not 200 <= status < 300 and status not in NO:
            raise CannotTell(f"{self.said(name)}: neither granted nor refused")
        return status not in NO

    def rows(self, evidence: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, str]]:
        """For each rule the questions that it rests on, and the word that each was answered with."""
        return {rule: {name: self._word(name) for name in names} for rule, names in evidence.items()}

    def _word(self, name: str) -> str:
        answer = self.answers[name]
        if not self.tried(name):
            return "not asked"
        if "taken" in answer:
            return "taken up" if answer["taken"] else "refused"
        return f"{answer.get('status', 'answered')} {answer.get('code', '')}".rstrip()


def complete(rows: Rows, evidence: Mapping[str, tuple[str, ...]]) -> Rows:
    """The rows of an observation; a `ValueError` unless each rule has one with all that it rests on, and no other."""
    if {rule: set(row) for rule, row in rows.items()} != {rule: set(names) for rule, names in evidence.items()}:
        raise ValueError("each rule has a row with every question that it rests on, and there is no other")
    return rows
