"""The chains of the registry: signed statements, each naming the digest of the one before.

There is one chain for each model's name, of its versions and of where its aliases moved; and one for a whole registry,
of what was revoked: a model, a dataset, a key. What is revoked is so for every model, also for one that is entered
later, so it stands in one place; every entry of a model's chain names the newest revocation that its writer knew.

Who may say what is fixed here (`MAY`). A key is one that the caller brought; of an approver, whose key nobody brings,
the statement has the key, and the caller's policy its id. A key that was revoked is brought all the same: without it
what it once signed could not be read, and what came after would hang in the air.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from security.errors import KeyBroken, LogBroken
from security.gates.model.signature import SHA
from security.keys import PublicKey, Signer, seal, unseal
from security.log import head_of
from security.models.manifest import NEWEST, REVOKED
from security.verdict import Frozen
from security.words import WORD, words

Alias = Literal["candidate", "approved", "production"]
MOST = 64 << 20
"""Bytes of a chain."""


class Link(Frozen):
    """What every entry says: the digest of the entry before, how many there were, the newest revocation that was known,
    and when, in seconds since the epoch: the signer's word."""

    previous: str = Field(pattern=r"^([0-9a-f]{64})?$")
    sequence: int = Field(ge=0, strict=True)
    revocations: str = Field(pattern=r"^([0-9a-f]{64})?$")
    at: float = Field(ge=0)


class Version(Link):
    """A version was entered: by the digests of its manifest and of all its files, with the run that made it, every
    dataset that it comes from, and until when it may be used (seconds since the epoch)."""

    name: str = Field(pattern=WORD)
    version: int = Field(ge=1, le=NEWEST, strict=True)
    manifest: str = Field(pattern=SHA)
    release: str = Field(pattern=SHA)
    run: str = Field(pattern=WORD)
    data: tuple[Annotated[str, Field(pattern=SHA)], ...] = Field(min_length=1)
    expires: float = Field(ge=0)


class Move(Link):
    """An alias names a version from now on. `log` is the head of the run's log that was decided upon; `key` an
    approver's public key in PEM."""

    name: str = Field(pattern=WORD)
    alias: Alias
    version: int = Field(ge=1, strict=True)
    manifest: str = Field(pattern=SHA)
    reason: str = Field(min_length=3)
    log: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    key: str = ""

    @field_validator("reason")
    @classmethod
    def _words(cls, value: str) -> str:
        return words(value)


class Revocation(Link):
    """A model (its name, version and manifest), a dataset (its digest) or a key (its id) counts no more. Nothing takes
    that back, nor does it fall with the key that signed it."""

    what: Literal["model", "data", "key"]
    target: str = Field(pattern=SHA)
    name: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.:-]{0,99})?$")
    version: int = Field(default=0, ge=0, strict=True)
    reason: str = Field(min_length=3)

    @field_validator("reason")
    @classmethod
    def _words(cls, value: str) -> str:
        return words(value)

    @model_validator(mode="after")
    def _of(self) -> "Revocation":
        if bool(self.name) != (self.what == "model") or bool(self.version) != (self.what == "model"):
            raise ValueError("a model has a name and a version, a dataset and a key have none")
        return self


Claim = Version | Move | Revocation
KINDS: dict[str, type[Claim]] = {
    "urn:sluice:model-version/v1": Version,
    "urn:sluice:model-alias/v1": Move,
    "urn:sluice:revoked/v1": Revocation,
}
"""Predicate type -> what it says."""
MAY: dict[str, tuple[str, ...]] = {
    "version": ("producer",),
    "candidate": ("producer",),
    "approved": ("verifier", "approver"),
    "production": ("verifier",),
    REVOKED: ("owner", "verifier"),
}
"""Act -> the roles of which one must have signed it."""


@dataclass(frozen=True)
class Keys:
    """Whose word counts, by role, as the caller brings it. `approvers`: id of a person's key -> name."""

    producer: tuple[PublicKey, ...]
    verifier: tuple[PublicKey, ...] = ()
    owner: tuple[PublicKey, ...] = ()
    approvers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.producer:
            raise KeyBroken("no producer's key was given")
        roles = [*({key.id for key in keys} for keys in (self.producer, self.verifier, self.owner)), {*self.approvers}]
        every = [id for ids in roles for id in sorted(ids)]
        if both := [id for id in every if every.count(id) > 1]:
            raise KeyBroken(
                f"the key {both[0][:12]} has two roles; who makes a model approves none, and each key has one"
            )

    def find(self, id: str, said: Any) -> tuple[str, PublicKey]:
        """Role and key of a signer; `KeyBroken` where it is nobody's. `said`: the key in the statement, of an
        approver."""
        for role, keys in (("producer", self.producer), ("verifier", self.verifier), ("owner", self.owner)):
            for key in keys:
                if key.id == id:
                    return role, key
        if id in self.approvers:
            key = PublicKey(str(said).encode(), "the key of an approver")
            if key.id == id:
                return "approver", key
        raise KeyBroken(f"signed by {id[:12]!a}, whose key was not given")


