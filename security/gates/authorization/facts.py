"""What was tried in a registry, what was answered, and what the registry held before and afterwards."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from security.engines.line import By
from security.engines.login import ADDRESS, Scheme
from security.engines.probe import CANARY
from security.verdict import Frozen

Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Held = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
"""What is named: a digest, or nothing."""
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$")]
ATTEMPTS = {
    "overwrite": "RA-OVERWRITE",
    "approved": "RA-APPROVED",
    "production": "RA-PRODUCTION",
    "untag": "RA-DELETE",
    "delete": "RA-DELETE",
    "erase": "RA-DELETE",
}
"""What must be refused -> the rule that it would break."""
TRIES = {**ATTEMPTS, "version": "RA-OVERWRITE"}
"""The same of a registry that is asked; `version` where it has a version that is not the gate's own."""
CONTROLS = ("write", "read")
"""What must work, or a refusal proves nothing."""
WORK = (*CONTROLS, "again")
"""The same of a registry that is asked: at the end it must work still."""


class Limits(Frozen):
    """What a policy may set: the registry that models are pushed to (HOST[:PORT][/PATH]; empty: the home's own, a
    folder), how it is spoken to, where the producer's credentials are (`auths`: as skopeo finds them; `env:NAME` or
    `file:PATH`: USER:PASSWORD), and which other host may ask for them (HOST[:PORT]). What the plan completes: the
    model's name and the plan's signer."""

    name: Word
    signer: Sha
    registry: str = Field(default="", pattern=f"^$|{ADDRESS}")
    scheme: Scheme = "https"
    credentials: str = Field(default="auths", pattern=r"^(auths|env:\w+|file:.+)$")
    tokens: str = Field(default="", pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?)?$")


class Call(Frozen):
    """How a call was answered: status, the code of its error, and as whom it was made."""

    status: int = Field(ge=100, le=599, strict=True)
    code: Annotated[str, Field(pattern=r"^\w*$")]
    by: By


class Try(Call):
    """One attempt. `way`: other bytes than before, the same again, half a manifest, or a deletion; `before` and
    `after`: what the tag named, or the blob's digest; `sent`: what was put; `back`: whether in the end it was as
    before."""

    way: Literal["other", "same", "half", "gone"]
    before: Held
    after: Held
    sent: Held
    back: bool = Field(strict=True)

    @model_validator(mode="after")
    def _agree(self) -> "Try":
        if bool(self.sent) == (self.way == "gone") or (self.sent == self.before) != (self.way == "same"):
            raise ValueError("what was sent is not what the way of an attempt sends")
        if self.after == self.before and not self.back:
            raise ValueError("what had not changed is told as not put back")
        return self


class Remote(Frozen):
    """A registry that was asked. `ping`: what its root answered; `tags`: how many there were before, the gate's own
    among them; `changed`: those that name something else afterwards, with both digests."""

    address: Annotated[str, Field(pattern=ADDRESS)]
    name: Word
    scheme: Scheme
    ping: Call
    write: Call
    read: Call
    again: Call
    canary: Sha
    """What the gate's own version named when it was read."""
    tags: int = Field(ge=1, strict=True)
    newest: Annotated[str, Field(pattern=r"^([1-9][0-9]{0,17})?$")]
    """The newest version that is not the gate's own; empty for none."""
    changed: dict[str, tuple[Held, Held]]
    tries: dict[str, Try]

    @model_validator(mode="after")
    def _agree(self) -> "Remote":
        """Facts that contradict each other are none."""
        if set(self.tries) != {*ATTEMPTS, *(["version"] if self.newest else [])}:
            raise ValueError("each attempt has an answer, and there is no other")
        ways = {name: each.way for name, each in self.tries.items()}
        fixed = {"overwrite": "other", "untag": "gone", "delete": "gone", "erase": "gone"}
        if {name: ways[name] for name in fixed} != fixed:
            raise ValueError("an attempt was made in another way than its own")
        if self.newest and ways["version"] != "same":
            raise ValueError("a version was tried with other bytes than its own")
        for name in ("approved", "production"):
            if ways[name] != ("same" if self.tries[name].before else "half"):
                raise ValueError(f"{name} was tried in another way than what it named asks for")
        if self.tries["overwrite"].before != self.canary or not self.tries["erase"].before:
            raise ValueError("what was tried is not the gate's own version")
        if len(self.changed) > self.tags or any(before == after for before, after in self.changed.values()):
            raise ValueError("more tags changed than there were, or one to what it was")
        if CANARY in self.changed and self.changed[CANARY][0] != self.canary:
            raise ValueError("the gate's own version is told in two ways")
        return self


class Folder(Frozen):
    """The home's own registry, of which a copy was made. `signer`: the key that tried; `refused`: for each question why
    a reader does not believe what comes of it, empty where it does; `unsigned`: attempts that who signs for the
    producer did not sign, so that a key which nobody keeps was taken for the producer's; `entries` and `changed`: of
    the real chains, how many there were, and how many of those are others afterwards."""

    name: Word
    signer: Held
    entries: int = Field(ge=0, strict=True)
    changed: int = Field(ge=0, strict=True)
    refused: dict[str, str]
    unsigned: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _agree(self) -> "Folder":
        if not set(self.unsigned) <= set(ATTEMPTS):
            raise ValueError("something was not signed that was not tried")
        if set(self.refused) != {*ATTEMPTS, *CONTROLS}:
            raise ValueError("each attempt has an answer, and there is no other")
        if self.changed > self.entries:
            raise ValueError("more entries changed than there were")
        if bool(self.signer) == bool(self.refused["write"]):
            raise ValueError("a key is told of where nothing was written, or none where something was")
        return self


class Facts(Frozen):
    """One of the two."""

    remote: Remote | None
    folder: Folder | None

    @model_validator(mode="after")
    def _one(self) -> "Facts":
        if (self.remote is None) == (self.folder is None):
            raise ValueError("a registry is asked, or a folder is looked at")
        return self
