"""A lease: the verifier's word that certain models may serve at a target until a moment, and no longer.

Where a service cannot ask the registry, it is handed this. It is given for a short while only, so that a model that was
revoked is gone when it runs out, whoever keeps the newer ones from arriving; and it says where the registry's chains
ended, so that the next one is given only by who knows at least as much.

A lease of no model is one: then nothing may serve. When it was given is its signer's word, as far as clocks may differ.
"""

import json
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, model_validator

from security.errors import LogBroken, Refused
from security.gates.model.signature import SHA
from security.keys import PublicKey, Signer, seal, unseal
from security.signer.lease import KIND, LATE, LONGEST
from security.verdict import Frozen
from security.words import WORD

MOST: Final = 256 << 10
"""Bytes of one."""
HEAD = r"^([0-9a-f]{64})?$"


class Lease(Frozen):
    """What a lease says.

    `name` and `target`: of which pipeline, where; `models`: digests of releases, each once, in their order; `chain` and
    `revocations`: digests of the newest entries of the model's chain and of the revocations (empty: there is none), of
    which there were `entries` together; `at` and `until`: from when to when, in seconds since the epoch.
    """

    name: str = Field(pattern=WORD)
    target: str = Field(pattern=WORD)
    models: tuple[Annotated[str, Field(pattern=SHA)], ...] = Field(max_length=500)
    chain: str = Field(pattern=HEAD)
    revocations: str = Field(pattern=HEAD)
    entries: int = Field(ge=0, strict=True)
    at: float = Field(ge=0)
    until: float = Field(ge=0)

    @model_validator(mode="after")
    def _bounded(self) -> "Lease":
        if not 0 < self.until - self.at <= LONGEST:
            raise ValueError(f"it is good for {self.until - self.at:.0f} s; allowed: 1 to {LONGEST}")
        if list(self.models) != sorted({*self.models}):
            raise ValueError("its models are not in their order, each once")
        if bool(self.entries) != bool(self.chain or self.revocations):
            raise ValueError("it counts entries of a registry that has none, or none of one that has")
        return self

    @property
    def place(self) -> tuple[str, str]:
        """Of which pipeline it is, at which target."""
        return self.name, self.target

    def follows(self, other: "Lease") -> bool:
        """Whether it was given after another, by who knew of the registry at least as much."""
        return self.at > other.at and self.entries >= other.entries


def sealed(signer: Signer, **told: Any) -> bytes:
    """The envelope of a lease: `told` is what a `Lease` says, the models in any order. `LogBroken` for what is none."""
    lease = _checked({**told, "models": tuple(sorted({*told["models"]}))})
    return seal(KIND, _subject(lease), lease.model_dump(mode="json"), signer)


def said(envelope: bytes, key: PublicKey) -> Lease:
    """What the verifier's key has signed as a lease, wherever and whenever it is good. `LogBroken` for another key,
    another spelling or another statement."""
    if len(envelope) > MOST:
        raise LogBroken(f"a lease of more than {MOST:,} bytes")
    try:
        statement = unseal(envelope, key)
        kind, subject, predicate = (statement[part] for part in ("predicateType", "subject", "predicate"))
        lease = Lease.model_validate_json(json.dumps(predicate), strict=True)
    except LogBroken as why:
        raise LogBroken(f"a lease: {why}") from None
    except (ValidationError, ValueError, KeyError, TypeError) as why:
        raise LogBroken(f"a lease: {_first(why)}") from None
    if kind != KIND:
        raise LogBroken(f"a statement of the type {str(kind)[:80]!a}; allowed: {KIND}")
    if subject != [{"name": name, "digest": {"sha256": sha}} for name, sha in _subject(lease).items()]:
        raise LogBroken("a lease: it has another subject than it says")
    return lease


def read(envelope: bytes, key: PublicKey, *, name: str, target: str, now: float) -> Lease:
    """A lease that is good at a moment (seconds since the epoch) for a pipeline at a target. `LogBroken` as `said`, or
    for one of days to come; `Refused` for one of another place, or that has run out."""
    lease = said(envelope, key)
    if lease.place != (name, target):
        raise Refused(f"the lease is of {lease.name} at {lease.target}; allowed: {name} at {target}")
    if lease.at > now + LATE:
        raise LogBroken(f"the lease was given {lease.at - now:.0f} s from now; allowed: {LATE:.0f}, as clocks differ")
    if lease.until <= now:
        raise Refused(f"the lease has run out {now - lease.until:.0f} s ago")
    return lease


def _checked(told: dict[str, Any]) -> Lease:
    try:
        return Lease.model_validate(told)
    except ValidationError as why:
        raise LogBroken(f"a lease: {_first(why)}") from None


def _first(why: Exception) -> str:
    """The first thing that is wrong, without the value."""
    if not isinstance(why, ValidationError):
        return f"no statement of one ({type(why).__name__})"
    first = why.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"


def _subject(lease: Lease) -> dict[str, str]:
    return {f"{lease.name}:{sha}": sha for sha in lease.models}