@dataclass(frozen=True)
class Entry:
    """One entry that holds: what it says, whose key signed it in which role, and its own digest."""

    claim: Claim
    signer: str
    role: str
    head: str


def read(lines: Sequence[bytes], keys: Keys, name: str) -> list[Entry]:
    """The entries of a chain, each signed by a role that may say so, in their order and of this name. `LogBroken` at
    the first that does not hold. `name` is a model's, or `REVOKED`."""
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        try:
            entry = _entry(line, keys)
            head = entries[-1].head if entries else ""
            if (entry.claim.previous, entry.claim.sequence) != (head, number - 1):
                raise LogBroken("does not follow the entry before")
            if isinstance(entry.claim, Revocation) != (name == REVOKED):
                raise LogBroken("is of another chain")
            if name == REVOKED and entry.claim.revocations != head:
                raise LogBroken("knows other revocations than those before it")
            if not isinstance(entry.claim, Revocation) and entry.claim.name != name:
                raise LogBroken(f"is about the model {entry.claim.name}")
        except (LogBroken, KeyBroken) as why:
            raise LogBroken(f"{name}, entry {number}: {why}") from None
        entries.append(entry)
    return entries


def _entry(line: bytes, keys: Keys) -> Entry:
    try:
        envelope = json.loads(line)
        said = json.loads(base64.b64decode(envelope["payload"], validate=True))["predicate"].get("key", "")
        role, key = keys.find(envelope["signatures"][0]["keyid"], said)
        statement = unseal(line, key)
        kind, subject = KINDS[statement["predicateType"]], statement["subject"]
        claim = kind.model_validate_json(json.dumps(statement["predicate"]), strict=True)
    except (ValidationError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as why:
        raise LogBroken(f"not a statement of the registry ({type(why).__name__})") from None
    if subject != [{"name": name, "digest": {"sha256": sha}} for name, sha in about(claim).items()]:
        raise LogBroken("has another subject than it says")
    if role not in MAY[act(claim)]:
        raise LogBroken(f"{act(claim)} signed by the {role}; allowed: {' or '.join(MAY[act(claim)])}")
    return Entry(claim, key.id, role, head_of(line))


def act(claim: Claim) -> str:
    """What kind of act an entry is: a key of `MAY`."""
    if isinstance(claim, Version):
        return "version"
    return claim.alias if isinstance(claim, Move) else REVOKED


def about(claim: Claim) -> dict[str, str]:
    """The subject of an entry's statement."""
    if isinstance(claim, Revocation):
        return {claim.what: claim.target}
    return {claim.name: claim.manifest}


def sealed(
    before: Sequence[bytes], revocations: Sequence[bytes], signer: Signer, kind: type[Claim], **told: Any
) -> bytes:
    """The next entry of a chain. Nothing is checked here: whoever appends it reads the chain that comes out."""
    link = {
        "previous": head_of(before[-1]) if before else "",
        "sequence": len(before),
        "revocations": head_of(revocations[-1]) if revocations else "",
    }
    try:
        claim = kind.model_validate(told | link)
    except ValidationError as why:
        first = why.errors()[0]
        raise LogBroken(f"{kind.__name__.lower()}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    (spelled,) = (each for each, made in KINDS.items() if made is kind)
    return seal(spelled, about(claim), claim.model_dump(mode="json"), signer)


def lines(data: bytes, name: str) -> list[bytes]:
    """The entries in a chain that is one file, one a line."""
    if len(data) > MOST or (data and not data.endswith(b"\n")):
        raise LogBroken(f"{name}: the last entry is cut off, or there are more than {MOST:,} bytes")
    return data.split(b"\n")[:-1]


def joined(entries: Sequence[bytes]) -> bytes:
    """A chain as one file."""
    return b"".join(line + b"\n" for line in entries)


def extends(newer: Sequence[bytes], older: Sequence[bytes], name: str) -> None:
    """`LogBroken` unless one chain goes on from where the other ends."""
    for number, (theirs, mine) in enumerate(zip(newer, older, strict=False), 1):
        if theirs != mine:
            raise LogBroken(f"{name}: forked at entry {number}")
    if len(newer) < len(older):
        raise LogBroken(f"{name}: cut off: found {len(newer):,} entries; there were {len(older):,}")
