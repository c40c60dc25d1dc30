"""Asks an API server, as whoever deploys, who that is and what it may do. Nothing is changed by asking.

Each question is a review of the server's own (Kubernetes 1.28 and later): SelfSubjectReview, SelfSubjectRulesReview in
the release's namespace and in others, and a SelfSubjectAccessReview for each thing that is needed and each that must
not be. They are asked in an order that nobody knows beforehand, with one among them that no rule but a star can mean.
An answer counts if it is the review that was asked for, with what was asked in it.

A user's name, or a group's, that Kubernetes did not give (`system:`) may be a person's: it is told by a digest.
"""

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from security.access import FORBIDDEN, NEEDED, SYSTEM, Action
from security.errors import CannotTell
from security.verdict import Snapshot

Ask = Callable[[str, str, Mapping[str, Any] | None], tuple[int, Any]]
"""Method, path and body (JSON) of a request as whoever deploys -> the status, and what the body of the answer says, or
None where it is no JSON. `CannotTell` where there is no answer."""
Answer = dict[str, Any]
ACTIONS: Mapping[str, Action] = {
    each.label: each for each in (*NEEDED, *(each for family in FORBIDDEN.values() for each in family))
}
"""What is asked for -> the action."""
QUESTIONS = ("place", "images", "who", "rules", "control", *ACTIONS)
AUTHORIZATION, AUTHENTICATION = "authorization.k8s.io/v1", "authentication.k8s.io/v1"
MOST = 2_000
"""Rules of one namespace, and groups."""
TOLD = "the server answers with the credentials that it was sent"
_OWN = re.compile(r"system:[A-Za-z0-9:._-]{1,240}")


@dataclass(frozen=True)
class Target:
    """Where is asked: the server's address (https), SHA-256 of the certificates (DER) by which it is believed, the
    namespace of the release."""

    server: str
    ca: tuple[str, ...]
    namespace: str


def shown(name: str) -> str:
    """How a user or group is told: as it is where Kubernetes named it, else by a digest."""
    return name if _OWN.fullmatch(name) else f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def process(images: Mapping[str, str]) -> Snapshot:
    """What there is to tell where no cluster is: the target is a process of this machine, and nobody was asked."""
    answers: dict[str, Answer] = {question: {} for question in QUESTIONS}
    answers |= {"place": {"form": "process"}, "images": dict(images)}
    return Snapshot(kind="cluster", uri="process", taken=round(time.time(), 3), answers=answers)


def who(ask: Ask) -> Answer:
    """As whom a server knows whoever asks: `user` and `groups`, as they are told; `CannotTell` where it says none."""
    return _Visit(ask, "", "").who()


def reviews(
    ask: Ask,
    target: Target,
    images: Mapping[str, str],
    nonce: str,
    others: Sequence[str] = (),
    tells: Callable[[str], bool] = lambda text: False,
) -> Snapshot:
    """The answers to every question. `images`: container -> image, of what is to run; `nonce`: letters and digits that
    nobody used before; `others`: namespaces whose rules are asked for too; `tells`: whether a text has the credentials.

    What kept an answer from being had is its `error`; after the first that is missing, none is asked.
    """
    snapshot = Snapshot(kind="cluster", uri=target.server, taken=round(time.time(), 3), answers={})
    visit = _Visit(ask, target.namespace, nonce)
    steps: dict[str, Callable[[], Answer]] = {
        "place": lambda: {"form": "cluster", **_said(target)},
        "images": lambda: dict(images),
        "who": visit.who,
        "rules": lambda: {name: visit.rules(name) for name in dict.fromkeys((target.namespace, *SYSTEM, *others))},
    }
    reviewed = sorted(("control", *ACTIONS), key=lambda label: hashlib.sha256(f"{nonce} {label}".encode()).digest())
    steps |= {label: lambda label=label: visit.access(label) for label in reviewed}  # type: ignore[misc]
    answers: dict[str, Answer] = {}
    for question, step in steps.items():
        try:
            answers[question] = step()
        except CannotTell as why:
            answers[question] = {"error": str(why)}
            break
        except Exception as bug:  # noqa: BLE001 - whatever kept the answer away, the gate must not take it for one
            answers[question] = {"error": f"a crash ({type(bug).__name__})"}
            break
    if tells(repr(answers)):
        answers = {QUESTIONS[0]: {"error": TOLD}}
    return snapshot.model_copy(update={"answers": answers})


def _said(target: Target) -> Answer:
    return {"server": target.server, "ca": list(target.ca), "namespace": target.namespace}


