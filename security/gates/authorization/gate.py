"""The gate `registry_authorization`: looks at the answers, judges the facts."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from security.engines.login import LACKS
from security.engines.probe import CANARY
from security.engines.trespass import QUESTIONS
from security.errors import CannotTell
from security.gate import Violation
from security.gates.authorization.decoys import VIOLATIONS
from security.gates.authorization.facts import (
    ATTEMPTS,
    CONTROLS,
    TRIES,
    WORK,
    Facts,
    Folder,
    Limits,
    Remote,
    Try,
)
from security.gates.authorization.look import found
from security.gates.authorization.rules import RULES
from security.material import Handed
from security.posture import Answer, Posture, answered
from security.verdict import Breach, Frozen, Rule

REFUSED = frozenset({401, 403, 405})
FIXED = frozenset({409, 412})
"""What registries answer where a tag cannot be moved: Harbor 412, others 409."""
IMMUTABLE = frozenset({"TAG_INVALID", "ImageTagAlreadyExistsException"})
"""The same with status 400: ECR."""
UNABLE = frozenset({"UNSUPPORTED", "DIGEST_INVALID"})
"""Status 400 where nothing is deleted (OCI distribution 1.1: 400 or 405), or only by digest (docker-registry)."""
WORDS = {
    "overwrite": "put another manifest under the tag of a version",
    "version": "put a manifest under the tag of the newest version",
    "approved": "put a manifest under the tag approved",
    "production": "put a manifest under the tag production",
    "untag": "delete the tag of a version",
    "delete": "delete the manifest of a version",
    "erase": "delete a blob of a version",
}
CALLED = {"write": "write", "read": "read", "again": "write once more, after the last attempt,"}
COPIED = {
    "overwrite": "a version that is entered again with another manifest",
    "approved": "the producer's own approval",
    "production": "production, moved by the producer",
    "untag": "a chain whose newest entry is cut off",
    "delete": "a version that the producer revokes",
    "erase": "a chain of which nothing is left",
}
Outcome = Literal["done", "refused", "unclear"]


class RegistryAuthorization(Posture):
    """The producer's own credentials are tried, in the registry, at what they must not do."""

    name: ClassVar[str] = "registry_authorization"
    kind: ClassVar[str] = "registry"
    questions: ClassVar[tuple[str, ...]] = QUESTIONS
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Any]]] = VIOLATIONS
    causes: ClassVar[frozenset[str]] = frozenset({"folder"})

    def look(self, material: Handed[Answer]) -> Facts:
        """The facts; `CannotTell` where an answer is missing, given twice, unknown, or another than a registry's."""
        return found(answered(material))

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """What is not refused, and what has changed; last, what proves nothing."""
        if facts.remote:
            yield from _asked(facts.remote, limits)
        elif facts.folder:
            yield from _copied(facts.folder, limits)

    def brief(self, facts: Facts) -> str:
        """How many attempts were refused, and how many tags there are."""
        if facts.remote:
            plain = "" if facts.remote.scheme == "https" else f", {facts.remote.scheme}"
            return f"{len(facts.remote.tries)} attempts refused, {facts.remote.tags:,} tags as they were{plain}"
        return f"{len(ATTEMPTS)} attempts on a copy refused"


def outcome(name: str, each: Try, *, nobody: bool) -> Outcome:
    """What an answer says of an attempt. `nobody`: the registry lets nobody in particular upload.

    What was refused to nobody in particular says nothing of the producer, nor does what was refused to a token that the
    registry calls too narrow or none. Half a manifest that is called invalid was looked at, so that whoever sent it may
    send a whole one; unless the registry looks before it asks who sends it, and nobody had been asked yet.
    """
    if 200 <= each.status < 300:
        return "done"
    looked = each.way in ("same", "half") and each.status < 500 and each.code.startswith("MANIFEST_")
    looked = looked and each.status not in REFUSED
    if each.by == "nobody":
        return "done" if nobody and looked else "unclear"
    if each.code in LACKS:
        return "unclear"
    if each.status in REFUSED:
        return "refused"
    if each.way in ("other", "same") and (each.status in FIXED or (each.status == 400 and each.code in IMMUTABLE)):
        return "refused"
    if each.way == "gone" and each.status == 400 and each.code in UNABLE:
        return "refused"
    return "done" if looked else "unclear"


