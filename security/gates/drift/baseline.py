"""A baseline as it is kept: a profile in a signed statement, named by its digest."""

from pydantic import BaseModel, ConfigDict, ValidationError

from security.drift.profile import Reference, read
from security.errors import CannotTell, LogBroken
from security.keys import PublicKey, Signer, seal, unseal
from security.log import NAMESPACE
from security.verdict import canonical

BASELINE = f"{NAMESPACE}baseline/v1"
"""The predicate type of a baseline."""
NAME = "baseline"
"""What its subject is called."""


class _Digest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sha256: str


class _Subject(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    digest: _Digest


def sealed(reference: Reference, signer: Signer) -> bytes:
    """The envelope of a baseline, as one line; its subject is the digest that a plan names."""
    return seal(BASELINE, {NAME: reference.digest}, {"profile": reference.model_dump(mode="json")}, signer)


def opened(envelope: bytes, key: PublicKey) -> Reference:
    """The baseline in an envelope. `LogBroken` where `key` did not sign it; `CannotTell` by the cause `reference` where
    what it signed is no baseline, or not the one that its subject names."""
    try:
        claim = unseal(envelope, key)
    except LogBroken as why:
        raise LogBroken(f"the baseline's envelope: {why}") from None
    try:
        if claim["predicateType"] != BASELINE:
            raise CannotTell("what was signed is no baseline", "reference")
        (subject,) = map(_Subject.model_validate, claim["subject"])
        profile = canonical(claim["predicate"]["profile"])
    except (ValidationError, ValueError, KeyError, TypeError):
        raise CannotTell("the signed baseline cannot be read: it has no subject, or no profile", "reference") from None
    found = read(profile)
    if (subject.name, subject.digest.sha256) != (NAME, found.digest):
        raise CannotTell("the signed baseline is not the one that its subject names", "reference")
    return found