class _Visit:
    """One visit to one server."""

    def __init__(self, ask: Ask, namespace: str, nonce: str) -> None:
        self.ask, self.namespace, self.nonce = ask, namespace, nonce

    def who(self) -> Answer:
        """As whom the server knows whoever asks."""
        told = self._review(AUTHENTICATION, "SelfSubjectReview", None).get("userInfo")
        told = told if isinstance(told, dict) else {}
        user, groups = told.get("username"), told.get("groups", [])
        if not isinstance(user, str) or not user or not _texts(groups):
            raise CannotTell("SelfSubjectReview: names no user; allowed: a name, and groups")
        return {"user": shown(user), "groups": sorted({shown(each) for each in groups})}

    def rules(self, namespace: str) -> Answer:
        """What the server tells of the rules in a namespace."""
        told = self._review(AUTHORIZATION, "SelfSubjectRulesReview", {"namespace": namespace})
        return {
            "grants": [_grant(each) for each in _listed(told, "resourceRules")],
            "paths": [_paths(each) for each in _listed(told, "nonResourceRules")],
            "incomplete": _flag(told, "incomplete"),
            "unsure": bool(told.get("evaluationError")),
        }

    def access(self, label: str) -> Answer:
        """Whether one thing may be done; `control`: one that no rule spells."""
        if label == "control":
            word = f"x{self.nonce}"
            asked = {"namespace": self.namespace, "verb": word, "group": f"{word}.example", "resource": word}
        else:
            asked = ACTIONS[label].attributes(self.namespace)
        told = self._review(AUTHORIZATION, "SelfSubjectAccessReview", {"resourceAttributes": asked})
        if not isinstance(told.get("allowed"), bool) or (told["allowed"] and _flag(told, "denied")):
            raise CannotTell(f"{label}: neither allowed nor not; allowed: one of the two")
        return {"allowed": told["allowed"], "unsure": bool(told.get("evaluationError"))}

    def _review(self, version: str, kind: str, spec: dict[str, Any] | None) -> dict[str, Any]:
        """The status of a review; `CannotTell` where the answer is none, or one to another question."""
        path = f"/apis/{version}/{kind.lower()}s"
        body: dict[str, Any] = {"apiVersion": version, "kind": kind}
        status, told = self.ask("POST", path, body if spec is None else {**body, "spec": spec})
        if status not in (200, 201):
            why = {401: ": the server knows nobody by these credentials", 403: ": who deploys may not ask"}
            why[404] = ": the server has no such review"
            raise CannotTell(f"{kind}: was answered {status}{why.get(status, '')}; allowed: 201, and the review")
        if not isinstance(told, dict) or (told.get("apiVersion"), told.get("kind")) != (version, kind):
            raise CannotTell(f"{kind}: the answer is no such review")
        if spec is not None and not _echoed(kind, spec, told.get("spec")):
            raise CannotTell(f"{kind}: the answer is to another question")
        if not isinstance(told.get("status"), dict):
            raise CannotTell(f"{kind}: the answer has no status")
        return dict(told["status"])


def _echoed(kind: str, spec: dict[str, Any], told: Any) -> bool:
    """Whether an answer has what was asked in it. Of a review of rules Kubernetes gives back an empty one."""
    if kind == "SelfSubjectRulesReview":
        return not told or told == spec
    told = told.get("resourceAttributes") if isinstance(told, dict) and set(told) == {"resourceAttributes"} else None
    return isinstance(told, dict) and {k: v for k, v in told.items() if v} == spec["resourceAttributes"]


def _texts(told: Any) -> bool:
    return isinstance(told, list) and len(told) <= MOST and all(isinstance(each, str) for each in told)


def _flag(told: Mapping[str, Any], name: str) -> bool:
    flag = told.get(name, False)
    if not isinstance(flag, bool):
        raise CannotTell(f"{name} is neither true nor false")
    return flag


def _listed(told: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of rules. The API leaves out what is empty in a rule, and gives null for a list of none."""
    rules = told.get(name)
    rules = [] if rules is None else rules
    if not isinstance(rules, list) or len(rules) > MOST or not all(isinstance(each, dict) for each in rules):
        raise CannotTell(f"SelfSubjectRulesReview: {name} is no list of at most {MOST:,} rules")
    return rules


def _words(rule: Mapping[str, Any], name: str) -> list[str]:
    words = rule.get(name)
    words = [] if words is None else words
    if not _texts(words):
        raise CannotTell(f"SelfSubjectRulesReview: {name} of a rule is no list of words")
    return list(words)


def _grant(rule: Mapping[str, Any]) -> dict[str, list[str]]:
    names = {"verbs": "verbs", "apiGroups": "groups", "resources": "resources", "resourceNames": "names"}
    if unknown := sorted(rule.keys() - names):
        raise CannotTell(f"SelfSubjectRulesReview: a rule says {unknown[0][:40]!a}; allowed: {', '.join(names)}")
    return {mine: _words(rule, name) for name, mine in names.items()}


def _paths(rule: Mapping[str, Any]) -> dict[str, list[str]]:
    if unknown := sorted(rule.keys() - {"verbs", "nonResourceURLs"}):
        raise CannotTell(f"SelfSubjectRulesReview: a rule says {unknown[0][:40]!a}; allowed: verbs, nonResourceURLs")
    return {"verbs": _words(rule, "verbs"), "paths": _words(rule, "nonResourceURLs")}
