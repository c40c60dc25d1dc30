"""What an approver signs, and how it is read."""

import base64
import hashlib
import json
from typing import Any, NamedTuple

from pydantic import Field, ValidationError, field_validator

from security.errors import KeyBroken, LogBroken
from security.keys import PublicKey, Signer, seal, unseal
from security.log import NAMESPACE
from security.verdict import Frozen
from security.words import WORD, words

KIND = f"{NAMESPACE}approval/v1"
"""The predicate type of an approval."""
LARGEST = 1 << 14
"""Bytes of an approval."""


class Claim(Frozen):
    """What an approver says. Times are seconds since the epoch; `key` is the approver's public key in PEM; `image` is
    the SHA-256 of the image's manifest that brings the model there, empty where a process of this machine serves it."""

    name: str = Field(pattern=WORD)
    target: str = Field(pattern=WORD)
    reason: str = Field(min_length=10)
    requester: str = Field(min_length=1)
    approver: str = Field(min_length=1)
    issued: float = Field(ge=0)
    expires: float = Field(ge=0)
    image: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    key: str

    @field_validator("reason", "requester", "approver")
    @classmethod
    def _words(cls, value: str) -> str:
        return words(value)


class Read(NamedTuple):
    """An approval whose signature holds: the id of the key that signed it, the model's digest, what it says."""

    signer: str
    model: str
    claim: Claim


def sign(model: str, signer: Signer, **claim: Any) -> bytes:
    """An approval of a model, by the SHA-256 of its files. `claim` is all of `Claim` but the key. `LogBroken` for one
    that nobody could read again."""
    made = Claim.model_validate({**claim, "key": signer.public.pem.decode()})
    envelope = seal(KIND, {made.name: model}, made.model_dump(mode="json"), signer)
    read(envelope)
    return envelope


def read(envelope: bytes) -> Read:
    """The approval in an envelope, its signature verified with the key that it names: whose that is, others decide.
    `LogBroken` where it is no approval, or its signature does not hold."""
    if len(envelope) > LARGEST:
        raise LogBroken(f"found {len(envelope):,} bytes; allowed: {LARGEST:,}")
    try:
        told = json.loads(base64.b64decode(json.loads(envelope)["payload"], validate=True))
        key = PublicKey(str(told["predicate"]["key"]).encode(), "the key of an approval")
        statement = unseal(envelope, key)
        ((subject,), claim) = statement["subject"], Claim.model_validate(statement["predicate"])
        model, kind = str(subject["digest"]["sha256"]), statement["predicateType"]
        if (kind, subject["name"]) != (KIND, claim.name):
            raise LogBroken("it is no approval, or one of something else than it says")
    except (KeyBroken, ValidationError, ValueError, KeyError, TypeError, RecursionError) as why:
        raise LogBroken(f"it is no approval ({type(why).__name__})") from None
    return Read(key.id, model, claim)


def name(envelope: bytes) -> str:
    """How an approval is told from others: the first digits of its SHA-256."""
    return hashlib.sha256(envelope).hexdigest()[:12]
