"""Reads the answers of a visit: those of a registry, or the copy of a folder with what was tried on it.

Whether what was tried on a copy is believed, the code says that a run and a deploy believe by (`stands`), and no other.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError

from security.engines.line import CODES
from security.engines.probe import CANARY, MOVED, newest
from security.engines.trespass import QUESTIONS
from security.errors import CannotTell, KeyBroken, LogBroken
from security.gates.authorization.facts import ATTEMPTS, CONTROLS, Facts, Folder, Remote, Sha, Word
from security.keys import PublicKey
from security.models.chain import Keys
from security.models.standing import Standing, stands
from security.verdict import Frozen

_KEPT = ("way", "before", "after", "sent", "back")
Answers = Mapping[str, Mapping[str, Any]]


class Copied(Frozen):
    """A copy of the home's chains: the model's name, whose keys count (role -> public keys in PEM), the approvers (id
    of a key -> name), the moment, and what the version that is tried names: at first, and in the place of that.
    `unsigned`: attempts that who signs for the producer did not sign."""

    form: str
    name: Word
    keys: dict[str, list[str]]
    approvers: dict[str, str]
    at: float
    version: int
    manifest: Sha
    other: Sha
    unsigned: list[str] = []


class Trial(Frozen):
    """What is tried on a copy: how many entries of the chain are left (`keep`), those that follow (`more`), revocations
    that follow (`gone`), and what a reader knows to have been there."""

    keep: int = Field(ge=0, strict=True)
    more: list[str] = []
    gone: list[str] = []
    known: list[str] = []


def found(answers: Answers) -> Facts:
    """The facts; `CannotTell` names the first question that has no answer."""
    if unknown := sorted({*answers} - {*QUESTIONS}):
        raise CannotTell(f"an answer to {unknown[0][:40]!a}, which was not asked")
    for question in QUESTIONS:
        if "error" in answers.get(question, {}):
            raise CannotTell(f"{question}: {answers[question]['error']}")
        if question not in answers:
            raise CannotTell(f"{question} has no answer")
    try:
        if answers["place"].get("form") == "folder":
            return Facts(remote=None, folder=_folder(answers))
        return Facts(remote=_remote(answers), folder=None)
    except (ValidationError, KeyError, TypeError, AttributeError, ValueError) as why:
        said = why.errors()[0]["msg"] if isinstance(why, ValidationError) else type(why).__name__
        raise CannotTell(f"the answers contradict each other, or are of another form ({said})") from None


def _remote(answers: Answers) -> Remote:
    place, read = answers["place"], answers["read"]
    before, after = (answers[name]["tags"] for name in ("before", "after"))
    if CANARY not in before:
        raise ValueError("the gate's own version is not listed")
    version = answers["version"]["tag"]
    if version != newest(before):
        raise ValueError("another version was tried than the newest that is listed")
    left = {tag: (sha, after.get(tag, "")) for tag, sha in before.items() if tag != MOVED}
    new = {tag: ("", sha) for tag, sha in after.items() if tag not in before and tag in ATTEMPTS}
    return Remote(
        address=place["address"],
        name=place["name"],
        scheme=place["scheme"],
        ping=_call(place),
        write=_call(answers["write"]),
        read=_call(read),
        again=_call(answers["again"]),
        canary=read["found"],
        newest=version,
        tags=len(before) + len(new),
        changed={tag: both for tag, both in sorted((left | new).items()) if both[0] != both[1]},
        tries={
            name: {**_call(answers[name]), **{key: answers[name][key] for key in _KEPT}}
            for name in (*ATTEMPTS, *(["version"] if version else []))
        },
    )


def _call(answer: Mapping[str, Any]) -> Any:
    code = answer["code"]
    return {"status": answer["status"], "code": code if code in CODES or not code else "other", "by": answer["by"]}


def _folder(answers: Answers) -> Folder:
    copied = Copied.model_validate(answers["place"])
    (chain, gone), later = _chains(answers["before"]), _chains(answers["after"])
    keys = Keys(
        **{role: tuple(PublicKey(pem.encode()) for pem in pems) for role, pems in copied.keys.items()},
        approvers=copied.approvers,
    )
    refused: dict[str, str] = {}
    signer = ""
    for question in (*CONTROLS, *ATTEMPTS):
        trial = Trial.model_validate(answers[question])
        lines = [*chain[: trial.keep], *(line.encode() for line in trial.more)]
        revoked = [*gone, *(line.encode() for line in trial.gone)]
        try:
            held = stands(lines, revoked, keys, copied.name, now=copied.at, known=trial.known)
        except (LogBroken, KeyBroken) as why:
            refused[question] = str(why)
            continue
        refused[question] = _unbelieved(question, held, copied)
        if question == "write" and not refused[question]:
            signer = held.row(copied.version).signer
    pairs = ((chain, later[0]), (gone, later[1]))
    return Folder(
        name=copied.name,
        signer=signer,
        entries=len(chain) + len(gone),
        changed=sum(_others(then, now) for then, now in pairs),
        refused=refused,
        unsigned=tuple(sorted(copied.unsigned)),
    )


def _unbelieved(question: str, held: Standing, copied: Copied) -> str:
    """Why what was tried does not count, of a chain that holds; empty where it does."""
    if question in ("write", "approved", "production"):
        alias = "production" if question == "write" else question
        there = held.aliases.get(alias)
        if there is None or (there.version, there.manifest) != (copied.version, copied.manifest):
            return held.fallen.get(alias, f"{alias} does not name it")
    if question == "overwrite" and copied.other not in {row.claim.manifest for row in held.rows}:
        return "the version is what it was entered as"
    if question == "delete" and copied.manifest not in held.barred:
        return "it is not revoked"
    return ""


def _chains(answer: Mapping[str, Any]) -> tuple[list[bytes], list[bytes]]:
    chain, gone = ([line.encode() for line in answer[name]] for name in ("chain", "gone"))
    return chain, gone


def _others(then: Sequence[bytes], now: Sequence[bytes]) -> int:
    """How many entries are another afterwards, or gone."""
    return sum(each != other for each, other in _paired(then, now))


def _paired(then: Sequence[bytes], now: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    yield from zip(then, [*now, *[b""] * len(then)], strict=False)
