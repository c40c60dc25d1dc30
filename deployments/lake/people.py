"""The principals of one lake, what each may, and the file that keeps their secrets between two starts."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from deployments.lake.sigv4 import Principal
from deployments.lake.state import LakeError, private, write

NAMES = ("operator", "pipeline", "stranger")
READS_OF_BUCKET = (
    "GetBucketAcl",
    "GetBucketLocation",
    "GetBucketLogging",
    "GetBucketObjectLockConfiguration",
    "GetBucketOwnershipControls",
    "GetBucketPolicy",
    "GetBucketPolicyStatus",
    "GetBucketPublicAccessBlock",
    "GetBucketVersioning",
    "GetEncryptionConfiguration",
    "ListBucket",
    "ListBucketVersions",
)
READS_OF_OBJECT = ("GetObject", "GetObjectAcl", "GetObjectVersion", "GetObjectVersionAcl")


def credentials(path: Path) -> dict[str, dict[str, str]]:
    """Access key and secret of everybody, by name: `{"operator": {"access": ..., "secret": ...}, ...}`.

    They are random, made at the first start and written with mode 0600; a file that is there is used as it is.

    Raises:
        LakeError: the file is not this user's alone, or is not what this function wrote.
    """
    if not path.exists():
        made = {name: {"access": f"LAKE{secrets.token_hex(8)}", "secret": secrets.token_urlsafe(32)} for name in NAMES}
        write(path, json.dumps(made, indent=2).encode(), 0o600)
        return made
    private(path)
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        raise LakeError(f"{path} is not JSON") from None
    if not isinstance(found, dict) or set(found) != set(NAMES) or not all(map(_complete, found.values())):
        raise LakeError(f"{path} must hold access and secret of {', '.join(NAMES)}, and nothing else")
    if len({pair["access"] for pair in found.values()}) != len(NAMES):
        raise LakeError(f"{path} gives one access key to two principals")
    return found


def _complete(pair: object) -> bool:
    return isinstance(pair, dict) and set(pair) == {"access", "secret"} and all(map(_key, pair.values()))


def _key(text: object) -> bool:
    # A slash or a comma would be read as the end of an access key.
    return isinstance(text, str) and text.isascii() and text.isprintable() and text != "" and not set(text) & set("/, ")


def operator(secret: str) -> Principal:
    """Who makes the buckets and may everything."""
    return Principal("operator", secret, (("s3:*", "*"),), root=True)


def pipeline(secret: str, *buckets: str) -> Principal:
    """Who reads the objects and the posture of these buckets, and may nothing else."""
    allow = [(f"s3:{action}", f"arn:aws:s3:::{name}") for name in buckets for action in READS_OF_BUCKET]
    allow += [(f"s3:{action}", f"arn:aws:s3:::{name}/*") for name in buckets for action in READS_OF_OBJECT]
    return Principal("pipeline", secret, tuple(allow))


def stranger(secret: str) -> Principal:
    """Who has valid credentials and no rights: what is open to this one is open to any account holder."""
    return Principal("stranger", secret, ())
