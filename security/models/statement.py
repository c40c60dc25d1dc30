"""What the producer says of a model in one signed statement, and the one function that holds it against the bytes.

An OpenSSF model signature says which files were signed, and nothing else: no name, no version, no age, and by default
it looks over `.git`, `.github`, `.gitignore` and `.gitattributes`. Here nothing is looked over: the statement is about
every file that there is, and binds them to name, version, run, data, code, lock and plan, to what the gates said, to
an expiry, and to what else is attached to the model.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from security.errors import KeyBroken, LogBroken
from security.gates.model import Card, release, signer
from security.gates.model.signature import CARD, PATH, SHA
from security.keys import PublicKey, Signer, seal, unseal
from security.models.manifest import BILL, PROVENANCE
from security.verdict import Frozen, Outcome, digest
from security.words import WORD

KIND = "urn:sluice:model/v1"
Sha = Annotated[str, Field(pattern=SHA)]


class Judged(Frozen):
    """What a gate said of something that the model was made from, or of the model: where, the outcome and what
    followed from it, and the digests of what was seen and of the rules."""

    stage: str
    task: str
    gate: str
    outcome: Outcome
    because: str
    observation: Sha
    rules: Sha


class Claim(Card):
    """What is said of a model: its card (name, version, run, data, code, lock, plan, created, expires; times in seconds
    since the epoch), and what follows."""

    release: Sha
    """Digest of the listing of every file, the OpenSSF signature among them."""
    datasets: dict[Annotated[str, Field(pattern=WORD)], Sha] = Field(min_length=1)
    """Every dataset that it comes from: what it is called -> its digest. `data` is one of them."""
    verdicts: tuple[Judged, ...] = Field(min_length=1)
    attached: dict[str, Sha]
    """What else there is about it: name -> SHA-256."""


def card(files: Mapping[str, bytes]) -> tuple[Card, dict[str, Any]]:
    """The model's own card, as far as every model has one, and all of it; `LogBroken` where it cannot be read."""
    try:
        said = json.loads(files[CARD])
        return Card.model_validate({name: said[name] for name in Card.model_fields}, strict=True), said
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError) as why:
        raise LogBroken(
            f"{CARD}: found no card ({type(why).__name__}); allowed: {', '.join(Card.model_fields)}"
        ) from None


def shas(files: Mapping[str, bytes]) -> dict[str, str]:
    """Name -> SHA-256."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def sign(
    files: Mapping[str, bytes],
    attached: Mapping[str, bytes],
    datasets: Mapping[str, str],
    verdicts: Iterable[Judged],
    by: Signer,
) -> bytes:
    """The statement about a model with these files. `attached`: the bill and the provenance, by name. It is read again
    before it is handed out."""
    told, _ = card(files)
    try:
        claim = Claim(
            **told.model_dump(),
            release=release(files),
            datasets=dict(datasets),
            verdicts=tuple(verdicts),
            attached=shas(attached),
        )
    except ValidationError as why:
        first = why.errors()[0]
        raise LogBroken(f"a model's statement: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    envelope = seal(KIND, shas(files), claim.model_dump(mode="json"), by)
    check(envelope, files, attached, by.public)
    return envelope


def check(envelope: bytes, files: Mapping[str, bytes], attached: Mapping[str, bytes], key: PublicKey) -> Claim:
    """What the producer says of exactly these bytes. In order:

     (1) the envelope is signed by the key given, in its one spelling, and is such a statement;
     (2) its subjects are the files that there are, none more and none less, with the names that a file may have;
     (3) the OpenSSF signature is by the same key and lists the same files;
     (4) the card in `model.json` says the same;
     (5) what is attached is what the statement names.

    `LogBroken` or `KeyBroken` at the first that does not hold. Whether it has expired or was revoked is no question of
    the bytes: `standing.stands` decides it.
    """
    statement = unseal(envelope, key)
    try:
        claim = Claim.model_validate_json(json.dumps(statement["predicate"]), strict=True)
        kind, subject = statement["predicateType"], statement["subject"]
    except (ValidationError, ValueError, KeyError, TypeError) as why:
        raise LogBroken(f"not a model's statement ({type(why).__name__})") from None
    if kind != KIND:
        raise LogBroken(f"a statement of the type {kind!a}; allowed: {KIND}")
    if odd := sorted(name for name in files if not PATH.fullmatch(name)):
        raise KeyBroken(f"{odd[0]!a} is hidden or has a name that a model's file may not have")
    if subject != [{"name": name, "digest": {"sha256": sha}} for name, sha in sorted(shas(files).items())]:
        raise LogBroken("the statement is about other files than those that are here")
    if claim.release != release(files):
        raise LogBroken("the statement names another release than these files are")
    signer(files, key)
    if card(files)[0] != Card(**claim.model_dump(include=set(Card.model_fields))):
        raise LogBroken(f"{CARD} says something else of the model than the statement")
    if not claim.created < claim.expires:
        raise LogBroken("the model expires before it was made")
    if claim.data not in claim.datasets.values():
        raise LogBroken("the data that the model was trained on is not among the datasets that it comes from")
    if claim.attached != shas(attached) or set(attached) != {BILL, PROVENANCE}:
        raise LogBroken("what is attached to the model is not what its statement names")
    seen = [digest(each.model_dump(mode="json")) for each in claim.verdicts]
    if len(set(seen)) != len(seen):
        raise LogBroken("the statement counts one verdict twice")
    return claim
