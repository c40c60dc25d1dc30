"""What a job that was sent into the cluster has seen of a release, and whether it is what it must have seen."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from deployments.kubernetes import kinds
from deployments.kubernetes.client import Client
from deployments.kubernetes.errors import Odd, Unready
from deployments.kubernetes.watch import Until, ended
from security.gates.network import Probe
from security.verdict import Frozen

TRIES = 3
GONE = 0.5
"""Seconds between two looks whether a job of the same name is gone."""


Status = Annotated[int, Field(ge=0, le=599, strict=True)]


class Answers(Frozen):
    """What a service answered: statuses (0 for no answer) of `/readyz`, and of its own path without a token and with
    garbage for one; the digest of the model that it says it runs."""

    ready: Status
    model: Annotated[str, Field(strict=True)]
    bare: Status
    garbage: Status


class Word(Probe):
    """The last word of a probe; `answers` where it was to ask, and was connected."""

    answers: Answers | None = None

    @property
    def probe(self) -> Probe:
        """As the gate knows it."""
        return Probe(name=self.name, expected=self.expected, outcome=self.outcome)


_WORD = TypeAdapter(Word)


def asked(client: Client, job: dict[str, Any], until: Until) -> Word:
    """Send a job, in the place of an older one of its name, and read its last word."""
    kind, name, namespace = kinds.where(job)
    while (old := client.find(kind, name, namespace)) is not None:
        if "deletionTimestamp" not in old["metadata"]:
            client.delete(kind, name, namespace, uid=old["metadata"]["uid"])
        until.left(f"{kind}/{name}: the one before is not gone")
        until.sleep(GONE)
    client.apply(job)
    return _read(job, ended(client, job, until))


def _read(job: dict[str, Any], said: str) -> Word:
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    told = dict(zip(args[::2], args[1::2], strict=False))
    try:
        word = _WORD.validate_json(said)
    except ValidationError as why:
        first = why.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "value"
        raise Odd(f"{kinds.place(job)}: its last word is none of a probe's: {place}: {first['type']}") from None
    name = f"{told['--host']}:{told['--port']} {told['--expected']}"
    if (word.name, word.expected) != (name, told["--expected"]):
        raise Odd(f"{kinds.place(job)}: its last word is of another connection; allowed: {name}")
    if word.answers is None and "--path" in told and word.outcome == "connected":
        raise Odd(f"{kinds.place(job)}: it was connected, and says nothing of what it was answered")
    return word


def lacking(word: Word, model: str) -> str:
    """What is not as it must be of a connection that is to be let in; empty where all is."""
    if word.outcome != "connected":
        return f"{word.name}: found {word.outcome}; allowed: a connection"
    if word.answers is None:
        return f"{word.name}: nothing was asked"
    found = word.answers
    for what, status, wanted in (
        ("whether it is ready", found.ready, 200),
        ("a question without a token", found.bare, 401),
        ("a question with garbage for a token", found.garbage, 401),
    ):
        if status != wanted:
            return f"{word.name}: to {what} was answered {status or 'nothing'}; allowed: {wanted}"
    if not model or found.model != model:
        return f"{word.name}: it runs the model {found.model[:12] or 'that it does not name'}; allowed: {model[:12]}"
    return ""


def good(client: Client, job: dict[str, Any], model: str, until: Until) -> Word:
    """Send a job that must be let in, and hold what it saw to what it must have seen. `Unready` where it is not so: at
    once where somebody was let in who must not be, after a few tries where it may be that a name leads there only in a
    moment."""
    for left in reversed(range(TRIES)):
        word = asked(client, job, until)
        if not (what := lacking(word, model)):
            return word
        if not left or _open(word):
            break
        until.wait(what)
    raise Unready(what)


def seen(client: Client, job: dict[str, Any], until: Until) -> Word:
    """Send a job and tell what it saw, whatever that is; after a few tries where it may be that the name is known only
    in a moment."""
    for left in reversed(range(TRIES)):
        word = asked(client, job, until)
        if word.outcome != "unresolved" or not left:
            break
        until.wait(f"{word.name}: its name was not known")
    return word


def _open(word: Word) -> bool:
    """Whether it shows that somebody is let in: another try might meet another pod, and hide it."""
    found = word.answers
    return found is not None and bool({found.bare, found.garbage} - {0, 401})