def _asked(seen: Remote, limits: Limits) -> Iterator[Breach]:
    if (seen.address, seen.name) != (limits.registry, limits.name):
        allowed = f"{limits.registry or 'the home'}, {limits.name}"
        yield _breach("RA-PLACE", "registry", f"{seen.address}, {seen.name} was asked; allowed: {allowed}")
    if seen.scheme != limits.scheme:
        yield _breach("RA-PLACE", "scheme", f"it is spoken to by {seen.scheme}; allowed: {limits.scheme}")
    nobody = seen.write.by == "nobody"
    told = {name: outcome(name, each, nobody=nobody) for name, each in seen.tries.items()}
    explained: set[str] = set()
    for name, each in seen.tries.items():
        tag = {"version": seen.newest}.get(name, name if name in ("approved", "production") else CANARY)
        left = "" if each.back else "; what was there before could not be put back"
        if told[name] == "done":
            explained.add(tag)
            as_ = " to nobody in particular" if each.by == "nobody" else " to the producer's credentials"
            found = f"to {WORDS[name]} was granted{as_} ({_said(each)})"
            yield _breach(TRIES[name], name, f"{found}; allowed: 401, 403 or 405, and nothing changed{left}")
        elif each.after != each.before:
            explained.add(tag)
            ours = each.after == each.sent
            done = "it was done" if ours else "it names what the gate did not send, which is left as it is"
            found = f"to {WORDS[name]} was answered {_said(each)}, and {done}"
            yield _breach("RA-KEPT", name, f"{found}; allowed: what is refused is not done{left if ours else ''}")
    for tag, (before, after) in seen.changed.items():
        if tag not in explained:
            found = f"named {before[:12] or 'nothing'}, and afterwards {after[:12] or 'nothing'}"
            yield _breach("RA-KEPT", f"tag:{tag}", f"{found}; allowed: what it named")
    for name in WORK:
        call = getattr(seen, name)
        if not 200 <= call.status < 300:
            raise CannotTell(f"to {CALLED[name]} was answered {_said(call)}: a refusal proves nothing", "control")
    if unclear := [name for name in seen.tries if told[name] == "unclear"]:
        said = "; ".join(f"to {WORDS[name]} was answered {_said(seen.tries[name])}" for name in unclear)
        raise CannotTell(f"{said}: neither granted nor refused", "answer")


def _copied(seen: Folder, limits: Limits) -> Iterator[Breach]:
    if limits.registry or seen.name != limits.name:
        allowed = f"{limits.registry or 'the home'}, {limits.name}"
        yield _breach("RA-PLACE", "registry", f"the home, {seen.name} was looked at; allowed: {allowed}")
    if seen.signer and seen.signer != limits.signer:
        message = f"{seen.signer[:12]} has tried; allowed: {limits.signer[:12]}, the plan's signer"
        yield _breach("RA-PLACE", "key", message)
    for name, rule in ATTEMPTS.items():
        if not seen.refused[name]:
            yield _breach(rule, name, f"{COPIED[name]} is believed; allowed: a reader that refuses it")
    if seen.changed:
        message = f"{seen.changed:,} of {seen.entries:,} entries are others afterwards; allowed: none"
        yield _breach("RA-KEPT", "chains", message)
    for name in CONTROLS:
        if seen.refused[name]:
            raise CannotTell(f"to {name} is not believed: {seen.refused[name]}: a refusal proves nothing", "control")
    signs = f", nor does who signs for it sign to {', '.join(seen.unsigned)}" if seen.unsigned else ""
    raise CannotTell(
        f"the registry is a folder: readers refuse what the producer must not say{signs}; but whoever runs as its user "
        "can write and delete every file (a registry that asks who somebody is: limits.registry)",
        "folder",
    )


def _said(each: Any) -> str:
    return f"{each.status} {each.code}".strip()


def _breach(rule: str, place: str, message: str) -> Breach:
    return Breach(rule=rule, place=place, message=message)
