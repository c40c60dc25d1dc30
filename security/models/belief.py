"""A model that is believed: its bytes, what is said about it, and where it stands, held against each other.

This is what a gate, the decision to deploy, the service, and `sluice model verify` call, each with the keys that it
brings. What it takes on trust: that the bytes were hashed as they were read. It knows no configuration, so that the
service can carry it; what the run's log says of a model, `proof.proven` asks, and what its card lacks,
`complete.missing`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from security.errors import LogBroken, Refused
from security.keys import PublicKey
from security.models import bill, manifest, provenance, statement
from security.models.chain import Keys
from security.models.manifest import BILL, PROVENANCE, STATEMENT
from security.models.standing import Row, Standing
from security.models.statement import Claim


@dataclass(frozen=True)
class Believed:
    """What holds of a model."""

    claim: Claim
    row: Row
    provenance: dict[str, Any]
    bill: dict[str, Any]


def believe(
    sha: str,
    files: Mapping[str, bytes],
    attached: Mapping[str, bytes],
    keys: Keys,
    of: Standing,
    *,
    measure: bool = False,
) -> Believed:
    """The model of a manifest's digest, or an error that says why not. In order:

     (1) the manifest of these bytes has this digest;
     (2) the statement holds over them, by a producer's key that was given, and so do provenance and bill, by the same;
     (3) the version was entered in the chain as the statement has it, by the same key;
     (4) it stands: not revoked, nor its data, nor its key, and not expired, unless it is to be a `measure` alone: of
         others, never served.

    `Refused` for (4); `LogBroken` or `KeyBroken` for what comes before.
    """
    if hashlib.sha256(manifest.made(files, attached)).hexdigest() != sha:
        raise LogBroken(f"the model's bytes are not those of the manifest {sha[:12]}")
    claim, key = claimed(files, attached, keys)
    made = provenance.check(attached[PROVENANCE], files, claim, key)
    listed = bill.check(attached[BILL], files, claim)
    row = of.row(claim.version)
    told = entry(sha, claim)
    if row.claim.model_dump(include=set(told)) != told or row.signer != key.id:
        raise LogBroken(
            f"{claim.name} {claim.version}: was entered otherwise than its statement says, or by another key"
        )
    if row.wrong and not (measure and row.expired):
        raise Refused(f"{claim.name}: version {claim.version} {row.wrong}")
    return Believed(claim, row, made, listed)


def claimed(files: Mapping[str, bytes], attached: Mapping[str, bytes], keys: Keys) -> tuple[Claim, PublicKey]:
    """What the statement says of these bytes, and which of the producer's keys that were given signed it."""
    try:
        id = json.loads(attached[STATEMENT])["signatures"][0]["keyid"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as why:
        raise LogBroken(f"{STATEMENT}: not an envelope ({type(why).__name__})") from None
    key = next((each for each in keys.producer if each.id == id), keys.producer[0])
    without = {name: data for name, data in attached.items() if name != STATEMENT}
    return statement.check(attached[STATEMENT], files, without, key), key


def entry(sha: str, claim: Claim) -> dict[str, Any]:
    """What the chain says of a model when it is entered, from its statement and the digest of its manifest."""
    return {
        "name": claim.name,
        "version": claim.version,
        "manifest": sha,
        "release": claim.release,
        "run": claim.run,
        "data": tuple(sorted({*claim.datasets.values()})),
        "expires": claim.expires,
    }
