"""Reads the answers of a visit: those of a cluster, or that there is none."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from security.engines.reviews import ACTIONS, QUESTIONS
from security.errors import CannotTell
from security.gates.deployer.facts import Facts

Answers = Mapping[str, Mapping[str, Any]]


def found(answers: Answers) -> Facts:
    """The facts; `CannotTell` names the first question that has no answer."""
    if unknown := sorted({*answers} - {*QUESTIONS}):
        raise CannotTell(f"an answer to {unknown[0][:40]!a}, which was not asked")
    for question in sorted(answers):
        if "error" in answers[question]:
            raise CannotTell(f"{question}: {answers[question]['error']}")
    if missing := [question for question in QUESTIONS if question not in answers]:
        raise CannotTell(f"{missing[0]} has no answer")
    if not answers["images"]:
        raise CannotTell("nothing is to run: no manifest names a container", "coverage")
    try:
        place = dict(answers["place"])
        form = place.pop("form")
        if form == "process" and not place and not any(answers[each] for each in QUESTIONS[2:]):
            return Facts(images=dict(answers["images"]), cluster=None)
        if form != "cluster":
            raise ValueError("a cluster that is none")
        return Facts.model_validate({"images": dict(answers["images"]), "cluster": _cluster(place, answers)})
    except (ValidationError, KeyError, TypeError, AttributeError, ValueError) as why:
        said = why.errors()[0]["msg"] if isinstance(why, ValidationError) else type(why).__name__
        raise CannotTell(f"the answers contradict each other, or are of another form ({said})") from None


def _cluster(place: dict[str, Any], answers: Answers) -> dict[str, Any]:
    reviews = {label: _review(answers[label]) for label in ("control", *ACTIONS)}
    return {
        **place,
        **answers["who"],
        "rules": dict(sorted(answers["rules"].items())),
        "control": reviews["control"],
        "allowed": sorted(label for label in ACTIONS if reviews[label]),
        "denied": sorted(label for label in ACTIONS if not reviews[label]),
        "unsure": sorted(label for label in reviews if answers[label]["unsure"]),
    }


def _review(answer: Mapping[str, Any]) -> bool:
    allowed = answer["allowed"]
    if not isinstance(allowed, bool) or not isinstance(answer["unsure"], bool) or len(answer) != 2:
        raise ValueError("a review that is neither allowed nor denied")
    return allowed
